//! Responses of the service, and broken responses, over a real socket.

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use mparticle::types::RateLimit;
use mparticle::{ErrorKind, UploadError};
use support::peer::{Peer, response};
use support::{batch, builder};

/// Returns the error of a client for this response, which is written to the socket unchanged.
async fn error_of(response: &str) -> UploadError {
    let peer = Peer::with_response(response);
    let client = builder(peer.url()).timeout(Duration::from_secs(5)).build().expect("a client");
    client.upload(batch()).await.expect_err(response)
}

#[tokio::test]
async fn accepted_reports_the_used_share_of_the_rate_limit() {
    for (header, used) in [
        ("", None),
        ("X-mp-rate-limit-percentage-used: 92\r\n", Some(92.0)),
        ("x-mp-rate-limit-percentage-used: \"7.5\"\r\n", Some(7.5)),
        ("X-mp-rate-limit-percentage-used: much\r\n", None),
        ("X-mp-rate-limit-percentage-used: NaN\r\n", None),
    ] {
        for status in ["202 Accepted", "200 OK"] {
            let peer = Peer::with_response(response(status, header, ""));
            let accepted = builder(peer.url()).build().expect("a client").upload(batch()).await.expect(status);
            assert_eq!(accepted.rate_limit_used_percent(), used, "{header}");
            assert!(status.starts_with(accepted.status().as_str()));
        }
    }
}

#[tokio::test]
async fn each_status_is_reported_with_its_retryability() {
    let table = [
        ("302 Found", false),
        ("400 Bad Request", false),
        ("401 Unauthorized", false),
        ("403 Forbidden", false),
        ("404 Not Found", false),
        ("408 Request Timeout", true),
        ("413 Content Too Large", false),
        ("429 Too Many Requests", true),
        ("500 Internal Server Error", true),
        ("502 Bad Gateway", true),
        ("503 Service Unavailable", true),
        ("504 Gateway Timeout", true),
    ];
    for (status, retryable) in table {
        let error = error_of(&response(status, "location: /elsewhere\r\n", "")).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{status}");
        assert_eq!(error.status().expect(status).as_str(), &status[..3]);
        assert_eq!(error.is_retryable(), retryable, "{status}");
        assert_eq!(error.attempts(), 1);
        assert!(error.api_errors().is_empty() && error.retry_after().is_none() && error.rate_limit().is_none());
        assert_eq!(error.unsent().len(), 1, "the error returns the batch");
    }
}

#[tokio::test]
async fn errors_in_the_body_are_read_and_kept_out_of_the_text() {
    let body =
        r#"{"errors":[{"code":"BAD_REQUEST","message":"user@example.com is no event"},{"code":"X","message":"y"}]}"#;
    let error = error_of(&response("400 Bad Request", "content-type: application/json\r\n", body)).await;
    let errors: Vec<_> = error.api_errors().iter().map(|e| (e.code.as_str(), e.message.as_str())).collect();
    assert_eq!(errors, [("BAD_REQUEST", "user@example.com is no event"), ("X", "y")]);
    assert_eq!(error.to_string(), "upload failed: the service responded 400 Bad Request, with 2 errors");
    assert!(!format!("{error:?}").contains("user@example.com"));
}

#[tokio::test]
async fn bodies_that_are_not_the_documented_json_leave_the_status() {
    for body in ["", "<html>no</html>", "{\"errors\":", "[1,2]", "\u{0}\u{0}", "{\"errors\":null}", &"[".repeat(10_000)]
    {
        let error = error_of(&response("400 Bad Request", "content-type: application/json\r\n", body)).await;
        assert_eq!((error.status().map(|s| s.as_u16()), error.api_errors().len()), (Some(400), 0), "{body:.20}");
    }
}

#[tokio::test]
async fn retry_after_and_the_rate_limit_are_read() {
    let error =
        error_of(&response("429 Too Many Requests", "Retry-After: 3\r\nX-mp-rate-limit-exceeded: account\r\n", ""))
            .await;
    assert_eq!((error.retry_after(), error.rate_limit()), (Some(Duration::from_secs(3)), Some(RateLimit::Account)));

    let date = (Utc::now() + Duration::from_secs(100)).format("%a, %d %b %Y %H:%M:%S GMT");
    let headers = format!("retry-after: {date}\r\nx-mp-rate-limit-exceeded: \"acceleration\"\r\n");
    let error = error_of(&response("429 Too Many Requests", &headers, "")).await;
    let wait = error.retry_after().expect("a date").as_secs();
    assert!((90..=100).contains(&wait), "{wait}");
    assert_eq!(error.rate_limit(), Some(RateLimit::Acceleration));

    let error =
        error_of(&response("503 Service Unavailable", "Retry-After: soon\r\nX-mp-rate-limit-exceeded: moon\r\n", ""))
            .await;
    assert_eq!((error.retry_after(), error.rate_limit()), (None, None));
}

#[tokio::test]
async fn only_the_start_of_a_body_of_100_mb_is_read() {
    const SIZE: usize = 100_000_000;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let peer = Peer::start(move |stream| {
        let _ = stream.write_all(format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes());
        while count.load(Ordering::SeqCst) < SIZE && stream.write_all(&[b'x'; 50_000]).is_ok() {
            count.fetch_add(50_000, Ordering::SeqCst);
        }
        let _ = stream.shutdown(Shutdown::Both);
    });
    let error = builder(peer.url()).build().expect("a client").upload(batch()).await.expect_err("400");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(400));
    let written = written.load(Ordering::SeqCst);
    assert!(written < SIZE / 4, "{written} bytes were read");
}

#[tokio::test]
async fn a_server_that_never_responds_causes_a_timeout() {
    let peer = Peer::start(|_| std::thread::sleep(Duration::from_secs(60)));
    let client = builder(peer.url()).timeout(Duration::from_millis(200)).build().expect("a client");
    let started = Instant::now();
    let error = client.upload(batch()).await.expect_err("the server never responds");
    assert_eq!((error.kind(), error.is_retryable(), error.attempts()), (ErrorKind::Timeout, true, 1));
    assert_eq!(error.to_string(), "upload failed: the service did not respond in time");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_refusal_with_a_stalled_body_is_reported_before_the_timeout() {
    let peer =
        Peer::with_response("HTTP/1.1 429 Too Many Requests\r\nretry-after: 9\r\ncontent-length: 50\r\n\r\n{\"err");
    let client = builder(peer.url()).timeout(Duration::from_millis(200)).build().expect("a client");
    let error = client.upload(batch()).await.expect_err("429");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));

    // A long timeout does not delay the error: status and headers suffice.
    let client = builder(peer.url()).timeout(Duration::from_secs(30)).build().expect("a client");
    let started = Instant::now();
    let error = client.upload(batch()).await.expect_err("429");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_accepted_upload_does_not_wait_for_a_stalled_body() {
    let peer = Peer::with_response("HTTP/1.1 202 Accepted\r\ncontent-length: 50\r\n\r\nhalf");
    let client = builder(peer.url()).timeout(Duration::from_secs(30)).build().expect("a client");
    let started = Instant::now();
    client.upload(batch()).await.expect("accepted");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_connection_closed_within_a_response_is_lost_or_keeps_the_status() {
    for cut in ["", "HTT", "HTTP/1.1 202 Acc", "HTTP/1.1 202 Accepted\r\nx-mp-rate", "not http at all\r\n\r\n"] {
        let peer = Peer::start(move |stream| {
            let _ = stream.write_all(cut.as_bytes());
            let _ = stream.shutdown(Shutdown::Both);
        });
        let error = builder(peer.url()).build().expect("a client").upload(batch()).await.expect_err(cut);
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::ConnectionLost, true), "{cut:?}");
        assert_eq!(peer.requests().len(), 1, "one attempt: {cut:?}");
    }
    let peer = Peer::start(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 50\r\n\r\n{\"errors\":[");
        let _ = stream.shutdown(Shutdown::Both);
    });
    let error = builder(peer.url()).build().expect("a client").upload(batch()).await.expect_err("400");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(400));
}

#[tokio::test]
async fn a_failed_connection_is_a_connect_error() {
    let error = builder("http://127.0.0.1:1").build().expect("a client").upload(batch()).await.expect_err("refused");
    assert_eq!((error.kind(), error.is_retryable(), error.attempts()), (ErrorKind::Connect, true, 1));

    // A peer without TLS.
    let peer = Peer::with_response("what?");
    let url = format!("https://{}", peer.address());
    let client = builder(url).timeout(Duration::from_millis(500)).build().expect("a client");
    let error = client.upload(batch()).await.expect_err("no TLS");
    assert!(matches!(error.kind(), ErrorKind::Connect | ErrorKind::Timeout), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(error.unsent().len(), 1);
}
