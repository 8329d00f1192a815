//! Each kind of 2xx, and what `mparticle send` and `mparticle event` make of it: exit code, words, rejects, what can be resumed.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use mparticle::mock;
use serde_json::Value;
use support::responses::{Result, Row, batches, table};

fn run(url: &str, dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).env_clear();
    command
        .env("MPARTICLE_API_KEY", mock::KEY)
        .env("MPARTICLE_API_SECRET", mock::SECRET)
        .env("MPARTICLE_BASE_URL", url);
    command.output().expect("the program")
}

/// Runs a check for each row, several at once: some take their time.
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

/// Sends the three batches, which have to go as one request. On a machine that is busy the first of them may go alone: that is
/// another request than the response is about, and is tried again.
fn send(row: &Row, dir: &Path) -> Output {
    let body: usize = batches().iter().map(|batch| batch.len() + 1).sum::<usize>() + 1;
    for _ in 0..5 {
        let peer = row.serve();
        let output = run(&peer.url(), dir, &["send", "--json", "a.ndjson"]);
        if peer.requests()[0].contains(&format!("content-length: {body}\r\n")) {
            return output;
        }
    }
    panic!("{}: the batches never went together", row.name);
}

#[test]
fn send_counts_each_batch_as_the_service_does() {
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
                // What was not delivered is sent by the next run.
                let server = mock::MockServer::builder().start_blocking();
                let output = run(&server.url(), dir.path(), &["send", "a.ndjson"]);
                assert_eq!((output.status.code(), server.batches().len()), (Some(0), 3), "{}", row.name);
            }
        }
    });
}

#[test]
fn event_ends_with_1_where_the_service_refuses_the_batch_in_a_202() {
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
