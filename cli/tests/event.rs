//! Tests of `mparticle event` with a service that is unreachable or requests a wait.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use mparticle::mock::{self, MockServer};
use support::peer::Peer;

/// Returns the command that sends an event to this address.
fn event(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(["event", "screen", "Home", "--mpid", "1"]).env_clear().stdin(Stdio::null());
    command.env("MPARTICLE_API_KEY", mock::KEY).env("MPARTICLE_API_SECRET", mock::SECRET);
    command.env("MPARTICLE_BASE_URL", url);
    command
}

/// Runs a command with an empty stdout, and returns its exit code and stderr.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program");
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn shows_the_wait_that_the_service_requests() {
    let headers = ["retry-after: 1\r\n", "retry-after: 86400\r\n"];
    let next = AtomicUsize::new(0);
    let peer = Peer::start(move |stream| {
        let header = headers[next.fetch_add(1, Ordering::SeqCst)];
        let _ = write!(stream, "HTTP/1.1 429 Too Many Requests\r\n{header}content-length: 0\r\n\r\n");
    });
    let (code, stderr) = run(&mut event(&peer.url()));
    assert_eq!(code, Some(3), "{stderr}");
    let refused = "the service responded 429 Too Many Requests; it asks to wait";
    assert!(stderr.starts_with(&format!("{refused} 1 s; trying again in 1")), "{stderr}");
    let last = stderr.lines().last().expect("a last line");
    assert!(last.starts_with("error: upload failed after 2 attempts in "), "{stderr}");
    assert!(last.ends_with(&format!(" s: {refused} 86400 s (24 hours) ({})", peer.url())), "{stderr}");
}

#[test]
fn error_of_a_wrong_address_names_it() {
    let peer = Peer::with_response("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let url = format!("{}/v3", peer.url());
    let (code, stderr) = run(&mut event(&url));
    assert_eq!(
        (code, stderr),
        (Some(3), format!("error: upload failed: the service responded 404 Not Found ({url})\n"))
    );
}

#[test]
fn reports_a_failed_name_resolution_on_each_retry_and_at_the_end() {
    // This top-level domain is reserved: no resolver has an address for it, with or without a network.
    let url = "https://host.invalid";
    let (code, stderr) = run(&mut event(url));
    assert_eq!(code, Some(3), "{stderr}");
    let reason = "failed to resolve the name of the service: ";
    let lines: Vec<_> = stderr.lines().collect();
    let [retries @ .., last] = &lines[..] else { panic!("no output") };
    assert!(!retries.is_empty(), "{stderr}");
    for line in retries {
        assert!(line.starts_with(reason) && line.contains("; trying again in "), "{stderr}");
    }
    // The last attempt failed like the others, or was cut short by the deadline.
    let last = last.replace("the service did not respond before the deadline: ", "");
    assert!(last.starts_with("error: upload failed after ") && last.ends_with(&format!(" ({url})")), "{stderr}");
    assert!(last.contains(&format!(" s: {reason}")), "{stderr}");
}

#[cfg(all(any(feature = "rustls", feature = "rustls-ring"), target_os = "linux"))]
#[test]
fn without_certificates_https_fails_with_a_helpful_message_and_http_works() {
    let server = MockServer::start_blocking();
    let run_without_certificates = |url: &str| {
        let mut command = event(url);
        run(command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere"))
    };
    let (code, stderr) = run_without_certificates("https://127.0.0.1:9");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("error: no usable certificate store for https: install the certificates"), "{stderr}");
    let (code, stderr) = run_without_certificates(&server.url());
    assert_eq!((code, server.stats().batches), (Some(0), 1), "{stderr}");
}

/// Runs `mparticle event` without sending, and returns its exit code, stdout and stderr.
fn dry_run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    let output = command.arg("event").args(arguments).arg("--dry-run").env_clear().output().expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn refuses_values_that_would_be_stored_wrongly() {
    let table: [(&[&str], &str); 22] = [
        (&["screen", ""], "invalid value '' for '<NAME>': it is empty"),
        (&["custom", " ", "--type", "other"], "invalid value ' ' for '<NAME>': it is blank"),
        (&["screen", "a", "--email", ""], "invalid value '' for '--email <ADDRESS>': it is empty"),
        (&["screen", "a", "--customer-id", "\t"], "for '--customer-id <ID>': it is blank"),
        (&["screen", "a", "--identity", "google="], "for '--identity <TYPE=ID>': it is empty"),
        (&["screen", "a", "--mpid", "0"], "invalid value '0' for '--mpid <NUMBER>': 0 is the ID of no user"),
        (&["screen", "a", "--mpid", "9223372036854775808"], "an mParticle ID has at most 64 bits"),
        (&["screen", "a", "--attr", "n:=12345678901234567890"], "send it as text: n=12345678901234567890"),
        (&["screen", "a", "--user-attr", "n:=-9223372036854775809"], "would lose digits"),
        (&["attribute", "n:=12345678901234567890"], "would lose digits"),
        (&["screen", "a", "--attr", "b=1", "--attr", "b=2"], "error: --attr was given twice for \"b\"\n"),
        (&["screen", "a", "--attr", "b=1", "--attr", "b:=2"], "error: --attr was given twice for \"b\"\n"),
        (&["install", "--user-attr", "b=1", "--user-attr", "b=1"], "error: --user-attr was given twice for \"b\"\n"),
        (&["attribute", "a=1", "a=2"], "error: a user attribute was given twice for \"a\"\n"),
        (&["attribute", "a=1", "--delete", "a"], "error: a user attribute was given twice for \"a\"\n"),
        (&["consent", "--gdpr", "a=granted", "--gdpr", "a=denied"], "error: --gdpr was given twice for \"a\"\n"),
        (&["screen", "a", "--email", "a@b.c", "--identity", "email=d@e.f"], "given twice for \"email\"\n"),
        (&["screen", "a", "--identity", "google=1", "--identity", "google=2"], "given twice for \"google\"\n"),
        (&["purchase", "--product", ",B"], "for '--product <SKU,NAME,PRICE,QUANTITY>': the SKU is empty"),
        (&["purchase", "--product", "A, "], "for '--product <SKU,NAME,PRICE,QUANTITY>': the name is blank"),
        (&["purchase", "--product", "A,B", "--transaction-id", ""], "for '--transaction-id <ID>': it is empty"),
        (&["purchase", "--product", "A,B", "--total", "five"], "invalid value 'five' for '--total <AMOUNT>'"),
    ];
    for (arguments, message) in table {
        let (code, stdout, stderr) = dry_run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(message), "{arguments:?}: {stderr}");
    }
    // What looks similar is sent.
    let (code, stdout, stderr) = dry_run(&[
        "purchase",
        "--product",
        "A,B",
        "--total",
        "-5",
        "--tax",
        "-0.5",
        "--shipping",
        "-1",
        "--mpid",
        "-7",
        "--attr",
        "n:=9223372036854775807",
        "--attr",
        "empty=",
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    for value in
        ["\"total_amount\":-5.0", "\"tax_amount\":-0.5", "\"mpid\":-7", "\"n\":9223372036854775807", "\"empty\":\"\""]
    {
        assert!(stdout.contains(value), "{value}: {stdout}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn plain_http_to_another_host_is_sent_only_if_it_is_allowed() {
    let peer = Peer::with_response(support::peer::ACCEPTED);
    // The address of all interfaces is not taken for this machine, but leads to it.
    let url = peer.url().replace("127.0.0.1", "0.0.0.0");
    let (code, stderr) = run(&mut event(&url));
    assert_eq!((code, peer.requests().len()), (Some(2), 0), "{stderr}");
    assert!(stderr.ends_with("; in a network that you trust, --dangerously-allow-plain-http accepts it\n"), "{stderr}");
    let (code, stderr) = run(event(&url).arg("--dangerously-allow-plain-http"));
    assert_eq!((code, peer.requests().len()), (Some(0), 1), "{stderr}");
    for url in ["mock:8080", "s2s.mparticle.com/v2"] {
        let (code, stderr) = run(&mut event(url));
        assert_eq!(code, Some(2));
        assert!(
            stderr.contains("the base URL has no scheme: write for example https://s2s.mparticle.com/v2"),
            "{stderr}"
        );
    }
}
