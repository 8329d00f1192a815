//! Tests of the files that `check` and `send` read: arrangements of JSON, encodings, and the form of mParticle's exports.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use mparticle::mock::{self, MockServer};
use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use support::process::peak_memory;
use tempfile::TempDir;

const GOOD: &str = r#"{"environment":"development","mpid":1}"#;

/// Returns the command, run in a directory.
fn mparticle(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(arguments).current_dir(directory).env_clear();
    command.env("MPARTICLE_API_KEY", mock::KEY).env("MPARTICLE_API_SECRET", mock::SECRET);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the exit code, stdout and stderr.
fn outcome(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn run(directory: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    outcome(mparticle(directory.path(), arguments).output().expect("the program"))
}

/// Creates a directory with these files.
fn files(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).expect("a file");
    }
    directory
}

fn read(directory: &TempDir, name: &str) -> String {
    fs::read_to_string(directory.path().join(name)).expect("a file")
}

/// Starts `send -` to a mock.
fn send_from_stdin(directory: &TempDir, server: &MockServer) -> Child {
    let mut command = mparticle(directory.path(), &["send", "-", "--quiet"]);
    command.env("MPARTICLE_BASE_URL", server.url()).spawn().expect("the program")
}

/// A record as Firehose delivers it.
fn record(number: usize) -> String {
    format!(
        r#"{{"environment":"development","user_identities":{{"customer_id":"f-{number}"}},"events":[{{"event_type":"custom_event","data":{{"event_name":"conversion","custom_event_type":"transaction","timestamp_unixtime_ms":1767225600000,"source_message_id":"fm-{number}"}}}}]}}"#
    )
}

#[test]
fn sends_thousands_of_touching_values_from_a_pipe() {
    let (server, directory) = (MockServer::start_blocking(), files(&[]));
    let text: String = (0..7_000).map(record).collect();
    assert!(text.len() > 1 << 20 && !text.contains('\n'));
    let mut child = send_from_stdin(&directory, &server);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
    let (code, _, stderr) = outcome(child.wait_with_output().expect("an end"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("stdin: delivered 7,000 events in 7,000 batches in "), "{stderr}");
    assert_eq!(server.batches().len(), 7_000);
}

#[test]
fn a_fault_in_a_list_affects_one_batch() {
    let records: Vec<_> = (0..100).map(record).collect();
    let whole = format!("[{}]", records.join(","));
    let without_comma = whole.replacen("}]},{", "}]} {", 1);
    let without_bracket = whole.replace(&records[12], &records[12][..records[12].len() - 1]);
    for (text, rejected) in [(without_comma, 0), (without_bracket, 1)] {
        let (server, directory) = (MockServer::start_blocking(), files(&[("a.json", text.as_bytes())]));
        let mut command = mparticle(directory.path(), &["send", "a.json"]);
        let (code, _, stderr) = outcome(command.env("MPARTICLE_BASE_URL", server.url()).output().expect("the program"));
        assert_eq!(code, Some(rejected), "{stderr}");
        assert_eq!(server.batches().len(), 100 - usize::try_from(rejected).expect("a number"));
        if rejected > 0 {
            let line: Value = serde_json::from_str(&read(&directory, "a.json.rejects.ndjson")).expect("one line");
            assert_eq!(line["text"], records[12][..records[12].len() - 1]);
        }
    }
}

/// The peak memory is that of the program while it waits for more input.
#[cfg(target_os = "linux")]
#[test]
fn hostile_arrangements_take_little_memory() {
    const MAX_BYTES: u64 = 64 << 20;
    // Each has a head, a part that is repeated, and the number of its bytes.
    let table = [
        ("", "[", 8 << 20),
        ("", "{\"a\":", 8 << 20),
        ("", "{\"a\":1,", 8 << 20),
        ("[{\"a\":[", "{},\n", 8 << 20),
        ("{\"a\":\"", "\\\"", 8 << 20),
        ("", "x", 8 << 20),
        ("{\n  \"a\": {\n", "    \"b\",,\n", 8 << 20),
        ("", "\u{feff}\u{1e}, ", 8 << 20),
        ("", "}", 8 << 20),
        ("{\"a\":\"x", GOOD, 1 << 20),
        ("[", ",", 1 << 17),
        ("", "]", 1 << 17),
        ("", "{\"a\":[\n", 1 << 17),
        ("", "{\"a\":\"\n", 1 << 17),
    ];
    let directory = files(&[]);
    for (head, part, bytes) in table {
        let mut child = mparticle(directory.path(), &["check", "--quiet", "-"]).spawn().expect("the program");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(head.as_bytes()).expect("a reader");
        stdin.write_all(part.repeat(bytes / part.len()).as_bytes()).expect("a reader");
        let peak = peak_memory(&child).expect("the program waits for more input");
        writeln!(stdin, "\n{GOOD}").expect("a reader");
        drop(stdin);
        let (code, _, stderr) = outcome(child.wait_with_output().expect("an end"));
        assert!(peak < MAX_BYTES, "{head}{part}: {peak} bytes");
        assert!(matches!(code, Some(0 | 1)) && stderr.starts_with("1 file, "), "{head}{part}: {stderr}");
    }
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn reads_utf_16_as_json_csv_and_map() {
    let map = "environment = \"development\"\n[identities]\ncustomer_id = \"user\"\n[event]\ntype = \"custom_event\"\n\
        name = \"name\"\ncustom_event_type = { value = \"other\" }\n";
    let map =
        map.replace("name = \"name\"", "name = { column = \"name\" }").replace("{ value = \"other\" }", "\"other\"");
    let json = format!("{}\r\n{}\r\n{{\"mpid\":\r\n", record(1), record(2));
    let directory = files(&[
        ("a.ndjson", &utf16(&json)),
        ("a.csv", &utf16("user,name\r\nJürgen,Käse 🧀\r\nAnn,x\r\n")),
        ("map.toml", &utf16(&map)),
    ]);
    let (code, stdout, stderr) = run(&directory, &["check", "a.ndjson"]);
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("a.ndjson:3:9  error[json]  EOF while parsing"), "{stdout}");
    assert!(stderr.starts_with("1 file, 3 batches, 2 events: 1 error, "), "{stderr}");
    let (code, _, stderr) = run(&directory, &["send", "--dry-run", "--csv", "map.toml", "a.csv"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("a.csv: would send 2 events in 2 batches"), "{stderr}");
}

#[test]
fn names_an_encoding_or_a_format_once() {
    let json = format!("{GOOD}\n").repeat(100);
    let unmarked: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf32: Vec<u8> = format!("\u{feff}{json}").chars().flat_map(|char| u32::from(char).to_le_bytes()).collect();
    let directory = files(&[
        ("unmarked", &unmarked),
        ("utf-32", &utf32),
        ("a.zip", b"PK\x03\x04\x14\0\0\0"),
        ("good", json.as_bytes()),
    ]);
    for (name, message) in [
        ("unmarked", "the file is UTF-16LE without a byte-order mark; convert it to UTF-8"),
        ("utf-32", "the file is UTF-32; convert it to UTF-8"),
        ("a.zip", "the file is a zip archive or an Excel workbook; unpack it"),
    ] {
        let (code, stdout, stderr) = run(&directory, &["check", name, "good"]);
        assert_eq!((code, stdout.as_str()), (Some(4), ""), "{name}: {stderr}");
        assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
        assert!(stderr.starts_with(&format!("error: cannot read {name}: {message}")), "{stderr}");
        let (code, _, stderr) = run(&directory, &["send", "--dry-run", name]);
        assert_eq!(code, Some(4));
        assert!(stderr.contains(message), "{stderr}");
    }
}

#[test]
fn reports_characters_that_are_not_text_once_a_line() {
    let event = |name: &str| record(1).replace("conversion", name);
    let text = [event("K\u{f6}ln"), event("half \\ud83d"), event("\\ude00 first"), event("\\ud83d\\ude00")].join("\n");
    // Latin-1 has one byte for each of its characters.
    let latin1: Vec<u8> = text.chars().map(|character| u8::try_from(u32::from(character)).expect("Latin-1")).collect();
    let directory = files(&[("a.ndjson", &latin1)]);
    let (code, stdout, stderr) = run(&directory, &["check", "--json", "a.ndjson"]);
    assert_eq!(code, Some(1), "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let errors: Vec<_> = lines.iter().filter(|line| line["severity"] == "error").collect();
    let places: Vec<_> = errors.iter().map(|error| (error["line"].as_u64(), error["rule"].as_str())).collect();
    assert_eq!(places, [(Some(1), Some("json")), (Some(2), Some("json")), (Some(3), Some("json"))]);
    assert!(errors[0]["message"].as_str().expect("text").starts_with("invalid UTF-8, perhaps another encoding"));
    assert_eq!(errors[0]["column"], text.find('\u{f6}').expect("there") + 1);
}

#[test]
fn a_trailing_comma_is_reported_at_the_comma() {
    let text = format!(
        "{{\n  \"environment\": \"development\",\n  \"mpid\": 1 ,\n}}\n{GOOD}\n[{GOOD},\n]\n{{\"mpid\":\n{GOOD}\n"
    );
    let directory = files(&[("a.json", text.as_bytes())]);
    let (code, stdout, stderr) = run(&directory, &["check", "a.json"]);
    assert_eq!(code, Some(1));
    let found: Vec<_> = stdout.lines().filter(|line| line.starts_with("a.json:")).collect();
    let expected = [
        "a.json:3:13  error[json]  trailing comma",
        "a.json:6:40  warning[layout]  trailing comma in the list",
        "a.json:8:9  error[json]  EOF while parsing a value",
    ];
    assert_eq!(found, expected, "{stderr}");
    assert!(stderr.ends_with("\n3 would be sent, 2 would not\n"), "{stderr}");
}

/// A batch in the form in which mParticle exports it.
fn export(identities: &Value) -> Value {
    json!({
        "environment": "development", "user_identities": identities, "mpid": "9007199254740993", "message_type": "events",
        "user_attributes": { "visits": "12" },
        "events": [{ "event_type": "custom_event", "data": {
            "event_name": "Paid", "custom_event_type": "transaction", "timestamp_unixtime_ms": "1767225600000",
            "is_main_thread": "true", "custom_attributes": { "price": "1.50" },
        } }],
    })
}

#[test]
fn an_export_is_named_fixed_and_sent() {
    let identity =
        |name: &str, text: Value| json!({ "identity_type": name, "identity": text, "created_this_batch": false });
    let two = export(&json!([identity("customer_id", json!("c-1")), identity("email", json!("a@example.com"))]));
    let numeric = export(&json!([identity("customer_id", json!(9_007_199_254_740_993_i64))]));
    let conflicting =
        export(&json!([identity("email", json!("a@example.com")), identity("email", json!("b@example.com"))]));
    let text = format!("{two}\n{numeric}\n{conflicting}\n");
    let directory = files(&[("a.ndjson", text.as_bytes())]);

    let (code, stdout, stderr) = run(&directory, &["check", "--json", "a.ndjson"]);
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found: Vec<_> = lines
        .iter()
        .filter_map(|line| Some((line["line"].as_u64()?, line["rule"].as_str()?, line["fixable"].as_bool()?)))
        .collect();
    assert_eq!(found, [(1, "export-form", true), (2, "export-form", true), (3, "type", false)], "{code:?} {stderr}");

    let (code, _, stderr) = run(&directory, &["check", "--fix", "fixed", "a.ndjson"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains(
            "  /user_identities  export form converted: 2 identities, 3 numbers and booleans; removed /message_type"
        ),
        "{stderr}"
    );
    let fixed: Vec<Value> =
        read(&directory, "fixed").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut expected = two.clone();
    let batch = expected.as_object_mut().expect("an object");
    batch.remove("message_type");
    batch["user_identities"] = json!({ "customer_id": "c-1", "email": "a@example.com" });
    batch["mpid"] = json!(9_007_199_254_740_993_i64);
    batch["events"][0]["data"]["timestamp_unixtime_ms"] = json!(1_767_225_600_000_i64);
    batch["events"][0]["data"]["is_main_thread"] = json!(true);
    assert_eq!(fixed[0], expected, "attributes stay text");
    assert_eq!(fixed[1]["user_identities"], json!({ "customer_id": "9007199254740993" }));
    assert_eq!(fixed[2], conflicting);

    let server = MockServer::start_blocking();
    let mut command = mparticle(directory.path(), &["send", "--export-form", "a.ndjson"]);
    let (code, _, stderr) = outcome(command.env("MPARTICLE_BASE_URL", server.url()).output().expect("the program"));
    assert_eq!(code, Some(1), "{stderr}");
    let sent = server.batches();
    assert_eq!(
        (sent.len(), &sent[0]["user_identities"], &sent[0]["mpid"]),
        (2, &expected["user_identities"], &expected["mpid"])
    );
    let reject: Value = serde_json::from_str(&read(&directory, "a.ndjson.rejects.ndjson")).expect("one line");
    assert_eq!(reject["batch"], conflicting, "the original batch");
}

/// An export with these identities, on one line.
fn export_line(identities: &str) -> String {
    export(&json!("IDENTITIES")).to_string().replace("\"IDENTITIES\"", identities)
}

#[test]
fn an_export_whose_identities_would_be_guessed_or_lost_is_not_converted() {
    let table = [
        (r#"[{"identity_type":"customer_id","identity":7.346e+18}]"#, "7.346e+18, neither a text nor digits"),
        (r#"[{"identity_type":"customer_id","identity":4711.0}]"#, "4711.0, neither a text nor digits"),
        (r#"[{"identity_type":"customer_id","identity":true}]"#, "true, neither a text nor digits"),
        (r#"[{"identity_type":"customer_id","identity":["c"]}]"#, "[\"c\"], neither a text nor digits"),
        (r#"[{"identity_type":"email","identity":{"v":"a@x"}}]"#, "{\"v\":\"a@x\"}, neither a text nor digits"),
        (r#"[{"identity_type":"device_application_stamp","identity":"d"}]"#, "of the type device_application_stamp"),
        (r#"[{"identity_type":"customer","identity":"c"}]"#, "of the type customer"),
        (r#"[{"identity_type":"email","identity":"5f4d","identity_encoding":{"a":1}}]"#, "encoded as {\"a\":1}"),
    ];
    let lines: Vec<_> = table.iter().map(|(identities, _)| export_line(identities)).collect();
    let text = lines.join("\n") + "\n";
    let directory = files(&[("a.ndjson", text.as_bytes())]);
    let (code, stdout, _) = run(&directory, &["check", "--json", "a.ndjson"]);
    let found: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((code, found.len()), (Some(1), table.len() + 1), "{stdout}");
    for ((_, reason), found) in table.iter().zip(&found) {
        let message = found["message"].as_str().expect("a text");
        assert!(message.contains("which cannot be converted: ") && message.ends_with(reason), "{message}");
    }
    run(&directory, &["check", "--fix", "fixed", "a.ndjson"]);
    assert_eq!(read(&directory, "fixed"), text, "each batch stays as it is");
    let (code, _, stderr) = run(&directory, &["send", "--dry-run", "--export-form", "a.ndjson"]);
    assert!(code == Some(1) && stderr.contains("rejected 8 events in 8 batches"), "{stderr}");
}

#[test]
fn sending_an_export_converts_what_fixing_does_and_names_what_it_removes() {
    let text = [
        export_line(r#"[{"identity_type":"other2","identity":"o"},{"identity_type":"customerid","identity":17}]"#)
            .replace("custom_event\"", "CustomEvent\""),
        export_line(r#"[{"identity_type":"email","identity":"a@x","is_hashed":false}]"#).replacen(
            '{',
            r#"{"loyalty":{"tier":"gold"},"#,
            1,
        ),
        export_line(r#"[{"identity_type":"email","identity":"a@x"}]"#).replace(r#""message_type":"events","#, ""),
    ]
    .join("\n");
    let directory = files(&[("a.ndjson", text.as_bytes())]);
    let (_, stdout, _) = run(&directory, &["check", "a.ndjson"]);
    let removed = "convert it, and remove /loyalty, /message_type, is_hashed of identities";
    assert!(stdout.contains(removed), "{stdout}");
    let (code, _, stderr) = run(&directory, &["check", "--fix", "fixed", "a.ndjson"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("converted: 1 identity, 3 numbers and booleans; removed /loyalty, /message_type"),
        "{stderr}"
    );
    let fixed: Vec<Value> =
        read(&directory, "fixed").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(fixed[0]["user_identities"], json!({ "other_id_2": "o", "customer_id": "17" }));
    assert_eq!(fixed[0]["events"][0]["event_type"], "custom_event");

    let server = MockServer::start_blocking();
    let mut command = mparticle(directory.path(), &["send", "--export-form", "a.ndjson"]);
    let (code, _, stderr) = outcome(command.env("MPARTICLE_BASE_URL", server.url()).output().expect("the program"));
    assert!(code == Some(0) && stderr.contains("delivered 3 events in 3 batches, 2 warnings"), "{stderr}");
    let mut sent = server.batches();
    for batch in &mut sent {
        batch.as_object_mut().expect("a batch").remove("source_request_id");
    }
    sent.sort_by_key(ToString::to_string);
    let mut expected = fixed;
    expected.sort_by_key(ToString::to_string);
    assert_eq!(sent, expected);
}
