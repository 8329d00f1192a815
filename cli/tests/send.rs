//! Tests of `mparticle send`: the real program with real files and a mock server.

#[path = "support/export.rs"]
mod export;
#[path = "support/shell.rs"]
mod shell;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mparticle::mock::{self, Fault, MockServer};
use serde_json::Value;
use shell::{Shell, outcome};
use support::peer::Peer;
use support::process::{peak_memory, signal};

/// Returns the number of batches by content, without their IDs.
fn count_by_content(batches: &[Value]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for batch in batches {
        let mut batch = batch.clone();
        batch.as_object_mut().expect("an object").remove("source_request_id");
        *counts.entry(batch.to_string()).or_default() += 1;
    }
    counts
}

fn expected(lines: &[String]) -> HashMap<String, usize> {
    count_by_content(&lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<_>>())
}

fn ids(batches: &[Value]) -> Vec<String> {
    batches.iter().map(|batch| batch["source_request_id"].as_str().expect("an id").to_owned()).collect()
}

/// Waits until a condition holds, and panics with its description after a minute.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const ONE: &str = r#"{"environment":"development","mpid":1,"events":[]}"#;

#[test]
fn sends_the_original_bytes_with_an_id() {
    let server = MockServer::builder().lenient().start_blocking();
    let shell = Shell::new(server.url());
    // Unsorted keys, a 64-bit integer, unusual numbers, escapes, and white space.
    let line = concat!(
        r#"{ "mpid":-9223372036854775808,"user_attributes":{"b":9007199254740993,"a":1.50e3,"#,
        r#""é":"\u00e9\/"}, "environment":"development","events":[ ]}"#
    );
    let (code, stdout, stderr) = shell.file("a.ndjson", format!("{line}\n")).send(&["a.ndjson"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert!(stderr.starts_with("a.ndjson: delivered 0 events in 1 batch in "), "{stderr}");
    let requests = server.requests();
    let body = String::from_utf8(requests[0].body.to_vec()).expect("UTF-8");
    let id = ids(&server.batches()).remove(0);
    assert_eq!(id, "d7b47ad4-daf9-5e6e-b5d5-785ce8b6dda6", "the id must not change between versions of the program");
    assert_eq!(body, format!("[{{\"source_request_id\":\"{id}\",{}]", &line[1..]));
    assert!(!shell.path("a.ndjson.rejects.ndjson").exists());
}

#[test]
fn a_resent_file_is_dropped_as_duplicates_while_equal_lines_count() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let with_id = r#"{"environment":"development","mpid":1,"source_request_id":"mine","events":[]}"#;
    shell.file("a.ndjson", format!("{ONE}\n{ONE}\n{with_id}\n"));
    for round in 0..3 {
        let (code, _, stderr) = shell.send(&["a.ndjson"]);
        assert_eq!(code, Some(0), "{stderr}");
        let (batches, counts) = (server.batches(), server.stats());
        assert_eq!((batches.len(), counts.duplicates), (3, 3 * round), "round {round}");
        assert_eq!(ids(&batches)[2], "mine");
    }
    // IDs depend on the content, not on the name, the compression or a byte-order mark.
    let packed = zstd::encode_all(shell.read("a.ndjson").as_bytes(), 1).expect("memory");
    let marked = format!("\u{feff}{}", shell.read("a.ndjson"));
    shell.file("b.zst", packed).file("c.ndjson", marked).send(&["b.zst", "c.ndjson"]);
    assert_eq!((server.batches().len(), server.stats().duplicates), (3, 12));
}

#[test]
fn sends_every_batch_of_every_layout() {
    let lines: Vec<_> = export::lines(300, 7).collect();
    let expected = expected(&lines);
    let ndjson = lines.join("\n");
    let pretty: Vec<_> = lines
        .iter()
        .map(|line| serde_json::to_string_pretty(&serde_json::from_str::<Value>(line).expect("JSON")).expect("JSON"))
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(ndjson.as_bytes()).expect("memory");
    let files: [(&str, Vec<u8>); 6] = [
        ("lines", ndjson.clone().into()),
        ("crlf", lines.join("\r\n\r\n").into()),
        ("list", format!("[{}]", lines.join(",")).into()),
        ("pretty", pretty.join("\n").into()),
        ("gz", gzip.finish().expect("memory")),
        ("zst", zstd::encode_all(ndjson.as_bytes(), 1).expect("memory")),
    ];
    for (name, content) in files {
        let server = MockServer::start_blocking();
        let shell = Shell::new(server.url());
        let (code, _, stderr) = shell.file(name, &content).send(&["--quiet", name]);
        assert_eq!(code, Some(0), "{name}: {stderr}");
        assert_eq!(count_by_content(&server.batches()), expected, "{name}");

        let server = MockServer::start_blocking();
        let mut command = Shell::new(server.url()).command(&["-"]);
        let mut child = command.stdin(Stdio::piped()).current_dir(shell.dir.path()).spawn().expect("the program");
        child.stdin.take().expect("a pipe").write_all(&content).expect("a reader");
        let (code, _, stderr) = outcome(child.wait_with_output().expect("an end"));
        assert_eq!(code, Some(0), "{name} through a pipe: {stderr}");
        assert_eq!(count_by_content(&server.batches()), expected, "{name} through a pipe");
    }
}

const INVALID: &str = r#"{"environment":"development","mpid":1,"user_identities":{"customerid":"1"},"events":[]}"#;

#[test]
fn writes_invalid_batches_to_the_rejects_file_and_sends_the_rest() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n  {INVALID}\n{{\"a\":\n\n\u{1b}[31m\n{ONE}\n"));
    let (code, stdout, stderr) = shell.send(&["a.ndjson"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "a.ndjson:2:60  /user_identities/customerid  unknown field, did you mean \"customer_id\"?",
            "a.ndjson:3:6  EOF while parsing a value",
            "a.ndjson:5:1  expected value",
        ]
    );
    assert!(lines[3].starts_with("a.ndjson: delivered 0 events in 2 batches, rejected 0 events in 3 batches in "));
    assert_eq!(lines[4], "a.ndjson: the rejected batches are in a.ndjson.rejects.ndjson");
    let rejects = concat!(
        r#"{"line":2,"column":3,"diagnostics":[{"rule":"unknown-field","line":2,"column":60,"#,
        r#""pointer":"/user_identities/customerid","message":"unknown field, did you mean \"customer_id\"?"}],"#,
        r#""batch":{"environment":"development","mpid":1,"user_identities":{"customerid":"1"},"events":[]}}"#,
        "\n",
        r#"{"line":3,"column":1,"diagnostics":[{"rule":"json","line":3,"column":6,"message":"EOF while parsing a value"}],"#,
        r#""text":"{\"a\":"}"#,
        "\n",
        r#"{"line":5,"column":1,"diagnostics":[{"rule":"json","line":5,"column":1,"message":"expected value"}],"#,
        r#""text":"\u001b[31m"}"#,
        "\n",
    );
    assert_eq!(shell.read("a.ndjson.rejects.ndjson"), rejects);
    for file in ["a.ndjson.rejects.ndjson", "a.ndjson.sent.json"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = shell.path(file).metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file} is private");
    }
    assert_eq!(server.batches().len(), 2);
    // A second run writes the same file, and keeps the existing one under another name.
    for round in 1..3 {
        let kept = format!("a.ndjson.rejects.ndjson.{round}");
        let (_, _, stderr) = shell.send(&["a.ndjson"]);
        assert!(stderr.contains(&format!("a.ndjson: the existing rejects file was renamed to {kept}\n")), "{stderr}");
        assert_eq!(
            (shell.read("a.ndjson.rejects.ndjson"), shell.read(&kept)),
            (rejects.to_owned(), rejects.to_owned())
        );
    }
    // Without rejects, or if nothing is sent, the existing file stays.
    shell.file("a.ndjson", ONE).send(&["a.ndjson"]);
    let mut command = shell.file("a.ndjson", format!("{ONE}\n{ONE}")).command(&["a.ndjson"]);
    assert_eq!(outcome(command.env("MPARTICLE_API_KEY", "wrong").output().expect("the program")).0, Some(3));
    assert_eq!(shell.read("a.ndjson.rejects.ndjson"), rejects);
    assert!(!shell.path("a.ndjson.rejects.ndjson.3").exists());
}

#[test]
fn refuses_to_write_rejects_to_an_input() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n{INVALID}\n")).file("a.ndjson.rejects.ndjson", ONE);
    std::os::unix::fs::symlink(shell.path("a.ndjson"), shell.path("link")).expect("a link");
    let (code, _, stderr) = shell.send(&["a.ndjson", "--rejects", "link"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("error: the rejects file is an input file: "), "{stderr}");
    assert_eq!(server.stats().batches, 0);
    // The rejects file of stdin can be piped to stdin again.
    for (round, names) in [1, 2].into_iter().zip([&["stdin.rejects.ndjson"][..], &["stdin.rejects.ndjson.1"]]) {
        let source = shell.path(if round == 1 { "a.ndjson" } else { "stdin.rejects.ndjson" });
        let stdin = fs::File::open(source).expect("a file");
        shell.command(&["-"]).stdin(stdin).output().expect("the program");
        for name in names {
            assert!(shell.read(name).contains("customerid"), "{name}");
        }
    }
}

#[test]
fn resumes_with_a_rejects_file_that_was_edited() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n{INVALID}\n")).send(&["a.ndjson"]);
    let rejects = shell.read("a.ndjson.rejects.ndjson");
    let grown = |count| format!("{ONE}\n{}", format!("{INVALID}\n").repeat(count));
    // A shorter file is renamed.
    shell.file("a.ndjson.rejects.ndjson", "{}\n").file("a.ndjson", grown(2)).send(&["a.ndjson", "--resume"]);
    let second = rejects.replace("\"line\":2", "\"line\":3");
    assert_eq!(
        (shell.read("a.ndjson.rejects.ndjson.1"), shell.read("a.ndjson.rejects.ndjson")),
        ("{}\n".into(), second.clone())
    );
    // Neither a longer file nor another one is truncated.
    shell.file("a.ndjson.rejects.ndjson", format!("{{}}\n{second}more\n")).file("other", "a\n".repeat(1000));
    shell.file("a.ndjson", grown(3)).send(&["a.ndjson", "--resume", "--rejects", "other"]);
    assert_eq!(shell.read("other.1"), "a\n".repeat(1000));
    assert_eq!(shell.read("other"), rejects.replace("\"line\":2", "\"line\":4"));
    assert!(shell.read("a.ndjson.rejects.ndjson").ends_with("more\n"));
}

#[test]
fn a_pipe_has_its_rejects_in_the_working_directory_and_cannot_be_resumed() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let pipes = tempfile::tempdir().expect("a directory");
    let pipe = pipes.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let name = pipe.to_str().expect("UTF-8");
    let (code, _, stderr) = shell.send(&[name, "--resume"]);
    assert_eq!(
        (code, stderr),
        (Some(2), format!("error: --resume needs a regular file: {name} cannot be read again\n"))
    );
    let child = shell.start(&[name]);
    fs::write(&pipe, format!("{INVALID}\n")).expect("a reader");
    assert_eq!(outcome(child.wait_with_output().expect("an end")).0, Some(1));
    assert!(shell.read("pipe.rejects.ndjson").contains("customerid"));
}

#[test]
fn an_unwritable_checkpoint_file_is_detected_before_sending() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", ONE);
    fs::create_dir(shell.path("a.ndjson.sent.json")).expect("a directory");
    let (code, _, stderr) = shell.send(&["a.ndjson"]);
    assert_eq!((code, server.stats().batches), (Some(4), 0), "{stderr}");
    assert!(stderr.starts_with("error: cannot write a.ndjson.sent.json: "), "{stderr}");
}

#[test]
fn rejects_a_refused_batch_with_the_message_of_the_service() {
    let server = MockServer::builder().fault_sequence([Fault::ok(), Fault::status(400)]).start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", ONE).file("b.ndjson", ONE);
    let (code, _, stderr) = shell.send(&["a.ndjson", "b.ndjson", "--concurrency", "1"]);
    assert_eq!(code, Some(1), "{stderr}");
    let reject: Value = serde_json::from_str(&shell.read("b.ndjson.rejects.ndjson")).expect("JSON");
    let message = reject["diagnostics"][0]["message"].as_str().expect("a message");
    assert!(stderr.contains(&format!("b.ndjson:1:1  refused by the service: {message}\n")), "{stderr}");
    assert_eq!((&reject["line"], &reject["diagnostics"][0]["rule"]), (&1.into(), &"service".into()));
    assert_eq!(reject["batch"]["mpid"], 1);
    assert!(reject["batch"]["source_request_id"].is_string(), "it can be sent again unchanged");
    assert!(!shell.path("a.ndjson.rejects.ndjson").exists());
}

#[test]
fn strict_stops_at_an_invalid_batch_and_resumes_once_it_is_fixed() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    // Longer than the hashed beginning, so that fixing the invalid line does not change the hash.
    let head: Vec<_> = export::lines(100, 3).collect();
    let head = head.join("\n");
    let (code, _, stderr) =
        shell.file("a.ndjson", format!("{head}\n{INVALID}\n{ONE}\n")).send(&["--strict", "a.ndjson"]);
    assert_eq!(code, Some(1));
    let lines = head.lines().count();
    assert!(stderr.starts_with(&format!("a.ndjson:{}:58  /user_identities/customerid", lines + 1)), "{stderr}");
    assert!(stderr.ends_with("a.ndjson: stopped at the first invalid batch because of --strict\n"), "{stderr}");
    assert_eq!(server.batches().len(), lines, "the batches before it are sent");
    assert!(!shell.path("a.ndjson.rejects.ndjson").exists());

    shell.file("a.ndjson", format!("{head}\n{}\n{ONE}\n", INVALID.replace("customerid", "customer_id")));
    let (code, _, stderr) = shell.send(&["--strict", "--resume", "a.ndjson"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!((server.batches().len(), server.stats().duplicates), (lines + 2, 0));
    let (code, _, stderr) = shell.send(&["--resume", "a.ndjson"]);
    assert_eq!(code, Some(0));
    assert!(stderr.starts_with("a.ndjson: nothing new to send\n"), "{stderr}");
    assert_eq!(server.stats().duplicates, 0);
}

#[test]
fn a_dry_run_sends_and_writes_nothing() {
    let shell = Shell::new("http://127.0.0.1:9");
    shell.file("a.ndjson", format!("{ONE}\n{INVALID}\n"));
    let mut command = shell.command(&["--dry-run", "--json", "a.ndjson"]);
    // A dry run needs no key.
    let (code, stdout, stderr) = outcome(command.env_remove("MPARTICLE_API_KEY").output().expect("the program"));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("a.ndjson: would send 0 events in 1 batch, rejected 0 events in 1 batch in "), "{stderr}");
    assert_eq!(
        stdout,
        concat!(
            r#"{"dry_run":true,"file":"a.ndjson","outcome":"complete","rejected":{"batches":1,"events":0},"#,
            r#""warnings":0,"without_response":0,"would_send":{"batches":1,"events":0}}"#,
            "\n"
        )
    );
    assert_eq!(fs::read_dir(shell.dir.path()).expect("a directory").count(), 1);
    let (_, _, stderr) = shell.file("a.ndjson", format!("{INVALID}\n").repeat(12)).send(&["--dry-run", "a.ndjson"]);
    assert!(stderr.contains("\nmore problems, not listed; `mparticle check` lists all of them\n"), "{stderr}");
}

#[test]
fn sends_historical_data_to_its_endpoint_if_it_is_old_enough() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let batch = |time: i64| {
        format!(
            r#"{{"environment":"development","mpid":1,"events":[{{"event_type":"opt_out","data":{{"is_opted_out":true,"timestamp_unixtime_ms":{time}}}}}]}}"#
        )
    };
    let now = chrono::Utc::now().timestamp_millis();
    shell.file("a.ndjson", format!("{}\n{}\n{ONE}\n", batch(now - 100 * 3_600_000), batch(now - 3_600_000)));
    let (code, _, stderr) = shell.send(&["--historical", "a.ndjson"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("a.ndjson:2:125  /events/0/data/timestamp_unixtime_ms  an event younger than 72 hours"),
        "{stderr}"
    );
    assert!(stderr.contains("a.ndjson:3:48  /events  no events"), "{stderr}");
    let requests = server.requests();
    assert_eq!((requests.len(), requests[0].path.as_str()), (1, "/bulkevents/historical"));
    assert_eq!(server.batches().len(), 1);
    let (code, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(4), "another endpoint cannot be resumed: {stderr}");
}

#[test]
fn adds_or_enforces_the_requested_environment() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", "{\"mpid\":1,\"events\":[]}\n{\"mpid\":2,\"environment\":\"production\",\"events\":[]}\n");
    let (code, _, stderr) = shell.send(&["a.ndjson", "--environment", "development"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("a.ndjson:2:25  /environment  expected the environment development, found production"),
        "{stderr}"
    );
    let batches = server.batches();
    assert_eq!((batches.len(), &batches[0]["environment"]), (1, &"development".into()));
    // The same batch in another environment is not a duplicate.
    let (code, _, stderr) = shell.send(&["a.ndjson", "--environment", "production"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!((server.batches().len(), server.stats().duplicates), (3, 0));
}

#[test]
fn gathers_csv_rows_by_user_and_rejects_invalid_ones() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    for name in ["orders.csv", "orders.toml"] {
        shell.file(name, fs::read(Path::new("../examples/csv").join(name)).expect("an example"));
    }
    for round in 0..2 {
        let (code, _, stderr) = shell.send(&["--csv", "orders.toml", "orders.csv"]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.starts_with("orders.csv:6:74  column \"seats\"  \"many\" is not a number\n"), "{stderr}");
        assert_eq!(server.stats().duplicates, 3 * round, "the same rows have the same ids");
    }
    let reject: Value = serde_json::from_str(&shell.read("orders.csv.rejects.ndjson")).expect("JSON");
    assert_eq!((&reject["line"], &reject["diagnostics"][0]["rule"]), (&6.into(), &"csv".into()));
    assert!(reject["text"].as_str().expect("the row").starts_with("A-1004,"));
    let batches = server.batches();
    let users: Vec<_> = batches.iter().map(|batch| batch["user_identities"]["customer_id"].as_str()).collect();
    assert_eq!(users, [Some("u-17"), Some("u-18"), Some("u-20")]);
    assert_eq!(batches[0]["mpid"], 9_007_199_254_740_993_u64, "to the last digit");
    assert_eq!(batches[0]["user_attributes"]["interests"], serde_json::json!(["tea", "ceramics"]));
    let names: Vec<_> =
        batches[0]["events"].as_array().expect("events").iter().map(|e| &e["data"]["event_name"]).collect();
    assert_eq!(names, ["Order Placed", "Order Paid"], "one batch of one user");
    assert_eq!(
        batches[1]["events"][0]["data"]["custom_attributes"]["note"],
        "Please ring twice.\nSecond floor, \"Müller\""
    );
    assert_eq!(batches[1]["events"][0]["data"]["timestamp_unixtime_ms"], 1_769_857_450_000_u64);

    // An upload with another map cannot be resumed.
    shell.file("other.toml", shell.read("orders.toml").replace("Order", "order") + "\n# changed\n");
    let (code, _, stderr) = shell.send(&["--csv", "other.toml", "orders.csv", "--resume"]);
    assert_eq!(code, Some(4), "{stderr}");
    let (code, _, stderr) = shell.send(&["--csv", "orders.csv", "orders.csv"]);
    assert_eq!(code, Some(2), "not a map: {stderr}");
}

#[test]
fn every_csv_row_arrives_once_after_sigkill_and_resume() {
    let server = MockServer::builder().rate_limit(200).keep(100_000, 1 << 28).start_blocking();
    let shell = Shell::new(server.url());
    let map = "environment = \"development\"\nidentities.customer_id = \"user\"\n[event]\ntype = \"screen_view\"\nname = { column = \"screen\" }\n";
    let rows: String =
        (0..25_000).fold("user,screen\n".to_owned(), |rows, row| rows + &format!("u{},{row}\n", row * 7 % 300));
    shell.file("map.toml", map).file("rows.csv", rows);
    for kill in 0..2 {
        let before = server.stats().batches;
        let mut child = shell.start(&["--csv", "map.toml", "rows.csv", "--resume"]);
        eventually("some batches", || server.stats().batches > before + 50 * (kill + 1));
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
    }
    let (code, _, stderr) = shell.send(&["--csv", "map.toml", "rows.csv", "--resume", "--quiet"]);
    assert_eq!(code, Some(0), "{stderr}");
    let events = server.events();
    let screens: HashSet<_> = events.iter().map(|event| event["data"]["screen_name"].to_string()).collect();
    assert_eq!((events.len(), screens.len()), (25_000, 25_000), "each row once");
}

#[test]
fn stops_at_once_on_a_wrong_key_without_printing_it() {
    let server = MockServer::builder().credentials("a-key", "a-secret").start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n"));
    let (code, stdout, stderr) = shell.send(&["a.ndjson"]);
    assert_eq!((code, stdout.as_str()), (Some(3), ""));
    let expected = "error: upload failed: the service responded 403 Forbidden: the key or the secret is wrong";
    assert!(stderr.contains(&format!("{expected} ({})\n", server.url())), "{stderr}");
    assert!(stderr.contains(", 1 batch was not sent in "), "{stderr}");
    assert!(stderr.contains("a.ndjson: use --resume to send the rest"), "{stderr}");
    for secret in [mock::KEY, mock::SECRET] {
        assert!(!stderr.contains(secret), "{stderr}");
    }
}

#[test]
fn reports_a_refused_connection_and_gives_up_in_time() {
    // No server listens on this port.
    let shell = Shell::new("http://127.0.0.1:9");
    shell.file("a.ndjson", format!("{ONE}\n"));
    let (code, _, stderr) = shell.send(&["a.ndjson", "--give-up-after", "1"]);
    assert_eq!(code, Some(3));
    let last = "error: upload failed: failed to connect to the service: Connection refused (os error 111) (http://127.0.0.1:9)\n";
    assert!(!cfg!(target_os = "linux") || stderr.contains(last), "{stderr}");
    assert!(stderr.contains("error: upload failed: failed to connect to the service: Connection refused"), "{stderr}");
    assert!(stderr.contains("1 batch was not sent"), "{stderr}");
}

#[test]
fn every_summary_shows_the_wait_that_the_service_requests() {
    let peer = Peer::with_response("HTTP/1.1 429 Too Many Requests\r\nretry-after: 86400\r\ncontent-length: 0\r\n\r\n");
    let shell = Shell::new(peer.url());
    shell.file("a.ndjson", format!("{ONE}\n"));
    let (code, stdout, stderr) = shell.send(&["a.ndjson", "--give-up-after", "4", "--json"]);
    assert_eq!((code, peer.requests().len()), (Some(3), 1), "{stderr}");
    let refused = "the service responded 429 Too Many Requests; it asks to wait 86400 s (24 hours)";
    assert!(stderr.contains(&format!("a.ndjson: {refused}; trying again\n")), "while waiting: {stderr}");
    assert!(stderr.contains(&format!("error: upload failed: {refused} ({})\n", peer.url())), "{stderr}");
    let summary =
        "a.ndjson: delivered 0 events in 0 batches, 1 batch was not accepted, the service asks to wait 86400 s";
    assert!(stderr.contains(summary), "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((&summary["retry_after_seconds"], &summary["outcome"]), (&86_400.into(), &"unsent".into()));
    assert_eq!(summary["error"], format!("upload failed: {refused} ({})", peer.url()));
}

#[test]
fn error_of_a_wrong_address_names_it() {
    let peer = Peer::with_response("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let shell = Shell::new(format!("{}/v3/", peer.url()));
    let (code, _, stderr) = shell.file("a.ndjson", format!("{ONE}\n{ONE}\n")).send(&["a.ndjson"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(
        stderr.contains(&format!("error: upload failed: the service responded 404 Not Found ({}/v3)\n", peer.url())),
        "{stderr}"
    );
    assert!(stderr.contains(", 2 batches were not accepted in "), "{stderr}");
}

#[test]
fn gives_up_on_a_hanging_service_before_the_request_timeout() {
    let peer = Peer::start(|_| std::thread::sleep(Duration::from_secs(600)));
    let shell = Shell::new(peer.url());
    shell.file("a.ndjson", format!("{ONE}\n"));
    let started = Instant::now();
    let (code, _, stderr) = shell.send(&["a.ndjson", "--give-up-after", "2"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(
        stderr.contains("error: upload failed: the service did not respond in time (http://127.0.0.1:"),
        "{stderr}"
    );
    // By default an attempt times out after 30 seconds.
    assert!(started.elapsed() >= Duration::from_secs(2) && started.elapsed() < Duration::from_secs(20), "{stderr}");
}

#[test]
fn reports_files_that_cannot_be_read() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let (code, _, stderr) = shell.send(&["missing.ndjson"]);
    assert_eq!(
        (code, stderr.as_str()),
        (Some(4), "error: cannot read missing.ndjson: No such file or directory (os error 2)\n")
    );
    let (code, _, stderr) = shell.send(&["."]);
    assert_eq!((code, stderr.as_str()), (Some(4), "error: cannot read .: is a directory\n"));

    // A truncated file is sent up to its end, whose position is reported.
    let lines: Vec<_> = export::lines(20_000, 5).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.join("\n").as_bytes()).expect("memory");
    let packed = gzip.finish().expect("memory");
    let (code, _, stderr) = shell.file("cut.gz", &packed[..packed.len() / 2]).send(&["cut.gz"]);
    assert_eq!(code, Some(4), "{stderr}");
    let sent = server.batches().len();
    assert!(sent > 100 && sent < lines.len(), "{sent}");
    let message = format!("error: cannot read cut.gz beyond {}:", sent + 1);
    assert!(stderr.contains(&message) && stderr.contains("use --resume to send the rest"), "{stderr}");
    // Once the file is complete, the rest is sent.
    let (code, _, stderr) = shell.file("cut.gz", &packed).send(&["cut.gz", "--resume"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(count_by_content(&server.batches()), expected(&lines));
    assert_eq!(server.stats().duplicates, 0);
}

#[test]
fn a_broken_array_is_a_read_error_and_can_be_resumed() {
    let lines: Vec<_> = export::lines(200, 6).collect();
    let whole = format!("[{}]", lines.join(","));
    let breaks = [
        ("cut within a batch", whole[..whole.len() - 20].to_owned()),
        ("cut between two", format!("[{}", lines[..10].join(","))),
    ];
    for (what, broken) in breaks {
        let server = MockServer::start_blocking();
        let shell = Shell::new(server.url());
        let (code, _, stderr) = shell.file("a.json", broken).send(&["a.json"]);
        assert_eq!(code, Some(4), "{what}: {stderr}");
        assert!(stderr.contains("error: cannot read a.json beyond "), "{what}: {stderr}");
        assert!(shell.read("a.json.sent.json").contains("\"complete\":false"), "{what}");
        // Once the file is complete, the rest is sent from the checkpoint.
        let (code, _, stderr) = shell.file("a.json", &whole).send(&["a.json", "--resume"]);
        assert_eq!(code, Some(0), "{what}: {stderr}");
        assert_eq!((count_by_content(&server.batches()), server.stats().duplicates), (expected(&lines), 0), "{what}");
    }
}

#[test]
fn refuses_to_resume_a_file_that_was_replaced() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n")).send(&["a.ndjson"]);
    // A file that has grown is resumed, as is done with logs.
    let other = ONE.replace('1', "2");
    let (code, _, stderr) = shell.file("a.ndjson", format!("{ONE}\n{other}\n")).send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!((server.batches().len(), server.stats().duplicates), (2, 0), "{stderr}");
    let (code, _, stderr) = shell.file("a.ndjson", format!("{other}\n")).send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(4));
    assert!(stderr.contains("the file has changed"), "{stderr}");
    let (code, _, stderr) = shell.file("a.ndjson.sent.json", "{\"version\":").send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(4));
    assert!(stderr.contains("not a checkpoint file of mparticle"), "{stderr}");
    assert_eq!(shell.send(&["-", "--resume"]).0, Some(2));
}

#[test]
fn refuses_a_checkpoint_file_of_a_former_version_by_its_number() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let former = r#"{"version":3,"identity":{"head":"x","head_bytes":1},"rejects":"x","mark":{}}"#;
    shell.file("a.ndjson", format!("{ONE}\n")).file("a.ndjson.sent.json", former);
    let (code, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
    assert_eq!((code, server.stats().batches), (Some(4), 0), "{stderr}");
    assert!(stderr.contains("version 3 of the checkpoint format is not supported, only version 4"), "{stderr}");
    assert_eq!(shell.read("a.ndjson.sent.json"), former, "the file is not overwritten");
    // Without --resume, the upload starts over and replaces it.
    let (code, _, stderr) = shell.send(&["a.ndjson"]);
    assert_eq!((code, server.stats().batches), (Some(0), 1), "{stderr}");
    assert_eq!(shell.send(&["a.ndjson", "--resume"]).0, Some(0));
}

#[test]
fn refuses_to_resume_with_another_destination_or_other_options() {
    let server =
        MockServer::builder().credentials(mock::KEY, mock::SECRET).credentials("another", "s").start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n"));
    assert_eq!(shell.send(&["a.ndjson"]).0, Some(0));
    let checkpoint = shell.read("a.ndjson.sent.json");
    assert!(!checkpoint.contains(mock::KEY) && !checkpoint.contains(mock::SECRET), "{checkpoint}");
    let resume = |change: &dyn Fn(&mut Command), arguments: &[&str]| {
        let mut command = shell.command(&["a.ndjson", "--resume"]);
        change(command.args(arguments));
        outcome(command.output().expect("the program"))
    };
    let same = |_: &mut Command| {};
    let other_key = |command: &mut Command| {
        command.env("MPARTICLE_API_KEY", "another").env("MPARTICLE_API_SECRET", "s");
    };
    let other_url = format!("{}/v2", server.url());
    for (code, _, stderr) in [
        resume(&same, &["--environment", "development"]),
        resume(&same, &["--url", &other_url]),
        resume(&same, &["--pod", "eu1"]),
        resume(&other_key, &[]),
    ] {
        assert_eq!(code, Some(4), "{stderr}");
        assert!(stderr.contains("was sent to another destination or with other options"), "{stderr}");
    }
    assert_eq!(resume(&same, &[]).0, Some(0));
}

#[test]
fn a_full_disk_loses_no_rejects() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{ONE}\n{INVALID}\n"));
    let (code, _, stderr) = shell.send(&["a.ndjson", "--rejects", "/dev/full"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(
        stderr.contains("error: cannot write /dev/full") && stderr.contains("a.ndjson: delivered 0 events in 1"),
        "{stderr}"
    );
    assert!(stderr.contains("the rejected batches are in no file"), "{stderr}");
    let (code, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(1), "the invalid batch is processed again: {stderr}");
    assert!(shell.read("a.ndjson.rejects.ndjson").contains("customerid"));
}

#[test]
fn sends_even_if_stderr_cannot_be_written() {
    let (reader, closed_pipe) = std::io::pipe().expect("a pipe");
    drop(reader);
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux");
    for stderr in [Stdio::from(closed_pipe), Stdio::from(full)] {
        let server = MockServer::start_blocking();
        let shell = Shell::new(server.url());
        shell.file("a.ndjson", format!("{INVALID}\n{ONE}\n"));
        let output = shell.command(&["a.ndjson"]).stderr(stderr).output().expect("the program");
        assert_eq!((output.status.code(), server.batches().len()), (Some(1), 1));
    }
}

#[test]
fn signals_interrupt_and_the_rest_is_resumed() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let server = MockServer::builder().rate_limit(100).start_blocking();
        let shell = Shell::new(server.url());
        let lines: Vec<_> = export::lines(4000, 9).collect();
        shell.file("a.ndjson", lines.join("\n"));
        let child = shell.start(&["a.ndjson"]);
        eventually("a first batch", || server.stats().batches > 0);
        signal(&child, name);
        let (ended, _, stderr) = outcome(child.wait_with_output().expect("an end"));
        assert_eq!(ended, Some(code), "{stderr}");
        assert!(stderr.contains("a.ndjson: interrupted, delivered "), "{stderr}");
        assert!(stderr.ends_with("a.ndjson: use --resume to send the rest\n"), "{stderr}");
        let first = server.batches();
        assert!(first.len() < lines.len(), "interrupted before the end");
        let address: SocketAddr = shell.url.trim_start_matches("http://").parse().expect("an address");
        drop(server);
        let server = MockServer::builder().listen(address).start_blocking();
        let (ended, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
        assert_eq!(ended, Some(0), "{stderr}");
        let second = server.batches();
        let both: HashSet<_> = ids(&first).into_iter().chain(ids(&second)).collect();
        assert_eq!(both.len(), lines.len(), "{name}: everything is sent");
        // The batches of the 8 requests in flight may be sent twice.
        assert!(first.len() + second.len() <= lines.len() + 800, "{name}: {} and {}", first.len(), second.len());
    }
}

#[test]
fn every_event_arrives_once_after_sigkill_and_resume() {
    for round in 0..3 {
        let server = MockServer::builder()
            .seed(round)
            .fault_rate(0.03, Fault::lost_response())
            .fault_rate(0.02, Fault::status(503))
            .fault_rate(0.02, Fault::reset())
            .keep(1_000_000, 1 << 30)
            .start_blocking();
        let shell = Shell::new(server.url());
        let mut lines: Vec<_> = export::lines(5_000, round).collect();
        let wrong = [lines.len() / 3, lines.len() / 2];
        let content: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| if wrong.contains(&number) { INVALID.to_owned() } else { line.clone() })
            .collect();
        shell.file("a.ndjson", content.join("\n"));
        let mut rng = fastrand::Rng::with_seed(round);
        let mut kills = 0;
        let (code, stderr) = loop {
            let mut child = shell.start(&["a.ndjson", "--resume", "--quiet"]);
            let before = server.stats().batches;
            let until = Instant::now() + Duration::from_millis(rng.u64(200..2500));
            while kills < 4 && Instant::now() < until {
                if child.try_wait().expect("a child").is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            if kills < 4 && child.try_wait().expect("a child").is_none() {
                child.kill().expect("SIGKILL");
                child.wait().expect("an end");
                kills += u32::from(server.stats().batches > before);
                continue;
            }
            let (code, _, stderr) = outcome(child.wait_with_output().expect("an end"));
            break (code, stderr);
        };
        assert_eq!(code, Some(1), "round {round}: {stderr}");
        for number in wrong.into_iter().rev() {
            lines.remove(number);
        }
        assert_eq!(count_by_content(&server.batches()), expected(&lines), "round {round}, killed {kills} times");
        let rejects = shell.read("a.ndjson.rejects.ndjson");
        let numbers: Vec<_> = rejects
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a whole line")["line"].as_u64().expect("a number"))
            .collect();
        let expected: Vec<_> = wrong.iter().map(|number| *number as u64 + 1).collect();
        assert_eq!(numbers, expected, "round {round}: each reject once, in order");
        assert!(kills > 0, "round {round}: never killed");
    }
}

#[test]
fn memory_stays_bounded_on_any_input() {
    let server = MockServer::builder().keep(10, 1 << 20).start_blocking();
    let shell = Shell::new(server.url());
    let mut child = shell.command(&["-", "--quiet"]).stdin(Stdio::piped()).spawn().expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A line of 100 MiB, then many batches.
    stdin.write_all(b"{\"a\":\"").expect("a reader");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        stdin.write_all(&piece).expect("a reader");
    }
    for line in std::iter::once(String::new()).chain(export::lines(30_000, 11)) {
        writeln!(stdin, "{line}").expect("a reader");
    }
    let peak = peak_memory(&child).expect("Linux");
    drop(stdin);
    let (code, _, stderr) = outcome(child.wait_with_output().expect("an end"));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("delivered 30,000 events"), "{stderr}");
    assert!(peak < 64 << 20, "{peak} bytes");
}
