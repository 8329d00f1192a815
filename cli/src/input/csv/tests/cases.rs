//! Exports as people have them: spreadsheets, databases, shops, and mParticle's own files.

use std::io::Write;
use std::path::Path;

use mparticle::Environment;
use serde_json::{Value, json};

use super::batches::{ReadBatch, open, read_all};
use crate::input::csv::CsvFormat;

/// A map of the columns `id` and `value`, with these lines in `[csv]` and in the attribute.
fn map(csv: &str, value: &str) -> String {
    format!(
        "environment = \"development\"\n[csv]\n{csv}\n[identities]\ncustomer_id = \"id\"\n[user_attributes]\n\
         value = {{ column = \"value\", {value} }}\n"
    )
}

fn messages(batches: &[ReadBatch]) -> Vec<&str> {
    batches.iter().flat_map(|batch| &batch.diagnostics).map(String::as_str).collect()
}

fn values(batches: &[ReadBatch], pointer: &str) -> Vec<Value> {
    batches.iter().map(|batch| batch.batch().pointer(pointer).cloned().unwrap_or_default()).collect()
}

#[test]
fn reads_the_export_of_a_spreadsheet() {
    let map = map("delimiter = \",\"\ndecimal = \",\"", "type = \"number\"");
    let text = "\u{feff}sep=;\r\nid;value;note\r\nu-1;12,90;\"a;b\"\r\nu-2;1.234,50;\r\n;;\r\n ; ;\r\n;;;;;\r\n;;\r\n";
    let batches = read_all(open(&map, text));
    assert_eq!(messages(&batches), [""; 0]);
    assert_eq!(values(&batches, "/user_attributes/value"), [json!(12.9), json!(1234.5)]);
    assert_eq!(batches[0].position.line, 3);
}

#[test]
fn suggests_the_delimiter_if_the_header_does_not_fit() {
    for (delimiter, name) in [(";", ";"), ("\t", "\\t"), ("|", "|")] {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(map("", "type = \"text\"").as_bytes()).expect("room");
        let map = crate::input::MapFile::read(file.path(), None).unwrap_or_else(|failure| panic!("{failure}"));
        let header = ["id", "value"].join(delimiter);
        let error = map.open(Path::new("FILE"), header.as_bytes()).err().expect("another delimiter").to_string();
        let hint =
            format!("no column \"id\": the header is separated by \"{name}\": set delimiter = \"{name}\" in [csv]");
        assert!(error.ends_with(&hint), "{error}");
    }
}

#[test]
fn cells_that_mean_no_value_are_absent() {
    let rows =
        "id,mail,value\nu-1,a@example.com,\\N\nNULL,b@example.com,NULL\n null ,c@example.com,\"nan\"\nNaN,<NA>,7\n";
    let start = map("", "type = \"number\"").replace("customer_id = \"id\"", "customer_id = \"id\"\nemail = \"mail\"");
    let batches = read_all(open(&start, rows));
    assert_eq!(messages(&batches), ["5:1  no identity of a user or a device in the row"]);
    let identities: Vec<_> = batches[1..].iter().map(|batch| batch.batch()["user_identities"].clone()).collect();
    let expected = [
        json!({ "customer_id": "u-1", "email": "a@example.com" }),
        json!({ "email": "b@example.com" }),
        json!({ "email": "c@example.com" }),
    ];
    assert_eq!(identities, expected);
    assert_eq!(values(&batches[1..], "/user_attributes/value"), [Value::Null, Value::Null, Value::Null]);
    // A map that lists its own markers has no others.
    let own = map("null = [\"-\"]", "type = \"text\"");
    let batches = read_all(open(&own, "id,value\n-,\nu-1,NULL\nu-2,-\n"));
    assert_eq!(values(&batches[1..], "/user_attributes/value"), [json!("NULL"), Value::Null]);
    assert_eq!(batches[0].diagnostics.len(), 1, "no user");
}

#[test]
fn numbers_that_lost_digits_make_no_identity() {
    let map = map("", "type = \"text\"").replace("[user", "mpid = \"mpid\"\nmobile_number = \"phone\"\n[user");
    let rows = "id,mpid,phone,value\n7.34624E+18,,,a\nu,7.3e+18,,a\nu,1.0,,a\nu,,491701234567.0,a\nu,-7346244611012968789,49170,a\n";
    let batches = read_all(open(&map, rows));
    assert_eq!(
        messages(&batches),
        [
            "2:1  column \"id\"  \"7.34624E+18\" is a number that lost digits; export the column as text",
            "3:3  column \"mpid\"  \"7.3e+18\" is not an integer",
            "4:3  column \"mpid\"  \"1.0\" is not an integer",
            "5:4  column \"phone\"  \"491701234567.0\" is an identity that became a decimal number; export the column as text",
        ]
    );
    assert_eq!(batches[4].batch()["mpid"], -7_346_244_611_012_968_789_i64);
}

#[test]
fn cells_of_missing_values_and_errors_are_absent() {
    let nulls = [
        "NA",
        "na",
        "n/a",
        "NaT",
        "#REF!",
        "#VALUE!",
        "#NAME?",
        "#DIV/0!",
        "#NULL!",
        "#NUM!",
        "0000-00-00",
        "0000-00-00 00:00:00",
    ];
    let rows: String = nulls.iter().map(|null| format!("u-1,{null}\n{null},a\n")).collect();
    let batches = read_all(open(&map("", "type = \"text\""), &format!("id,value\n{rows}")));
    assert_eq!(messages(&batches).len(), nulls.len(), "no user is called so: {batches:?}");
    let sent = batches.last().expect("a batch");
    assert_eq!((batches.len(), sent.batch().get("user_attributes")), (nulls.len() + 1, None));
}

#[test]
fn warns_of_times_before_2000() {
    let map = "environment = \"development\"\n[identities]\ncustomer_id = \"id\"\n[event]\ntype = \"opt_out\"\n\
               time = { column = \"at\", format = \"%d.%m.%Y %H:%M\" }\n";
    let batches = read_all(open(map, "id,at\nu,30.12.1899 00:00\nv,01.01.2000 00:00\n"));
    let warning =
        "2:3  a time before the year 2000 (1899-12-30); an empty date, or a date in another form, gives such a time";
    assert_eq!((batches.len(), messages(&batches)), (2, vec![warning]));
}

#[test]
fn reads_ids_of_devices() {
    let map = "environment = \"development\"\n[device]\nios_idfv = \"idfv\"\nscreen_width = \"width\"\nis_tablet = \"tablet\"\n\
               platform = \"os\"\n[event]\ntype = \"opt_out\"\n";
    let rows = "idfv,width,tablet,os\n7F1B1E4A-2E5C-4B5C-9A41-4F3B0F5A7C11,390,no,iOS\nnone,390,no,iOS\n\
                7F1B1E4A-2E5C-4B5C-9A41-4F3B0F5A7C11,wide,maybe,\n7F1B1E4A-2E5C-4B5C-9A41-4F3B0F5A7C11,,,ios\n";
    let batches = read_all(open(map, rows));
    let device = json!({ "ios_idfv": "7F1B1E4A-2E5C-4B5C-9A41-4F3B0F5A7C11", "screen_width": 390, "is_tablet": false, "platform": "iOS" });
    assert_eq!(batches.last().expect("a batch").batch()["device_info"], device);
    let messages = messages(&batches);
    let of_row = |row: &str| messages.iter().filter(|message| message.starts_with(row)).count();
    assert!(of_row("3:1  ") == 3 && messages[1].contains("found \"none\""), "{messages:?}");
    assert_eq!(
        messages[3..5],
        [
            "4:38  column \"width\"  \"wide\" is not an integer",
            "4:43  column \"tablet\"  \"maybe\" is not true or false, yes or no, 1 or 0"
        ]
    );
    assert!(messages[5].starts_with("5:40  "), "{messages:?}");
}

const PURCHASES: &str = r#"
environment = "development"
[identities]
email = "Email"
[event]
type = "purchase"
transaction_id = { column = "Order" }
total = { column = "Total" }
currency_code = { column = "Currency" }
time = { column = "At", format = "rfc3339" }
product = { id = { column = "SKU" }, name = { column = "Product" }, price = { column = "Price" }, quantity = "1" }
"#;

const PURCHASE_HEADER: &str = "Order,Email,Total,Currency,At,SKU,Product,Price\n";

fn purchases(rows: &str) -> Vec<ReadBatch> {
    read_all(open(PURCHASES, &format!("{PURCHASE_HEADER}{rows}")))
}

#[test]
fn the_rows_of_a_transaction_become_one_purchase() {
    let rows = "\
        1001,s@example.com,59.90,EUR,2026-01-31T12:00:00Z,M-1,Mask,14.90\n\
        1001,s@example.com,,,2026-01-31T12:00:00Z,C-2,Cream,9.21\n\
        1002,t@example.com,20.00,EUR,2026-01-31T12:05:00Z,C-2,Cream,20.00\n\
        1001,,59.90,EUR,2026-01-31T12:00:01Z,,Sample,0.00\n\
        ,s@example.com,5,EUR,2026-01-31T12:06:00Z,C-2,Cream,5\n\
        ,s@example.com,5,EUR,2026-01-31T12:06:00Z,C-2,Cream,5\n";
    let batches = purchases(rows);
    assert_eq!(messages(&batches), [""; 0]);
    assert_eq!((batches.len(), batches[0].events, batches[1].events), (2, 3, 1), "one purchase for each transaction");
    let action = json!({
        "action": "purchase", "transaction_id": "1001", "total_amount": 59.9,
        "products": [
            { "id": "M-1", "name": "Mask", "price": 14.9, "quantity": 1.0 },
            { "id": "C-2", "name": "Cream", "price": 9.21, "quantity": 1.0 },
            { "name": "Sample", "price": 0.0, "quantity": 1.0 },
        ],
    });
    let data =
        json!({ "currency_code": "EUR", "timestamp_unixtime_ms": 1_769_860_800_000_i64, "product_action": action });
    assert_eq!(batches[0].batch()["events"][0], json!({ "event_type": "commerce_event", "data": data }));
    assert_eq!(batches[0].batch()["user_identities"], json!({ "email": "s@example.com" }));
}

#[test]
fn a_transaction_is_sent_as_a_whole_or_not_at_all() {
    let start = "1001,s@example.com,59.90,EUR,2026-01-31T12:00:00Z,M-1,Mask,14.90\n";
    let other = "1002,t@example.com,20.00,EUR,2026-01-31T12:05:00Z,C-2,Cream,20.00\n";
    let table = [
        (
            "1001,s@example.com,12,EUR,,C-2,Cream,9.21",
            "4:20  column \"Total\"  \"12\" differs from line 2, another row of the same transaction",
        ),
        (
            "1001,x@example.com,,,,C-2,Cream,9.21",
            "4:6  column \"Email\"  \"x@example.com\" differs from line 2, another row of the same transaction",
        ),
        ("1001,s@example.com,,,,C-2,Cream,free", "4:33  column \"Price\"  \"free\" is not a number"),
        ("1001,s@example.com,,,,,,1", "4:23  column \"SKU\"  empty, but required for the event"),
        ("1001,s@example.com", "4:1  2 fields, but the header has 8"),
        (
            "1001,s@example.com,,euro,,C-2,Cream,1",
            "4:21  column \"Currency\"  \"euro\" differs from line 2, another row of the same transaction",
        ),
    ];
    for (row, message) in table {
        let batches = purchases(&format!("{start}{other}{row}\n"));
        assert_eq!(messages(&batches), [message], "{row}");
        assert_eq!(batches.len(), 2);
        assert_eq!((batches[0].position.line, batches[0].events), (2, 1));
        assert_eq!(batches[0].text, format!("{start}{row}"), "the rows to fix");
        assert_eq!(batches[1].batch()["events"][0]["data"]["product_action"]["transaction_id"], "1002");
    }
}

#[test]
fn a_long_transaction_is_not_split_between_windows() {
    use crate::input::csv::window::MAX_ROWS;
    let row = |order: usize, sku: usize| format!("{order},s{order}@example.com,59.90,EUR,,S-{sku},Mask,14.90\n");
    // The window ends within the transaction 2.
    let before: String = (0..MAX_ROWS - 20).map(|order| row(10_000 + order, 1)).collect();
    let rows = format!("{before}{}{}", (0..50).map(|sku| row(2, sku)).collect::<String>(), row(3, 1));
    let text = format!("{PURCHASE_HEADER}{rows}");
    let batches = read_all(open(PURCHASES, &text));
    assert_eq!(batches.len(), MAX_ROWS - 20 + 2);
    let products =
        |batch: &ReadBatch| batch.batch()["events"][0]["data"]["product_action"]["products"].as_array().map(Vec::len);
    assert_eq!(products(&batches[MAX_ROWS - 20]), Some(50));
    let resume_at = batches[MAX_ROWS - 20].next.expect("the end of the window");
    assert_eq!(resume_at.line, MAX_ROWS as u64 + 32);
    let mut rest = open(PURCHASES, &text);
    rest.skip_to(resume_at).expect("a position in the file");
    assert!(read_all(rest) == batches[MAX_ROWS - 19..]);
    // A transaction that goes on in a later window would be a second purchase.
    let again = read_all(open(PURCHASES, &format!("{text}{}", row(10_000, 7))));
    assert_eq!(again.len(), batches.len() + 1);
    let errors = messages(&again);
    assert!(
        matches!(errors[..], [error] if error.contains("which is sent without these rows") && error.contains("sort the file by transaction")),
        "{errors:?}"
    );
}

/// Reads a file that needs no map.
fn read_paths(name: &str, text: &str, environment: Option<Environment>) -> Result<Vec<ReadBatch>, String> {
    let format = CsvFormat::detect(text.as_bytes()).ok_or("not detected")?;
    let reader = format.open(Path::new(name), text.as_bytes(), environment).map_err(|failure| failure.to_string())?;
    Ok(read_all(reader))
}

#[test]
fn reads_mparticle_csv_by_its_header() {
    let text = "environment,mpid,user_identities.customerid,user_identities.other2,device_info.ios_advertising_id,\
        user_attributes.$FirstName,user_attributes.Member Tier,events.data.event_name,events.data.custom_event_type,\
        events.data.timestamp_unixtime_ms,events.data.custom_attributes.a.b,events.data.location.latitude,events.data.location.longitude\n\
        development,,c-1,o-1,613ff528-afd1-4c1b-9628-e6ed25ece900,Hen,gold,Viewed Video,other,1466456299000,Intro,1.5,2\n\
        development,-7636538281262557001,,,,,silver,Viewed Video,other,1466456299001,NULL,,\n\
        development,7.6e+18,,,,,silver,Viewed Video,other,soon,,,\n\
        development,5,,,,,silver,Viewed Video,video,1466456299001,,,\n";
    let batches = read_paths("export.csv", text, None).expect("detected");
    let messages = messages(&batches);
    assert_eq!(
        messages[..2],
        [
            "4:13  column \"mpid\"  \"7.6e+18\" is not an integer",
            "4:51  column \"events.data.timestamp_unixtime_ms\"  \"soon\" is not an integer"
        ]
    );
    assert!(messages[2].starts_with("5:39  "), "{messages:?}");
    let [_, _, first, second] = &batches[..] else { panic!("{batches:?}") };
    let expected = json!({
        "environment": "development",
        "user_identities": { "customer_id": "c-1", "other_id_2": "o-1" },
        "device_info": { "ios_advertising_id": "613ff528-afd1-4c1b-9628-e6ed25ece900" },
        "user_attributes": { "$firstname": "Hen", "Member Tier": "gold" },
        "events": [{ "event_type": "custom_event", "data": {
            "event_name": "Viewed Video", "custom_event_type": "other", "timestamp_unixtime_ms": 1_466_456_299_000_i64,
            "custom_attributes": { "a.b": "Intro" }, "location": { "latitude": 1.5, "longitude": 2.0 },
        } }],
    });
    assert_eq!(first.batch(), expected);
    assert_eq!((second.batch()["mpid"].clone(), second.events), (json!(-7_636_538_281_262_557_001_i64), 1));
}

#[test]
fn finds_the_event_type_of_mparticle_csv() {
    let head = "mpid,events.data.timestamp_unixtime_ms";
    let table = [
        ("a.csv", "events.data.screen_name", "Home", "screen_view"),
        ("a.csv", "events.data.product_action.action", "purchase", "commerce_event"),
        ("a-session_start.csv", "events.data.session_uuid", "7F1B1E4A-2E5C-4B5C-9A41-4F3B0F5A7C11", "session_start"),
        ("session_start.csv.gz", "events.data.session_uuid", "7F1B1E4A-2E5C-4B5C-9A41-4F3B0F5A7C11", "session_start"),
        ("a_custom_event.csv", "events.data.event_name,events.data.custom_event_type", "A,other", "custom_event"),
        (
            "a.csv",
            "events.event_type,events.data.event_name,events.data.custom_event_type",
            "custom_event,A,other",
            "custom_event",
        ),
    ];
    for (name, columns, cells, event_type) in table {
        let text = format!("{head},{columns}\n1,1466456299000,{cells}\n");
        let batches = read_paths(name, &text, Some(Environment::Production));
        let batches = batches.unwrap_or_else(|message| panic!("{name} {columns}: {message}"));
        assert_eq!(batches[0].batch()["events"][0]["event_type"], event_type, "{batches:?}");
        assert_eq!(batches[0].batch()["environment"], "production");
    }
    let errors = [
        (
            "a.csv",
            "mpid,events.data.session_uuid",
            "the columns fit no event type, or several; end the file's name with the type, for example export-custom_event.csv",
        ),
        (
            "a-custom_event.csv",
            "mpid,events.data.event_nam",
            "column \"events.data.event_nam\" is no field of a batch with a custom_event: did you mean \"events.data.event_name\"?",
        ),
        (
            "a.csv",
            "mpid,user_identities.customer",
            "column \"user_identities.customer\" is no field of a batch: did you mean \"user_identities.customer_id\"?",
        ),
        (
            "a.csv",
            "user_identities.email,comment",
            "column \"comment\" is no field of a batch: remove the column, or use a map of the columns that `mparticle map` proposes",
        ),
        (
            "a.csv",
            "user_identities.customerid,user_identities.customer_id",
            "column \"user_identities.customer_id\" names a field that an earlier column names too",
        ),
    ];
    for (name, header, message) in errors {
        let error = read_paths(name, header, Some(Environment::Production)).expect_err(header);
        assert_eq!(error, format!("{name}:1:1  {message}"));
    }
    let error = read_paths("a.csv", "user_identities.email\na@example.com\n", None).expect_err("no environment");
    assert_eq!(error, "a.csv:1:1  no column environment, and no --environment");
    // A file with users alone has no events.
    let users = read_paths(
        "a.csv",
        "user_identities.email;user_attributes.a\na@example.com;b\n",
        Some(Environment::Production),
    );
    let users = users.expect("detected");
    assert_eq!((users[0].events, users[0].batch()["user_attributes"]["a"].clone()), (0, json!("b")));
}

#[test]
fn products_of_mparticle_csv_become_one_purchase() {
    let text = "user_identities.email,events.data.product_action.action,events.data.product_action.transaction_id,\
        events.data.product_action.total_amount,events.data.product_action.products.id,events.data.product_action.products.price\n\
        a@example.com,purchase,1,9.5,A,4\na@example.com,purchase,1,9.5,B,5.5\na@example.com,purchase,2,1,C,1\n";
    let batches = read_paths("a.csv", text, Some(Environment::Production)).expect("detected");
    assert_eq!((batches.len(), batches[0].events), (1, 2));
    let action = &batches[0].batch()["events"][0]["data"]["product_action"];
    assert_eq!(action["products"], json!([{ "id": "A", "price": 4.0 }, { "id": "B", "price": 5.5 }]));
    assert_eq!(action["total_amount"], 9.5);
}

#[test]
fn other_files_are_not_taken_for_mparticle_csv() {
    for text in [
        "",
        "{}",
        "{\"user_identities.email\":1}",
        "mpid,email\n",
        "a.b,c.d\n",
        "[\"events.data\"]",
        "user_identities\n",
        "{\"events.\",1}",
    ] {
        assert!(CsvFormat::detect(text.as_bytes()).is_none(), "{text}");
    }
    for text in [
        "user_identities.email\n",
        "sep=;\nmpid;events.data.x\n",
        "\u{feff}mpid\tevents.data.x\n",
        "\"device_info.x\",\"mpid\"",
    ] {
        assert!(CsvFormat::detect(text.as_bytes()).is_some(), "{text}");
    }
}
