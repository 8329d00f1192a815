//! Retries over real sockets in real time, with short waits. `src/delivery/tests.rs` has the tests in virtual time.

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mparticle::mock::{self, MockServer};
use mparticle::{Client, Credentials, ErrorKind, RetryPolicy, blocking};
use support::batch;
use support::peer::{ACCEPTED, Peer, response};

/// Returns a client with the default number of attempts, but short waits.
fn client(url: impl Into<String>) -> Client {
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(2)).max_backoff(Duration::from_millis(10));
    Client::builder(Credentials::new(mock::KEY, mock::SECRET))
        .base_url(url)
        .timeout(Duration::from_millis(300))
        .retry_policy(policy)
        .build()
        .expect("a client")
}

/// Starts a peer that sends these responses in turn, and then accepts. An empty response closes the connection.
fn peer(responses: Vec<String>) -> Peer {
    let next = AtomicUsize::new(0);
    Peer::start(move |stream| {
        let response = responses.get(next.fetch_add(1, Ordering::SeqCst)).map_or(ACCEPTED, String::as_str);
        let _ = stream.write_all(response.as_bytes());
        if response.is_empty() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    })
}

#[tokio::test]
async fn retries_temporary_failures_until_accepted() {
    let peer = peer(vec![
        response("503 Busy", "", ""),
        response("500 Broken", "", ""),
        String::new(),
        response("408 Late", "", ""),
        response("429 Slow", "retry-after: 0\r\n", ""),
        "HTTP/1.1 20".to_owned(), // The rest never arrives: the attempt times out.
    ]);
    client(peer.url()).upload(batch()).await.expect("accepted after the retries");
    assert_eq!(peer.requests().len(), 7);
}

#[tokio::test]
async fn retries_and_later_uploads_keep_the_ids() {
    let server = MockServer::start().await;
    let peer = Peer::start(|stream| _ = stream.write_all(response("503 Busy", "", "").as_bytes()));
    let error = client(peer.url()).upload_bulk([batch(), batch()]).await.expect_err("503");
    assert_eq!((error.attempts(), peer.requests().len()), (10, 10));
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, true));
    assert_eq!((error.report().delivered(), error.report().requests()), (0, 10));
    let text = error.to_string();
    assert!(
        text.starts_with("upload failed after 10 attempts in 0.")
            && text.ends_with(": the service responded 503 Service Unavailable"),
        "{text}"
    );
    let unsent = error.into_unsent();
    let report = client(server.url()).upload_bulk(unsent.clone()).await.expect("accepted");
    assert_eq!(report.delivered(), 2);
    let arrived: Vec<_> = server.batches().iter().map(|batch| batch["source_request_id"].clone()).collect();
    assert_eq!(arrived, [unsent[0].source_request_id(), unsent[1].source_request_id()]);
}

#[tokio::test]
async fn waits_at_least_for_retry_after() {
    let peer = peer(vec![response("429 Slow", "retry-after: 1\r\n", "")]);
    let client = client(peer.url());
    let started = Instant::now();
    let clone = client.clone();
    let (first, other) = tokio::join!(client.upload(batch()), clone.upload(batch()));
    first.expect("accepted");
    other.expect("accepted");
    // The rate-limited request waits. A lower bound does not depend on the speed of the machine.
    assert!(started.elapsed() >= Duration::from_secs(1));
    let started = Instant::now();
    client.upload(batch()).await.expect("accepted after the wait");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn permanent_failures_are_not_retried() {
    for status in ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "413 Content Too Large"] {
        let peer = Peer::with_response(response(status, "", ""));
        let error = client(peer.url()).upload(batch()).await.expect_err(status);
        assert_eq!((error.attempts(), peer.requests().len(), error.unsent().len()), (1, 1, 1), "{status}");
    }
}

#[tokio::test]
async fn refused_credentials_stop_the_upload_and_return_the_unsent_batches() {
    let peer = peer(vec![ACCEPTED.to_owned(), response("403 Forbidden", "", "")]);
    let error = client(peer.url()).upload_bulk((0..250).map(|_| batch())).await.expect_err("403");
    assert_eq!((error.unsent().len(), error.is_retryable()), (150, false));
    let (error, unsent, report) = error.into_parts();
    assert_eq!((unsent.len(), report.delivered(), report.requests()), (150, 100, 2));
    assert_eq!(error.status().map(|status| status.as_u16()), Some(403));
}

#[tokio::test]
async fn one_bad_batch_of_a_hundred_is_rejected_with_the_errors_of_the_service() {
    let server = MockServer::start().await;
    let batches =
        (0..100).map(|index| if index == 63 { mparticle::Batch { ip: Some("?".into()), ..batch() } } else { batch() });
    let report = support::client(&server).upload_bulk(batches).await.expect("a report");
    assert_eq!((report.delivered(), report.rejected()[0].index()), (99, 63));
    assert!(report.rejected()[0].error().api_errors()[0].message.contains("/ip"));
    assert!(report.requests() <= 15, "{}", report.requests());
}

#[tokio::test]
async fn on_retry_receives_each_retry_even_if_it_panics() {
    let peer = peer(vec![response("503 Busy", "", ""), response("429 Slow", "retry-after: 1\r\n", ""), String::new()]);
    let retries = Arc::new(Mutex::new(Vec::new()));
    let callback = Arc::clone(&retries);
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(2)).max_backoff(Duration::from_millis(10));
    let client = support::builder(peer.url()).retry_policy(policy).on_retry(move |retry| {
        let status = retry.error().status().map(|status| status.as_u16());
        callback.lock().expect("retries").push((retry.attempt(), status, retry.error().kind(), retry.wait()));
        panic!("the callback panics");
    });
    client.build().expect("a client").upload(batch()).await.expect("accepted after the retries");
    let retries = retries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let reasons: Vec<_> = retries.iter().map(|&(attempt, status, kind, _)| (attempt, status, kind)).collect();
    let expected =
        [(1, Some(503), ErrorKind::Refused), (2, Some(429), ErrorKind::Refused), (3, None, ErrorKind::ConnectionLost)];
    assert_eq!(reasons, expected);
    let waits: Vec<_> = retries.iter().map(|(.., wait)| *wait).collect();
    assert!(waits[0] <= Duration::from_millis(2) && waits[1] >= Duration::from_secs(1), "{waits:?}");
}

#[tokio::test]
async fn on_retry_is_not_called_without_a_retry() {
    let peer = peer(vec![
        response("404 Not Found", "", ""),
        ACCEPTED.to_owned(),
        response("429 Slow", "retry-after: 86400\r\n", ""),
    ]);
    let policy = RetryPolicy::new().request_timeout(Duration::from_secs(30));
    let client = support::builder(peer.url()).retry_policy(policy).on_retry(|retry| panic!("{retry:?}"));
    let client = client.build().expect("a client");
    client.upload(batch()).await.expect_err("404");
    client.upload(batch()).await.expect("accepted");
    let error = client.upload(batch()).await.expect_err("the wait exceeds the timeout");
    assert_eq!((error.attempts(), error.retry_after()), (1, Some(Duration::from_secs(86_400))));
}

#[test]
fn the_blocking_client_retries() {
    let peer = peer(vec![response("503 Busy", "", ""), response("503 Busy", "", "")]);
    let client = blocking::Client::new(client(peer.url())).expect("a thread");
    client.upload(batch()).expect("accepted");
    assert_eq!(client.upload_bulk([batch(), batch()]).expect("accepted").delivered(), 2);
    assert_eq!(peer.requests().len(), 4);
}
