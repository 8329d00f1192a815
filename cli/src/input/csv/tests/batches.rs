//! From rows to batches: content, gathering, and resuming.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::input::csv::window::{MAX_EVENTS, MAX_ROWS};
use crate::input::csv::{CsvBatchReader, MapFile};
use crate::input::{FilePosition, Validator};

const MAP: &str = r#"
environment = "development"
[identities]
customer_id = "user"
mpid = "mpid"
[user_attributes]
plan = "plan"
[event]
type = "custom_event"
name = { column = "name" }
custom_event_type = "other"
time = { column = "at", format = "milliseconds" }
[event.attributes]
number = { column = "number", type = "number" }
"#;

const HEADER: &str = "user,mpid,plan,name,at,number\n";

/// A batch and its diagnostics.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadBatch {
    pub position: FilePosition,
    pub text: String,
    pub diagnostics: Vec<String>,
    pub next: Option<FilePosition>,
    pub events: u64,
}

impl ReadBatch {
    pub fn batch(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

pub fn open<'t>(map: &str, text: &'t str) -> CsvBatchReader<&'t [u8]> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(map.as_bytes()).expect("room");
    let map = MapFile::read(file.path(), None).unwrap_or_else(|failure| panic!("{failure}"));
    map.open(Path::new("FILE"), text.as_bytes()).unwrap_or_else(|failure| panic!("{failure}"))
}

pub fn read_all(mut reader: CsvBatchReader<&[u8]>) -> Vec<ReadBatch> {
    let mut batches = Vec::new();
    while let Some(batch) = reader.next(&Validator::default()) {
        let batch = batch.expect("bytes");
        let checked = batch.checked;
        batches.push(ReadBatch {
            position: checked.position,
            text: String::from_utf8_lossy(&checked.text).into_owned(),
            diagnostics: checked
                .diagnostics
                .iter()
                .map(|located| format!("{}  {}", located.position, located.diagnostic.message))
                .collect(),
            next: batch.resume_at.map(|at| at.position),
            events: batch.events,
        });
    }
    batches
}

fn read(rows: &str) -> Vec<ReadBatch> {
    read_all(open(MAP, &format!("{HEADER}{rows}")))
}

#[test]
fn converts_a_row_to_a_batch() {
    let batches = read("u1,9007199254740993,,\"A, \"\"b\"\"\",1769860800000,9223372036854775807\r\n");
    let event = json!({ "event_type": "custom_event", "data": {
        "event_name": "A, \"b\"", "custom_event_type": "other", "timestamp_unixtime_ms": 1_769_860_800_000_i64,
        "custom_attributes": { "number": 9_223_372_036_854_775_807_i64 },
    } });
    let batch = json!({
        "environment": "development", "mpid": 9_007_199_254_740_993_i64, "user_identities": { "customer_id": "u1" },
        "events": [event],
    });
    assert_eq!((batches.len(), batches[0].batch(), batches[0].events), (1, batch, 1));
    assert_eq!(batches[0].diagnostics, [""; 0]);
}

#[test]
fn converts_every_event_type_to_valid_events() {
    let start = "environment = \"development\"\nidentities.email = \"mail\"\n[event]\n";
    let table = [
        (
            "type = \"screen_view\"\nname = { column = \"a\" }",
            json!({ "event_type": "screen_view", "data": { "screen_name": "7" } }),
        ),
        ("type = \"opt_out\"", json!({ "event_type": "opt_out", "data": { "is_opted_out": true } })),
        (
            "type = \"opt_out\"\nopted_out = { column = \"b\" }",
            json!({ "event_type": "opt_out", "data": { "is_opted_out": false } }),
        ),
        (
            "type = \"purchase\"\ncurrency_code = \"EUR\"\ntotal = { column = \"a\" }\ntransaction_id = { column = \"mail\" }\n\
             source_message_id = \"a\"\nproduct = { id = { column = \"a\" }, name = \"Tea\", price = { column = \"a\" }, quantity = \"1\" }",
            json!({ "event_type": "commerce_event", "data": {
                "currency_code": "EUR",
                "source_message_id": "7",
                "product_action": { "action": "purchase", "total_amount": 7.0, "transaction_id": "m",
                    "products": [{ "id": "7", "name": "Tea", "price": 7.0, "quantity": 1.0 }] },
            } }),
        ),
    ];
    for (event, expected) in table {
        let batches = read_all(open(&format!("{start}{event}\n"), "mail,a,b\nm,7,no\n"));
        assert_eq!(
            (batches[0].batch()["events"][0].clone(), &batches[0].diagnostics[..]),
            (expected, &[][..]),
            "{event}"
        );
    }
    // Without an event, each user is sent once.
    let users = "environment = \"development\"\n[identities]\nmp_deviceid = \"d\"\n[user_attributes]\nplan = \"p\"\n";
    let batches =
        read_all(open(users, "d,p\n00000000-0000-4000-8000-000000000001,a\n00000000-0000-4000-8000-000000000001,a\n"));
    let batch = json!({ "environment": "development", "mp_deviceid": "00000000-0000-4000-8000-000000000001", "user_attributes": { "plan": "a" } });
    assert_eq!((batches.len(), batches[0].batch(), batches[0].events), (1, batch, 0));
}

#[test]
fn rejects_only_invalid_rows_and_names_the_cell() {
    let table = [
        ("u,,,A,,many", "2:8  column \"number\"  \"many\" is not a number"),
        ("u,1.5,,A,,", "2:3  column \"mpid\"  \"1.5\" is not an integer"),
        ("u,,,A,noon,", "2:7  column \"at\"  \"noon\" is not a time in milliseconds since 1970"),
        ("u,,,,,", "2:5  column \"name\"  empty, but required for the event"),
        ("\"u\nv\",é,,A,,", "3:4  column \"mpid\"  \"é\" is not an integer"),
        ("u,,A", "2:1  3 fields, but the header has 6"),
        ("u,,,A,,,", "2:1  7 fields, but the header has 6"),
        ("u,\"1\"2,,A,,", "2:6  unexpected data after the closing quote"),
        // A violation of the contract is located at its cell.
        ("u,,,A,1769860800,", "2:7  "),
    ];
    for (row, message) in table {
        let right = "v,,,A,,1\n";
        let batches = read(&format!("{row}\n{right}"));
        let [errors, batch] = &batches[..] else { panic!("{row}: {batches:?}") };
        assert!(errors.diagnostics[0].starts_with(message), "{row}: {:?}", errors.diagnostics);
        assert_eq!(batch.batch()["user_identities"]["customer_id"], "v", "{row}");
    }
    let invalid = read("u,x,,,soon,y\n");
    assert_eq!(invalid[0].diagnostics.len(), 4, "{:?}", invalid[0].diagnostics);
    assert_eq!(invalid[0].text, "u,x,,,soon,y");
    let no_user = read(",,pro,A,,\n");
    assert!(no_user[0].diagnostics[0].starts_with("2:1  "), "{:?}", no_user[0].diagnostics);
}

#[test]
fn batches_stay_within_the_limits() {
    let rows: String = (0..250).map(|number| format!("u,,,A,,{number}\n")).collect();
    let counts: Vec<_> = read(&rows).iter().map(|batches| batches.events).collect();
    assert_eq!(counts, [MAX_EVENTS as u64, MAX_EVENTS as u64, 50]);
    let long = "x".repeat(200);
    let rows: String = (0..90).map(|_| format!("u,,,{long},,\n")).collect();
    assert_eq!(read(&rows).len(), 1);
    let map = MAP.replace("number = { column = \"number\", type = \"number\" }", "number = \"number\"");
    let rows: String = (0..90).map(|_| format!("u,,,A,,{}\n", "y".repeat(4000))).collect();
    let batches = read_all(open(&map, &format!("{HEADER}{rows}")));
    assert!(batches.len() > 3 && batches.iter().all(|batches| batches.text.len() < 100_000), "{}", batches.len());
    assert_eq!(batches.iter().map(|batches| batches.events).sum::<u64>(), 90);
}

#[test]
fn invalid_rows_come_before_the_batches_of_their_window() {
    let batches = read("u,,,A,,1\nu,,,A,,x\nu,,,A,,3\n");
    assert_eq!(batches.iter().map(|batches| batches.diagnostics.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(batches[1].events, 2);
}

/// Rows of a few users whose plans change occasionally.
fn rows() -> impl Strategy<Value = Vec<(u8, u8)>> {
    vec((0_u8..4, prop_oneof![4 => Just(0_u8), 1 => 0_u8..3]), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn keeps_every_event_once_and_in_the_order_of_its_user(rows in rows()) {
        let text: String =
            rows.iter().enumerate().map(|(at, (user, plan))| format!("u{user},,p{plan},A,,{at}\n")).collect();
        let batches = read(&text);
        let mut events_by_user: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        for batches in &batches {
            prop_assert!(batches.diagnostics.is_empty());
            let batch = batches.batch();
            for event in batch["events"].as_array().expect("events") {
                let number = event["data"]["custom_attributes"]["number"].as_u64().expect("a number");
                let (user, plan) = (&batch["user_identities"]["customer_id"], &batch["user_attributes"]["plan"]);
                events_by_user.entry(user.to_string()).or_default().push((number, plan.to_string()));
            }
        }
        let mut expected: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        for ((user, plan), number) in rows.iter().zip(0..) {
            expected.entry(format!("\"u{user}\"")).or_default().push((number, format!("\"p{plan}\"")));
        }
        prop_assert_eq!(events_by_user, expected);
        prop_assert!(batches.is_sorted_by_key(|batches| batches.position.offset), "ordered by first row");
    }
}

#[test]
fn resuming_from_any_position_gives_the_same_batches() {
    let mut text = HEADER.to_owned();
    for number in 0..2 * MAX_ROWS + 500 {
        // Some rows are invalid, some have a line break, and users recur.
        let name = if number % 1000 == 7 { "\"two\nlines\"" } else { "A" };
        let value = if number % 777 == 5 { "x".to_owned() } else { number.to_string() };
        text += &format!("u{},,,{name},,{value}\n", number * 7 % 613);
    }
    let whole = read_all(open(MAP, &text));
    let positions: Vec<_> =
        whole.iter().enumerate().filter_map(|(at, batches)| Some((at + 1, batches.next?))).collect();
    assert_eq!(positions.len(), 3, "one per window");
    assert_eq!(positions[2].1.offset, text.len() as u64);
    assert!(whole == read_all(open(MAP, &text)), "reading is deterministic");
    for (at, position) in positions {
        let mut rest = open(MAP, &text);
        rest.skip_to(position).expect("a position in the file");
        assert!(read_all(rest) == whole[at..], "from {position} on");
    }
}
