//! The faults of the mock, as a client meets them on the wire.

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mparticle::RetryPolicy;
use mparticle::mock::{self, Fault, MockServer};
use support::raw::{Exchange, exchange};

/// Sends one batch on a raw socket and reads until the end, or for half a second without a byte.
fn send(server: &MockServer) -> Exchange {
    let body = r#"{"environment":"development","mpid":1}"#;
    let pair = BASE64_STANDARD.encode(format!("{}:{}", mock::KEY, mock::SECRET));
    let head = format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Basic {pair}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(&server.url(), format!("{head}{body}").as_bytes(), false, Duration::from_millis(500))
}

#[test]
fn a_script_is_met_one_request_each() {
    let script = [Fault::status(503), Fault::status(429).retry_after(7).limit("feed"), Fault::ok(), Fault::status(400)];
    let server = MockServer::builder().script(script).start_blocking();
    let answers: Vec<_> = (0..5).map(|_| send(&server).text()).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["503", "429", "202", "400", "202"]);
    assert!(answers[1].contains("retry-after: 7") && answers[1].contains("x-mp-rate-limit-exceeded: \"feed\""));
    assert!(answers[3].contains("BAD_REQUEST"));
    assert_eq!(server.batches().len(), 2);
    let faults: Vec<_> = server.requests().into_iter().map(|request| request.fault).collect();
    assert_eq!(faults[..2], [Some("503".to_owned()), Some("429:retry-after=7:limit=feed".to_owned())]);
    assert_eq!(faults[2..], [None, Some("400".to_owned()), None]);
}

#[test]
fn stalls_give_no_answer() {
    let server = MockServer::start_blocking();
    for fault in [Fault::stall_before_body(), Fault::stall_during_body(), Fault::stall_after_body()] {
        server.script([fault.clone()]);
        let read = send(&server);
        assert!(read.bytes.is_empty(), "{fault}: {}", read.text());
        assert!(matches!(read.ended, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{fault}: {:?}", read.ended);
    }
    assert_eq!((server.counts().requests, server.batches().len()), (3, 0));
    assert!(server.requests().iter().all(|request| request.status.is_none()));

    server.script([Fault::stall_in_answer()]);
    let read = send(&server);
    assert!(read.text().starts_with("HTTP/1.1 202") && read.ended.is_err(), "{:?}", read.ended);
    assert_eq!(server.batches().len(), 1, "it was taken");
}

#[test]
fn a_reset_stores_nothing_and_a_lost_answer_does() {
    let server = MockServer::builder().script([Fault::reset(), Fault::lost_answer()]).start_blocking();
    for stored in [0, 1] {
        let read = send(&server);
        assert!(read.bytes.is_empty());
        assert_eq!(read.ended, Err(ErrorKind::ConnectionReset));
        assert_eq!(server.batches().len(), stored);
    }
    let lost = &server.requests()[1];
    assert!(lost.accepted && lost.fault.as_deref() == Some("lost"));
}

#[test]
fn answers_can_be_cut_off_huge_or_no_http() {
    let script = [Fault::truncated_answer(), Fault::huge_answer(3_000_000), Fault::garbage(), Fault::status(204)];
    let server = MockServer::builder().script(script).start_blocking();
    let truncated = send(&server);
    assert!(truncated.text().starts_with("HTTP/1.1 202") && truncated.text().contains("content-length: 32768"));
    assert!(truncated.bytes.len() < 32_768);
    let huge = send(&server);
    assert!(huge.text().starts_with("HTTP/1.1 202") && huge.bytes.len() > 3_000_000);
    let garbage = send(&server);
    assert!(!garbage.bytes.is_empty() && !garbage.bytes.starts_with(b"HTTP"));
    assert!(send(&server).text().starts_with("HTTP/1.1 204"));
    assert_eq!(server.batches().len(), 2);
}

#[test]
fn a_delay_answers_later() {
    let server = MockServer::builder().script([Fault::delay(Duration::from_millis(120))]).start_blocking();
    let start = Instant::now();
    assert!(send(&server).text().starts_with("HTTP/1.1 202"));
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[test]
fn chance_hits_its_share_and_repeats_with_its_seed() {
    let outcome = |seed| {
        let server = MockServer::builder().chance(0.3, Fault::status(503)).seed(seed).start_blocking();
        let hits: Vec<_> = (0..100).map(|_| send(&server).text().contains("503")).collect();
        server.recover();
        assert!((0..20).all(|_| send(&server).text().contains("202")));
        hits
    };
    let hits = outcome(7);
    assert_eq!(hits, outcome(7));
    assert_ne!(hits, outcome(8));
    let count = hits.iter().filter(|hit| **hit).count();
    assert!((10..=50).contains(&count), "{count} of 100 at 30 %");
}

/// The case that makes duplicates: accepted, the answer lost, sent again by the client.
#[tokio::test]
async fn a_client_that_sends_again_after_a_lost_answer_is_not_counted_twice() {
    let server = MockServer::builder().script([Fault::lost_answer()]).start().await;
    let client = support::builder(server.url()).retry(RetryPolicy::default()).build().expect("a client");
    client.upload(support::batch()).await.expect("accepted at the second attempt");
    assert_eq!((server.counts().batches, server.counts().duplicates), (1, 1));
}
