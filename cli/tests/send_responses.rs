//! Tests of `mparticle send` and `mparticle event` with each kind of 2xx response: exit codes, messages, rejects, resuming.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use mparticle::mock;
use serde_json::Value;
use support::peer::Peer;
use support::responses::{Body, Result, Row, batches, table};

fn run(url: &str, dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).env_clear();
    command
        .env("MPARTICLE_API_KEY", mock::KEY)
        .env("MPARTICLE_API_SECRET", mock::SECRET)
        .env("MPARTICLE_BASE_URL", url);
    command.output().expect("the program")
}

/// Runs a check for each row, in parallel, since some are slow.
fn each_row(check: impl Fn(Row) + Copy + Send + 'static) {
    let rows = Arc::new(Mutex::new(table()));
    let run = move || {
        while let Some(row) = { rows.lock().expect("rows").pop() } {
            check(row);
        }
    };
    let threads: Vec<_> = (0..6).map(|_| thread::spawn(run.clone())).collect();
    for thread in threads {
        thread.join().expect("every row holds");
    }
}

/// Sends the three batches in one request. On a busy machine the first one may be sent alone, which does not match the response
/// of the row and is tried again.
fn send(row: &Row, dir: &Path) -> Output {
    let body: usize = batches().iter().map(|batch| batch.len() + 1).sum::<usize>() + 1;
    for _ in 0..5 {
        let peer = row.serve();
        let output = run(&peer.url(), dir, &["send", "--json", "a.ndjson"]);
        if peer.requests()[0].contains(&format!("content-length: {body}\r\n")) {
            return output;
        }
    }
    panic!("{}: the batches were never sent together", row.name);
}

#[test]
fn send_counts_batches_by_their_result_in_the_response() {
    each_row(|row| {
        let dir = tempfile::tempdir().expect("a directory");
        let lines: Vec<_> =
            batches().iter().map(|batch| String::from_utf8(batch.json().to_vec()).expect("text")).collect();
        fs::write(dir.path().join("a.ndjson"), lines.join("\n")).expect("a file");
        let output = send(&row, dir.path());
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let summary: Value =
            serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{}: {error}: {stdout}", row.name));
        let count = |name: &str| summary[name]["batches"].as_u64().unwrap_or_else(|| panic!("{name}: {summary}"));
        let rejects = fs::read_to_string(dir.path().join("a.ndjson.rejects.ndjson")).unwrap_or_default();
        match row.bulk {
            Result::Rejected(rejected) => {
                assert_eq!(output.status.code(), Some(i32::from(!rejected.is_empty())), "{}: {stderr}", row.name);
                assert_eq!(
                    (count("delivered"), count("rejected")),
                    (3 - rejected.len() as u64, rejected.len() as u64),
                    "{}",
                    row.name
                );
                assert_eq!(rejects.lines().count(), rejected.len(), "{}", row.name);
                let warned = stderr.contains(&format!("warning: {} responses could not be read", row.unread));
                assert_eq!(warned, row.unread > 0, "{}: {stderr}", row.name);
                for n in rejected {
                    assert!(rejects.contains(&format!("id-{n}")), "{}: {rejects}", row.name);
                }
            }
            Result::Stopped(named) => {
                assert_eq!(output.status.code(), Some(3), "{}: {stderr}", row.name);
                assert_eq!((count("delivered"), count("rejected")), (0, 0), "{}", row.name);
                assert!(stderr.contains(named), "{}: {stderr}", row.name);
                // The next run sends the batches that were not delivered.
                let server = mock::MockServer::builder().start_blocking();
                let output = run(&server.url(), dir.path(), &["send", "a.ndjson"]);
                assert_eq!((output.status.code(), server.batches().len()), (Some(0), 3), "{}", row.name);
            }
        }
    });
}

#[test]
fn event_exits_with_1_if_a_202_lists_an_error() {
    each_row(|row| {
        let (peer, dir) = (row.serve(), tempfile::tempdir().expect("a directory"));
        let output = run(
            &peer.url(),
            dir.path(),
            &["event", "custom", "Added Note", "--type", "other", "--email", "a@example.com"],
        );
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = match (&row.bulk, row.alone) {
            (_, true) => 0,
            (Result::Rejected(_), false) => 1,
            (Result::Stopped(_), false) => 3,
        };
        assert_eq!(output.status.code(), Some(code), "{}: {stderr}", row.name);
        if let Result::Stopped(named) = row.bulk {
            assert!(stderr.contains(named), "{}: {stderr}", row.name);
        }
    });
}

/// Three valid batches in one bulk request, and responses of the real service, as another integration recorded them.
#[test]
fn recorded_responses_reject_the_right_batch_with_a_readable_message() {
    let batch = |n: usize| {
        format!(
            r#"{{"environment":"development","user_identities":{{"customer_id":"cust-{n}"}},"events":[{{"event_type":"custom_event","data":{{"event_name":"conversion","custom_event_type":"transaction","timestamp_unixtime_ms":1767225600000,"source_message_id":"msg-{n}","custom_attributes":{{"conversiontype":"purchase"}}}}}}]}}"#
        )
    };
    let file = format!("[{},{},{}]", batch(71), batch(72), batch(73));
    let guid = "Error converting value &quot;no-guid&quot; to type 'System.Guid'. Path '[1].device_info.ios_advertising_id', line 1, position 153.";
    let token = "Error reading string. Unexpected token: StartObject. Path 'data.custom_attributes.currency', line 1, position 560.";
    let table: [(&str, &[&str], &str); 3] = [
        (guid, &["cust-72"], "Error converting value \"no-guid\" to type"),
        (token, &["cust-72"], "Unexpected token: StartObject"),
        ("Invalid event batch.", &["cust-71", "cust-72", "cust-73"], "Invalid event batch."),
    ];
    for (message, rejected, expected) in table {
        let body = serde_json::json!({ "errors": [{ "code": "BAD_REQUEST", "message": message }] }).to_string();
        let length = body.len();
        let peer = support::peer::Peer::with_response(format!(
            "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("b.json"), &file).expect("a file");
        let output = run(&peer.url(), dir.path(), &["send", "b.json"]);
        assert_eq!(output.status.code(), Some(1));
        let rejects = fs::read_to_string(dir.path().join("b.json.rejects.ndjson")).expect("rejects");
        let users: Vec<_> =
            ["cust-71", "cust-72", "cust-73"].into_iter().filter(|user| rejects.contains(user)).collect();
        assert_eq!(users, rejected, "{message}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn a_reject_without_a_message_has_the_code_or_else_the_status() {
    for (error, message) in [
        (r#"{"code":"A","message":"b"}"#, "b"),
        (r#"{"code":"A"}"#, "A"),
        ("{}", "the service responded 202 Accepted and refused the batch, with 1 error"),
    ] {
        let body = format!(r#"{{"errors":[{error}]}}"#);
        let length = body.len();
        let peer = Peer::with_response(format!("HTTP/1.1 202 Accepted\r\ncontent-length: {length}\r\n\r\n{body}"));
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("a.ndjson"), batches()[0].json()).expect("a file");
        let output = run(&peer.url(), dir.path(), &["send", "a.ndjson"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!("refused by the service: {message}\n")), "{error}: {stderr}");
        let rejects = fs::read(dir.path().join("a.ndjson.rejects.ndjson")).expect("rejects");
        let reject: Value = serde_json::from_slice(&rejects).expect("one line of JSON");
        assert_eq!(reject["diagnostics"][0]["message"], message);
    }
}

#[test]
fn the_rejects_file_decodes_character_references_in_messages() {
    let message = "Error converting value &quot;no-guid&quot; to type &#39;System.Guid&#39;. Path '[1].mp_deviceid'";
    let row = Row {
        name: "character references",
        status: "202 Accepted",
        content_type: Some("application/json"),
        body: Body::Whole(serde_json::json!({ "errors": [{ "code": "BAD_REQUEST", "message": message }] }).to_string()),
        times: usize::MAX,
        bulk: Result::Rejected(&[1]),
        alone: false,
        unread: 0,
    };
    let dir = tempfile::tempdir().expect("a directory");
    let lines = batches().iter().map(|batch| String::from_utf8_lossy(batch.json()).into_owned()).collect::<Vec<_>>();
    fs::write(dir.path().join("a.ndjson"), format!("[{}]", lines.join(","))).expect("a file");
    let output = send(&row, dir.path());
    let message = r#"Error converting value "no-guid" to type 'System.Guid'. Path '[1].mp_deviceid'"#;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(message) && output.status.code() == Some(1), "{stderr}");
    let rejects = fs::read(dir.path().join("a.ndjson.rejects.ndjson")).expect("rejects");
    let reject: Value = serde_json::from_slice(&rejects).expect("one line of JSON");
    assert_eq!(reject["diagnostics"][0]["message"], message);
    assert_eq!(reject["batch"]["source_request_id"], "id-1");
}
