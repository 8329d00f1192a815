//! From rows to batches: what they hold, how they are gathered, and that a run which goes on gives the same.

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

/// A batch, and what is told of it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    position: FilePosition,
    text: String,
    diagnostics: Vec<String>,
    next: Option<FilePosition>,
    events: u64,
}

impl Told {
    fn batch(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

fn open<'t>(map: &str, text: &'t str) -> CsvBatchReader<&'t [u8]> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(map.as_bytes()).expect("room");
    let map = MapFile::read(file.path(), None).unwrap_or_else(|failure| panic!("{failure}"));
    map.open(Path::new("FILE"), text.as_bytes()).unwrap_or_else(|failure| panic!("{failure}"))
}

fn all(mut batches: CsvBatchReader<&[u8]>) -> Vec<Told> {
    let mut described = Vec::new();
    while let Some(reading) = batches.next(&Validator::default()) {
        let reading = reading.expect("bytes");
        let checked = reading.checked;
        described.push(Told {
            position: checked.position,
            text: String::from_utf8_lossy(&checked.text).into_owned(),
            diagnostics: checked
                .diagnostics
                .iter()
                .map(|fault| format!("{}  {}", fault.position, fault.diagnostic.message))
                .collect(),
            next: reading.resume_at,
            events: reading.events,
        });
    }
    described
}

fn read(rows: &str) -> Vec<Told> {
    all(open(MAP, &format!("{HEADER}{rows}")))
}

#[test]
fn a_row_is_a_batch_with_what_its_cells_say() {
    let described = read("u1,9007199254740993,,\"A, \"\"b\"\"\",1769860800000,9223372036854775807\r\n");
    let event = json!({ "event_type": "custom_event", "data": {
        "event_name": "A, \"b\"", "custom_event_type": "other", "timestamp_unixtime_ms": 1_769_860_800_000_i64,
        "custom_attributes": { "number": 9_223_372_036_854_775_807_i64 },
    } });
    let batch = json!({
        "environment": "development", "mpid": 9_007_199_254_740_993_i64, "user_identities": { "customer_id": "u1" },
        "events": [event],
    });
    assert_eq!((described.len(), described[0].batch(), described[0].events), (1, batch, 1));
    assert_eq!(described[0].diagnostics, [""; 0]);
}

#[test]
fn every_family_is_what_the_contract_takes() {
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
        let described = all(open(&format!("{start}{event}\n"), "mail,a,b\nm,7,no\n"));
        assert_eq!(
            (described[0].batch()["events"][0].clone(), &described[0].diagnostics[..]),
            (expected, &[][..]),
            "{event}"
        );
    }
    // No event at all: the user is sent, once.
    let users = "environment = \"development\"\n[identities]\nmp_deviceid = \"d\"\n[user_attributes]\nplan = \"p\"\n";
    let described =
        all(open(users, "d,p\n00000000-0000-4000-8000-000000000001,a\n00000000-0000-4000-8000-000000000001,a\n"));
    let batch = json!({ "environment": "development", "mp_deviceid": "00000000-0000-4000-8000-000000000001", "user_attributes": { "plan": "a" } });
    assert_eq!((described.len(), described[0].batch(), described[0].events), (1, batch, 0));
}

#[test]
fn a_wrong_row_is_told_with_the_place_of_its_cell_and_takes_no_other_with_it() {
    let table = [
        ("u,,,A,,many", "2:8  column \"number\"  \"many\" is not a number"),
        ("u,1.5,,A,,", "2:3  column \"mpid\"  \"1.5\" is not a whole number"),
        ("u,,,A,noon,", "2:7  column \"at\"  \"noon\" is not a time in milliseconds since 1970"),
        ("u,,,,,", "2:5  column \"name\"  it is empty, and the event needs it"),
        ("\"u\nv\",é,,A,,", "3:4  column \"mpid\"  \"é\" is not a whole number"),
        ("u,,A", "2:1  3 fields, and the header has 6"),
        ("u,,,A,,,", "2:1  7 fields, and the header has 6"),
        ("u,\"1\"2,,A,,", "2:6  something follows the closing quote"),
        // What the contract says, at the cell that it is about.
        ("u,,,A,1769860800,", "2:7  "),
    ];
    for (row, message) in table {
        let right = "v,,,A,,1\n";
        let described = read(&format!("{row}\n{right}"));
        let [wrong, batch] = &described[..] else { panic!("{row}: {described:?}") };
        assert!(wrong.diagnostics[0].starts_with(message), "{row}: {:?}", wrong.diagnostics);
        assert_eq!(batch.batch()["user_identities"]["customer_id"], "v", "{row}");
    }
    let all_of_it = read("u,x,,,soon,y\n");
    assert_eq!(all_of_it[0].diagnostics.len(), 4, "{:?}", all_of_it[0].diagnostics);
    assert_eq!(all_of_it[0].text, "u,x,,,soon,y");
    let no_user = read(",,pro,A,,\n");
    assert!(no_user[0].diagnostics[0].starts_with("2:1  "), "{:?}", no_user[0].diagnostics);
}

#[test]
fn batches_stay_within_the_limits() {
    let rows: String = (0..250).map(|number| format!("u,,,A,,{number}\n")).collect();
    let counts: Vec<_> = read(&rows).iter().map(|described| described.events).collect();
    assert_eq!(counts, [MAX_EVENTS as u64, MAX_EVENTS as u64, 50]);
    let long = "x".repeat(200);
    let rows: String = (0..90).map(|_| format!("u,,,{long},,\n")).collect();
    assert_eq!(read(&rows).len(), 1);
    let map = MAP.replace("number = { column = \"number\", type = \"number\" }", "number = \"number\"");
    let rows: String = (0..90).map(|_| format!("u,,,A,,{}\n", "y".repeat(4000))).collect();
    let described = all(open(&map, &format!("{HEADER}{rows}")));
    assert!(
        described.len() > 3 && described.iter().all(|described| described.text.len() < 100_000),
        "{}",
        described.len()
    );
    assert_eq!(described.iter().map(|described| described.events).sum::<u64>(), 90);
}

#[test]
fn what_is_wrong_comes_before_the_batches_of_its_window() {
    let described = read("u,,,A,,1\nu,,,A,,x\nu,,,A,,3\n");
    assert_eq!(described.iter().map(|described| described.diagnostics.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(described[1].events, 2);
}

/// Rows of a few users, whose plans change now and then.
fn rows() -> impl Strategy<Value = Vec<(u8, u8)>> {
    vec((0_u8..4, prop_oneof![4 => Just(0_u8), 1 => 0_u8..3]), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_event_is_in_one_batch_of_its_user_and_their_order_is_kept(rows in rows()) {
        let text: String =
            rows.iter().enumerate().map(|(at, (user, plan))| format!("u{user},,p{plan},A,,{at}\n")).collect();
        let described = read(&text);
        let mut seen: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        for described in &described {
            prop_assert!(described.diagnostics.is_empty());
            let batch = described.batch();
            for event in batch["events"].as_array().expect("events") {
                let number = event["data"]["custom_attributes"]["number"].as_u64().expect("a number");
                let (user, plan) = (&batch["user_identities"]["customer_id"], &batch["user_attributes"]["plan"]);
                seen.entry(user.to_string()).or_default().push((number, plan.to_string()));
            }
        }
        let mut expected: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        for ((user, plan), number) in rows.iter().zip(0..) {
            expected.entry(format!("\"u{user}\"")).or_default().push((number, format!("\"p{plan}\"")));
        }
        prop_assert_eq!(seen, expected);
        prop_assert!(described.is_sorted_by_key(|described| described.position.offset), "in the order of their first rows");
    }
}

#[test]
fn from_each_place_to_go_on_from_the_same_batches_come() {
    let mut text = HEADER.to_owned();
    for number in 0..2 * MAX_ROWS + 500 {
        // Some are wrong, one has a line break, and users come back all the time.
        let name = if number % 1000 == 7 { "\"two\nlines\"" } else { "A" };
        let value = if number % 777 == 5 { "x".to_owned() } else { number.to_string() };
        text += &format!("u{},,,{name},,{value}\n", number * 7 % 613);
    }
    let whole = all(open(MAP, &text));
    let places: Vec<_> =
        whole.iter().enumerate().filter_map(|(at, described)| Some((at + 1, described.next?))).collect();
    assert_eq!(places.len(), 3, "one a window");
    assert_eq!(places[2].1.offset, text.len() as u64);
    assert!(whole == all(open(MAP, &text)), "twice the same");
    for (at, position) in places {
        let mut rest = open(MAP, &text);
        rest.skip_to(position).expect("a place in it");
        assert!(all(rest) == whole[at..], "from {position} on");
    }
}
