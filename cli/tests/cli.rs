//! `mparticle mock` as a person or a script starts it: what it prints, where, and how it ends.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use mparticle::{Client, Credentials, mock};
use serde_json::Value;
use support::process::signal;

fn mparticle(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    mparticle(arguments).output().expect("the program")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// A mock that runs, and its output as it comes.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = mparticle(&[&["mock"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    /// Where it listens, as a script reads it.
    fn url(&mut self) -> String {
        self.json()["listening"].as_str().expect("a URL").to_owned()
    }

    /// Where it listens, as a person reads it.
    fn told_url(&mut self) -> String {
        let mut words = BufReader::new(self.child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        words.read_line(&mut line).expect("a line");
        self.child.stderr = Some(words.into_inner());
        assert!(line.ends_with("; open it in a browser to watch\n"), "{line}");
        line.split(' ').nth(2).expect("a URL").to_owned()
    }

    /// Asks it to end, and gives the exit code and what was left to read of both outputs.
    fn end(mut self) -> (Option<i32>, String, String) {
        signal(&self.child, "TERM");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("text");
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        (self.child.wait().expect("an end").code(), stdout, stderr)
    }
}

async fn post(url: &str, body: &'static str) -> u16 {
    post_to(url, "/events", body).await
}

async fn post_to(url: &str, path: &str, body: &'static str) -> u16 {
    let request = reqwest::Client::new().post(format!("{url}{path}")).header("content-type", "application/json");
    request.basic_auth(mock::KEY, Some(mock::SECRET)).body(body).send().await.expect("an answer").status().as_u16()
}

const WRONG: &str = r#"{"environment":"prod","mpid":1,"events":[{"event_type":"opt_out","data":{}}]}"#;

#[tokio::test]
async fn as_json_there_is_one_object_a_line() {
    let mut running = Running::start(&["--json", "--fault", "503"]);
    let url = running.url();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(post(&url, WRONG).await, 503);
    assert_eq!(post(&url, WRONG).await, 400);
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(&url).build().expect("a client");
    client.upload(support::batch()).await.expect("accepted");
    assert_eq!((&running.json()["fault"], &running.json()["status"]), (&"503".into(), &400.into()));
    let accepted = running.json();
    assert_eq!(
        (&accepted["number"], &accepted["path"], &accepted["accepted"]),
        (&3.into(), &"/events".into(), &true.into())
    );
    let (code, rest, words) = running.end();
    let summary: Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!(
        summary["summary"],
        serde_json::json!({ "requests": 3, "refused": 2, "batches": 1, "events": 1, "duplicates": 0, "ignored": 0,
            "refused_batches": 0, "errors": 2, "warnings": 0, "not_printed": 0 })
    );
    assert_eq!((code, words.lines().count()), (Some(0), 1), "{words}");
}

#[tokio::test]
async fn as_text_there_is_a_line_a_request_and_one_a_violation() {
    let mut running = Running::start(&["--lenient"]);
    let url = running.told_url();
    assert_eq!(post(&url, WRONG).await, 202);
    assert_eq!(post(&url, "{\"\\u001b[31m\":1}").await, 202);
    let first = running.line();
    let (time, rest) = first.split_once(' ').expect("a time");
    assert_eq!((time.len(), rest), (12, "202 POST /events 77 bytes, 1 batches, 1 events"));
    assert_eq!(running.line(), r#"  error: /environment: expected "production" or "development", found "prod""#);
    let missing = r#"  error: /events/0/data: "is_opted_out" is missing, expected true or false (event 0, opt_out)"#;
    assert_eq!(running.line(), missing);
    running.line();
    let lines = [running.line(), running.line(), running.line()].join("\n");
    assert!(lines.contains("/\u{fffd}[31m: unknown field") && !lines.contains('\u{1b}'), "{lines}");
    let (code, rest, words) = running.end();
    let summary = "2 requests (0 refused), 2 batches, 1 events, 0 duplicates, 0 ignored, 4 errors, 1 warnings\n";
    assert_eq!((code, rest.as_str(), words.as_str()), (Some(0), "", summary));
}

const PARTLY_WRONG: &str = r#"[{"environment":"development","mpid":1},{"environment":"prod","mpid":2}]"#;

#[tokio::test]
async fn batches_refused_by_a_partial_response_are_printed_and_counted() {
    let mut running = Running::start(&["--partial-responses"]);
    let url = running.told_url();
    assert_eq!(post_to(&url, "/bulkevents", PARTLY_WRONG).await, 202);
    let line = running.line();
    let (_, rest) = line.split_once(' ').expect("a time");
    assert_eq!(rest, "202 POST /bulkevents 72 bytes, 1 batches, 1 batches refused");
    assert_eq!(running.line(), r#"  error: /1/environment: expected "production" or "development", found "prod""#);
    let (code, _, words) = running.end();
    let summary =
        "1 requests (0 refused), 1 batches (and 1 refused), 0 events, 0 duplicates, 0 ignored, 1 errors, 0 warnings\n";
    assert_eq!((code, words.as_str()), (Some(0), summary));

    let mut running = Running::start(&["--json", "--fault", "partial=0:by=none,html"]);
    let url = running.url();
    assert_eq!(post_to(&url, "/bulkevents", PARTLY_WRONG).await, 202);
    assert_eq!(post_to(&url, "/bulkevents", PARTLY_WRONG).await, 200);
    let (first, second) = (running.json(), running.json());
    assert_eq!((&first["fault"], &first["refused"]), (&"partial=0:by=none".into(), &serde_json::json!([0, 1])));
    assert_eq!((&second["fault"], &second["accepted"]), (&"html".into(), &false.into()));
    let (_, rest, _) = running.end();
    let summary: Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!((&summary["summary"]["batches"], &summary["summary"]["refused_batches"]), (&0.into(), &2.into()));
}

#[test]
fn an_unknown_fault_lists_the_faults_of_the_help() {
    let help = output(&["mock", "--help"]);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = words(text(&help.stdout));
    let (_, help) = help.split_once("Faults: ").expect("the faults");
    let (help, _) = help.split_once(". A list").expect("the end of the faults");
    for (fault, named) in [("foo", "foo"), ("503,foo,ok", "foo"), ("delay=5@10%", "delay=5")] {
        let output = output(&["mock", "--fault", fault]);
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("error: unknown fault {named:?}: expected one of {help}");
        assert_eq!(words(text(&output.stderr)), expected);
    }
}

#[tokio::test]
async fn a_secret_of_ones_own_is_taken_and_not_told() {
    let mut running = Running::start(&["--json", "--key", "mine", "--secret", "hush-hush"]);
    let url = running.url();
    assert_eq!(post(&url, "{}").await, 403);
    let client = Client::builder(Credentials::new("mine", "hush-hush")).base_url(url).build().expect("a client");
    client.upload(support::batch()).await.expect("accepted");
    let (_, rest, words) = running.end();
    assert!(!format!("{rest}{words}").contains("hush"), "{rest}{words}");
}

#[tokio::test]
async fn it_ends_quietly_when_nobody_reads() {
    let mut running = Running::start(&["--json"]);
    let url = running.url();
    let Running { mut child, stdout } = running;
    drop(stdout);
    post(&url, WRONG).await;
    let mut words = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut words).expect("text");
    assert_eq!((child.wait().expect("an end").code(), words.lines().count()), (Some(0), 1), "{words}");
}

#[test]
fn what_cannot_be_is_told_with_its_exit_code() {
    let taken = mparticle::mock::MockServer::start_blocking();
    let port = taken.url().rsplit(':').next().expect("a port").to_owned();
    let table: [(&[&str], i32, &str); 8] = [
        (&["mock", "--port", &port], 4, "error: cannot listen on 127.0.0.1, port "),
        (&["mock", "--fault", "5o3"], 2, "error: unknown fault \"5o3\""),
        (&["mock", "--fault", "503@200%"], 2, "error: \"200%\" is not a percentage of the requests, such as 10%"),
        (&["mock", "--rate", "0"], 2, "error: invalid value '0' for '--rate <BATCHES>'"),
        (&["mock", "--acceleration", "2"], 2, "error: the following required arguments were not provided"),
        (&["mock", "--port", "65536"], 2, "error: invalid value '65536' for '--port <PORT>'"),
        (&["nothing"], 2, "error: unrecognized subcommand 'nothing'"),
        (&[], 2, "Send events to mParticle"),
    ];
    for (arguments, code, words) in table {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty(), "words go to stderr");
        assert!(text(&output.stderr).starts_with(words), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn help_shows_examples() {
    for arguments in [&["mock", "--help"][..], &["mock", "-h"]] {
        let output = output(arguments);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("mparticle mock --rate 270 "), "{}", text(&output.stdout));
        assert!(!text(&output.stdout).contains(mock::SECRET));
    }
    assert_eq!(text(&output(&["--version"]).stdout), concat!("mparticle ", env!("CARGO_PKG_VERSION"), "\n"));
}
