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

#[cfg(all(feature = "rustls", target_os = "linux"))]
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
