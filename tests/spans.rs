//! The span of each kind of attempt, and the spans that it is in. All tests share the subscriber of the process, since an uploader
//! and a blocking client have threads of their own. Each looks at the spans with the URL of its own server.

mod support;

use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use mparticle::mock::{Fault, MockServer, Naming};
use mparticle::{RetryPolicy, Uploader, blocking};
use support::log::Log;
use support::{batch, builder, client};
use tracing::{Instrument, info_span};
use tracing_subscriber::fmt::format::FmtSpan;

/// Returns the log of all spans that have ended.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_span_events(FmtSpan::CLOSE).with_ansi(false);
        subscriber.with_writer(move || writer.clone()).init();
        log
    })
}

/// Returns the attempts at a server, each with the spans that it is in, in the order of their ends.
fn attempts(url: &str) -> Vec<String> {
    let text = log().text();
    let ended = text.lines().filter(|line| line.contains("}: mparticle::client: close ") && line.contains(url));
    ended.map(|line| line.split_once(" INFO ").expect("the level").1.to_owned()).collect()
}

/// Checks that the span has these parts and none of those.
fn check(span: &str, has: &[&str], has_not: &[&str]) {
    for part in has {
        assert!(span.contains(part), "{part} is not in {span}");
    }
    for part in has_not {
        assert!(!span.contains(part), "{part} is in {span}");
    }
}

const FAILED: &str = "otel.status_code=\"ERROR\"";

#[tokio::test]
async fn an_accepted_attempt_is_a_child_of_its_call_and_of_the_span_of_the_caller() {
    log();
    let server = MockServer::start_blocking();
    let client = client(&server);
    let report = client.upload_bulk([batch(), batch()]).instrument(info_span!("checkout")).await.expect("accepted");
    assert_eq!(report.delivered(), 2);
    let report = client.upload_historical([batch()]).await.expect("accepted");
    assert_eq!(report.delivered(), 1);
    let [bulk, historical] = &attempts(&server.url())[..] else { panic!("{:?}", attempts(&server.url())) };
    assert!(bulk.starts_with("checkout:mparticle.upload_bulk{"), "{bulk}");
    check(
        bulk,
        &[
            "}:mparticle.request{otel.name=\"POST\" otel.kind=\"client\" http.request.method=\"POST\" server.address=\"127.0.0.1\"",
            "/bulkevents\"",
            "mparticle.operation=\"bulk_upload_events\" mparticle.batches=2",
            "http.response.status_code=202",
        ],
        &[FAILED, "error.type", "resend_count", "listed_errors"],
    );
    assert!(historical.starts_with("mparticle.upload_historical{"), "{historical}");
    check(historical, &["/bulkevents/historical\"", "mparticle.batches=1"], &[FAILED]);
}

#[tokio::test]
async fn each_failure_has_its_error_type() {
    log();
    let slow = Fault::delay(Duration::from_secs(5));
    let table = [
        (Fault::status(503), "503", Some(503)),
        (Fault::status(429).retry_after(0), "429", Some(429)),
        (Fault::status(401), "401", Some(401)),
        (Fault::html(), "unexpected_response", Some(200)),
        (Fault::reset(), "connection_lost", None),
        (slow, "timeout", None),
    ];
    for (fault, error, status) in table {
        let server = MockServer::builder().fault_sequence([fault]).start_blocking();
        let client = builder(server.url()).timeout(Duration::from_millis(300)).build().expect("a client");
        client.upload(batch()).await.expect_err("a failure");
        let [span] = &attempts(&server.url())[..] else { panic!("{error}: {:?}", attempts(&server.url())) };
        check(span, &[&format!("error.type=\"{error}\""), FAILED], &["resend_count"]);
        match status {
            Some(status) => check(span, &[&format!("http.response.status_code={status}")], &[]),
            None => check(span, &[], &["status_code=2", "http.response"]),
        }
    }
}

#[tokio::test]
async fn an_attempt_that_cannot_connect_or_is_interrupted_by_the_deadline_ends_too() {
    log();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("http://{free}");
    builder(&url).build().expect("a client").upload(batch()).await.expect_err("nobody listens");
    let [span] = &attempts(&url)[..] else { panic!("{:?}", attempts(&url)) };
    check(span, &["error.type=\"connect\"", FAILED], &["http.response"]);

    let server = MockServer::builder().fault_sequence([Fault::delay(Duration::from_secs(5))]).start_blocking();
    let policy = RetryPolicy::never().request_timeout(Duration::from_millis(200));
    let client = builder(server.url()).retry_policy(policy).build().expect("a client");
    client.upload(batch()).await.expect_err("the deadline");
    let [span] = &attempts(&server.url())[..] else { panic!("{:?}", attempts(&server.url())) };
    check(span, &["error.type=\"cancelled\"", FAILED], &["http.response"]);
}

#[tokio::test]
async fn a_call_and_its_attempt_that_are_dropped_are_cancelled() {
    log();
    let server = MockServer::builder().fault_sequence([Fault::delay(Duration::from_secs(5))]).start_blocking();
    let client = client(&server);
    let call = client.upload(batch()).instrument(info_span!("abandoned"));
    tokio::time::timeout(Duration::from_millis(300), call).await.expect_err("it is dropped");
    let [attempt] = &attempts(&server.url())[..] else { panic!("{:?}", attempts(&server.url())) };
    check(attempt, &["error.type=\"cancelled\"", FAILED], &["http.response"]);
    let text = log().text();
    let is_call = |line: &&str| line.contains("abandoned:mparticle.upload{") && !line.contains("mparticle.request");
    let call = text.lines().filter(is_call).find(|line| line.contains(": close ")).expect("it has ended");
    check(call, &["error.type=\"cancelled\"", FAILED], &["mparticle.delivered", "mparticle.requests"]);
}

#[tokio::test]
async fn a_response_that_lists_errors_shows_their_number() {
    log();
    let server = MockServer::builder().fault_sequence([Fault::partial([1], Naming::Index)]).start_blocking();
    let report = client(&server).upload_bulk([batch(), batch()]).await.expect("a report");
    assert_eq!(report.rejected().len(), 1);
    let [span] = &attempts(&server.url())[..] else { panic!("{:?}", attempts(&server.url())) };
    check(span, &["http.response.status_code=202", "mparticle.listed_errors=1"], &["otel.status_code", "error.type"]);
}

#[tokio::test]
async fn a_request_of_the_generated_endpoints_is_an_attempt_as_well() {
    log();
    let server = MockServer::builder().fault_sequence([Fault::status(400)]).start_blocking();
    let raw = client(&server).raw().expect("the endpoints");
    raw.upload_events(&batch()).await.expect_err("refused");
    raw.upload_events(&batch()).await.expect("accepted");
    let [refused, accepted] = &attempts(&server.url())[..] else { panic!("{:?}", attempts(&server.url())) };
    check(refused, &["mparticle.operation=\"upload_events\"", "error.type=\"400\"", FAILED], &["mparticle.batches"]);
    check(accepted, &["http.response.status_code=202"], &["error.type", FAILED]);
}

#[test]
fn an_uploader_starts_a_trace_and_a_blocking_client_continues_that_of_the_caller() {
    log();
    let server = MockServer::start_blocking();
    let _outer = info_span!("checkout").entered();
    let client = client(&server);
    let uploader = Uploader::builder(client.clone()).linger(Duration::ZERO).start().expect("a thread");
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(Duration::from_secs(10)).wait().delivered, 1);
    blocking::Client::new(client).expect("a thread").upload(batch()).expect("accepted");
    let [background, blocking] = &attempts(&server.url())[..] else { panic!("{:?}", attempts(&server.url())) };
    assert!(background.starts_with("mparticle.deliver{"), "{background}");
    assert!(blocking.starts_with("checkout:mparticle.upload{"), "{blocking}");
}
