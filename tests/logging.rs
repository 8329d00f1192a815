//! The lines that a default subscriber, which shows INFO and above, prints of the calls of a client.

mod support;

use mparticle::mock::{Fault, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment};
use support::log::Log;
use tracing::Dispatch;
use tracing::dispatcher::with_default;

/// Returns the lines that the future logs.
fn logged(calls: impl Future<Output = ()>) -> Vec<String> {
    let subscriber = |log: Log| {
        Dispatch::new(
            tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || log.clone()).finish(),
        )
    };
    let log = Log::default();
    // With only one subscriber, `tracing` would ask the thread that first reaches an event, which may be another test's.
    let _second = subscriber(Log::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    with_default(&subscriber(log.clone()), || runtime.block_on(calls));
    log.text().lines().map(|line| line.trim_start().to_owned()).collect()
}

fn batch(id: &str) -> Batch {
    let event = CustomEvent::new("Viewed", CustomEventType::Other);
    Batch::new(Environment::Development).customer_id("1").source_request_id(id).event(event)
}

#[test]
fn nothing_is_logged_of_accepted_calls() {
    let server = MockServer::start_blocking();
    let client = Client::for_mock(&server).expect("a client");
    let lines = logged(async {
        client.upload(batch("a")).await.expect("accepted");
        assert_eq!(client.upload_bulk([batch("b"), batch("c")]).await.expect("accepted").delivered(), 2);
    });
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn a_bulk_call_logs_rejected_batches_in_one_line_although_it_returns_ok() {
    let server = MockServer::start_blocking();
    let client = Client::for_mock(&server).expect("a client");
    let bad = |id| {
        let mut batch = batch(id);
        batch.ip = Some("nowhere".to_owned());
        batch
    };
    let lines = logged(async {
        let report = client.upload_bulk([batch("a"), bad("b"), bad("c"), bad("d")]).await.expect("a report");
        assert_eq!((report.delivered(), report.rejected().len()), (1, 3));
    });
    assert_eq!(
        lines,
        [
            "WARN mparticle::delivery: a batch was rejected, and 2 more were lost source_request_id=\"b\" status=400 errors=1 \
             error=\"the service responded 400 Bad Request, with 1 error\""
        ]
    );
}

#[test]
fn the_losses_of_two_bulk_calls_in_one_second_are_logged_while_the_client_is_kept() {
    let server = MockServer::start_blocking();
    let client = Client::for_mock(&server).expect("a client");
    let bad = || batch("a").user_attribute("n", f64::NAN);
    let lines = logged(async {
        let _ = client.upload_bulk([bad()]).await.expect("a report");
        let _ = client.upload_bulk([bad(), bad()]).await.expect("a report");
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    });
    drop(client);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], "WARN mparticle::delivery: and 2 more batches were rejected or dropped");
}

#[test]
fn a_batch_that_cannot_be_sealed_is_logged_by_a_bulk_call() {
    let server = MockServer::start_blocking();
    let client = Client::for_mock(&server).expect("a client");
    let lines = logged(async {
        let report = client.upload_bulk([batch("a").user_attribute("n", f64::NAN)]).await.expect("a report");
        assert_eq!(report.rejected().len(), 1);
    });
    assert!(
        lines.len() == 1 && lines[0].contains("a batch was rejected source_request_id=\"a\" errors=0"),
        "{lines:?}"
    );
}

#[test]
fn a_single_upload_returns_its_rejection_and_does_not_log_it() {
    let server = MockServer::builder().fault_sequence([Fault::status(400)]).start_blocking();
    let client = Client::for_mock(&server).expect("a client");
    let lines = logged(async {
        client.upload(batch("a")).await.expect_err("refused");
    });
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn the_failure_of_a_connection_is_logged_with_its_cause() {
    let client = Client::builder(Credentials::new("key", "secret"))
        .base_url("http://127.0.0.1:1")
        .retry_policy(mparticle::RetryPolicy::never())
        .build()
        .expect("a client");
    let lines = logged(async {
        client.upload(batch("a")).await.expect_err("nobody listens");
        client.upload(batch("a")).await.expect_err("nobody listens");
    });
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("the service is unavailable error=\"failed to connect to the service\" cause="), "{line}");
    assert!(line.to_lowercase().contains("refused"), "{line}");
}
