//! `mparticle check`, `event` and `send` on data that programs write by accident.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Creates a directory with these files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file");
    }
    directory
}

/// Returns the exit code, stdout and stderr.
fn run(directory: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    let output = command.args(arguments).current_dir(directory.path()).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = output.expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// Returns the line, the severity, the rule and the pointer of each diagnostic of a file.
fn check(text: &str) -> Vec<(u64, String, String, String)> {
    let directory = files(&[("a.ndjson", text)]);
    let (_, stdout, _) = run(&directory, &["check", "--json", "a.ndjson"]);
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let part = |line: &Value, name: &str| line[name].as_str().expect("text").to_owned();
    let found = lines.filter(|line| line.get("summary").is_none());
    found
        .map(|line| {
            let number = line["line"].as_u64().expect("a line");
            (number, part(&line, "severity"), part(&line, "rule"), part(&line, "pointer"))
        })
        .collect()
}

fn rules(text: &str) -> Vec<(u64, String)> {
    check(text).into_iter().map(|(line, _, rule, _)| (line, rule)).collect()
}

/// Returns the file after `check --fix`.
fn fixed(text: &str) -> String {
    let directory = files(&[("a.ndjson", text)]);
    run(&directory, &["check", "--fix", "fixed", "a.ndjson"]);
    fs::read_to_string(directory.path().join("fixed")).expect("a file")
}

const TIME: i64 = 1_767_225_600_000;

/// Returns a batch with one event, and these members.
fn batch(members: &Value) -> String {
    let event = json!({ "event_type": "custom_event", "data": {
        "event_name": "conversion", "custom_event_type": "transaction", "timestamp_unixtime_ms": TIME } });
    let mut batch =
        json!({ "environment": "development", "user_identities": { "customer_id": "u-1" }, "events": [event] });
    batch.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    batch.to_string()
}

fn lines(batches: &[String]) -> String {
    batches.join("\n") + "\n"
}

#[test]
fn sample_batch_of_the_service_has_no_errors() {
    let sample = include_str!("cmd/check_data/service_sample.json");
    let found = check(sample);
    assert!(found.iter().all(|(_, severity, ..)| severity == "warning"), "{found:?}");
    let mut rules: Vec<_> = found.into_iter().map(|(_, _, rule, _)| rule).collect();
    rules.sort();
    rules.dedup();
    assert_eq!(rules, ["placeholder-identity", "read-only"], "an output of the service, with advertising ids of zeros");
}

#[test]
fn one_id_for_different_batches_is_a_warning_with_both_places() {
    let text = lines(&[
        batch(&json!({ "source_request_id": "u-1" })),
        batch(&json!({ "source_request_id": "u-1", "ip": "192.0.2.1" })),
        batch(&json!({ "source_request_id": "u-2" })),
        batch(&json!({ "source_request_id": "u-2" })),
    ]);
    let other = lines(&[batch(&json!({ "source_request_id": "u-2", "ip": "192.0.2.2" }))]);
    let directory = files(&[("a.ndjson", &text), ("b.ndjson", &other)]);
    let (code, stdout, stderr) = run(&directory, &["check", "a.ndjson", "b.ndjson"]);
    assert_eq!(code, 0, "{stdout}");
    let found: Vec<_> = stdout.lines().filter(|line| line.contains("[repeated-id]")).collect();
    assert_eq!(found.len(), 2, "{stdout}");
    assert!(found[0].starts_with("a.ndjson:2:") && found[0].contains("at a.ndjson:1:1;"), "{stdout}");
    assert!(found[1].starts_with("b.ndjson:1:") && found[1].contains("at a.ndjson:3:1;"), "{stdout}");
    assert!(stderr.contains("warning  repeated-id        2"), "{stderr}");
    let (code, _, stderr) = run(&directory, &["send", "--dry-run", "a.ndjson", "b.ndjson"]);
    assert_eq!(code, 0, "{stderr}");
    let counted: Vec<_> = stderr.lines().filter(|line| line.contains("with the id of a different batch")).collect();
    assert!(
        counted.len() == 2
            && counted[0].starts_with("a.ndjson: 1 batch ")
            && counted[1].starts_with("b.ndjson: 1 batch "),
        "{stderr}"
    );
    let (_, stdout, _) = run(&directory, &["send", "--dry-run", "--json", "a.ndjson"]);
    let summary: Value = serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!(summary["repeated_ids"], 1);
}

#[test]
fn same_batch_without_a_time_in_two_files_is_a_warning() {
    let timeless = batch(&json!({})).replace(&format!(",\"timestamp_unixtime_ms\":{TIME}"), "") + "\n";
    let timed = batch(&json!({})) + "\n";
    let directory = files(&[("a", &timeless), ("b", &timeless), ("c", &timed), ("d", &timed)]);
    let (_, stdout, _) = run(&directory, &["check", "a", "b", "c", "d"]);
    let found: Vec<_> = stdout.lines().filter(|line| line.contains("[repeated-batch]")).collect();
    assert!(found.len() == 1 && found[0].starts_with("b:1:1") && found[0].contains("at a:1:1;"), "{stdout}");
    let (_, _, stderr) = run(&directory, &["send", "--dry-run", "a", "b"]);
    let counted = "\nb: 1 batch without times that are at the same position as an equal one, which the service drops;";
    assert!(stderr.contains(counted) && !stderr.contains("different batch"), "{stderr}");
}

#[test]
fn placeholder_identities_are_warnings_and_identify_nobody() {
    let id = |id: &str| batch(&json!({ "user_identities": { "customer_id": id } }));
    let placeholders = ["", "null", "undefined", "None", "NaN", "[object Object]", " NULL ", "unknown"];
    let text = lines(&placeholders.map(id));
    let expected: Vec<_> =
        (1..=8).flat_map(|line| ["no-identity", "placeholder-identity"].map(|rule| (line, rule.to_owned()))).collect();
    assert_eq!(rules(&text), expected);
    assert_eq!(rules(&id(" u-17 ")), [(1, "identity-blanks".into())]);
    let zeros = json!({ "user_identities": {}, "device_info": {
        "platform": "iOS", "ios_advertising_id": "00000000-0000-0000-0000-000000000000" } });
    assert_eq!(rules(&batch(&zeros)), [(1, "no-identity".into()), (1, "placeholder-identity".into())]);

    let directory = files(&[]);
    let event =
        |arguments: [&str; 2]| run(&directory, &[&["event", "screen", "Home", "--dry-run"], &arguments[..]].concat());
    for arguments in [["--customer-id", "null"], ["--email", "none"]] {
        let (code, _, stderr) = event(arguments);
        assert!(code == 0 && stderr.contains("is a placeholder"), "{stderr}");
    }
    for arguments in [["--email", ""], ["--mpid", "0"]] {
        assert_eq!(event(arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn events_without_a_time_are_reported_once_per_file() {
    let timeless = batch(&json!({})).replace(&format!(",\"timestamp_unixtime_ms\":{TIME}"), "");
    assert_eq!(rules(&lines(&[batch(&json!({})), timeless.clone(), timeless])), [(2, "without-time".into())]);
    let invalid = batch(&json!({ "ip": "x" })).replace(&format!(",\"timestamp_unixtime_ms\":{TIME}"), "");
    assert_eq!(rules(&invalid), [(1, "without-time".into()), (1, "value".into())]);
    let directory = files(&[("a", &invalid)]);
    let (_, stdout, _) = run(&directory, &["check", "--historical", "a"]);
    assert!(stdout.contains("historical-without-time") && !stdout.contains("[without-time]"), "{stdout}");
    let with_time = batch(&json!({ "timestamp_unixtime_ms": TIME }));
    let found = check(&with_time);
    assert_eq!(found, [(1, "warning".into(), "read-only".into(), "/timestamp_unixtime_ms".into())]);
}

#[test]
fn name_of_a_screen_view_in_the_wrong_field_is_named() {
    let screen =
        json!({ "event_type": "screen_view", "data": { "event_name": "A view", "timestamp_unixtime_ms": TIME } });
    let directory = files(&[("a", &batch(&json!({ "events": [screen] })))]);
    let (_, stdout, _) = run(&directory, &["check", "a"]);
    assert!(stdout.contains("did you mean \"screen_name\"?"), "{stdout}");
}

#[test]
fn fix_writes_digits_case_and_names() {
    let revenuecat = json!({
        "mpid": "12345678", "application_info": { "os": "iOS" }, "user_identities": { "customerid": 4711, "other2": "o-1" },
        "device_info": { "platform": "ios", "screen_height": "900" },
    });
    let expected = json!({
        "mpid": 12_345_678, "application_info": { "os": "IOS" }, "user_identities": { "customer_id": "4711", "other_id_2": "o-1" },
        "device_info": { "platform": "iOS", "screen_height": 900 },
    });
    let written: Value = serde_json::from_str(&fixed(&batch(&revenuecat))).expect("JSON");
    assert_eq!(written, serde_json::from_str::<Value>(&batch(&expected)).expect("JSON"));
}

#[test]
fn partner_samples_name_the_right_field() {
    let talonone = batch(&json!({ "user_identities": { "customer_id": "1", "email_address": "a@b", "other5": "x" } }));
    let antavo =
        batch(&json!({ "user_attributes": { "score": 1, "events": [{ "event_type": "custom_event", "data": {} }] } }));
    let script = batch(&json!({ "events": [{ "event_type": "custom_event", "data": {
        "event_name": "P", "custom_event_type": "other", "timestamp_unixtime_ms": TIME, "user_attribute_name": "P", "new": "true" } }] }));
    let directory = files(&[("talonone", &talonone), ("antavo", &antavo), ("script", &script)]);
    let (code, stdout, _) = run(&directory, &["check", "talonone", "antavo", "script"]);
    assert_eq!(code, 1);
    for expected in [
        "/user_identities/other5  unknown field, did you mean \"other_id_5\"?",
        "/user_identities/email_address  unknown field, did you mean \"email\"?",
        "error[misplaced-field]  /user_attributes/events  belongs to the batch",
        "error[other-event-type]  /events/0/data/user_attribute_name  is a field of user_attribute_change, not of custom_event",
        "/events/0/data/new  is a field of user_attribute_change and user_identity_change, not of custom_event",
    ] {
        assert!(stdout.contains(expected), "{expected}: {stdout}");
    }
}

#[test]
fn floats_are_fixed_if_no_digit_is_lost() {
    let at = |time: &str| batch(&json!({})).replace(&TIME.to_string(), time);
    let mpid = |mpid: &str| batch(&json!({ "mpid": "X" })).replace("\"X\"", mpid);
    let table = [
        (at("1694208763973.0"), Some(at("1694208763973")), "whole-number"),
        (at("1694208763972.9998"), None, "whole-number"),
        (at("1.694208763973e12"), Some(at("1694208763973")), "whole-number"),
        (at("1694208763.0"), Some(at("1694208763000")), "seconds"),
        (at("1694208763.973"), Some(at("1694208763973")), "seconds"),
        (mpid("7346244611012968448.0"), None, "lost-digits"),
        (mpid("7.346244611012969e+18"), None, "lost-digits"),
        (mpid("12.0"), Some(mpid("12")), "whole-number"),
    ];
    for (text, right, rule) in table {
        let found = check(&text);
        assert!(found.len() == 1 && (found[0].1.as_str(), found[0].2.as_str()) == ("error", rule), "{text}: {found:?}");
        assert_eq!(fixed(&text).trim_end(), right.as_ref().unwrap_or(&text), "{rule}");
        if let Some(right) = right {
            assert_eq!(check(&right), []);
        }
    }
}

#[test]
fn nul_and_utf_16_lengths_are_warnings() {
    let name = |name: &str| batch(&json!({})).replace("conversion", name);
    assert_eq!(rules(&name("a\\u0000b")), [(1, "nul".into())]);
    assert_eq!(rules(&name(&"😀".repeat(128))), []);
    assert_eq!(rules(&name(&"😀".repeat(200))), [(1, "event-name".into())]);
    assert_eq!(rules(&batch(&json!({ "user_attributes": { "$firstname": "\0" } }))), [(1, "nul".into())]);
}
