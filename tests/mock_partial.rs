//! Partial responses of the mock: it stores the valid batches of a bulk request, and names the invalid ones in a 202.

use chrono::{DateTime, Utc};
use mparticle::contract::ComponentSchema;
use mparticle::mock::{self, MockServer};
use reqwest::Client;
use serde_json::{Value, json};

/// Three batches of an export. An attribute of the second one is an object.
const NESTED_ATTRIBUTE: &str = r#"[{"schema_version":2,"environment":"development","user_identities":{"customer_id":"cust-71"},"events":[{"event_type":"custom_event","data":{"event_name":"conversion","custom_event_type":"transaction","timestamp_unixtime_ms":1767225600000,"source_message_id":"msg-71","custom_attributes":{"conversiontype":"purchase"}}}]},{"schema_version":2,"environment":"development","user_identities":{"customer_id":"cust-72"},"events":[{"event_type":"custom_event","data":{"event_name":"conversion","custom_event_type":"transaction","timestamp_unixtime_ms":1767225600000,"source_message_id":"msg-72","custom_attributes":{"conversiontype":"purchase","currency":{"code":"EUR"}}}}]},{"schema_version":2,"environment":"development","user_identities":{"customer_id":"cust-73"},"events":[{"event_type":"custom_event","data":{"event_name":"conversion","custom_event_type":"transaction","timestamp_unixtime_ms":1767225600000,"source_message_id":"msg-73","custom_attributes":{"conversiontype":"purchase"}}}]}]"#;

async fn partial() -> MockServer {
    MockServer::builder().partial_responses(true).start().await
}

/// Sends a body, and returns the status and the messages of the response.
async fn post(server: &MockServer, path: &str, body: impl Into<reqwest::Body>) -> (u16, Vec<String>) {
    let request = Client::new().post(format!("{}{path}", server.url())).header("content-type", "application/json");
    let request = request.basic_auth(mock::KEY, Some(mock::SECRET)).body(body);
    let response = request.send().await.expect("a response");
    let status = response.status().as_u16();
    let body = response.text().await.expect("a body");
    if body.is_empty() {
        return (status, Vec::new());
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(ComponentSchema::get("ApiErrorResponse").expect("a component").check(&body), []);
    let errors = body["errors"].as_array().expect("errors");
    (status, errors.iter().map(|error| error["message"].as_str().expect("text").to_owned()).collect())
}

fn good(mpid: usize) -> Value {
    json!({ "environment": "development", "mpid": mpid })
}

fn bad() -> Value {
    json!({ "environment": "test", "mpid": 0 })
}

fn mpids(server: &MockServer) -> Vec<u64> {
    server.batches().iter().filter_map(|batch| batch["mpid"].as_u64()).collect()
}

#[tokio::test]
async fn stores_valid_batches_and_names_the_invalid_one_by_its_index() {
    let server = partial().await;
    server.expect(mock::batches()).times(2);
    server.expect(mock::event_named("conversion")).times(2);
    server.expect(mock::event_named("conversion").identity("customer_id", "cust-72")).times(0);
    let (status, messages) = post(&server, "/bulkevents", NESTED_ATTRIBUTE).await;
    let end = NESTED_ATTRIBUTE
        .find(r#"},{"schema_version":2,"environment":"development","user_identities":{"customer_id":"cust-73"#);
    let expected = format!(
        "/1/events/0/data/custom_attributes/currency: expected text, a number, true or false or null, found an object \
         (event 0, custom_event). Path '[1].events[0].data.custom_attributes.currency', line 1, position {}.",
        end.expect("the last batch") + 1
    );
    assert_eq!((status, messages), (202, vec![expected]));

    let sent: Vec<Value> = serde_json::from_str(NESTED_ATTRIBUTE).expect("JSON");
    assert_eq!(server.batches(), [sent[0].clone(), sent[2].clone()]);
    let request = &server.requests()[0];
    assert_eq!((request.accepted, request.refused.as_slice(), request.status), (true, &[1][..], Some(202)));
    let counts = server.stats();
    assert_eq!((counts.requests, counts.refused, counts.errors), (1, 0, 1));
    assert_eq!((counts.batches, counts.events, counts.refused_batches), (2, 2, 1));
    assert_eq!(request.to_json()["refused"], json!([1]));
}

#[tokio::test]
async fn one_invalid_batch_refuses_its_request_by_default() {
    for server in [MockServer::start().await, MockServer::builder().partial_responses(false).start().await] {
        assert_eq!(post(&server, "/bulkevents", NESTED_ATTRIBUTE).await.0, 400);
        assert_eq!((server.batches().len(), server.stats().refused, server.stats().refused_batches), (0, 1, 0));
    }
}

#[tokio::test]
async fn request_without_a_valid_batch_is_refused_with_400() {
    let (server, strict) = (partial().await, MockServer::start().await);
    let many = json!([bad(), { "environment": 1 }]).to_string();
    let too_many = json!(vec![good(1); 101]).to_string();
    let too_many_and_bad = json!([vec![good(1); 100], vec![bad()]].concat()).to_string();
    for body in [many, json!([bad()]).to_string(), too_many, too_many_and_bad, "{}".into(), "7".into(), "[".into()] {
        let (status, messages) = post(&server, "/bulkevents", body.clone()).await;
        assert_eq!((status, &messages), (400, &post(&strict, "/bulkevents", body).await.1));
        assert!(!messages.is_empty() && !messages.iter().any(|message| message.contains("Path '")), "{messages:?}");
    }
    assert_eq!(post(&server, "/events", bad().to_string()).await.0, 400, "the batch is the whole request");
    assert_eq!((server.batches().len(), server.stats().refused_batches, server.stats().refused), (0, 0, 8));
    assert_eq!(post(&server, "/bulkevents", "[]").await, (202, vec![]));
    assert_eq!(post(&server, "/bulkevents", json!([good(1)]).to_string()).await, (202, vec![]));
    assert_eq!(post(&server, "/events", good(2).to_string()).await, (202, vec![]));
}

#[tokio::test]
async fn names_an_invalid_batch_in_each_of_its_errors() {
    let server = partial().await;
    let nameless = json!({ "environment": "test", "it's mine": 1 });
    let body = format!("[ {},\t{}, {} ]", nameless, good(1), json!(["no batch", "😀"]));
    let (status, messages) = post(&server, "/v2/bulkevents", body.clone()).await;
    let first = 2 + nameless.to_string().len();
    let last = body.encode_utf16().count() - 2;
    assert!(last < body.len() - 2, "the body is not ASCII");
    let expected = [
        format!("Path '[0].environment', line 1, position {first}."),
        format!(r"Path '[0]['it\'s mine']', line 1, position {first}."),
        format!("Path '[2]', line 1, position {last}."),
    ];
    assert_eq!((status, messages.len()), (202, 3), "{messages:?}");
    for (message, expected) in messages.iter().zip(expected) {
        assert!(message.ends_with(&expected), "{message}: {expected}");
    }
    assert_eq!(mpids(&server), [1]);
}

/// Only a thousand violations are listed, and only a hundred errors are written.
#[tokio::test]
async fn names_every_invalid_batch_despite_the_limits_on_errors() {
    let server = partial().await;
    let wrong = json!({ "environment": "test", "events": vec![1; 60] });
    let bodies = (0..100).map(|n| if n % 10 == 0 { good(n) } else { wrong.clone() });
    let (status, messages) = post(&server, "/bulkevents", bodies.collect::<Value>().to_string()).await;
    assert_eq!((status, messages.len()), (202, 90));
    for (message, index) in messages.iter().zip((0..100).filter(|n| n % 10 != 0)) {
        assert!(
            message.starts_with(&format!("/{index}/")) && message.contains(&format!("Path '[{index}].")),
            "{message}"
        );
    }
    assert_eq!(mpids(&server), (0..100).step_by(10).collect::<Vec<_>>());
    assert_eq!(server.stats().refused_batches, 90);
}

#[tokio::test]
async fn messages_stay_short_enough_for_clients_to_read() {
    let server = partial().await;
    // A control character takes six bytes in JSON.
    for name in ["a name that is quite long".repeat(90), "\u{1F600}".repeat(90), "\u{1}".repeat(390)] {
        let bodies = (0..99).map(|_| json!({ "environment": "development", &name: 1 })).chain([good(1)]);
        let (status, messages) = post(&server, "/bulkevents", bodies.collect::<Value>().to_string()).await;
        assert_eq!((status, messages.len()), (202, 99));
        assert!(json!(messages).to_string().len() < 56 * 1024);
        assert!(messages[98].contains("Path '[98]', line 1, position "), "{}", messages[98]);
    }
}

#[tokio::test]
async fn lenient_mock_names_only_batches_that_the_service_refuses() {
    let server = MockServer::builder().lenient().partial_responses(true).start().await;
    let large = json!({ "environment": "production", "mpid": 3, "partner_identity": "x".repeat(131_072) });
    let (status, messages) = post(&server, "/bulkevents", json!([bad(), large, good(2)]).to_string()).await;
    assert_eq!((status, messages.len()), (202, 1), "{messages:?}");
    assert!(messages[0].starts_with("/1: expected at most 131072 bytes") && messages[0].contains("Path '[1]',"));
    assert_eq!(mpids(&server), [0, 2]);
    assert_eq!(post(&server, "/bulkevents", json!(vec![good(1); 101]).to_string()).await.0, 400);
}

#[tokio::test]
async fn refused_historical_batches_are_neither_ignored_nor_duplicates() {
    let now: DateTime<Utc> = "2026-01-10T00:00:00Z".parse().expect("a time");
    let server = MockServer::builder().partial_responses(true).clock(move || now).start().await;
    let event = json!({ "event_type": "first_run", "data": { "timestamp_unixtime_ms": 1_700_000_000_000_u64 } });
    let batch = |environment: &str, events: Value| json!({ "environment": environment, "mpid": 1, "events": events, "source_request_id": "a" });
    let body = json!([batch("test", json!([])), batch("development", json!([event])), batch("development", json!([]))]);
    let (status, messages) = post(&server, "/bulkevents/historical", body.to_string()).await;
    assert_eq!((status, messages.len()), (202, 1), "{messages:?}");
    let request = &server.requests()[0];
    assert_eq!((&request.refused, &request.ignored, &request.duplicates), (&vec![0], &vec![2], &vec![]));
    let counts = server.stats();
    assert_eq!((counts.batches, counts.refused_batches, counts.ignored, counts.duplicates), (1, 1, 1, 0));
}
