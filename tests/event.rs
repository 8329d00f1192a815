//! `mparticle event` when the service cannot be reached, asks to wait, or is not there.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use mparticle::mock::{self, MockServer};
use support::peer::Peer;

/// An event on its way to this address.
fn event(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(["event", "screen", "Home", "--mpid", "1"]).env_clear().stdin(Stdio::null());
    command.env("MPARTICLE_API_KEY", mock::KEY).env("MPARTICLE_API_SECRET", mock::SECRET);
    command.env("MPARTICLE_BASE_URL", url);
    command
}

/// The exit code, and what was printed on stderr; stdout stays empty.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program");
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn shows_the_wait_that_the_service_asks_for() {
    let answers = ["retry-after: 1\r\n", "retry-after: 86400\r\n"];
    let next = AtomicUsize::new(0);
    let peer = Peer::start(move |stream| {
        let header = answers[next.fetch_add(1, Ordering::SeqCst)];
        let _ = write!(stream, "HTTP/1.1 429 Too Many Requests\r\n{header}content-length: 0\r\n\r\n");
    });
    let (code, words) = run(&mut event(&peer.url()));
    assert_eq!(code, Some(3), "{words}");
    let refused = "the service responded 429 Too Many Requests; it asks to wait";
    assert!(words.starts_with(&format!("{refused} 1 s; trying again in 1")), "{words}");
    let last = words.lines().last().expect("the last words");
    assert!(last.starts_with("error: upload failed after 2 attempts in "), "{words}");
    assert!(last.ends_with(&format!(" s: {refused} 86400 s (24 hours) ({})", peer.url())), "{words}");
}

#[test]
fn names_a_wrong_address() {
    let peer = Peer::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let url = format!("{}/v3", peer.url());
    let (code, words) = run(&mut event(&url));
    assert_eq!(
        (code, words),
        (Some(3), format!("error: upload failed: the service responded 404 Not Found ({url})\n"))
    );
}

#[test]
fn says_that_it_cannot_resolve_the_name_while_it_tries_again_and_at_the_end() {
    // This top-level domain is reserved: no resolver has an address for it, and without a network there is none either.
    let url = "https://host.invalid";
    let (code, words) = run(&mut event(url));
    assert_eq!(code, Some(3), "{words}");
    let reason = "failed to resolve the name of the service: ";
    let lines: Vec<_> = words.lines().collect();
    let [retries @ .., last] = &lines[..] else { panic!("it says nothing") };
    assert!(!retries.is_empty(), "{words}");
    for line in retries {
        assert!(line.starts_with(reason) && line.contains("; trying again in "), "{words}");
    }
    // The last attempt failed as those before it, or the deadline ended it.
    let last = last.replace("the service did not respond before the deadline: ", "");
    assert!(last.starts_with("error: upload failed after ") && last.ends_with(&format!(" ({url})")), "{words}");
    assert!(last.contains(&format!(" s: {reason}")), "{words}");
}

#[cfg(all(feature = "rustls", target_os = "linux"))]
#[test]
fn without_certificates_https_fails_in_words_that_help_and_http_works() {
    let server = MockServer::start_blocking();
    let without = |url: &str| {
        let mut command = event(url);
        run(command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere"))
    };
    let (code, words) = without("https://127.0.0.1:9");
    assert_eq!(code, Some(2), "{words}");
    assert!(words.starts_with("error: no usable certificate store for https: install the certificates"), "{words}");
    let (code, words) = without(&server.url());
    assert_eq!((code, server.stats().batches), (Some(0), 1), "{words}");
}
