//! The mock as any HTTP client meets it: who gets in, what is refused and in which words.

mod support;

use mparticle::contract::{self, Component, Violation};
use mparticle::mock::{self, MockServer};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

fn post(server: &MockServer, path: &str) -> RequestBuilder {
    Client::new().post(format!("{}{path}", server.url())).header("content-type", "application/json")
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.expect("an answer").status()
}

#[tokio::test]
async fn only_the_right_pair_gets_in() {
    let server = MockServer::start();
    let events = || post(&server, "/events").body(r#"{"environment":"development"}"#);
    assert_eq!(status(events()).await, 401);
    for malformed in ["", "Bearer abc", "Basic", "Basic !!!", "Basic bm9jb2xvbg=="] {
        assert_eq!(status(events().header("authorization", malformed)).await, 401, "{malformed}");
    }
    assert_eq!(status(events().basic_auth(mock::KEY, Some("wrong"))).await, 403);
    assert_eq!(status(events().basic_auth("wrong", Some(mock::SECRET))).await, 403);
    assert_eq!(status(events().basic_auth(mock::KEY, Some(mock::SECRET))).await, 202);
    assert_eq!(server.batches().len(), 1);
}

#[tokio::test]
async fn a_refusal_lists_what_is_wrong_in_the_form_of_the_service() {
    let server = MockServer::start();
    let body = json!([{ "environment": "development" }, { "environment": "test", "events": [{ "event_type": "custom_event", "data": {} }] }]);
    let request = post(&server, "/bulkevents").basic_auth(mock::KEY, Some(mock::SECRET)).body(body.to_string());
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 400);
    let answer: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    let messages: Vec<_> =
        answer["errors"].as_array().expect("errors").iter().map(|e| e["message"].as_str().expect("text")).collect();
    assert_eq!(
        messages,
        [
            r#"/1/environment: "test" is not one of "production" or "development""#,
            r#"/1/events/0/data: "event_name" is a required property"#,
            r#"/1/events/0/data: "custom_event_type" is a required property"#,
        ]
    );
    assert_eq!(Component::named("ApiErrorResponse").expect("a component").check(&answer), []);
    assert!(server.batches().is_empty());
}

#[tokio::test]
async fn a_body_of_262144_bytes_is_refused() {
    let server = MockServer::start();
    let request = |body: String| post(&server, "/events").basic_auth(mock::KEY, Some(mock::SECRET)).body(body);
    let padded = |size: usize| format!("{}{}", r#"{"environment":"development"}"#, " ".repeat(size - 29));
    assert_eq!(status(request(padded(262_143))).await, 202);
    for size in [262_144, 1_000_000, 10_000_000] {
        assert_eq!(status(request(padded(size))).await, 413);
    }
}

#[tokio::test]
async fn broken_json_and_a_101st_batch_are_refused() {
    let server = MockServer::start();
    let bulk = |body: String| post(&server, "/bulkevents").basic_auth(mock::KEY, Some(mock::SECRET)).body(body);
    let deep = "[".repeat(100_000);
    for broken in ["", "{", "nul", "\u{feff}[]", deep.as_str()] {
        assert_eq!(status(bulk(broken.to_owned())).await, 400, "{broken:.10}");
    }
    let batches = |count| Value::from(vec![json!({ "environment": "production" }); count]).to_string();
    assert_eq!(status(bulk(batches(100))).await, 202);
    assert_eq!(status(bulk(batches(101))).await, 400);
    assert_eq!(server.batches().len(), 100);
}

#[test]
fn violations_name_their_place() {
    let of = |body: Value| contract::check_batch(&body).iter().map(Violation::to_string).collect::<Vec<_>>();
    let with = |event: Value| json!({ "environment": "development", "events": [event] });
    let event = |event_type: &str, data: Value| with(json!({ "event_type": event_type, "data": data }));
    let table = [
        (json!({}), vec![r#"/: "environment" is a required property"#]),
        (json!([]), vec![r#"/: [] is not of type "object""#]),
        (with(json!({ "event_type": "first_run" })), vec![r#"/events/0: "data" is a required property"#]),
        (event("first_fun", json!({})), vec![r#"/events/0/event_type: there is no event type "first_fun""#]),
        (
            event("opt_out", json!({ "is_opted_out": 1 })),
            vec![r#"/events/0/data/is_opted_out: 1 is not of type "boolean""#],
        ),
        (
            event(
                "custom_event",
                json!({ "event_name": "e", "custom_event_type": "other", "custom_attributes": { "a": [] } }),
            ),
            vec![
                "/events/0/data/custom_attributes/a: [] is not valid under any of the schemas listed in the 'anyOf' keyword",
            ],
        ),
        (
            event("session_start", json!({ "session_uuid": "no" })),
            vec![r#"/events/0/data/session_uuid: "no" is not a "uuid""#],
        ),
        (json!({ "environment": "production", "ip": "1.2.3" }), vec![r#"/ip: "1.2.3" is not a "ip""#]),
        (
            json!({ "environment": "production", "user_identities": { "customerid": "1" } }),
            vec!["/user_identities: Additional properties are not allowed ('customerid' was unexpected)"],
        ),
    ];
    for (body, expected) in table {
        assert_eq!(of(body), expected);
    }
    assert_eq!(
        of(json!({ "environment": "production", "events": [
            { "event_type": "session_start", "data": { "custom_flags": { "a": 1 }, "timestamp_unixtime": 1 } },
            { "event_type": "commerce_event", "data": {} },
            { "event_type": "commerce_event", "data": { "product_action": { "action": "click" }, "promotion_action": { "action": "view" } } },
            { "event_type": "commerce_event", "data": { "product_action": { "action": "click", "products": [{ "position": 2_147_483_648_i64 }] } } },
        ] })),
        [
            "/events/0/data: Additional properties are not allowed ('custom_flags', 'timestamp_unixtime' were unexpected)",
            "/events/1/data: exactly one of product_action, promotion_action, product_impressions is expected, there are 0",
            "/events/2/data: exactly one of product_action, promotion_action, product_impressions is expected, there are 2",
            "/events/3/data/product_action/products/0/position: 2147483648 is greater than the maximum of 2147483647",
        ]
    );
    let long = of(event("custom_event", json!({ "event_name": "é".repeat(100_000), "custom_event_type": "other" })));
    assert!(long[0].ends_with("is longer than 256 characters") && long[0].chars().count() < 400, "{}", long[0]);
    assert_eq!(contract::check_batches(&json!({}))[0].to_string(), "/: an array of batches is expected");
    assert!(Component::named("NoSuchComponent").is_none());
}

#[test]
fn null_at_a_declared_property_means_absent() {
    let change = json!({ "user_attribute_name": "a", "new": null, "old": null });
    let first = json!({ "identity_type": "email", "identity": "a", "timestamp_unixtime_ms": 1 });
    let right = json!({ "environment": "production", "mpid": null, "device_info": { "is_tablet": null }, "events": [
        { "event_type": "user_attribute_change", "data": change },
        { "event_type": "user_identity_change", "data": { "new": first, "old": null } },
        { "event_type": "first_run", "data": { "custom_attributes": { "a": null } } },
    ] });
    assert_eq!(contract::check_batch(&right), []);
    let wrong =
        json!({ "environment": null, "events": [{ "event_type": "user_identity_change", "data": { "new": first } }] });
    let said: Vec<_> = contract::check_batch(&wrong).iter().map(Violation::to_string).collect();
    assert_eq!(said, [r#"/: "environment" is a required property"#, r#"/events/0/data: "old" is a required property"#]);
}

#[tokio::test]
async fn a_refusal_lists_at_most_a_hundred_errors() {
    let server = MockServer::start();
    let batches = vec![json!({ "a": 1, "environment": 1 }); 100];
    let bulk = reqwest::Client::new().post(format!("{}/bulkevents", server.url()));
    let answer = bulk.basic_auth(mock::KEY, Some(mock::SECRET)).json(&batches).send().await.expect("an answer");
    let said: serde_json::Value = answer.json().await.expect("JSON");
    let errors = said["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100]["message"], "and 200 more");
}

#[test]
fn a_mock_works_outside_of_any_runtime_and_ends_when_dropped() {
    let servers: Vec<_> = (0..3).map(|_| MockServer::start()).collect();
    let address = servers[0].url().trim_start_matches("http://").to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    drop(servers);
    assert!(std::net::TcpStream::connect(&address).is_err());
}
