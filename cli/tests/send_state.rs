//! Tests that the counts, files and states that `mparticle send` names are those on the disk and at the service.

#[path = "support/shell.rs"]
mod shell;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mparticle::mock::{Fault, MockServer};
use serde_json::Value;
use shell::{Shell, outcome};

/// Returns a batch of this user.
fn batch(mpid: u64) -> String {
    format!(r#"{{"environment":"development","mpid":{mpid},"events":[]}}"#)
}

fn lines(mpids: impl IntoIterator<Item = u64>) -> String {
    mpids.into_iter().map(|mpid| batch(mpid) + "\n").collect()
}

/// Returns the users of all batches that the mock has accepted, sorted.
fn users(server: &MockServer) -> Vec<u64> {
    let mut users: Vec<_> = server.batches().iter().map(|batch| batch["mpid"].as_u64().expect("an mpid")).collect();
    users.sort_unstable();
    users
}

fn rejects(shell: &Shell, name: &str) -> Vec<Value> {
    shell.read(name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const INVALID: &str = r#"{"environment":"development","mpid":1,"user_identities":{"customerid":"1"},"events":[]}"#;

#[test]
fn rejects_keep_the_bytes_of_texts_that_are_not_utf_8() {
    let server = MockServer::start_blocking();
    let latin_1 = b"{\"environment\":\"development\",\"mpid\":1,\"user_attributes\":{\"city\":\"K\xf6ln\"}}";
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", [latin_1, &b"\n"[..], batch(2).as_bytes()].concat());
    let (code, _, stderr) = shell.send(&["a.ndjson"]);
    assert_eq!((code, users(&server)), (Some(1), vec![2]), "{stderr}");
    assert!(stderr.ends_with("a.ndjson: the rejected batches are in a.ndjson.rejects.ndjson\n"), "{stderr}");
    let kept = rejects(&shell, "a.ndjson.rejects.ndjson");
    let kept = STANDARD.decode(kept[0]["base64"].as_str().expect("base64")).expect("base64");
    assert_eq!(kept, latin_1);
    // From a pipe, where the bytes exist nowhere else.
    let mut child = shell.command(&["-"]).stdin(Stdio::piped()).spawn().expect("the program");
    child.stdin.take().expect("a pipe").write_all(latin_1).expect("a reader");
    assert_eq!(outcome(child.wait_with_output().expect("an end")).0, Some(1));
    let kept = rejects(&shell, "stdin.rejects.ndjson");
    assert_eq!(STANDARD.decode(kept[0]["base64"].as_str().expect("base64")).expect("base64"), latin_1);
}

#[test]
fn a_text_that_is_too_long_to_be_kept_is_named_as_not_kept() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    shell.file("a.ndjson", format!("{}\n{long}\n{INVALID}\n", batch(1)));
    for resumed in [false, true] {
        let arguments: &[&str] = if resumed { &["a.ndjson", "--json", "--resume"] } else { &["a.ndjson", "--json"] };
        let (code, stdout, stderr) = shell.send(arguments);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("a.ndjson: 1 of 2 rejected batches are in a.ndjson.rejects.ndjson\n"), "{stderr}");
        assert!(stderr.contains("a.ndjson: 1 text of more than 1 MiB is not kept; "), "{stderr}");
        let summary: Value = serde_json::from_str(&stdout).expect("JSON");
        let expected = serde_json::json!({ "file": "a.ndjson.rejects.ndjson", "batches": 1, "omitted": 1 });
        assert_eq!((&summary["rejects"], &summary["rejected"]["batches"]), (&expected, &2.into()));
    }
    let kept = rejects(&shell, "a.ndjson.rejects.ndjson");
    assert_eq!((&kept[0]["omitted_at"], &kept[0]["line"]), (&(batch(1).len() + 1).into(), &2.into()));
}

#[test]
fn rejects_that_a_user_has_removed_are_not_named() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{INVALID}\n{}\n", batch(2))).send(&["a.ndjson"]);
    fs::remove_file(shell.path("a.ndjson.rejects.ndjson")).expect("a file");
    let (code, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.ends_with("a.ndjson: the rejected batches are in no file of this run\n"), "{stderr}");
}

#[test]
fn rejects_that_a_user_has_changed_are_left_as_they_are() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let content = format!("{INVALID}\n").repeat(3) + &lines([2]);
    for (what, changed) in
        [("longer", "{\"a correction\":1}\n".repeat(90)), ("shorter", "{}\n".into()), ("empty", String::new())]
    {
        shell.file("a.ndjson", &content).send(&["a.ndjson"]);
        assert_eq!(rejects(&shell, "a.ndjson.rejects.ndjson").len(), 3, "{what}");
        shell.file("a.ndjson.rejects.ndjson", &changed);
        let (code, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
        assert_eq!((code, shell.read("a.ndjson.rejects.ndjson")), (Some(1), changed.clone()), "{what}: {stderr}");
        // What is rejected from now on is in a file of its own.
        let (code, _, stderr) = shell.file("a.ndjson", format!("{content}{INVALID}\n")).send(&["a.ndjson", "--resume"]);
        assert_eq!(code, Some(1), "{what}: {stderr}");
        assert!(
            stderr.ends_with("a.ndjson: 1 of 4 rejected batches are in a.ndjson.rejects.ndjson\n"),
            "{what}: {stderr}"
        );
        assert_eq!(rejects(&shell, "a.ndjson.rejects.ndjson").len(), 1, "{what}");
        if !changed.is_empty() {
            let renamed = stderr.split_once("was renamed to ").expect("a name").1.lines().next().expect("a line");
            assert_eq!(shell.read(renamed), changed, "{what}");
        }
    }
}

#[test]
fn a_file_that_cannot_keep_its_rejects_does_not_affect_the_next() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{INVALID}\n{}", lines(1..100))).file("b.ndjson", lines(200..220));
    let path = shell.path("a.ndjson.rejects.ndjson");
    // A full device: writing fails while the file is still being sent.
    #[cfg(target_os = "linux")]
    {
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        let (code, stdout, stderr) = shell.send(&["a.ndjson", "b.ndjson", "--rate", "20", "--json"]);
        let outcomes: Vec<_> = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect();
        assert_eq!(
            (code, &outcomes[0]["outcome"], &outcomes[1]["outcome"]),
            (Some(4), &"write_error".into(), &"complete".into()),
            "{stderr}"
        );
        assert_eq!(outcomes[1]["delivered"]["batches"], 20, "{stderr}");
        assert!(users(&server).ends_with(&(200..220).collect::<Vec<_>>()), "{stderr}");
        assert!(stderr.contains("a.ndjson: the rejected batches are in no file of this run\n"), "{stderr}");
        fs::remove_file(&path).expect("a link");
    }
    // A place that cannot be written is noticed before anything is sent.
    let sent = server.batches().len();
    let mut child =
        shell.command(&["-", "--rejects", "missing/rejects"]).stdin(Stdio::piped()).spawn().expect("the program");
    let _ = child.stdin.take().expect("a pipe").write_all(lines([1]).as_bytes());
    let (code, _, stderr) = outcome(child.wait_with_output().expect("an end"));
    assert_eq!((code, server.batches().len()), (Some(4), sent), "{stderr}");
    assert!(stderr.contains("cannot write missing/rejects: No such file"), "{stderr}");
    for progress in ["a.ndjson.sent.json", "a.ndjson.sent.json.lock", "./a.ndjson.sent.json"] {
        let (code, _, stderr) = shell.send(&["a.ndjson", "--rejects", progress]);
        assert_eq!((code, server.batches().len()), (Some(2), sent), "{stderr}");
        assert!(stderr.contains("is the file in which the progress is recorded"), "{stderr}");
    }
}

#[test]
fn a_file_that_grew_within_a_batch_is_resumed_before_that_batch() {
    let whole = lines([1, 2, 3]);
    for cut in [whole.len() - 2, whole.len() - 40] {
        let server = MockServer::start_blocking();
        let shell = Shell::new(server.url());
        shell.file("a.ndjson", &whole[..cut]);
        assert_eq!(shell.send(&["a.ndjson"]).0, Some(1));
        assert_eq!(rejects(&shell, "a.ndjson.rejects.ndjson").len(), 1);
        let (code, _, stderr) = shell.file("a.ndjson", &whole).send(&["a.ndjson", "--resume"]);
        assert_eq!((code, users(&server)), (Some(0), vec![1, 2, 3]), "{stderr}");
        assert!(stderr.starts_with("a.ndjson: delivered 0 events in 3 batches in "), "{stderr}");
    }
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    // A row has no end but that of its line, so that it was sent.
    let map = "environment = \"development\"\nidentities.customer_id = \"user\"\n[event]\ntype = \"screen_view\"\nname = { column = \"screen\" }\n";
    shell.file("map.toml", map).file("rows.csv", "user,screen\nu1,Home\nu2,Ho");
    let arguments = ["--csv", "map.toml", "rows.csv", "--resume"];
    assert_eq!(shell.send(&arguments[..3]).0, Some(0));
    let (code, _, stderr) = shell.file("rows.csv", "user,screen\nu1,Home\nu2,Home\n").send(&arguments);
    assert_eq!((code, server.events().len()), (Some(4), 2), "{stderr}");
    assert!(stderr.contains("line 3 was incomplete when it was sent; send without --resume"), "{stderr}");
    let (code, _, stderr) = shell.file("rows.csv", "user,screen\nu1,Home\nu2,Ho\nu3,Home\n").send(&arguments);
    assert_eq!((code, server.events().len()), (Some(0), 3), "{stderr}");
}

#[test]
fn a_rejects_file_can_be_corrected_and_sent_itself() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let precise = INVALID.replace("\"mpid\":1", "\"mpid\":9007199254740993");
    let broken = batch(3).replace("[]}", "[]");
    shell.file("a.ndjson", format!("{precise}\n{broken}\n{}\n", batch(2))).send(&["a.ndjson"]);
    let corrected = shell.read("a.ndjson.rejects.ndjson").replace("customerid\":", "customer_id\":");
    let corrected = corrected.replace("[]\"}", "[]}\"}");
    let (code, _, stderr) = shell.file("a.ndjson.rejects.ndjson", &corrected).send(&["a.ndjson.rejects.ndjson"]);
    assert_eq!((code, users(&server)), (Some(0), vec![2, 3, 9_007_199_254_740_993]), "{stderr}");
    // What is still wrong is named at its position in the rejects file, and rejected again.
    shell.send(&["a.ndjson"]);
    let (code, _, stderr) = shell.send(&["a.ndjson.rejects.ndjson"]);
    let column = shell.read("a.ndjson.rejects.ndjson").find("\"customerid\":").expect("a field") + 1;
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with(&format!("a.ndjson.rejects.ndjson:1:{column}  /user_identities/customerid ")),
        "{stderr}"
    );
    let again = rejects(&shell, "a.ndjson.rejects.ndjson.rejects.ndjson");
    assert_eq!((again.len(), &again[0]["batch"]["mpid"]), (2, &9_007_199_254_740_993_u64.into()));
    // A batch that the service refused keeps its ID.
    let server = MockServer::builder().fault_sequence([Fault::status(400)]).start_blocking();
    let shell = Shell::new(server.url());
    shell.file("b.ndjson", batch(7)).send(&["b.ndjson"]);
    let id = rejects(&shell, "b.ndjson.rejects.ndjson")[0]["batch"]["source_request_id"].clone();
    assert_eq!(shell.send(&["b.ndjson.rejects.ndjson"]).0, Some(0));
    assert_eq!(server.batches()[0]["source_request_id"], id);
}

#[test]
fn resumes_only_if_the_bytes_before_the_checkpoint_are_the_same() {
    let head: String = lines(1..1_000);
    let changed = |from: &str, to: &str| (head.clone() + &batch(5_000)).replacen(from, to, 1);
    let table = [
        ("a line was inserted", format!("{}\n{head}{}", batch(4_000), batch(5_000))),
        ("a line was changed", changed("\"mpid\":999,", "\"mpid\":998,")),
        ("a byte within white space was changed", changed("}\n{", "}\r{")),
        ("a line was removed", changed(&(batch(500) + "\n"), "")),
        ("the next export has the same first 4,096 bytes", lines((1..200).chain(2_000..2_900))),
        ("the file was shortened", lines(1..900)),
        ("the file is empty", String::new()),
    ];
    for (what, content) in table {
        let server = MockServer::start_blocking();
        let shell = Shell::new(server.url());
        assert_eq!(shell.file("a.ndjson", &head).send(&["a.ndjson"]).0, Some(0));
        let checkpoint = shell.read("a.ndjson.sent.json");
        let (code, stdout, stderr) = shell.file("a.ndjson", content).send(&["a.ndjson", "--resume", "--json"]);
        assert_eq!((code, server.batches().len()), (Some(4), 999), "{what}: {stderr}");
        assert!(stderr.contains("cannot resume a.ndjson: the file has changed: it "), "{what}: {stderr}");
        assert!(stderr.contains("line 999, up to which it was sent; send without --resume"), "{what}: {stderr}");
        let summary: Value = serde_json::from_str(&stdout).expect("JSON");
        assert_eq!((&summary["outcome"], &summary["delivered"]["batches"]), (&"error".into(), &0.into()), "{what}");
        assert_eq!(shell.read("a.ndjson.sent.json"), checkpoint, "{what}: the checkpoint stays");
        // The same file can still be resumed, also compressed, with a byte-order mark, and if it has grown.
        let grown = format!("\u{feff}{head}{}", batch(5_000));
        let packed = zstd::encode_all(grown.as_bytes(), 1).expect("memory");
        let (code, _, stderr) = shell.file("a.ndjson", packed).send(&["a.ndjson", "--resume"]);
        assert_eq!((code, server.batches().len(), server.stats().duplicates), (Some(0), 1_000, 0), "{what}: {stderr}");
    }
}

#[test]
fn a_csv_file_with_the_same_wide_header_is_another_file() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let map = "environment = \"development\"\nidentities.customer_id = \"user\"\n[event]\ntype = \"screen_view\"\nname = { column = \"screen\" }\n";
    let unused = ",column".repeat(1_000);
    let day = |day: &str| {
        let rows: Vec<_> = (0..50).map(|row| format!("u{row},{day}{}\n", ",".repeat(1_000))).collect();
        format!("user,screen{unused}\n{}", rows.concat())
    };
    shell.file("map.toml", map).file("rows.csv", day("monday"));
    assert_eq!(shell.send(&["--csv", "map.toml", "rows.csv"]).0, Some(0));
    let (code, _, stderr) = shell.file("rows.csv", day("tuesday")).send(&["--csv", "map.toml", "rows.csv", "--resume"]);
    assert_eq!((code, server.events().len()), (Some(4), 50), "{stderr}");
    assert!(stderr.contains("the file has changed"), "{stderr}");
    // Rows that were added are sent.
    let grown = day("monday") + &format!("u99,late{}\n", ",".repeat(1_000));
    let (code, _, stderr) = shell.file("rows.csv", grown).send(&["--csv", "map.toml", "rows.csv", "--resume"]);
    assert_eq!((code, server.events().len()), (Some(0), 51), "{stderr}");
}

#[test]
fn one_run_at_a_time_sends_a_file() {
    let server = MockServer::builder().rate_limit(50).start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{INVALID}\n{}", lines(1..200)));
    let mut child = shell.start(&["a.ndjson"]);
    while server.stats().batches == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    for arguments in [&["a.ndjson"][..], &["a.ndjson", "--resume"], &["a.ndjson", "--rejects", "other"]] {
        let (code, _, stderr) = shell.send(arguments);
        assert_eq!(code, Some(4), "{stderr}");
        assert_eq!(
            stderr,
            "error: another `mparticle send` is sending a.ndjson; wait until it has ended, or stop it\n"
        );
    }
    // Another directory has another checkpoint, and the lock of a killed run is free.
    assert_eq!(shell.send(&["a.ndjson", "--state-dir", "other", "--dry-run"]).0, Some(1));
    child.kill().expect("SIGKILL");
    child.wait().expect("an end");
    let (code, _, stderr) = shell.send(&["a.ndjson", "--resume"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(users(&server), (1..200).collect::<Vec<_>>());
    assert_eq!(rejects(&shell, "a.ndjson.rejects.ndjson").len(), 1);
    assert!(!shell.path("a.ndjson.sent.json.lock").exists(), "no lock is left");
}

#[test]
fn two_pipes_write_their_rejects_to_files_of_their_own() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let mut children: Vec<_> =
        (0..2).map(|_| shell.command(&["-", "--json"]).stdin(Stdio::piped()).spawn().expect("the program")).collect();
    for (number, child) in children.iter_mut().enumerate() {
        let text = format!("{}\n", INVALID.replace("\"mpid\":1", &format!("\"mpid\":7{number}")));
        child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
        let names = ["stdin.rejects.ndjson", "stdin.rejects.ndjson.1"];
        while !shell.path(names[number]).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    for (number, child) in children.into_iter().enumerate() {
        let (code, stdout, stderr) = outcome(child.wait_with_output().expect("an end"));
        assert_eq!(code, Some(1), "{stderr}");
        let summary: Value = serde_json::from_str(&stdout).expect("JSON");
        let name = summary["rejects"]["file"].as_str().expect("a name");
        assert!(stderr.contains(&format!("stdin: the rejected batches are in {name}\n")), "{stderr}");
        let kept = rejects(&shell, name);
        assert_eq!((kept.len(), kept[0]["batch"]["mpid"].to_string()), (1, format!("7{number}")), "{name}");
    }
}

#[test]
fn every_file_is_looked_at_and_accounted_for() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", lines([1])).file("c.ndjson", lines([3])).file("d.ndjson", INVALID);
    fs::create_dir(shell.path("b")).expect("a directory");
    let files = ["a.ndjson", "b", "missing", "c.ndjson", "d.ndjson"];
    let (code, stdout, stderr) = shell.send(&[&["--json"][..], &files].concat());
    assert_eq!((code, users(&server)), (Some(4), vec![1, 3]), "{stderr}");
    assert!(stderr.contains("error: cannot read b: is a directory\n"), "{stderr}");
    let summaries: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let outcomes: Vec<_> = summaries.iter().map(|line| (line["file"].as_str(), line["outcome"].as_str())).collect();
    let expected = ["complete", "error", "error", "complete", "complete"];
    assert_eq!(outcomes, files.map(Some).into_iter().zip(expected.map(Some)).collect::<Vec<_>>());
    assert_eq!(summaries[1]["error"], "cannot read b: is a directory");

    // Nothing is sent after a wrong key, and the remaining files are named.
    let shell_with_wrong_key = Shell::new(MockServer::builder().credentials("a", "b").start_blocking().url());
    shell_with_wrong_key.file("a.ndjson", lines([1])).file("c.ndjson", lines([3]));
    let (code, stdout, stderr) = shell_with_wrong_key.send(&["a.ndjson", "c.ndjson", "--json", "--give-up-after", "1"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.ends_with("c.ndjson: not sent, since the run has stopped before\n"), "{stderr}");
    let last: Value = serde_json::from_str(stdout.lines().nth(1).expect("two lines")).expect("JSON");
    assert_eq!((&last["file"], &last["outcome"]), (&"c.ndjson".into(), &"not_started".into()));
    // So they are after --strict has stopped.
    let (code, _, stderr) = shell.send(&["--strict", "d.ndjson", "c.ndjson"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.ends_with("c.ndjson: not sent, since the run has stopped before\n"), "{stderr}");
}

#[test]
fn a_second_run_over_all_files_skips_the_rejects_of_the_first() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    shell.file("a.ndjson", format!("{INVALID}\n{}", lines([1]))).send(&["a.ndjson"]);
    let (code, stdout, stderr) = shell.send(&["a.ndjson", "a.ndjson.rejects.ndjson", "--json"]);
    assert_eq!((code, server.batches().len()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("a.ndjson.rejects.ndjson: skipped, since it has the rejects of a.ndjson\n"), "{stderr}");
    let last: Value = serde_json::from_str(stdout.lines().nth(1).expect("two lines")).expect("JSON");
    assert_eq!(last["outcome"], "skipped");
}

#[test]
fn a_state_directory_has_the_checkpoint_and_the_rejects() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    fs::create_dir(shell.path("in")).expect("a directory");
    shell.file("in/a.ndjson", format!("{INVALID}\n{}", lines([1])));
    let (code, _, stderr) = shell.send(&["in/a.ndjson", "--state-dir", "state/deep"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.ends_with(": the rejected batches are in state/deep/a.ndjson.rejects.ndjson\n"), "{stderr}");
    let names = |dir: &str| {
        let mut names: Vec<_> = fs::read_dir(shell.path(dir))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("in"), ["a.ndjson"]);
    assert_eq!(names("state/deep"), ["a.ndjson.rejects.ndjson", "a.ndjson.sent.json"]);
    shell.file("in/a.ndjson", format!("{INVALID}\n{}", lines([1, 2])));
    let (code, _, stderr) = shell.send(&["in/a.ndjson", "--state-dir", "state/deep", "--resume"]);
    assert_eq!((code, server.batches().len(), server.stats().duplicates), (Some(1), 2, 0), "{stderr}");
    // Two files of one name would share a checkpoint.
    shell.file("a.ndjson", lines([5]));
    let (code, _, stderr) = shell.send(&["in/a.ndjson", "a.ndjson", "--state-dir", "state"]);
    assert_eq!((code, server.batches().len()), (Some(2), 2), "{stderr}");
    assert!(stderr.contains("several files would have the same checkpoint state/a.ndjson.sent.json"), "{stderr}");
    // A directory in which nothing can be created, even by root.
    #[cfg(target_os = "linux")]
    {
        let (code, _, stderr) = shell.send(&["/proc/version"]);
        assert_eq!(code, Some(4), "{stderr}");
        assert!(stderr.starts_with("error: cannot write /proc/version.sent.json: "), "{stderr}");
        assert!(stderr.ends_with("; --state-dir DIR keeps the checkpoint and the rejects elsewhere\n"), "{stderr}");
        assert_eq!(shell.send(&["/proc/version", "--state-dir", "state"]).0, Some(1));
    }
}

#[test]
fn batches_that_the_service_would_take_for_those_of_another_file_are_warned_of() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let event = |data: &str| {
        format!(
            r#"{{"environment":"development","mpid":1,"events":[{{"event_type":"screen_view","data":{{"screen_name":"a"{data}}}}}]}}"#
        )
    };
    shell.file("a.ndjson", event(""));
    let (_, _, stderr) = shell.send(&["a.ndjson"]);
    let warning = "a.ndjson: warning: 1 batch without a source_request_id has events without a time: ";
    assert!(stderr.contains(warning), "{stderr}");
    for distinct in [r#","timestamp_unixtime_ms":1767225600000"#, r#","source_message_id":"m-1""#] {
        let (_, _, stderr) = shell.file("a.ndjson", event(distinct)).send(&["a.ndjson"]);
        assert!(!stderr.contains("warning: 1 batch without"), "{stderr}");
    }
}

#[test]
fn names_of_files_never_reach_the_terminal_with_control_characters() {
    let server = MockServer::start_blocking();
    let shell = Shell::new(server.url());
    let name = "a\u{1b}]0;title\u{7}\u{9b}31m\n.ndjson";
    for content in [None, Some(format!("{INVALID}\n{{\n")), Some(lines([1]))] {
        if let Some(content) = &content {
            shell.file(name, content);
        }
        let mut other = std::process::Command::new(env!("CARGO_BIN_EXE_mparticle"));
        other.current_dir(shell.dir.path()).env_clear().args(["check", "--fix", "out\u{1b}[2J", name]);
        let sent = shell.send(&[name]);
        assert!(sent.2.contains("a\u{fffd}]0;title\u{fffd}\u{fffd}31m\u{fffd}.ndjson"), "{sent:?}");
        for (_, stdout, stderr) in [sent, outcome(other.output().expect("the program"))] {
            let output = stdout + &stderr;
            assert!(!output.contains(|c: char| c.is_control() && c != '\n'), "{output:?}");
        }
    }
    // A name that looks like an argument.
    let mut command = shell.command(&["--\u{1b}]0;title\u{7}"]);
    let (code, _, stderr) = outcome(command.env("CLICOLOR_FORCE", "1").output().expect("the program"));
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: unexpected argument") && !stderr.contains('\u{1b}'), "{stderr:?}");
}
