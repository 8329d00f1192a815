//! Tests of the output and the exit code of each command: the sessions of `tests/cmd`, and tests that need more than a
//! session.
//!
//! A new session is a file `tests/cmd/NAME.trycmd`, with `NAME.in/` as its directory if it needs files. Its commands have
//! the key of a mock in their environment; `TRYCMD=overwrite` records their output.

#[path = "support/sessions.rs"]
mod sessions;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mparticle::mock::{self, Fault, MockServer};
use mparticle::spool::{Endpoint, Inspector, Spool, SpoolOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the command without any credentials or address in its environment.
fn mparticle(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    for name in ["MPARTICLE_API_KEY", "MPARTICLE_API_SECRET", "MPARTICLE_POD", "MPARTICLE_BASE_URL", "MPARTICLE_CONFIG"]
    {
        command.env_remove(name);
    }
    command.env("HOME", home).env("XDG_CONFIG_HOME", "").stdin(Stdio::null());
    command
}

/// Returns the command with the key and the address of this mock.
fn mparticle_with(server: &MockServer) -> Command {
    let mut command = mparticle(Path::new("/nowhere"));
    command
        .env("MPARTICLE_API_KEY", mock::KEY)
        .env("MPARTICLE_API_SECRET", mock::SECRET)
        .env("MPARTICLE_BASE_URL", server.url());
    command
}

/// An address where no server listens.
const CLOSED_PORT: &str = "http://127.0.0.1:9";

/// Returns the exit code, stdout and stderr.
fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn sessions() {
    let (server, home) = (MockServer::start_blocking(), dir());
    sessions::sending_to(&server, home.path()).case("tests/cmd/*.trycmd").run();
}

/// Returns the names under "Commands:".
fn commands_of(path: &[&str]) -> Vec<String> {
    let (code, help, _) = run(mparticle(Path::new("/nowhere")).args(path).arg("--help"));
    assert_eq!(code, 0, "{path:?}");
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    // clap's own command.
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn help_of_a_command_is_the_same_as_its_argument() {
    let nowhere = Path::new("/nowhere");
    for command in [&[][..], &["send"], &["event", "custom"], &["spool", "list"]] {
        let (code, help, _) = run(mparticle(nowhere).arg("help").args(command));
        let (_, long, _) = run(mparticle(nowhere).args(command).arg("--help"));
        assert_eq!((code, help), (0, long), "{command:?}");
    }
    let (code, _, stderr) = run(mparticle(nowhere).args(["help", "sned"]));
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn manual_pages_keep_the_lines_of_the_examples() {
    let (nowhere, pages) = (Path::new("/nowhere"), dir());
    let (code, _, stderr) = run(mparticle(nowhere).arg("man").arg(pages.path()));
    assert_eq!(code, 0, "{stderr}");
    for command in commands_of(&[]) {
        let (_, help, _) = run(mparticle(nowhere).args([&command, "--help"]));
        let notes = &help[help.find("\nExamples:\n").expect("examples")..];
        let page = fs::read_to_string(pages.path().join(format!("mparticle-{command}.1"))).expect("a page");
        let (_, unfilled) = page.split_once("\n.SH EXTRA\n.nf\n").unwrap_or_else(|| panic!("{page}"));
        let (unfilled, _) = unfilled.split_once("\n.fi\n").expect("an end");
        // The escapes of roff, as `man` removes them.
        let shown = unfilled.replace("\\-", "-").replace("\\&", "").replace("\\*(Aq", "'").replace("\\\\", "\\");
        assert_eq!(shown.trim(), notes.trim(), "{command}");
    }
    let (_, page, _) = run(mparticle(nowhere).arg("man"));
    assert!(page.contains("\n.SH EXTRA\n.nf\nExit codes:\n"), "{page}");
    let mut names: Vec<_> = fs::read_dir(pages.path())
        .expect("pages")
        .map(|page| page.expect("a page").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert!(names.contains(&"mparticle-spool-list.1".to_owned()) && !names.iter().any(|name| name.contains("help")));
}

#[test]
fn every_command_has_a_help_session_with_examples() {
    let mut sessions = String::new();
    for entry in fs::read_dir("tests/cmd").expect("sessions") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "trycmd") {
            sessions += &fs::read_to_string(path).expect("a session");
        }
    }
    let commands = commands_of(&[]);
    assert!(commands.len() >= 6, "{commands:?}");
    for command in &commands {
        assert!(
            sessions.contains(&format!("$ mparticle {command} --help\n")),
            "no session shows the help of {command}"
        );
        let (_, help, _) = run(mparticle(Path::new("/nowhere")).args([command, "--help"]));
        assert!(help.contains(&format!("Examples:\n  mparticle {command}")), "{command}: {help}");
    }
    for command in commands_of(&["spool"]) {
        assert!(sessions.contains(&format!("$ mparticle spool {command} --help\n")), "spool {command}");
    }
}

mod profiles {
    use super::*;

    const SECRET: &str = "s3cr3t-9c41";

    /// Creates a home directory with this configuration.
    fn home(text: &str) -> TempDir {
        let home = dir();
        let config = home.path().join(".config").join("mparticle");
        fs::create_dir_all(&config).expect("a directory");
        write(&config.join("config.toml"), text);
        home
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("a file");
        #[cfg(unix)]
        set_mode(path, 0o600);
    }

    #[cfg(unix)]
    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn profile(name: &str, server: &MockServer) -> String {
        format!("[profile.{name}]\nkey = \"key-of-{name}\"\nsecret = \"{SECRET}\"\nbase_url = \"{}\"\n", server.url())
    }

    fn mock_with_key_of(name: &str) -> MockServer {
        MockServer::builder().credentials(format!("key-of-{name}"), SECRET).start_blocking()
    }

    /// The arguments of a command that sends an event.
    const SCREEN: [&str; 5] = ["event", "screen", "Home", "--mpid", "1"];

    #[test]
    fn the_profile_argument_precedes_the_environment_which_precedes_the_default_profile() {
        let (shop, default, environment) =
            (mock_with_key_of("shop"), mock_with_key_of("default"), MockServer::start_blocking());
        let home = home(&(profile("shop", &shop) + &profile("default", &default)));
        let received = || [&shop, &default, &environment].map(|server| server.stats().batches);

        let (code, _, stderr) = run(mparticle(home.path()).args(SCREEN));
        assert_eq!((code, received()), (0, [0, 1, 0]), "{stderr}");

        let (code, _, stderr) = run(mparticle_with(&environment).env("HOME", home.path()).args(SCREEN));
        assert_eq!((code, received()), (0, [0, 1, 1]), "{stderr}");

        let asked = ["--profile", "shop"];
        let (code, _, stderr) = run(mparticle_with(&environment).env("HOME", home.path()).args(SCREEN).args(asked));
        assert_eq!((code, received()), (0, [1, 1, 1]), "{stderr}");

        // An address argument overrides only the address; the key is still that of the profile.
        let url = environment.url();
        let (code, _, stderr) = run(mparticle(home.path()).args(SCREEN).args(["--url", &url]));
        assert_eq!((code, received()), (3, [1, 1, 1]), "the mock there knows another key: {stderr}");
        assert_eq!(environment.stats().refused, 1);
    }

    #[test]
    fn never_combines_the_key_of_a_profile_with_the_address_of_the_environment() {
        let default = mock_with_key_of("default");
        let home = home(&profile("default", &default));
        let url = default.url();
        let (code, _, stderr) = run(mparticle(home.path()).env("MPARTICLE_BASE_URL", url).args(SCREEN));
        assert_eq!((code, stderr.as_str()), (2, "error: MPARTICLE_API_KEY is not set\n"));
        assert_eq!(default.stats().requests, 0);
    }

    #[test]
    fn finds_the_configuration_file() {
        let server = mock_with_key_of("default");
        let elsewhere = dir();
        let path = elsewhere.path().join("mparticle").join("config.toml");
        fs::create_dir(path.parent().expect("a parent")).expect("a directory");
        write(&path, &profile("default", &server));
        let nowhere = Path::new("/nowhere");
        assert_eq!(run(mparticle(nowhere).env("MPARTICLE_CONFIG", &path).args(SCREEN)).0, 0);
        assert_eq!(run(mparticle(nowhere).env("XDG_CONFIG_HOME", elsewhere.path()).args(SCREEN)).0, 0);
        assert_eq!(server.stats().batches, 2);

        let (code, _, stderr) = run(mparticle(nowhere).args(SCREEN));
        assert_eq!(code, 2);
        let expected = "error: MPARTICLE_API_KEY is not set: set MPARTICLE_API_KEY and MPARTICLE_API_SECRET, or add the \
                    section [profile.default] to /nowhere/.config/mparticle/config.toml\n";
        assert_eq!(stderr, expected);
    }

    #[test]
    fn reports_configuration_errors_without_secrets() {
        let server = mock_with_key_of("shop");
        let right = profile("shop", &server) + &profile("test", &server);
        let large = right.clone() + &"#".repeat(65 * 1024);
        let unknown = format!("[profile.shop]\npass = \"{SECRET}\"\n");
        let table = [
            (right.as_str(), "no profile \"mine\" in FILE, which has shop, test"),
            ("", "no profile \"mine\" in FILE, which has no profiles"),
            (&large, "FILE: larger than 64 KiB, too large for a configuration file"),
            ("[profile.shop]\nsecret = s3cr3t-9c41", "FILE: line 2, column 10: invalid TOML"),
            (
                &unknown,
                "FILE: unknown field profile.shop.pass; the fields are key, secret, pod and base_url, in [profile.NAME]",
            ),
        ];
        for (text, expected) in table {
            let home = home(text);
            let file = home.path().join(".config/mparticle/config.toml");
            let (code, out, stderr) = run(mparticle(home.path()).args(SCREEN).args(["--profile", "mine"]));
            assert_eq!((code, out.as_str()), (2, ""));
            assert_eq!(stderr, format!("error: {expected}\n").replace("FILE", file.to_str().expect("UTF-8")));
            assert!(!stderr.contains(SECRET));
        }
    }

    #[cfg(unix)]
    #[test]
    fn refuses_a_configuration_file_accessible_to_others() {
        let server = mock_with_key_of("default");
        let home = home(&profile("default", &server));
        let file = home.path().join(".config/mparticle/config.toml");
        for mode in [0o640, 0o620, 0o604, 0o602, 0o610, 0o777] {
            set_mode(&file, mode);
            let (code, _, stderr) = run(mparticle(home.path()).args(SCREEN));
            let path = file.display();
            let expected = format!("error: {path} is accessible to other users; fix it with: chmod 600 {path}\n");
            assert_eq!((code, stderr), (2, expected), "{mode:o}");
        }
        assert_eq!(server.stats().requests, 0);
        set_mode(&file, 0o400);
        assert_eq!(run(mparticle(home.path()).args(SCREEN)).0, 0);
    }
}

mod event {
    use super::*;

    const NOTE: [&str; 7] = ["event", "custom", "Added Note", "--type", "user_content", "--mpid", "-1"];

    #[test]
    fn a_dry_run_prints_the_batch_that_would_be_sent() {
        let server = MockServer::start_blocking();
        let arguments = ["--attr", "length:=512", "--at", "2026-01-31T12:00:00+01:00", "--user-attr", "plan=pro"];
        let (code, printed, _) = run(mparticle_with(&server).args(NOTE).args(arguments).arg("--dry-run"));
        assert_eq!((code, server.stats().requests), (0, 0));
        let (code, result, stderr) = run(mparticle_with(&server).args(NOTE).args(arguments).arg("--json"));
        assert_eq!((code, stderr.as_str()), (0, ""));

        let mut printed: Value = serde_json::from_str(&printed).expect("JSON");
        let [mut sent]: [Value; 1] = server.batches().try_into().expect("one batch");
        let result: Value = serde_json::from_str(&result).expect("JSON");
        assert_eq!((&result["source_request_id"], &result["status"]), (&sent["source_request_id"], &json!(202)));
        for batch in [&mut printed, &mut sent] {
            batch["source_request_id"] = Value::Null;
            batch["events"][0]["data"]["source_message_id"] = Value::Null;
        }
        assert_eq!(printed, sent);
        assert_eq!(sent["events"][0]["data"]["custom_attributes"], json!({ "length": 512 }));
        assert_eq!(sent["events"][0]["data"]["timestamp_unixtime_ms"], 1_769_857_200_000_i64);
        assert_eq!((&sent["mpid"], &sent["user_attributes"]["plan"]), (&json!(-1), &json!("pro")));
    }

    #[test]
    fn retries_temporary_failures_and_reports_refusals() {
        let server =
            MockServer::builder().fault_sequence([Fault::status(503), Fault::lost_response()]).start_blocking();
        let (code, out, stderr) = run(mparticle_with(&server).args(NOTE));
        assert_eq!((code, out.as_str(), server.stats().batches), (0, "", 1), "{stderr}");
        let lines: Vec<_> = stderr.lines().collect();
        let [unavailable, interrupted, accepted] = lines[..] else { panic!("two retries: {stderr}") };
        assert!(unavailable.starts_with("the service responded 503 Service Unavailable; trying again in "), "{stderr}");
        let reason = "connection closed before a response arrived: ";
        assert!(interrupted.starts_with(reason) && interrupted.contains("; trying again in "), "{stderr}");
        assert!(accepted.starts_with("accepted: batch "), "{stderr}");

        let wrong = ["event", "purchase", "--product", "TEA,Assam", "--currency", "euro", "--mpid", "1"];
        let (code, out, stderr) = run(mparticle_with(&server).args(wrong));
        assert_eq!((code, out.as_str(), server.stats().batches), (1, "", 1), "not sent: {stderr}");

        let refusing = MockServer::builder().fault_sequence([Fault::status(400)]).start_blocking();
        let (code, _, stderr) = run(mparticle_with(&refusing).args(NOTE));
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("error: upload failed: the service responded 400 Bad Request"), "{stderr}");

        let (code, out, stderr) = run(mparticle_with(&server).env("MPARTICLE_BASE_URL", CLOSED_PORT).args(NOTE));
        assert_eq!((code, out.as_str()), (3, ""));
        let reason = "failed to connect to the service: Connection refused";
        assert!(stderr.starts_with(reason) && stderr.contains("; trying again in "), "{stderr}");
        let last = stderr.lines().last().expect("a last line");
        let count = stderr.lines().count();
        assert!(last.starts_with(&format!("error: upload failed after {count} attempts in ")), "{stderr}");
        assert!(last.contains(&format!(" s: {reason}")) && last.ends_with(" (http://127.0.0.1:9)"), "{stderr}");

        let other_key = MockServer::builder().credentials("other", "key").start_blocking();
        let (code, _, stderr) = run(mparticle_with(&other_key).args(NOTE));
        assert_eq!(code, 3, "{stderr}");
        assert!(!stderr.contains(mock::SECRET));
    }
}

mod spool {
    use super::*;

    /// Creates a spool with two records and two dead letters.
    fn filled_spool() -> (TempDir, PathBuf) {
        let dir = dir();
        let path = dir.path().join("shop");
        fill(&path);
        (dir, path)
    }

    fn fill(path: &Path) {
        let spool = Spool::open(path, SpoolOptions::new()).expect("a spool");
        let batch = |id: &str, email: &str| {
            let event = r#"{"event_type":"screen_view","data":{"screen_name":"Home"}}"#;
            format!(
                r#"{{"source_request_id":"{id}","environment":"development","user_identities":{{"email":"{email}"}},"events":[{event}]}}"#
            )
        };
        for id in ["first", "second"] {
            let batch = batch(id, "mira@shop.example");
            spool.append(Endpoint::Events, batch).expect("room").wait().expect("written");
        }
        for id in ["third", "fourth"] {
            let batch = batch(id, "tom@shop.example");
            spool.dead_letter(Endpoint::Events, batch, "the service said no").expect("room").wait().expect("written");
        }
    }

    /// Writes the fixture of `tests/cmd/spool.trycmd`.
    #[test]
    #[ignore = "writes to the source tree; `just fixtures` runs it when the fixture has to change"]
    fn write_the_fixture() {
        let path = Path::new("tests/cmd/spool.in/shop");
        let _ = fs::remove_dir_all(path);
        fill(path);
    }

    fn counts(path: &Path) -> (usize, usize) {
        let inspector = Inspector::new(path);
        (inspector.records().expect("a spool").count(), inspector.dead_letters().expect("a spool").count())
    }

    #[test]
    fn reports_damage_and_exits_with_1_until_the_spool_is_purged() {
        let (_dir, path) = filled_spool();
        let segment = path.join("00000000000000000001.log");
        let mut bytes = fs::read(&segment).expect("a segment");
        // Flips a bit in the batch of the first record.
        bytes[100] ^= 1;
        fs::write(&segment, bytes).expect("written");
        let server = MockServer::start_blocking();
        let warning = "warning: the spool is damaged in 1 place: 211 bytes cannot be read\n";
        for action in ["list", "export", "retry", "list"] {
            let (code, _, stderr) = run(mparticle_with(&server).args(["spool", action]).arg(&path));
            assert_eq!((code, stderr.contains(warning)), (1, true), "{action}: {stderr}");
        }
        assert!(!segment.exists() && path.join("00000000000000000001.log.damaged").exists());
        assert_eq!(server.batches().len(), 1);
        let (code, ..) = run(mparticle_with(&server).args(["spool", "purge", "--all", "--yes"]).arg(&path));
        let (listed, _, stderr) = run(mparticle_with(&server).args(["spool", "list"]).arg(&path));
        assert_eq!((code, listed, stderr.as_str()), (0, 0, "0 records, 0 bytes; 0 dead letters\n"));
    }

    #[test]
    fn counts_and_keeps_a_truncated_dead_letter() {
        let (_dir, path) = filled_spool();
        let file = path.join("dead-letters.ndjson");
        let text = fs::read_to_string(&file).expect("a text");
        fs::write(&file, &text[..text.len() - 10]).expect("written");
        let server = MockServer::start_blocking();
        let (code, _, stderr) = run(mparticle_with(&server).args(["spool", "retry", "--dead"]).arg(&path));
        let warning = format!("warning: 1 line without a dead letter stays in {}\n", file.display());
        let result = "sending 1 dead letter again\n".to_owned() + &warning;
        assert_eq!((code, stderr.starts_with(&result), counts(&path)), (1, true, (0, 1)), "{stderr}");
        assert_eq!(fs::read_to_string(&file).expect("a text").lines().count(), 1);
        let (code, _, stderr) = run(mparticle_with(&server).args(["spool", "list"]).arg(&path));
        assert_eq!((code, stderr.as_str()), (0, "0 records, 0 bytes; 0 dead letters, 1 line without one\n"));
        let (code, _, stderr) = run(mparticle_with(&server).args(["spool", "purge", "--dead", "--yes"]).arg(&path));
        assert_eq!((code, stderr.as_str()), (0, "removed 0 dead letters, 1 line without one\n"));
        assert_eq!(server.batches().len(), 3);
    }

    #[test]
    fn exit_codes_stay_the_same_when_stdout_is_closed() {
        let (_dir, path) = filled_spool();
        let nowhere = Path::new("/nowhere");
        let through_a_closed_pipe = |action: &[&str]| {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let mut command = mparticle(nowhere);
            command.args(action).arg(&path).stdout(writer);
            let output = command.output().expect("the program");
            (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
        };
        let actions =
            [&["spool", "list"][..], &["spool", "export"], &["spool", "list", "--dead"], &["spool", "list", "--json"]];
        for is_damaged in [false, true] {
            for action in actions {
                let (code, _, stderr) = run(mparticle(nowhere).args(action).arg(&path));
                assert_eq!(through_a_closed_pipe(action), (Some(code), stderr), "{action:?}");
                assert!(is_damaged || code == 0, "{action:?}");
            }
            if is_damaged {
                break;
            }
            let segment = fs::read_dir(&path).expect("a spool").map(|entry| entry.expect("a file").path());
            let segment = segment.into_iter().find(|path| path.extension().is_some_and(|e| e == "log"));
            let segment = segment.expect("a segment");
            let mut bytes = fs::read(&segment).expect("a segment");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(&segment, bytes).expect("a segment");
        }
        assert_eq!(through_a_closed_pipe(&["spool", "list"]).0, Some(1));
    }

    #[test]
    fn inspects_a_spool_that_a_program_has_open() {
        let (_dir, path) = filled_spool();
        let _open = Spool::open(&path, SpoolOptions::new()).expect("a spool");
        let nowhere = Path::new("/nowhere");
        let (code, lines, stderr) = run(mparticle(nowhere).args(["spool", "list", "--json"]).arg(&path));
        assert_eq!((code, stderr.as_str()), (0, "2 records, 351 bytes; 2 dead letters\n"));
        let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
        assert_eq!((&first["number"], &first["source_request_id"]), (&json!(1), &json!("first")));
        assert!(!lines.contains("shop.example"), "no user's data: {lines}");

        let server = MockServer::start_blocking();
        for action in [&["retry"][..], &["retry", "--dead"], &["purge", "--all", "--yes"]] {
            let (code, _, stderr) = run(mparticle_with(&server).arg("spool").args(action).arg(&path));
            let error = format!("error: failed to open the spool in {}: it is open already\n", path.display());
            assert_eq!((code, stderr), (4, error), "{action:?}");
        }
        assert_eq!((counts(&path), server.stats().requests), ((2, 2), 0));
    }

    #[test]
    fn retry_sends_the_records_and_with_dead_the_dead_letters() {
        let (_dir, path) = filled_spool();
        let server = MockServer::start_blocking();
        let (code, out, stderr) = run(mparticle_with(&server).args(["spool", "retry"]).arg(&path));
        assert_eq!((code, out.as_str()), (0, ""));
        assert_eq!(stderr, "2 delivered, 0 rejected, 0 expired, 0 remaining in the spool\n");
        assert_eq!(counts(&path), (0, 2));

        let (code, out, _) = run(mparticle_with(&server).args(["spool", "retry", "--dead", "--json"]).arg(&path));
        let result: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(
            (code, result),
            (0, json!({ "delivered": 2, "rejected": 0, "expired": 0, "remaining": 0, "skipped_lines": 0 }))
        );
        assert_eq!((counts(&path), server.stats().batches), ((0, 0), 4));
    }

    #[test]
    fn retry_keeps_rejected_dead_letters_and_unsent_records() {
        let (_dir, path) = filled_spool();
        let refusing = MockServer::builder().fault_rate(1.0, Fault::status(400)).start_blocking();
        let (code, _, stderr) = run(mparticle_with(&refusing).args(["spool", "retry", "--dead"]).arg(&path));
        assert_eq!((code, counts(&path)), (1, (0, 4)), "{stderr}");
        assert!(stderr.contains("batch third: ") && !stderr.contains("shop.example"), "{stderr}");

        let (_dir, path) = filled_spool();
        let other_key = MockServer::builder().credentials("other", "key").start_blocking();
        let (code, _, stderr) = run(mparticle_with(&other_key).args(["spool", "retry", "--wait", "1"]).arg(&path));
        assert_eq!((code, counts(&path)), (3, (2, 2)), "{stderr}");
        assert!(stderr.contains("error: upload failed: the service responded 403"), "{stderr}");

        let mut command = mparticle_with(&other_key);
        command.env("MPARTICLE_BASE_URL", CLOSED_PORT).args(["spool", "retry", "--wait", "1"]).arg(&path);
        let (code, _, stderr) = run(&mut command);
        assert_eq!((code, counts(&path)), (3, (2, 2)), "{stderr}");
        let reason =
            "not everything was accepted within 1 second: failed to connect to the service: Connection refused";
        assert!(stderr.starts_with(reason), "{stderr}");
    }

    #[test]
    fn purge_needs_confirmation() {
        let (_dir, path) = filled_spool();
        let nowhere = Path::new("/nowhere");
        let (code, _, stderr) = run(mparticle(nowhere).args(["spool", "purge", "--all"]).arg(&path));
        assert_eq!((code, stderr.as_str()), (2, "error: confirmation needs a terminal; use --yes to skip it\n"));
        assert_eq!(counts(&path), (2, 2));
        let (code, _, stderr) = run(mparticle(nowhere).args(["spool", "purge", "--dead", "--yes"]).arg(&path));
        assert_eq!((code, stderr.as_str(), counts(&path)), (0, "removed 2 dead letters\n", (2, 0)));
        let (code, _, stderr) = run(mparticle(nowhere).args(["spool", "purge", "--all", "--yes"]).arg(&path));
        assert_eq!((code, counts(&path)), (0, (0, 0)), "{stderr}");
        // Numbers are never reused.
        fill(&path);
        let numbers: Vec<u64> =
            Inspector::new(&path).records().expect("a spool").map(|record| record.expect("one").number).collect();
        assert_eq!(numbers, [3, 4]);
    }

    #[test]
    fn refuses_a_directory_that_is_not_a_spool() {
        let dir = dir();
        let server = MockServer::start_blocking();
        // Other programs use lock files of this name too.
        fs::write(dir.path().join("lock"), "").expect("a file");
        for action in [&["retry"][..], &["purge", "--all", "--yes"], &["list"], &["list", "--dead"], &["export"]] {
            let (code, _, stderr) = run(mparticle_with(&server).arg("spool").args(action).arg(dir.path()));
            assert_eq!(code, 2);
            assert!(stderr.starts_with("error: no spool in "), "{stderr}");
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }
}

mod shell {
    use super::*;

    #[test]
    fn every_command_has_a_manual_page() {
        let dir = dir();
        let (code, out, stderr) = run(mparticle(dir.path()).arg("man").arg(dir.path().join("man1")));
        assert_eq!((code, out.as_str(), stderr.as_str()), (0, "", ""));
        let page = |name: &str| fs::read_to_string(dir.path().join("man1").join(format!("mparticle{name}.1")));
        assert!(page("").expect("the page of the program").contains("Exit codes"));
        for command in commands_of(&[]) {
            let text = page(&format!("-{command}")).expect("a page");
            assert!(text.starts_with(".ie") && text.contains("Examples:"), "{command}: {text}");
            for below in commands_of(&[&command]) {
                assert!(page(&format!("-{command}-{below}")).is_ok(), "{command} {below}");
            }
        }
    }

    #[test]
    fn shells_accept_the_completions() {
        let dir = dir();
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let (code, script, _) = run(mparticle(dir.path()).args(["completions", shell]));
            assert_eq!(code, 0);
            assert!(script.contains("customer-id"), "{shell}");
            let path = dir.path().join(shell);
            fs::write(&path, script).expect("a file");
            // Installed shells check the syntax.
            if matches!(shell, "bash" | "zsh" | "fish")
                && let Ok(status) = Command::new(shell).arg("-n").arg(&path).status()
            {
                assert!(status.success(), "{shell}");
            }
        }
    }

    #[test]
    fn stops_quietly_when_stdout_is_closed() {
        let dir = dir();
        // Both outputs are larger than a pipe buffer.
        for arguments in [&["spec", "--strict"][..], &["spec", "--format", "yaml"]] {
            let mut child = mparticle(dir.path())
                .args(arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program");
            let mut out = child.stdout.take().expect("a pipe");
            out.read_exact(&mut [0; 100]).expect("a beginning");
            drop(out);
            let mut stderr = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
            assert_eq!((child.wait().expect("an end").code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
        }
    }
}

#[test]
fn colours_follow_the_environment() {
    let home = dir();
    let help = |variables: &[(&str, &str)]| run(mparticle(home.path()).envs(variables.to_vec()).args(["spec", "-h"])).1;
    assert!(help(&[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'), "forced");
    assert!(!help(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(!help(&[]).contains('\u{1b}'), "a pipe is not a terminal");
}

#[test]
fn spec_prints_the_document_of_the_repository() {
    let print = |arguments: &[&str]| run(mparticle(Path::new("/nowhere")).arg("spec").args(arguments));
    let yaml = fs::read_to_string("../openapi/events.yaml").expect("the document");
    assert!(print(&["--format", "yaml"]) == (0, yaml, String::new()));
    let (_, json, _) = print(&[]);
    assert_eq!(json.trim_end(), mparticle::contract::DOCUMENT.trim_end());
    let document: Value = serde_json::from_str(&json).expect("JSON");
    let version = document["info"]["version"].as_str().expect("a version");
    assert_eq!(print(&["--version"]), (0, format!("{version}\n"), String::new()));
    let strict: Value = serde_json::from_str(&print(&["--strict"]).1).expect("JSON");
    assert_ne!(strict, document);
}
