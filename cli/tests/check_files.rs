//! Tests of `mparticle check` on valid, invalid and hostile files: output and exit codes.
//!
//! `UPDATE_GOLDEN=1 cargo test -p mparticle-cli --test check_files` rewrites `tests/cmd/check`; review the diff.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use support::process::peak_memory;
use tempfile::TempDir;

const GOOD: &str = r#"{"environment":"development","mpid":1}"#;
const INVALID: &str = r#"{"environment":"development","mpid":"x"}"#;

/// Returns the command, run in a directory.
fn check(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command
        .arg("check")
        .args(arguments)
        .current_dir(directory.path())
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// Returns the exit code, stdout and stderr.
fn run(directory: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    output(&mut check(directory, arguments))
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// Creates a directory with these files.
fn files(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).expect("a file");
    }
    directory
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn extended(mut object: Value, members: &Value) -> Value {
    let members = members.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(members);
    object
}

/// Creates a file that violates every rule once, and a list that does not end.
fn sample() -> TempDir {
    const FAR: i64 = 99_999_999_999_999;
    let event = |members: Value| {
        let data = json!({ "screen_name": "s", "timestamp_unixtime_ms": 1_700_000_000_000_i64 });
        json!({ "event_type": "screen_view", "data": extended(data, &members) })
    };
    let batch = |members: Value| {
        let batch = json!({ "environment": "development", "mpid": 1, "events": [event(json!({}))] });
        extended(batch, &members).to_string()
    };
    let with = |members: Value| batch(json!({ "events": [event(members)] }));
    let of_type = |event_type: &str, data: Value| {
        let mut data = data;
        data["timestamp_unixtime_ms"] = 1_700_000_000_000_i64.into();
        batch(json!({ "events": [{ "event_type": event_type, "data": data }] }))
    };
    let user = |value: Value| batch(json!({ "user_attributes": { "plans": value } }));
    let long = |length: usize| "é".repeat(length);
    let many: serde_json::Map<_, _> = (0..101).map(|number| (format!("a{number}"), number.into())).collect();
    let push = json!({ "push_message_token": "t", "push_message_type": "sent", "push_notification_payload": "{}",
        "action_identifier": long(101) });
    let texts = [
        batch(json!({})),
        r#"{"environment":"development","mpid":1,}"#.into(),
        batch(json!({ "x": long(600_000) })),
        user(vec![1; 200_000].into()),
        with(json!({ "screen_name": null })),
        batch(json!({ "user_identities": { "customerid": "1" } })),
        batch(json!({ "mpid": "1", "user_identities": { "email": 9_007_199_254_740_993_i64 } })),
        batch(json!({ "ip": "localhost" })),
        of_type("commerce_event", json!({})),
        batch(json!({ "environment": "production" })),
        batch(json!({ "application_info": { "application_name": "x".repeat(128_000) } })),
        of_type("custom_event", json!({ "event_name": long(257), "custom_event_type": "other" })),
        batch(json!({ "user_attributes": many })),
        batch(json!({ "user_attributes": { long(257): 1 } })),
        user(long(4097).into()),
        user(vec!["x"; 1001].into()),
        user(json!([long(513)])),
        of_type("push_message", push),
        with(json!({ "event_start_unixtime_ms": 1_523_039_002 })),
        with(json!({ "event_start_unixtime_ms": 1_523_039_002_000_000_i64 })),
        with(json!({ "event_start_unixtime_ms": FAR })),
        with(json!({ "timestamp_unixtime_ms": 20_261_231 })),
        batch(json!({ "mpid": null })),
        batch(json!({ "events": [] })),
        with(json!({ "timestamp_unixtime_ms": null })),
        with(json!({ "timestamp_unixtime_ms": FAR })),
        with(json!({ "is_opted_out": true })),
        batch(json!({ "user_attributes": { "events": [{}] } })),
        batch(json!({ "batch_id": 1 })),
        batch(json!({ "mpid": 1.0 })),
        batch(json!({ "mpid": 1e18 })),
        batch(json!({ "user_identities": { "customer_id": "null" } })),
        batch(json!({ "user_identities": { "customer_id": " u-1" } })),
        batch(json!({ "application_info": { "application_name": "a\0b" } })),
        batch(json!({ "source_request_id": "1" })),
        batch(json!({ "source_request_id": "1", "mpid": 2 })),
        batch(json!({ "user_identities": [{ "identity_type": "email", "identity": "a@example.com" }] })),
    ];
    let list = format!("[{GOOD} {GOOD}");
    files(&[("sample.ndjson", (texts.join("\n") + "\n").as_bytes()), ("a list.json", list.as_bytes())])
}

fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd/check").join(name);
    let found = found.replace(concat!('"', env!("CARGO_PKG_VERSION"), '"'), "\"[VERSION]\"");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &found).expect("a golden file");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} differs; found:\n{found}", path.display());
}

#[test]
fn reports_every_rule_in_every_format() {
    let directory = sample();
    let arguments =
        |form| ["--historical", "--environment", "development", "--format", form, "sample.ndjson", "a list.json"];
    let (code, text, summary) = run(&directory, &arguments("text"));
    assert_eq!(code, 1);
    golden("sample.txt", &text);
    golden("sample.summary", &summary);
    let (code, json, stderr) = run(&directory, &arguments("json"));
    assert_eq!((code, stderr.as_str()), (1, ""));
    golden("sample.jsonl", &json);
    let (code, sarif, stderr) = run(&directory, &arguments("sarif"));
    assert_eq!((code, stderr), (1, summary));
    golden("sample.sarif", &sarif);

    // The sample has each rule that SARIF lists, except for truncated lists, two that only `send` reports, and two about events
    // without a time, which are errors in historical data.
    let sarif: Value = serde_json::from_str(&sarif).expect("JSON");
    let run = &sarif["runs"][0];
    let found: Vec<_> = run["results"].as_array().expect("results").iter().map(|result| &result["ruleId"]).collect();
    for rule in run["tool"]["driver"]["rules"].as_array().expect("rules") {
        assert!(
            found.contains(&&rule["id"])
                || ["omitted", "csv", "batch", "without-time", "repeated-batch"].map(Value::from).contains(&rule["id"]),
            "{rule}"
        );
    }
    assert_eq!(found.len(), json.lines().count() - 1, "as many as in JSON, which has a summary in addition");
    assert_eq!(found.len(), text.lines().filter(|line| line.contains("ndjson:") || line.contains("json:")).count());
}

#[test]
fn locates_errors_of_invalid_and_hostile_files() {
    let objects = "{\"a\":".repeat(50_000);
    let digits = format!(r#"{{"environment":"development","mpid":1{}}}"#, "0".repeat(400));
    let table: [(&str, &[u8], &str, &str); 16] = [
        (
            "latin-1",
            b"{\"environment\":\"\xe9\"}",
            "1:17  error[json]  invalid UTF-8, perhaps another encoding such as Latin-1; convert the file to UTF-8",
            "    {\"environment\":\"\u{fffd}\"}",
        ),
        ("utf-16", b"\xff\xfe7\0", "1:1  error[type]  expected an object, found 7", "    7"),
        ("nul", b"{\"environment\":\0}", "1:16  error[json]  expected value", "    {\"environment\":\u{fffd}}"),
        (
            "nul in a text",
            b"{\"environment\":\"\0\"}",
            "1:17  error[json]  control character (\\u0000-\\u001F) found while parsing a string",
            "    {\"environment\":\"\u{fffd}\"}",
        ),
        (
            "surrogate",
            br#"{"environment":"\ud800"}"#,
            "1:23  error[json]  unexpected end of hex escape",
            r#"    {"environment":"\ud800"}"#,
        ),
        (
            "oversized",
            br#"{"environment":1e999}"#,
            "1:20  error[json]  number out of range",
            "    {\"environment\":1e999}",
        ),
        ("digits", digits.as_bytes(), "1:437  error[json]  number out of range", ""),
        ("deep", objects.as_bytes(), "1:636  error[json]  recursion limit exceeded", ""),
        (
            "twice",
            br#"{"environment":"development","mpid":1,"mpid":2}"#,
            "1:44  error[json]  duplicate name \"mpid\" in an object",
            r#"    …nvironment":"development","mpid":1,"mpid":2}"#,
        ),
        ("cut", br#"{"environment":"development""#, "1:29  error[json]  EOF while parsing an object", ""),
        ("scalar", b"7", "1:1  error[type]  expected an object, found 7", "    7"),
        (
            "crlf",
            b"{\"environment\":\"development\",\"mpid\":1}\r\n7\r\n",
            "2:1  error[type]  expected an object, found 7",
            "    7",
        ),
        ("mark", b"\xef\xbb\xbf7", "1:1  error[type]  expected an object, found 7", "    7"),
        ("csv", b"mpid,email\n", "1:1  error[json]  expected value", "    mpid,email"),
        (
            "list.json",
            b"[{\"environment\":\"development\",\"mpid\":1}",
            "1:40  error[layout]  the file ends inside of a list; values may be missing",
            "",
        ),
        ("esc", b"\x1b[2J", "1:1  error[json]  expected value", "    \u{fffd}[2J"),
    ];
    for (name, bytes, message, line) in table {
        let directory = files(&[(name, bytes)]);
        let (code, stdout, stderr) = run(&directory, &[name]);
        assert_eq!(code, 1, "{name}: {stdout}{stderr}");
        let expected = format!("{name}:{message}\n{line}");
        assert!(stdout.contains(&expected), "{name}: {stdout}");
        assert!(!stdout.contains('\u{1b}') && stderr.contains("1 error"), "{name}: {stderr}");
        assert!(stdout.lines().all(|line| line.chars().count() < 150), "{name}: {stdout}");
    }
}

#[test]
fn accepts_valid_and_empty_files() {
    let pretty = "{\r\n  \"environment\": \"development\",\r\n  \"mpid\": 1\r\n}\r\n";
    let lines = format!("\u{feff}{GOOD}\r\n\r\n{GOOD}\r\n");
    let packed = zstd::encode_all(lines.as_bytes(), 1).expect("memory");
    let table: [(&str, &[u8], &str); 6] = [
        ("empty", b"", "1 file, 0 batches, 0 events: 0 errors, 0 warnings\nthere is nothing to send\n"),
        ("list", b"[]", "1 file, 0 batches, 0 events: 0 errors, 0 warnings\nthere is nothing to send\n"),
        ("pretty", pretty.as_bytes(), "1 file, 1 batch, 0 events: 0 errors, 0 warnings\nit would be sent\n"),
        ("lines", lines.as_bytes(), "1 file, 2 batches, 0 events: 0 errors, 0 warnings\nall would be sent\n"),
        (
            "no.known.extension",
            &gzip(lines.as_bytes()),
            "1 file, 2 batches, 0 events: 0 errors, 0 warnings\nall would be sent\n",
        ),
        ("zstd", &packed, "1 file, 2 batches, 0 events: 0 errors, 0 warnings\nall would be sent\n"),
    ];
    for (name, bytes, summary) in table {
        let directory = files(&[(name, bytes)]);
        assert_eq!(run(&directory, &[name]), (0, String::new(), summary.into()), "{name}");
        let mut child =
            check(&directory, &["-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        child.stdin.take().expect("a pipe").write_all(bytes).expect("a reader");
        let output = child.wait_with_output().expect("the program");
        assert_eq!(String::from_utf8_lossy(&output.stderr), summary, "{name} on stdin");
    }
}

#[test]
fn checks_the_other_files_if_one_cannot_be_read() {
    let text: String = (0..20_000).fold(String::new(), |mut text, number| {
        writeln!(text, r#"{{"environment":"development","mpid":{}}}"#, (number + 1) * 7_919).expect("memory");
        text
    });
    let whole = gzip(text.as_bytes());
    let directory = files(&[("cut.gz", &whole[..whole.len() / 2]), ("wrong", INVALID.as_bytes())]);
    fs::create_dir(directory.path().join("folder")).expect("a directory");
    let (code, stdout, stderr) = run(&directory, &["missing", "folder", "cut.gz", "wrong"]);
    assert_eq!(code, 4);
    assert!(stdout.starts_with("wrong:1:37  error[type]  /mpid  expected a whole number"), "{stdout}");
    let mut lines = stderr.lines();
    let mut next = || lines.next().expect("a line");
    assert!(next().starts_with("error: cannot read missing: "), "{stderr}");
    assert_eq!(next(), "error: cannot read folder: is a directory");
    let cut = next();
    let line = cut.strip_prefix("error: cannot read cut.gz beyond ").and_then(|rest| rest.split(':').next());
    let line: u64 = line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{cut}"));
    assert!((5_000..15_000).contains(&line), "{cut}");
    let counts = format!("4 files, {line} batches, 0 events: 1 error, 0 warnings, 3 files that could not be read");
    assert_eq!(next(), counts);
    assert!(stderr.ends_with("\nnot all input could be read\n"), "{stderr}");

    let (code, stdout, stderr) = run(&directory, &["--json", "missing", "wrong"]);
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((code, lines.len()), (4, 3), "{stderr}");
    assert_eq!((&lines[0]["rule"], &lines[0]["file"]), (&"unreadable".into(), &"missing".into()));
    assert_eq!((&lines[2]["summary"]["unreadable"], &lines[2]["summary"]["errors"]), (&1.into(), &1.into()));

    let (code, stdout, _) = run(&directory, &["--format", "sarif", "missing"]);
    let sarif: Value = serde_json::from_str(&stdout).expect("JSON");
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!((code, &invocation["executionSuccessful"]), (4, &false.into()));
    assert_eq!(invocation["toolExecutionNotifications"][0]["descriptor"]["id"], "unreadable");
}

/// Returns the peak memory of the program in KiB after reading the output of `feed`, and its stdout.
#[cfg(target_os = "linux")]
fn memory(directory: &TempDir, arguments: &[&str], feed: impl FnOnce(&mut dyn Write)) -> (u64, String) {
    let mut command = check(directory, arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    feed(&mut stdin);
    let peak = peak_memory(&child).expect("the program waits for more input") / 1024;
    drop(stdin);
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    assert_eq!(child.wait().expect("an end").code(), Some(1), "{stdout}");
    (peak, stdout)
}

#[cfg(target_os = "linux")]
const MAX_KIB: u64 = 64 * 1024;

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_a_gigabyte_takes_little_memory() {
    let directory = files(&[]);
    for head in ["{\"a\":\"", "[{\"a\":\"", "{\n\"a\":\""] {
        // A debug build is slow, and reads less.
        let pieces = if cfg!(debug_assertions) { 128 } else { 1024 };
        let (peak, stdout) = memory(&directory, &["-"], |stdin| {
            let piece = vec![b'x'; 1 << 20];
            stdin.write_all(head.as_bytes()).expect("a reader");
            (0..pieces).for_each(|_| stdin.write_all(&piece).expect("a reader"));
        });
        assert!(peak < MAX_KIB, "{peak} KiB");
        let bytes = (pieces << 20) + head.len() - usize::from(head.starts_with('['));
        assert!(stdout.contains(&format!("error[text-bytes]  {bytes} bytes, too large for a batch")), "{stdout}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_decompression_bomb_takes_little_memory() {
    let directory = files(&[]);
    let bytes = if cfg!(debug_assertions) { 1 << 27 } else { 1 << 30 };
    let pack = |bytes: &mut dyn Read| zstd::encode_all(bytes, 1).expect("memory");
    let blank = pack(&mut std::io::repeat(b' ').take(bytes));
    let long = pack(&mut b"{\"a\":\"".chain(std::io::repeat(b'x').take(bytes)));
    // A skippable frame larger than the pipe and the buffers: once it is written, the bomb has been read.
    let rest = [&0x184d_2a50_u32.to_le_bytes()[..], &(1_u32 << 20).to_le_bytes(), &vec![0; 1 << 20]].concat();
    for (bomb, expected) in [([blank, pack(&mut &b"\n7"[..])].concat(), "found 7"), (long, "text-bytes")] {
        assert!(bomb.len() < 200_000, "{}", bomb.len());
        let (peak, stdout) = memory(&directory, &["-"], |stdin| {
            stdin.write_all(&bomb).and_then(|()| stdin.write_all(&rest)).expect("a reader");
        });
        assert!(peak < MAX_KIB && stdout.contains(expected), "{peak} KiB: {stdout}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_million_ids_take_little_memory() {
    let directory = files(&[]);
    // A debug build is slow, and reads less. A unit test of the table has its size.
    let batches = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let (peak, stdout) = memory(&directory, &["-"], |stdin| {
        for number in 0..batches {
            let batch = format!(r#"{{"environment":"development","mpid":1,"source_request_id":"{number}"}}"#);
            writeln!(stdin, "{batch}").expect("a reader");
        }
        // More than the pipe and the buffers hold, so that the batches have been read.
        let blank = vec![b' '; 1 << 20];
        writeln!(stdin, r#"{{"environment":"development","mpid":2,"source_request_id":"0"}}"#).expect("a reader");
        stdin.write_all(&[&blank[..], b"7\n", &blank].concat()).expect("a reader");
    });
    assert!(peak < MAX_KIB, "{peak} KiB");
    assert!(stdout.contains("warning[repeated-id]") && stdout.contains(" at -:1:1;"), "{stdout}");
}

#[test]
fn lists_diagnostics_up_to_the_limit_and_counts_the_rest() {
    let directory = files(&[("wrong", format!("{INVALID}\n").repeat(6_000).as_bytes())]);
    let listed = |arguments: &[&str]| {
        let (code, stdout, stderr) = run(&directory, arguments);
        assert_eq!(code, 1);
        (stdout.lines().filter(|line| line.contains("whole number of 64 bits")).count(), stderr)
    };
    let (count, stderr) = listed(&["wrong"]);
    assert_eq!(count, 1000);
    assert!(stderr.starts_with("and 5000 more, not listed\n1 file, 6000 batches"), "{stderr}");
    assert_eq!(listed(&["wrong", "--max-diagnostics", "2"]).0, 2);
    assert_eq!(listed(&["wrong", "--max-diagnostics", "7000"]).0, 6000);
    let members: String = (0..101).fold(String::new(), |members, number| format!(r#"{members},"x{number}":1"#));
    let many = files(&[("many", format!(r#"{{"environment":"development","mpid":1{members}}}"#).as_bytes())]);
    let (_, stdout, _) = run(&many, &["many"]);
    assert_eq!(
        (stdout.matches("[unknown-field]").count(), stdout.matches("warning[omitted]").count()),
        (100, 1),
        "{stdout}"
    );
    let (count, stderr) = listed(&["wrong", "--quiet"]);
    assert_eq!(count, 0);
    assert!(stderr.starts_with("1 file, 6000 batches"), "{stderr}");
    assert_eq!(listed(&["wrong", "--json"]).0, 6000);
    assert_eq!(listed(&["wrong", "--format", "sarif", "--max-diagnostics", "5500"]).0, 5000);
    let (_, stdout, _) = run(&directory, &["wrong", "--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&stdout).expect("JSON");
    let notification = &sarif["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(notification["message"]["text"], "1000 more, not listed");
}

#[test]
fn warnings_fail_only_with_strict() {
    let directory = files(&[("anonymous", br#"{"environment":"development"}"#)]);
    assert_eq!(run(&directory, &["anonymous"]).0, 0);
    assert_eq!(run(&directory, &["anonymous", "--strict"]).0, 1);
    assert_eq!(run(&directory, &["anonymous", "--environment", "production"]).0, 1);
    assert_eq!(run(&directory, &["anonymous", "--environment", "staging"]).0, 2);
    assert_eq!(run(&directory, &[]).0, 2);
}

#[test]
fn colours_only_terminals() {
    let directory = files(&[("wrong", INVALID.as_bytes())]);
    let coloured = |variables: &[(&str, &str)]| {
        let (_, stdout, _) = output(check(&directory, &["wrong"]).envs(variables.iter().copied()));
        stdout.contains("\u{1b}[1m\u{1b}[31merror[type]\u{1b}[0m")
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn exit_code_and_summary_stay_the_same_when_stdout_is_closed() {
    let directory = files(&[("wrong", format!("{INVALID}\n").repeat(20_000).as_bytes()), ("right", GOOD.as_bytes())]);
    let unreadable = ["wrong", "missing"];
    for (arguments, code) in [
        (&["wrong", "--max-diagnostics", "20000"][..], 1),
        (&["wrong", "--json"], 1),
        (&["wrong", "--format", "sarif"], 1),
        (&["wrong", "--fix", "-"], 1),
        (&["right", "--fix", "-"], 0),
        (&unreadable, 4),
    ] {
        let (open_code, _, open_stderr) = run(&directory, arguments);
        let mut command = check(&directory, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), open_code), (Some(code), code), "{arguments:?}: {stderr}");
        assert_eq!(stderr, open_stderr, "{arguments:?}");
    }
}

const FIXABLE: &str =
    r#"{"environment":"development","user_identities":{"customerid":9007199254740993},"mpid":-9223372036854775808}"#;
const FIXED: &str =
    r#"{"environment":"development","user_identities":{"customer_id":"9007199254740993"},"mpid":-9223372036854775808}"#;

#[cfg(target_os = "linux")]
#[test]
fn fixes_even_if_stderr_cannot_be_written() {
    let directory = files(&[("a", FIXABLE.as_bytes())]);
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux");
    let status = check(&directory, &["--fix", "fixed", "a", "missing"]).stderr(full).status().expect("the program");
    assert_eq!(status.code(), Some(4));
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux");
    let status = check(&directory, &["--fix", "fixed", "a"]).stderr(full).status().expect("the program");
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_to_string(directory.path().join("fixed")).expect("a file"), format!("{FIXED}\n"));
}

#[test]
fn fix_writes_every_batch_and_lists_the_fixes() {
    let text = format!("{GOOD}\r\n\n{FIXABLE}\n{{\"environment\":\n{INVALID}");
    let directory =
        files(&[("a.ndjson", text.as_bytes()), ("list.json.gz", &gzip(format!("[{GOOD},\n{FIXABLE}]").as_bytes()))]);
    let (code, stdout, stderr) = run(&directory, &["--fix", "fixed", "a.ndjson", "list.json.gz"]);
    let written = fs::read_to_string(directory.path().join("fixed")).expect("a file");
    assert_eq!(written, format!("{GOOD}\n{FIXED}\n{{\"environment\":\n{INVALID}\n{GOOD}\n{FIXED}\n"));
    assert_eq!(code, 1);
    let expected = "a.ndjson:3:49  /user_identities/customerid  renamed to \"customer_id\"
a.ndjson:3:62  /user_identities/customer_id  9007199254740993 quoted
list.json.gz:2:49  /user_identities/customerid  renamed to \"customer_id\"
list.json.gz:2:62  /user_identities/customer_id  9007199254740993 quoted
2 files, 6 batches, 0 events: 2 errors, 0 warnings
  error    json        1
  error    type        1
4 fixes applied
4 would be sent, 2 would not
";
    assert_eq!(stderr, expected);
    // Remaining diagnostics refer to the written file.
    assert!(stdout.starts_with("fixed:3:16  error[json]  EOF"), "{stdout}");
    assert!(stdout.contains("\nfixed:4:37  error[type]  /mpid"), "{stdout}");
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 3, "no temporary file is left");

    // Fixing the output again, to a pipe, changes nothing.
    let (_, again, stderr) = run(&directory, &["--fix", "-", "fixed"]);
    assert_eq!(again, written);
    assert!(stderr.contains("\n0 fixes applied\n"), "{stderr}");
}

#[test]
fn fix_omits_and_counts_texts_that_cannot_be_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let directory = files(&[("list", format!("[{GOOD},{long},{GOOD} {GOOD}]").as_bytes())]);
    let (code, stdout, stderr) = run(&directory, &["--fix", "fixed", "list"]);
    assert_eq!(code, 1);
    assert_eq!(fs::read_to_string(directory.path().join("fixed")).expect("a file"), format!("{GOOD}\n").repeat(3));
    assert!(stdout.contains("list:1:41  error[text-bytes]") && stdout.contains("warning[layout]"), "{stdout}");
    assert!(stderr.contains("\n1 text omitted, which could not be read\n"), "{stderr}");
}

#[test]
fn fix_never_overwrites_an_input_nor_writes_an_incomplete_file() {
    let directory = files(&[("a", FIXABLE.as_bytes()), ("there", b"before")]);
    let (code, _, stderr) = run(&directory, &["--fix", "./a", "a"]);
    assert_eq!((code, stderr.as_str()), (2, "error: --fix cannot write to an input file: ./a\n"));
    assert_eq!(fs::read_to_string(directory.path().join("a")).expect("a file"), FIXABLE);
    let (code, _, stderr) = run(&directory, &["--fix", "no/such/folder", "a"]);
    assert_eq!(code, 4);
    assert!(stderr.starts_with("error: cannot write no/such/folder: "), "{stderr}");
    assert_eq!(run(&directory, &["--fix", ".", "a"]).0, 4);
    assert_eq!(run(&directory, &["--fix", "-", "--json", "a"]).0, 2);
    let (code, _, stderr) = run(&directory, &["--fix", "there", "a", "missing"]);
    assert_eq!((code, fs::read_to_string(directory.path().join("there")).expect("a file")), (4, "before".into()));
    assert!(stderr.contains("\nthere was not written, since not all input could be read\n"), "{stderr}");
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 2, "no temporary file is left");
    let (code, ..) = run(&directory, &["--fix", "there", "a"]);
    assert_eq!((code, fs::read_to_string(directory.path().join("there")).expect("a file")), (0, format!("{FIXED}\n")));
}

/// The output is readable only by users who can read every input.
#[cfg(unix)]
#[test]
fn the_fixed_file_has_the_common_mode_of_the_inputs() {
    use std::os::unix::fs::PermissionsExt;
    let directory = files(&[("a", FIXABLE.as_bytes()), ("b", FIXABLE.as_bytes()), ("c", FIXABLE.as_bytes())]);
    let path = |name| directory.path().join(name);
    for (name, mode) in [("a", 0o644), ("b", 0o640), ("c", 0o604)] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    for (inputs, mode) in [(&["a"][..], 0o644), (&["a", "b"], 0o640), (&["a", "b", "c"], 0o600), (&["a", "-"], 0o600)] {
        assert_eq!(run(&directory, &[&["--fix", "fixed"], inputs].concat()).0, 0);
        assert_eq!(fs::metadata(path("fixed")).expect("a file").permissions().mode() & 0o777, mode, "{inputs:?}");
    }
}

/// Returns whether the program removes its file after SIGHUP: not if the tests run under `nohup`, or on systems that do not show it.
#[cfg(unix)]
fn handles_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 0))
}

#[cfg(unix)]
#[test]
fn a_fix_that_is_broken_off_leaves_no_file() {
    let directory = files(&[("wrong", format!("{FIXABLE}\n").as_bytes())]);
    let names = || {
        let entries = directory.path().read_dir().expect("a directory");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("a file").file_name()).collect();
        names.sort();
        names
    };
    let unfinished = || names().iter().filter(|name| name.to_string_lossy().ends_with(".unfinished")).count();
    let signals = [("HUP", Some(129), 0), ("INT", Some(130), 0), ("TERM", Some(143), 0), ("KILL", None, 1)];
    for (signal_name, code, left) in signals.into_iter().skip(usize::from(!handles_hangup())) {
        let mut command = check(&directory, &["--fix", "out", "-"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(FIXABLE.as_bytes()).expect("a reader");
        while unfinished() == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // The handler is ready soon after the file exists.
        std::thread::sleep(std::time::Duration::from_millis(300));
        support::process::signal(&child, signal_name);
        assert_eq!(child.wait().expect("an end").code(), code, "{signal_name}");
        assert_eq!(unfinished(), left, "{signal_name}");
    }
    // The next run removes what a killed one has left, but not the file of a running one.
    let mut running = check(&directory, &["--fix", "out", "-"]).stdin(Stdio::piped()).spawn().expect("the program");
    while unfinished() != 1 || !names().contains(&format!("out.{}.unfinished", running.id()).into()) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(run(&directory, &["--fix", "out", "wrong"]).0, 0);
    assert_eq!((unfinished(), names().contains(&"out".into())), (1, true));
    drop(running.stdin.take());
    running.wait().expect("an end");
    assert_eq!(unfinished(), 0);
}

#[test]
fn a_list_that_is_read_in_part_is_not_said_to_be_sent() {
    let directory = files(&[("list.json", format!("[{GOOD}").as_bytes()), ("right", GOOD.as_bytes())]);
    for arguments in [&["list.json"][..], &["list.json", "right"], &["--fix", "out", "list.json", "right"]] {
        let (code, _, stderr) = run(&directory, arguments);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.ends_with("\nnot all input could be read\n"), "{stderr}");
    }
}

#[test]
fn checks_and_fixes_the_batches_of_a_rejects_file() {
    let line = format!(r#"{{"line":7,"column":1,"diagnostics":[{{"rule":"x","message":"m"}}],"batch":{FIXABLE}}}"#);
    let directory = files(&[("a.rejects.ndjson", line.as_bytes())]);
    let (code, stdout, _) = run(&directory, &["a.rejects.ndjson"]);
    let column = line.find("\"customerid\"").expect("a field") + 1;
    assert!(code == 1 && stdout.starts_with(&format!("a.rejects.ndjson:1:{column}  error")), "{stdout}");
    let (code, _, stderr) = run(&directory, &["--fix", "out", "a.rejects.ndjson"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(fs::read_to_string(directory.path().join("out")).expect("a file"), format!("{FIXED}\n"));
}
