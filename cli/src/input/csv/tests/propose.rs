//! Proposed maps: what they guess, and that they are valid.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::batches::{open, read_all};
use crate::input::csv::map::ColumnMap;
use crate::input::csv::propose_map;

fn propose(text: &str) -> String {
    propose_map(Path::new("FILE"), text.as_bytes()).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Returns the lines of a map without comments and alignment.
fn settings(map: &str) -> Vec<String> {
    let lines = map.lines().map(|line| line.split_once("  ").map_or(line, |(start, _)| start));
    let lines = lines.map(|line| line.split_once("   #").map_or(line, |(start, _)| start).trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn the_proposed_map_of_each_example_reads_its_file() {
    for (name, batches, events) in [("orders.csv", 4, 5), ("excel.csv", 2, 2), ("mysql.tsv", 3, 3), ("shop.csv", 2, 2)]
    {
        let text = fs::read_to_string(Path::new("../examples/csv").join(name)).expect("an example");
        let map = propose(&text).replace("# customer_id = \"id\"", "customer_id = \"id\"");
        let read = read_all(open(&map, &text));
        let messages: Vec<_> = read.iter().flat_map(|batch| &batch.diagnostics).collect();
        assert!(messages.is_empty(), "{name}: {messages:?}\n{map}");
        assert_eq!(
            (read.len(), read.iter().map(|batch| batch.events).sum::<u64>()),
            (batches, events),
            "{name}\n{map}"
        );
    }
}

#[test]
fn guesses_identities_times_and_types() {
    let text = "user_id;e-mail;created_at;action;seats;paid;price;zip;note\n\
        u-1;a@example.com;31.01.2026 12:00;Seen;12;yes;1,50;00123;\nNULL;;01.02.2026 13:30;Seen;3;no;1.234,00;75008;\n";
    let expected = r#"
environment = "development"
[csv]
delimiter = ";"
decimal = ","
[identities]
customer_id = "user_id"
email = "e-mail"
[user_attributes]
"$zip" = "zip"
[event]
type = "custom_event"
name = { column = "action" }
custom_event_type = "other"
time = { column = "created_at", format = "%d.%m.%Y %H:%M" }
[event.attributes]
"seats" = { column = "seats", type = "number" }
"paid" = { column = "paid", type = "boolean" }
"price" = { column = "price", type = "number" }
"#;
    let map = propose(text);
    assert_eq!(settings(&map), expected.trim().lines().collect::<Vec<_>>(), "{map}");
    assert!(map.contains("zone = \"Europe/Berlin\"") && map.contains("# \"note\" = \"note\""), "{map}");
}

#[test]
fn what_is_uncertain_is_a_comment() {
    let cases = [
        // The order of day and month.
        (
            "id,at\nu,01/02/2026 10:00\n",
            "# The day and the month may be the other way round: format = \"%m/%d/%Y %H:%M\"",
        ),
        // A number that lost digits is no identity.
        ("user_id,at\n7.3E+18,2026-01-31T12:00:00Z\n", "# customer_id = \"user_id\""),
        // A phone number can be that of another person.
        ("user_id,phone\nu,+49170\n", "# mobile_number = \"phone\""),
        ("colour,at\nred,2026-01-31T12:00:00Z\n", "# customer_id = \"COLUMN\""),
        ("user_id,a,a\nu,1,2\n", "# Several columns have the same name, and are left out: \"a\""),
    ];
    for (text, line) in cases {
        let map = propose(text);
        assert!(map.lines().any(|found| found.starts_with(line)), "{line}\n{map}");
    }
    let times = [
        ("1769860800", "seconds"),
        ("1769860800123", "milliseconds"),
        ("2026-01-31T12:00:00+01:00", "rfc3339"),
        ("2026-01-31 12:00:00.123", "%Y-%m-%d %H:%M:%S%.f"),
        ("1/31/2026 9:05 AM", "%m/%d/%Y %I:%M %p"),
        ("31/01/2026 09:05", "%d/%m/%Y %H:%M"),
        ("2026-01-31 12:00:00.1 UTC", "%Y-%m-%d %H:%M:%S%.f UTC"),
        ("2026-01-31 12:00:00 +0100", "%Y-%m-%d %H:%M:%S%.f %z"),
    ];
    for (cell, format) in times {
        let map = propose(&format!("user_id,time\nu,{cell}\n"));
        assert!(map.contains(&format!("time = {{ column = \"time\", format = \"{format}\" }}")), "{cell}\n{map}");
    }
    // A number is a time only by the name of its column.
    assert!(!propose("user_id,count\nu,1769860800\n").contains("\ntime = "));
}

#[test]
fn a_file_without_a_map_to_propose_is_an_error() {
    for (text, message) in [
        ("", "FILE has no header that could be read as CSV"),
        ("{\"environment\":\"development\"}\n", "FILE is JSON, which needs no map; `mparticle check FILE` checks it"),
        ("\u{feff} [{}]", "FILE is JSON, which needs no map; `mparticle check FILE` checks it"),
        ("user_identities.email,mpid\n", "FILE needs no map: its columns are named as the fields of a batch"),
    ] {
        let failure = propose_map(Path::new("FILE"), text.as_bytes()).expect_err("no map");
        assert_eq!(failure.to_string(), message);
    }
}

#[test]
fn a_file_of_another_encoding_is_an_error_at_its_line() {
    for (text, line) in [(&b"user_id,Stra\xdfe\nu,x\n"[..], 1), (b"user_id,city\nu,Bonn\nv,K\xf6ln\n", 3)] {
        let failure = propose_map(Path::new("FILE"), text).expect_err("no map");
        let expected =
            format!("cannot read FILE: line {line}: invalid UTF-8, perhaps another encoding such as Latin-1; ");
        assert!(failure.to_string().starts_with(&expected) && failure.is_io(), "{failure}");
    }
}

#[test]
fn a_column_of_mostly_times_or_numbers_is_proposed_with_the_count_of_the_others() {
    let map = propose("user_id,when,x\nu1,2026-11-20 10:00:00,1\nu2,2026-11-20 11:00:00,2\nu3,-,2.5\n");
    assert!(map.contains("\n# One of 3 cells is no time of this format: -. Its row is rejected.\n"), "{map}");
    assert!(map.contains("\ntime = { column = \"when\", format = \"%Y-%m-%d %H:%M:%S%.f\" }"), "{map}");
    let rows = |bad: usize| {
        let cell = |row| if row < bad { "n/k".to_owned() } else { format!("{row}.50") };
        let rows = (0..40).map(|row| format!("u{row},2026-11-20 10:00:00,{}\n", cell(row)));
        propose(&format!("user_id,at,amount\n{}", rows.collect::<String>()))
    };
    let map = rows(4);
    assert!(map.contains("\n# 4 of 40 cells are no number, such as n/k. Their rows are rejected.\n"), "{map}");
    assert!(map.contains("\"amount\" = { column = \"amount\", type = \"number\" }"), "{map}");
    assert!(rows(5).contains("\n\"amount\" = \"amount\""));
    // Leading zeros would be lost.
    let codes: String = (0..40).map(|row| format!("u{row},{:05}\n", row * 999)).collect();
    assert!(propose(&format!("user_id,code\n{codes}")).contains("\n\"code\" = \"code\""));
    // The column that its name calls the time is taken before another with fewer cells.
    let map = propose(
        "id\tcreated\tlast_login\n1\t2026-11-20 10:00:00\t\\N\n2\t2026-11-21 10:00:00\t2026-11-22 00:00:00\n3\t0000-00-00 00:00:00\t\n",
    );
    assert!(map.contains("time = { column = \"created\""), "{map}");
}

#[test]
fn quotes_inside_cells_are_ordinary_characters() {
    let text = "user_id\tname\tcreated_at\n1\t\"Bob\" Smith\t2026-11-20 10:00:00\n2\t\"Al\t2026-11-20 10:00:00\n";
    let map = propose(text);
    assert!(map.contains("\nquote = \"\"") && map.contains("from its header and 2 of its rows"), "{map}");
    assert_eq!(read_all(open(&map, text)).iter().map(|batch| batch.events).sum::<u64>(), 2);
    // Around cells they are read as such, with delimiters and line breaks in them.
    let map = propose("user_id,name,at\n1,\"Smith, Bob\",2026-11-20\n2,\"a \"\"b\"\"\nc\",2026-11-20\n");
    assert!(!map.contains("quote = ") && map.contains("from its header and 2 of its rows"), "{map}");
}

#[test]
fn knows_german_names_of_columns() {
    let map = propose(
        "Bestell-Nr.;Kundennr.;Datum;Artikelnr.;Artikel;Preis;Gesamtbetrag;Währung\n\
         A;k-1;31.01.2026 12:00;s-1;Tee;1,50;1,50;EUR\n",
    );
    for line in [
        "transaction_id = { column = \"Bestell-Nr.\" }",
        "customer_id = \"Kundennr.\"",
        "total = { column = \"Gesamtbetrag\" }",
        "currency_code = { column = \"Währung\" }",
        "id = { column = \"Artikelnr.\" }",
    ] {
        assert!(settings(&map).iter().any(|found| found == line), "{line}\n{map}");
    }
}

#[test]
fn a_column_is_not_both_the_transaction_and_the_product() {
    let map = propose("user_id,sku,at\nu,#1,2026-01-31\n");
    assert!(!map.contains("purchase") && !map.contains("[event.product]"), "{map}");
    let map = propose("user_id,sku,product,at\nu,#1,Tea,2026-01-31\n");
    for line in ["transaction_id = { column = \"sku\" }", "id = { column = \"product\" }"] {
        assert!(settings(&map).iter().any(|found| found == line), "{line}\n{map}");
    }
}

fn cell() -> impl Strategy<Value = String> {
    const WORDS: [&str; 15] = [
        "id",
        "user_id",
        "E-Mail",
        "at",
        "Name",
        "sku",
        "price",
        "1,5",
        "a@b",
        "#1",
        "2026-01-31",
        "17",
        "\u{7f}",
        "\\N",
        "true",
    ];
    prop_oneof![3 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_proposed_map_is_valid_for_any_table(
        table in (1_usize..6).prop_flat_map(|columns| vec(vec(cell(), columns), 1..5)),
        delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        for row in &table {
            writer.write_record(row).expect("memory");
        }
        let text = writer.into_inner().expect("memory");
        if let Ok(map) = propose_map(Path::new("FI\u{1b}LE"), &text[..]) {
            prop_assert!(map.lines().all(|line| !line.contains(char::is_control)));
            // A user has to be named where none was found.
            let whole = map.replace("# customer_id = \"COLUMN\"", "customer_id = \"COLUMN\"");
            let parsed = ColumnMap::parse(&whole);
            let is_valid = match &parsed {
                Ok(_) => true,
                Err(error) => error.message.starts_with("[identities] is missing"),
            };
            prop_assert!(is_valid, "{:?}\n{}", parsed.err(), map);
        }
    }
}
