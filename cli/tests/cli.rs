//! Tests of `mparticle mock`: its output for people and for scripts, and its exit codes.

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

/// A running mock with its output.
struct MockProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl MockProcess {
    fn start(arguments: &[&str]) -> Self {
        let mut command = mparticle(&[&["mock"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout }
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn read_json(&mut self) -> Value {
        serde_json::from_str(&self.read_line()).expect("JSON")
    }

    /// Returns the URL from the JSON on stdout.
    fn read_url(&mut self) -> String {
        self.read_json()["listening"].as_str().expect("a URL").to_owned()
    }

    /// Returns the URL from the message on stderr.
    fn read_url_from_stderr(&mut self) -> String {
        let mut stderr = BufReader::new(self.child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("a line");
        self.child.stderr = Some(stderr.into_inner());
        assert!(line.ends_with("; open it in a browser to watch\n"), "{line}");
        line.split(' ').nth(2).expect("a URL").to_owned()
    }

    /// Stops the mock. Returns its exit code and the rest of stdout and stderr.
    fn stop(mut self) -> (Option<i32>, String, String) {
        signal(&self.child, "TERM");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("text");
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        (self.child.wait().expect("an exit status").code(), stdout, stderr)
    }
}

async fn post(url: &str, body: &'static str) -> u16 {
    post_to(url, "/events", body).await
}

async fn post_to(url: &str, path: &str, body: &'static str) -> u16 {
    let request = reqwest::Client::new().post(format!("{url}{path}")).header("content-type", "application/json");
    request.basic_auth(mock::KEY, Some(mock::SECRET)).body(body).send().await.expect("a response").status().as_u16()
}

const INVALID_BATCH: &str = r#"{"environment":"prod","mpid":1,"events":[{"event_type":"opt_out","data":{}}]}"#;

#[tokio::test]
async fn json_output_has_one_object_a_line() {
    let mut mock = MockProcess::start(&["--json", "--fault", "503"]);
    let url = mock.read_url();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(post(&url, INVALID_BATCH).await, 503);
    assert_eq!(post(&url, INVALID_BATCH).await, 400);
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(&url).build().expect("a client");
    client.upload(support::batch()).await.expect("accepted");
    assert_eq!((&mock.read_json()["fault"], &mock.read_json()["status"]), (&"503".into(), &400.into()));
    let accepted = mock.read_json();
    assert_eq!(
        (&accepted["number"], &accepted["path"], &accepted["accepted"]),
        (&3.into(), &"/events".into(), &true.into())
    );
    let (code, rest, stderr) = mock.stop();
    let summary: Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!(
        summary["summary"],
        serde_json::json!({ "requests": 3, "refused": 2, "batches": 1, "events": 1, "duplicates": 0, "ignored": 0,
            "refused_batches": 0, "errors": 2, "warnings": 0, "not_printed": 0 })
    );
    assert_eq!((code, stderr.lines().count()), (Some(0), 1), "{stderr}");
}

#[tokio::test]
async fn text_output_has_a_line_for_each_request_and_each_violation() {
    let mut mock = MockProcess::start(&["--lenient"]);
    let url = mock.read_url_from_stderr();
    assert_eq!(post(&url, INVALID_BATCH).await, 202);
    assert_eq!(post(&url, "{\"\\u001b[31m\":1}").await, 202);
    let first = mock.read_line();
    let (time, rest) = first.split_once(' ').expect("a time");
    assert_eq!((time.len(), rest), (12, "202 POST /events 77 bytes, 1 batches, 1 events"));
    assert_eq!(mock.read_line(), r#"  error: /environment: expected "production" or "development", found "prod""#);
    let missing = r#"  error: /events/0/data: "is_opted_out" is missing, expected true or false (event 0, opt_out)"#;
    assert_eq!(mock.read_line(), missing);
    mock.read_line();
    let lines = [mock.read_line(), mock.read_line(), mock.read_line()].join("\n");
    assert!(lines.contains("/\u{fffd}[31m: unknown field") && !lines.contains('\u{1b}'), "{lines}");
    let (code, rest, stderr) = mock.stop();
    let summary = "2 requests (0 refused), 2 batches, 1 events, 0 duplicates, 0 ignored, 4 errors, 1 warnings\n";
    assert_eq!((code, rest.as_str(), stderr.as_str()), (Some(0), "", summary));
}

const PARTLY_INVALID_BULK: &str = r#"[{"environment":"development","mpid":1},{"environment":"prod","mpid":2}]"#;

#[tokio::test]
async fn batches_refused_by_a_partial_response_are_printed_and_counted() {
    let mut mock = MockProcess::start(&["--partial-responses"]);
    let url = mock.read_url_from_stderr();
    assert_eq!(post_to(&url, "/bulkevents", PARTLY_INVALID_BULK).await, 202);
    let line = mock.read_line();
    let (_, rest) = line.split_once(' ').expect("a time");
    assert_eq!(rest, "202 POST /bulkevents 72 bytes, 1 batches, 1 batches refused");
    assert_eq!(mock.read_line(), r#"  error: /1/environment: expected "production" or "development", found "prod""#);
    let (code, _, stderr) = mock.stop();
    let summary =
        "1 requests (0 refused), 1 batches (and 1 refused), 0 events, 0 duplicates, 0 ignored, 1 errors, 0 warnings\n";
    assert_eq!((code, stderr.as_str()), (Some(0), summary));

    let mut mock = MockProcess::start(&["--json", "--fault", "partial=0:by=none,html"]);
    let url = mock.read_url();
    assert_eq!(post_to(&url, "/bulkevents", PARTLY_INVALID_BULK).await, 202);
    assert_eq!(post_to(&url, "/bulkevents", PARTLY_INVALID_BULK).await, 200);
    let (first, second) = (mock.read_json(), mock.read_json());
    assert_eq!((&first["fault"], &first["refused"]), (&"partial=0:by=none".into(), &serde_json::json!([0, 1])));
    assert_eq!((&second["fault"], &second["accepted"]), (&"html".into(), &false.into()));
    let (_, rest, _) = mock.stop();
    let summary: Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!((&summary["summary"]["batches"], &summary["summary"]["refused_batches"]), (&0.into(), &2.into()));
}

#[test]
fn an_unknown_fault_lists_the_faults_of_the_help() {
    let help = output(&["mock", "--help"]);
    let normalize = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = normalize(text(&help.stdout));
    let (_, help) = help.split_once("Faults: ").expect("the faults");
    let (help, _) = help.split_once(". A list").expect("the end of the faults");
    for (fault, named) in [("foo", "foo"), ("503,foo,ok", "foo"), ("delay=5@10%", "delay=5")] {
        let output = output(&["mock", "--fault", fault]);
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("error: unknown fault {named:?}: expected one of {help}");
        assert_eq!(normalize(text(&output.stderr)), expected);
    }
}

#[tokio::test]
async fn accepts_a_custom_secret_without_printing_it() {
    let mut mock = MockProcess::start(&["--json", "--key", "mine", "--secret", "hush-hush"]);
    let url = mock.read_url();
    assert_eq!(post(&url, "{}").await, 403);
    let client = Client::builder(Credentials::new("mine", "hush-hush")).base_url(url).build().expect("a client");
    client.upload(support::batch()).await.expect("accepted");
    let (_, rest, stderr) = mock.stop();
    assert!(!format!("{rest}{stderr}").contains("hush"), "{rest}{stderr}");
}

#[tokio::test]
async fn stops_quietly_when_stdout_is_closed() {
    let mut mock = MockProcess::start(&["--json"]);
    let url = mock.read_url();
    let MockProcess { mut child, stdout } = mock;
    drop(stdout);
    post(&url, INVALID_BATCH).await;
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!((child.wait().expect("an exit status").code(), stderr.lines().count()), (Some(0), 1), "{stderr}");
}

#[test]
fn invalid_arguments_have_an_error_and_an_exit_code() {
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
    for (arguments, code, message) in table {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty(), "errors go to stderr");
        assert!(text(&output.stderr).starts_with(message), "{arguments:?}: {}", text(&output.stderr));
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

#[tokio::test]
async fn binds_to_a_name_and_warns_of_other_machines() {
    for (bind, host, is_open) in [
        ("localhost", "127.0.0.1", false),
        ("127.0.0.1", "127.0.0.1", false),
        ("0.0.0.0", "127.0.0.1", true),
        ("[::]", "[::1]", true),
    ] {
        let mut mock = MockProcess::start(&["--bind", bind, "--json"]);
        let url = mock.read_url();
        assert!(url.starts_with(&format!("http://{host}:")), "{bind}: {url}");
        // The printed URL is one that this machine's programs accept and reach.
        let client =
            Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(&url).build().expect("a client");
        client.upload(support::batch()).await.expect("accepted");
        let (_, _, stderr) = mock.stop();
        assert!(stderr.contains(&format!("listening on {url} ")), "{bind}: {stderr}");
        let warning = "anyone who can reach this machine can read the data sent to it";
        assert_eq!(stderr.contains(warning), is_open, "{bind}: {stderr}");
    }
    let output = output(&["mock", "--bind", "host.invalid"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("for '--bind <ADDRESS>': it is no address, and as a name: "));
}
