//! Transactions whose rows are far apart, appended, or written in different ways.

use std::path::Path;

use mparticle::Environment;
use serde_json::json;

use super::batches::{ReadBatch, open, read_all};
use crate::input::csv::CsvFormat;
use crate::input::csv::window::MAX_ROWS;

const MAP: &str = r#"
environment = "development"
[identities]
customer_id = "id"
[event]
type = "purchase"
transaction_id = { column = "order" }
product = { id = { column = "sku" }, name = "Tea" }
"#;

const HEADER: &str = "order,id,sku\n";

const TOO_FAR: &str = "too far from the other rows of transaction \"A\", which is sent without these rows unless it was \
                       rejected; sort the file by transaction";

fn rows(orders: std::ops::Range<usize>) -> String {
    orders.map(|order| format!("{order},u{order},1\n")).collect()
}

fn errors(batches: &[ReadBatch]) -> Vec<&str> {
    batches.iter().flat_map(|batch| &batch.diagnostics).map(String::as_str).collect()
}

#[test]
fn a_resumed_run_rejects_the_rows_that_a_whole_run_rejects() {
    let text = format!("{HEADER}A,u,1\n{}A,u,2\nA,u,3\n", rows(0..MAX_ROWS + 5));
    let whole = read_all(open(MAP, &text));
    assert_eq!(errors(&whole), [format!("{}:1  {TOO_FAR}", MAX_ROWS + 8)]);
    let first = whole.iter().position(|batch| batch.next.is_some()).expect("a window") + 1;
    assert!(first < whole.len(), "two windows");
    let mut rest = open(MAP, &text);
    rest.skip_to(whole[first - 1].next.expect("a position")).expect("a position in the file");
    assert_eq!(read_all(rest), whole[first..]);
}

#[test]
fn a_row_that_was_appended_to_a_sent_transaction_is_rejected() {
    let sent = format!("{HEADER}A,u,1\nB,v,1\n");
    let position = read_all(open(MAP, &sent)).last().and_then(|batch| batch.next).expect("the end of the file");
    let grown = format!("{sent}A,u,2\nC,w,1\n");
    let mut rest = open(MAP, &grown);
    rest.skip_to(position).expect("a position in the file");
    let batches = read_all(rest);
    assert_eq!(errors(&batches), [format!("4:1  {TOO_FAR}")]);
    assert_eq!(batches[1].batch()["user_identities"]["customer_id"], "w");
    // A last line without a line break may be continued by what is appended.
    let open_end = sent.trim_end();
    let position = read_all(open(MAP, open_end)).last().and_then(|batch| batch.next).expect("the end of the file");
    let continued = format!("{open_end}2\nC,w,1\n");
    let error = open(MAP, &continued).skip_to(position).expect_err("another row");
    assert!(error.to_string().starts_with("line 3 was incomplete when it was sent"), "{error}");
    let continued = format!("{open_end}\nC,w,1\n");
    let mut rest = open(MAP, &continued);
    rest.skip_to(position).expect("a complete row");
    assert_eq!(read_all(rest).len(), 1);
    let mut rest = open(MAP, HEADER);
    assert_eq!(rest.skip_to(position).expect_err("a shorter file").kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn white_space_around_a_transaction_id_makes_no_other_transaction() {
    let batches = read_all(open(MAP, &format!("{HEADER}C,u,1\nC ,u,2\n \tC,u,3\n")));
    assert_eq!((batches.len(), batches[0].events), (1, 1), "{batches:?}");
    let action = &batches[0].batch()["events"][0]["data"]["product_action"];
    assert_eq!((&action["transaction_id"], action["products"].as_array().map(Vec::len)), (&json!("C"), Some(3)));
}

#[test]
fn a_rejected_row_without_an_event_counts_no_event() {
    let users = "environment = \"development\"\n[identities]\nmpid = \"id\"\n";
    let batches = read_all(open(users, "id\nx\n\"y\n"));
    assert_eq!(batches.iter().map(|batch| (batch.events, batch.diagnostics.len())).collect::<Vec<_>>(), [(0, 1); 2]);
    let with_event = format!("{users}[event]\ntype = \"opt_out\"\n");
    let batches = read_all(open(&with_event, "id\nx\n\"y\n"));
    assert_eq!(batches.iter().map(|batch| batch.events).collect::<Vec<_>>(), [1, 1]);
}

/// Reads mParticle's own form of purchases, with these rows.
fn read_paths(rows: &str) -> Vec<ReadBatch> {
    let header = "user_identities.email,events.data.product_action.action,events.data.product_action.transaction_id,\
        events.data.product_action.total_amount,events.data.product_action.products.id";
    let text = format!("{header}\n{rows}");
    let format = CsvFormat::detect(text.as_bytes()).expect("detected");
    let reader = format.open(Path::new("a.csv"), text.as_bytes(), Some(Environment::Production));
    read_all(reader.unwrap_or_else(|failure| panic!("{failure}")))
}

#[test]
fn a_refund_is_another_action_than_the_purchase_with_its_id() {
    let batches =
        read_paths("a@example.com,purchase,1,9,A\na@example.com,refund,1,9,A\na@example.com,purchase,1 ,9,B\n");
    assert_eq!(errors(&batches), [""; 0]);
    let batch = batches[0].batch();
    let actions: Vec<_> =
        batch["events"].as_array().expect("events").iter().map(|event| &event["data"]["product_action"]).collect();
    let described: Vec<_> =
        actions.iter().map(|action| (&action["action"], action["products"].as_array().map(Vec::len))).collect();
    assert_eq!(described, [(&json!("purchase"), Some(2)), (&json!("refund"), Some(1))]);
}

#[test]
fn a_decimal_comma_without_a_map_has_no_advice_about_a_map() {
    let batches = read_paths("a@example.com,purchase,1,\"9,5\",A\n");
    let column = "events.data.product_action.total_amount";
    assert_eq!(
        errors(&batches),
        [format!("2:26  column \"{column}\"  \"9,5\" is not a number; the decimal mark is a point")]
    );
}
