//! The faults of the mock, on raw sockets.

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mparticle::RetryPolicy;
use mparticle::mock::{self, Fault, MockServer, Naming};
use serde_json::{Value, json};
use support::raw::{Exchange, exchange};

const BATCH: &str = r#"{"environment":"development","mpid":1}"#;
/// Longer than a busy machine needs for a response.
const MINUTE: Duration = Duration::from_secs(60);

/// Sends one batch on a raw socket, and reads the response until the end.
fn send(server: &MockServer) -> Exchange {
    post(server, "/events", BATCH)
}

/// Sends a body to a path, and reads the response until the end.
fn post(server: &MockServer, path: &str, body: &str) -> Exchange {
    post_with_timeout(server, path, body, MINUTE)
}

/// Sends a body to a path, and reads until the end, or until no byte arrives for `timeout`.
fn post_with_timeout(server: &MockServer, path: &str, body: &str, timeout: Duration) -> Exchange {
    let pair = BASE64_STANDARD.encode(format!("{}:{}", mock::KEY, mock::SECRET));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Basic {pair}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(&server.url(), format!("{head}{body}").as_bytes(), false, timeout)
}

#[test]
fn fault_sequence_affects_one_request_each() {
    let faults = [Fault::status(503), Fault::status(429).retry_after(7).limit("feed"), Fault::ok(), Fault::status(400)];
    let server = MockServer::builder().fault_sequence(faults).start_blocking();
    let responses: Vec<_> = (0..5).map(|_| send(&server).text()).collect();
    let statuses: Vec<_> = responses.iter().map(|response| &response[9..12]).collect();
    assert_eq!(statuses, ["503", "429", "202", "400", "202"]);
    assert!(responses[1].contains("retry-after: 7") && responses[1].contains("x-mp-rate-limit-exceeded: \"feed\""));
    assert!(responses[3].contains("BAD_REQUEST"));
    assert_eq!(server.batches().len(), 2);
    let faults: Vec<_> = server.requests().into_iter().map(|request| request.fault).collect();
    assert_eq!(faults[..2], [Some("503".to_owned()), Some("429:retry-after=7:limit=feed".to_owned())]);
    assert_eq!(faults[2..], [None, Some("400".to_owned()), None]);
}

#[test]
fn stalls_send_no_response() {
    let server = MockServer::start_blocking();
    for fault in [Fault::stall_before_body(), Fault::stall_during_body(), Fault::stall_after_body()] {
        server.queue_faults([fault.clone()]);
        let read = post_with_timeout(&server, "/events", BATCH, Duration::from_millis(500));
        assert!(read.bytes.is_empty(), "{fault}: {}", read.text());
        assert!(matches!(read.ended, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{fault}: {:?}", read.ended);
    }
    assert_eq!((server.stats().requests, server.batches().len()), (3, 0));
    assert!(server.requests().iter().all(|request| request.status.is_none()));

    server.queue_faults([Fault::stall_in_response()]);
    let read = post_with_timeout(&server, "/events", BATCH, Duration::from_secs(2));
    assert!(read.text().starts_with("HTTP/1.1 202") && read.ended.is_err(), "{:?}", read.ended);
    assert_eq!(server.batches().len(), 1, "the batch was stored");
}

#[test]
fn reset_stores_nothing_but_lost_response_does() {
    let server = MockServer::builder().fault_sequence([Fault::reset(), Fault::lost_response()]).start_blocking();
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
fn responses_can_be_truncated_oversized_or_malformed() {
    let faults = [
        Fault::truncated_response(),
        Fault::oversized_response(3_000_000),
        Fault::malformed_response(),
        Fault::status(204),
    ];
    let server = MockServer::builder().fault_sequence(faults).start_blocking();
    let truncated = send(&server);
    assert!(truncated.text().starts_with("HTTP/1.1 202") && truncated.text().contains("content-length: 32768"));
    assert!(truncated.bytes.len() < 32_768);
    let oversized = send(&server);
    assert!(oversized.text().starts_with("HTTP/1.1 202") && oversized.bytes.len() > 3_000_000);
    let malformed = send(&server);
    assert!(!malformed.bytes.is_empty() && !malformed.bytes.starts_with(b"HTTP"));
    assert!(send(&server).text().starts_with("HTTP/1.1 204"));
    assert_eq!(server.batches().len(), 2);
}

#[test]
fn delay_postpones_the_response() {
    let server = MockServer::builder().fault_sequence([Fault::delay(Duration::from_millis(120))]).start_blocking();
    let start = Instant::now();
    assert!(send(&server).text().starts_with("HTTP/1.1 202"));
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[test]
fn random_faults_meet_their_rate_and_repeat_with_the_same_seed() {
    let outcome = |seed| {
        let server = MockServer::builder().fault_rate(0.3, Fault::status(503)).seed(seed).start_blocking();
        let hits: Vec<_> = (0..100).map(|_| send(&server).text().contains("503")).collect();
        server.clear_faults();
        assert!((0..20).all(|_| send(&server).text().contains("202")));
        hits
    };
    let hits = outcome(7);
    assert_eq!(hits, outcome(7));
    assert_ne!(hits, outcome(8));
    let count = hits.iter().filter(|hit| **hit).count();
    assert!((10..=50).contains(&count), "{count} of 100 at 30 %");
}

#[tokio::test]
async fn retry_after_a_lost_response_counts_as_a_duplicate() {
    let server = MockServer::builder().fault_sequence([Fault::lost_response()]).start().await;
    let client = support::builder(server.url()).retry_policy(RetryPolicy::default()).build().expect("a client");
    client.upload(support::batch()).await.expect("accepted at the second attempt");
    assert_eq!((server.stats().batches, server.stats().duplicates), (1, 1));
}

/// Three batches, the second one with non-ASCII text, and the position of the last character of each in UTF-16 code units.
const THREE: &str = r#"[{"environment":"development","mpid":1}, {"environment":"development","partner_identity":"zoë😀"}, {"environment":"development","mpid":3}]"#;
const ENDS: [usize; 3] = [39, 97, 137];

/// Returns the messages in the body of a response.
fn messages(response: &Exchange) -> Vec<String> {
    let text = response.text();
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let errors = body["errors"].as_array().expect("errors");
    assert!(errors.iter().all(|error| error["code"] == "BAD_REQUEST"), "{body}");
    errors.iter().map(|error| error["message"].as_str().expect("text").to_owned()).collect()
}

fn mpids(server: &MockServer) -> Vec<Value> {
    server.batches().into_iter().map(|mut batch| batch["mpid"].take()).collect()
}

#[test]
fn ends_are_the_positions_of_the_closing_braces() {
    let units: Vec<_> = THREE.encode_utf16().collect();
    let braces: Vec<_> = (1..=units.len()).filter(|position| units[position - 1] == u16::from(b'}')).collect();
    assert_eq!(braces, ENDS);
}

#[test]
fn partial_response_names_its_batches_and_stores_the_others() {
    let error = "Error converting value &quot;injected fault&quot; to type 'System.Guid'.";
    let indexed = |index: usize| format!("{error} Path '[{index}].mp_deviceid', line 1, position {}.", ENDS[index]);
    let by_position = |index: usize| format!("{error} Path 'mp_deviceid', line 1, position {}.", ENDS[index]);
    let table = [
        (Fault::partial([1], Naming::Index), vec![indexed(1)], vec![json!(1), json!(3)]),
        (Fault::partial([2, 0], Naming::Index), vec![indexed(0), indexed(2)], vec![Value::Null]),
        (Fault::partial([2], Naming::Position), vec![by_position(2)], vec![json!(1), Value::Null]),
        (Fault::partial([1], Naming::None), vec!["Invalid event batch.".to_owned()], vec![json!(1), json!(3)]),
        (Fault::partial([2, 3, 99], Naming::Index), vec![indexed(2)], vec![json!(1), Value::Null]),
        (Fault::partial([0, 1, 2], Naming::None), vec!["Invalid event batch.".to_owned(); 3], vec![]),
    ];
    for path in ["/bulkevents", "/v2/bulkevents"] {
        for (fault, expected, stored) in table.clone() {
            let server = MockServer::builder().fault_sequence([fault.clone()]).start_blocking();
            let response = post(&server, path, THREE);
            assert!(response.text().starts_with("HTTP/1.1 202"), "{fault}: {}", response.text());
            assert!(response.text().contains("content-type: application/json"), "{fault}");
            assert_eq!((messages(&response), mpids(&server)), (expected, stored.clone()), "{fault}");
            let counts = server.stats();
            let (batches, refused) = (stored.len() as u64, 3 - stored.len() as u64);
            assert_eq!((counts.batches, counts.refused_batches, counts.refused), (batches, refused, 0), "{fault}");
        }
    }
}

#[test]
fn partial_response_of_the_events_endpoint_refuses_its_batch() {
    let server = MockServer::builder().fault_sequence([Fault::partial([0], Naming::Index)]).start_blocking();
    let response = send(&server);
    assert!(response.text().starts_with("HTTP/1.1 202"), "{}", response.text());
    assert!(messages(&response)[0].ends_with(" Path 'mp_deviceid', line 1, position 38."), "{:?}", messages(&response));
    assert_eq!((server.batches().len(), server.requests()[0].refused.clone()), (0, vec![0]));
}

#[test]
fn partial_response_without_a_matching_batch_has_no_effect() {
    let server = MockServer::builder().fault_rate(1.0, Fault::partial([3, 7], Naming::Index)).start_blocking();
    let response = post(&server, "/bulkevents", THREE);
    assert!(
        response.text().starts_with("HTTP/1.1 202") && response.text().ends_with("\r\n\r\n"),
        "{}",
        response.text()
    );
    assert_eq!(server.batches().len(), 3);
    assert!(post(&server, "/bulkevents", "{}").text().starts_with("HTTP/1.1 400"));
    assert!(post(&server, "/bulkevents", "[").text().starts_with("HTTP/1.1 400"));
    assert_eq!(server.batches().len(), 3);
}

#[test]
fn partial_response_also_names_invalid_batches() {
    let fault = Fault::partial([0], Naming::None);
    let server = MockServer::builder().fault_sequence([fault.clone(), fault.clone(), fault]).start_blocking();
    let body =
        r#"[{"environment":"development","mpid":1},{"environment":"development","mpid":2},{"environment":"test"}]"#;
    let response = post(&server, "/bulkevents", body);
    let expected = [
        "Invalid event batch.",
        "/2/environment: expected \"production\" or \"development\", found \"test\". \
         Path '[2].environment', line 1, position 101.",
    ];
    assert_eq!((messages(&response), mpids(&server)), (expected.map(str::to_owned).to_vec(), vec![json!(2)]));

    let broken = post(&server, "/bulkevents", r#"[{"environment":"test"},{"environment":"development","mpid":4}]"#);
    assert_eq!(messages(&broken), ["Invalid event batch."], "the fault replaces the errors of its batch");
    assert_eq!(mpids(&server), [json!(2), json!(4)]);
    let too_many = json!(vec![json!({ "environment": "development", "mpid": 1 }); 101]).to_string();
    assert!(post(&server, "/bulkevents", &too_many).text().starts_with("HTTP/1.1 400"));
}

#[test]
fn refused_batch_can_be_sent_again_under_its_id() {
    let server = MockServer::builder().fault_sequence([Fault::partial([0], Naming::Index)]).start_blocking();
    let body = r#"[{"environment":"development","mpid":1,"source_request_id":"a"}]"#;
    post(&server, "/bulkevents", body);
    post(&server, "/bulkevents", body);
    assert_eq!((server.stats().batches, server.stats().duplicates, server.stats().refused_batches), (1, 0, 1));
}

#[test]
fn sign_in_page_has_status_200_and_stores_nothing() {
    let server = MockServer::builder().fault_sequence([Fault::html()]).start_blocking();
    let text = send(&server).text();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("content-type: text/html"), "{text}");
    assert!(text.contains("\r\n\r\n<!DOCTYPE html>") && text.contains("Sign in"), "{text}");
    let request = &server.requests()[0];
    assert_eq!((server.batches().len(), request.accepted, request.status), (0, false, Some(200)));
    assert_eq!(request.fault.as_deref(), Some("html"));
}
