//! The mock from the view of an HTTP client: credentials, refusals, stored requests, and access to the page.

mod support;

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_core::Stream;
use mparticle::contract::ComponentSchema;
use mparticle::mock::{self, MockServer};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

fn post(server: &MockServer, path: &str) -> RequestBuilder {
    let request = Client::new().post(format!("{}{path}", server.url())).header("content-type", "application/json");
    request.basic_auth(mock::KEY, Some(mock::SECRET))
}

fn get(server: &MockServer, path: &str) -> RequestBuilder {
    Client::new().get(format!("{}{path}", server.url()))
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("a response")
}

async fn status(request: RequestBuilder) -> StatusCode {
    send(request).await.status()
}

fn batch() -> Value {
    json!({ "environment": "development", "user_identities": { "customer_id": "1" } })
}

#[tokio::test]
async fn accepts_only_valid_credentials() {
    let server = MockServer::start().await;
    let events = || {
        let request = Client::new().post(format!("{}/events", server.url())).header("content-type", "application/json");
        request.body(batch().to_string())
    };
    let refused = send(events()).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["www-authenticate"], "Basic realm=\"mparticle\"");
    for malformed in ["", "Bearer abc", "Basic", "Basic !!!", "Basic bm9jb2xvbg=="] {
        assert_eq!(status(events().header("authorization", malformed)).await, 401, "{malformed}");
    }
    assert_eq!(status(events().basic_auth(mock::KEY, Some("wrong"))).await, 403);
    assert_eq!(status(events().basic_auth("wrong", Some(mock::SECRET))).await, 403);
    assert_eq!(status(events().basic_auth(mock::KEY, Some(mock::SECRET))).await, 202);
    assert_eq!(server.batches().len(), 1);
}

#[tokio::test]
async fn refusal_lists_the_errors_in_the_format_of_the_service() {
    let server = MockServer::start().await;
    let event = json!({ "event_type": "custom_event", "data": {} });
    let body = json!([batch(), { "environment": "test", "mpid": 1, "events": [event] }]);
    let response = send(post(&server, "/bulkevents").body(body.to_string())).await;
    assert_eq!(response.status(), 400);
    let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    let messages: Vec<_> =
        body["errors"].as_array().expect("errors").iter().map(|e| e["message"].as_str().expect("text")).collect();
    assert_eq!(
        messages,
        [
            r#"/1/environment: expected "production" or "development", found "test""#,
            r#"/1/events/0/data: "event_name" is missing, expected text (event 0, custom_event)"#,
            r#"/1/events/0/data: "custom_event_type" is missing, expected "navigation", "location", "search", "transaction", "user_content", "user_preference", "social", "other", "media" or "attribution" (event 0, custom_event)"#,
        ]
    );
    assert_eq!(ComponentSchema::get("ApiErrorResponse").expect("a component").check(&body), []);
    assert!(server.batches().is_empty());
    assert_eq!(server.requests()[0].violations.len(), 3);
    assert_eq!((server.stats().refused, server.stats().errors), (1, 3));
}

#[tokio::test]
async fn refusal_lists_at_most_a_hundred_errors() {
    let server = MockServer::start().await;
    let batches = vec![json!({ "a": 1, "environment": 1 }); 100];
    let response = send(post(&server, "/bulkevents").body(Value::from(batches).to_string())).await;
    let body: Value = response.json().await.expect("JSON");
    let errors = body["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), &errors[100]["message"]), (101, &json!("and 100 more")));
}

#[tokio::test]
async fn refuses_bodies_of_262144_bytes_or_more() {
    let server = MockServer::start().await;
    let padded = |size: usize| {
        let batch = batch().to_string();
        format!("[{batch}{}]", " ".repeat(size - batch.len() - 2))
    };
    assert_eq!(status(post(&server, "/bulkevents").body(padded(262_143))).await, 202);
    for size in [262_144, 1_000_000, 10_000_000] {
        assert_eq!(status(post(&server, "/bulkevents").body(padded(size))).await, 413);
    }
    assert_eq!(server.requests()[1].body.len(), 0, "the body is not kept");
}

#[tokio::test]
async fn refuses_malformed_json_and_too_many_batches_in_either_mode() {
    for server in [MockServer::start().await, MockServer::builder().lenient().start().await] {
        let bulk = |body: String| post(&server, "/bulkevents").body(body);
        let deep = "[".repeat(100_000);
        for broken in ["", "{", "nul", "\u{feff}[]", deep.as_str(), "[] []", "{}", "7"] {
            assert_eq!(status(bulk(broken.to_owned())).await, 400, "{broken:.10}");
        }
        assert_eq!(status(post(&server, "/events").body("[]")).await, 400);
        assert_eq!(status(bulk("[]".into()).header("content-encoding", "gzip")).await, 400);
        let batches = |count| Value::from(vec![batch(); count]).to_string();
        assert_eq!(status(bulk(batches(0))).await, 202);
        assert_eq!(status(bulk(batches(100))).await, 202);
        assert_eq!(status(bulk(batches(101))).await, 400);
        let large = json!([{ "environment": "production", "mpid": 1, "partner_identity": "x".repeat(131_072) }]);
        assert_eq!(status(bulk(large.to_string())).await, 400, "a batch of more than 128 KB");
        assert_eq!(server.batches().len(), 100);
    }
}

#[tokio::test]
async fn lenient_mock_accepts_and_records_invalid_data() {
    let server = MockServer::builder().lenient().start().await;
    let wrong = json!({ "environment": "test", "customerid": "1", "events": vec![1; 2_000] });
    assert_eq!(status(post(&server, "/events").body(wrong.to_string())).await, 202);
    assert_eq!(server.batches(), [wrong]);
    assert_eq!(server.requests()[0].violations.len(), 1_001, "a thousand and the number of the others");
    assert_eq!(server.stats().errors, 1_001);
}

#[tokio::test]
async fn warnings_do_not_refuse_a_request() {
    let server = MockServer::start().await;
    let long = json!({ "environment": "production", "schema_version": 2, "events": [{ "event_type": "screen_view", "data": {
        "screen_name": "s", "custom_attributes": { "a": "x".repeat(5_000) } } }] });
    assert_eq!(status(post(&server, "/events").body(long.to_string())).await, 202);
    let pointers: Vec<_> = server.requests()[0].violations.iter().map(|v| v.pointer.clone()).collect();
    assert_eq!(pointers, ["/schema_version", "", "/events/0/data/custom_attributes/a"]);
    assert_eq!((server.stats().warnings, server.stats().errors), (3, 0));
}

#[tokio::test]
async fn drops_duplicate_batches_of_the_same_key() {
    let server = MockServer::builder().credentials("a", "s").credentials("b", "s").start().await;
    let with_id = |id: Value| json!({ "environment": "development", "mpid": 1, "source_request_id": id });
    let send_as = async |key: &str, batches: Value| {
        let request = post(&server, "/bulkevents").body(batches.to_string());
        // `basic_auth` appends a header, so the first one must be removed.
        let mut request = request.build().expect("a request");
        request.headers_mut().remove("authorization");
        let request = RequestBuilder::from_parts(Client::new(), request).basic_auth(key, Some("s"));
        assert_eq!(status(request).await, 202);
    };
    send_as("a", json!([with_id("1".into()), with_id("2".into()), with_id("1".into())])).await;
    send_as("a", json!([with_id("2".into()), with_id("3".into())])).await;
    send_as("b", json!([with_id("1".into())])).await;
    send_as("a", json!([with_id("".into()), with_id("".into()), with_id(Value::Null), batch(), batch()])).await;
    assert_eq!(
        server.requests().iter().map(|r| r.duplicates.clone()).collect::<Vec<_>>(),
        [vec![2], vec![0], vec![], vec![]]
    );
    assert_eq!((server.stats().batches, server.stats().duplicates), (9, 2));
    assert_eq!(server.batches().len(), 9);
}

#[tokio::test]
async fn drops_historical_batches_that_the_service_would_not_process() {
    let now: DateTime<Utc> = "2026-01-10T00:00:00Z".parse().expect("a time");
    let server = MockServer::builder().clock(move || now).start().await;
    let with = |times: &[i64]| {
        let events: Vec<_> = times
            .iter()
            .map(|ms| json!({ "event_type": "first_run", "data": { "timestamp_unixtime_ms": ms } }))
            .collect();
        json!({ "environment": "production", "mpid": 1, "events": events })
    };
    let hour = 3_600_000;
    let (young, old) = (now.timestamp_millis() - 71 * hour, now.timestamp_millis() - 72 * hour);
    let body = json!([with(&[old]), with(&[]), with(&[old, young]), with(&[old, old])]);
    assert_eq!(status(post(&server, "/bulkevents/historical").body(body.to_string())).await, 202);
    assert_eq!(server.requests()[0].ignored, [1, 2]);
    assert_eq!((server.stats().batches, server.stats().ignored, server.stats().events), (2, 2, 3));
    assert_eq!(server.events().len(), 3);
    assert_eq!(status(post(&server, "/bulkevents").body(body.to_string())).await, 202);
    assert_eq!(server.stats().batches, 6, "the other endpoints store them");
}

#[tokio::test]
async fn limits_the_rate_with_the_headers_of_the_service() {
    let server = MockServer::builder().rate_limit(200).start().await;
    let bulk = |count| post(&server, "/bulkevents").body(Value::from(vec![batch(); count]).to_string());
    let used = send(bulk(100)).await.headers()["x-mp-rate-limit-percentage-used"].clone();
    let used: u32 = used.to_str().expect("text").parse().expect("a whole number");
    assert!((1..=50).contains(&used), "{used}");
    let mut refused = send(bulk(100)).await;
    while refused.status() == 202 {
        refused = send(bulk(100)).await;
    }
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["x-mp-rate-limit-exceeded"], "account");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(server.rate_limit_used_percent().is_some());

    let rising = MockServer::builder().rate_limit(1_000).acceleration_limit(2.0).start().await;
    let bulk = || post(&rising, "/bulkevents").body(Value::from(vec![batch(); 100]).to_string());
    let mut refused = send(bulk()).await;
    for _ in 0..1_000 {
        refused = send(bulk()).await;
        if refused.status() == 429 {
            break;
        }
    }
    assert_eq!(refused.headers()["x-mp-rate-limit-exceeded"], "acceleration");
    assert!(!refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn keeps_the_newest_requests_and_counts_all() {
    let server = MockServer::builder().keep(3, usize::MAX).start().await;
    let client = support::client(&server);
    for n in 0..5 {
        client.upload(support::batch().source_request_id(n.to_string())).await.expect("accepted");
    }
    let numbers: Vec<_> = server.requests().iter().map(|request| request.number).collect();
    assert_eq!(numbers, [3, 4, 5]);
    assert_eq!((server.stats().requests, server.stats().batches), (5, 5));

    let small = MockServer::builder().keep(1_000, 10_000).start().await;
    let client = support::client(&small);
    for _ in 0..50 {
        client
            .upload(support::batch_of(1_000).source_request_id(uuid::Uuid::new_v4().to_string()))
            .await
            .expect("accepted");
    }
    assert!((1..10).contains(&small.requests().len()), "{}", small.requests().len());
}

#[tokio::test]
async fn provides_requests_as_bytes_and_batches_as_types() {
    let server = MockServer::start().await;
    let sent = support::batch().mpid(9_007_199_254_740_993);
    support::client(&server).upload(sent.clone()).await.expect("accepted");
    let request = &server.requests()[0];
    assert!(std::str::from_utf8(&request.body).expect("UTF-8").contains("9007199254740993"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
    let mut received: Vec<mparticle::Batch> = server.batches_as().expect("batches");
    assert_eq!(received[0].mpid, sent.mpid);
    received[0].source_request_id = None;
    assert!(server.batches_as::<String>().is_err());
}

#[tokio::test]
async fn base_url_can_end_in_v2() {
    let server = MockServer::start().await;
    assert_eq!(status(post(&server, "/v2/events").body(batch().to_string())).await, 202);
    let refused = send(get(&server, "/v2/events")).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["allow"].as_bytes()), (405, &b"POST"[..]));
    assert_eq!(status(post(&server, "/v2").body("")).await, 404);
}

#[tokio::test]
async fn serves_the_page_and_the_document_only_under_local_host_names() {
    let server = MockServer::start().await;
    let page = send(get(&server, "/")).await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.text().await.expect("text").contains("<title>"));
    for (path, kind) in [
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/openapi.strict.json", "application/json"),
    ] {
        let file = send(get(&server, path)).await;
        assert_eq!(
            (file.status().as_u16(), file.headers()["content-type"].as_bytes()),
            (200, kind.as_bytes()),
            "{path}"
        );
        assert!(!file.text().await.expect("text").is_empty());
    }
    assert_eq!(status(Client::new().post(server.url())).await, 405);
    assert_eq!(status(get(&server, "/page/../Cargo.toml")).await, 404);
    assert_eq!(status(get(&server, "/").header("host", "evil.example")).await, 403);
    for path in ["/", "/page/stream", "/openapi.json", "/events"] {
        assert_eq!(status(get(&server, path).header("sec-fetch-site", "cross-site")).await, 403, "{path}");
        assert_eq!(status(get(&server, path).header("origin", "https://evil.example")).await, 403, "{path}");
    }
    let other_site = post(&server, "/events").body(batch().to_string()).header("origin", "http://localhost:3000");
    assert_eq!(status(other_site).await, 403);
    assert!(server.batches().is_empty());
}

/// Reads the events of the page's stream until `done`.
async fn read_stream(response: &mut Response, done: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !done(&text) {
        let chunk = response.chunk().await.expect("no error").expect("an open stream");
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    text
}

#[tokio::test]
async fn page_stream_resumes_after_the_last_event() {
    let server = MockServer::builder().keep(2, usize::MAX).start().await;
    let mpid = "{\"environment\":\"development\",\r\n\"mpid\":-9223372036854775807}";
    assert_eq!(status(post(&server, "/events").body(mpid)).await, 202);
    assert_eq!(status(post(&server, "/events").body("no JSON <script>")).await, 400);

    let mut response = send(get(&server, "/page/stream")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = read_stream(&mut response, |text| text.contains("event: counts")).await;
    assert!(text.starts_with("event: hello\ndata: {"), "{text}");
    assert!(text.contains("\"mode\":\"strict\""));
    assert!(text.contains("data: \"mpid\":-9223372036854775807}"), "verbatim, each line with a field name: {text}");
    assert!(text.contains("\"text\":\"no JSON <script>\"") && text.contains("\"batches\":null"), "{text}");
    assert!(!text.contains(mock::SECRET) && !text.to_lowercase().contains("authorization"));

    assert_eq!(status(post(&server, "/events").body(batch().to_string())).await, 202);
    let text = read_stream(&mut response, |text| text.contains("event: counts")).await;
    assert!(text.contains("\"number\":3") && !text.contains("\"number\":2"), "{text}");
    let id = text.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    drop(response);

    assert_eq!(status(post(&server, "/events").body(batch().to_string())).await, 202);
    let resumed = get(&server, "/page/stream").header("last-event-id", &id);
    let text = read_stream(&mut send(resumed).await, |text| text.contains("event: counts")).await;
    assert!(text.contains("\"number\":4") && !text.contains("\"number\":3"), "{text}");

    for _ in 0..3 {
        status(post(&server, "/events").body(batch().to_string())).await;
    }
    let late = get(&server, "/page/stream").header("last-event-id", &id);
    let text = read_stream(&mut send(late).await, |text| text.contains("event: counts")).await;
    assert!(text.contains("event: gap\ndata: {\"missed\":2}"), "{text}");
    let foreign = get(&server, "/page/stream").header("last-event-id", "another-mock:7");
    let text = read_stream(&mut send(foreign).await, |text| text.contains("event: counts")).await;
    assert!(text.contains("\"number\":7") && text.contains("{\"missed\":5}"), "{text}");
}

#[tokio::test]
async fn request_stream_returns_new_requests_and_counts_missed_ones() {
    let server = MockServer::builder().keep(2, usize::MAX).start().await;
    assert_eq!(status(post(&server, "/events").body("1")).await, 400);
    let mut requests = server.request_stream();
    assert!(requests.try_next().is_none(), "returns only later requests");
    let (request, _) = tokio::join!(requests.next(), async { status(post(&server, "/events").body("2")).await });
    assert_eq!(request.expect("a request").number, 2);
    for _ in 0..5 {
        status(post(&server, "/events").body("3")).await;
    }
    assert_eq!((requests.next().await.expect("a request").number, requests.missed()), (6, 3));
    assert_eq!(requests.next().await.expect("a request").number, 7);
    drop(server);
    assert!(requests.next().await.is_none());
}

#[tokio::test]
async fn request_stream_is_a_stream() {
    async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
        poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
    }
    let server = MockServer::start().await;
    let mut requests = server.request_stream();
    assert!(timeout(Duration::from_millis(20), next(&mut requests)).await.is_err(), "there is no request yet");
    for number in 1..=2 {
        let (request, _) =
            tokio::join!(next(&mut requests), async { status(post(&server, "/events").body("1")).await });
        assert_eq!(request.expect("a request").number, number);
    }
    drop(server);
    assert!(next(&mut requests).await.is_none() && next(&mut requests).await.is_none());
}

#[test]
fn runs_without_a_runtime_and_stops_when_dropped() {
    let servers: Vec<_> = (0..3).map(|_| MockServer::start_blocking()).collect();
    let address = servers[0].url().trim_start_matches("http://").to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    drop(servers);
    assert!(std::net::TcpStream::connect(&address).is_err());
    let server = MockServer::start_blocking();
    let address: std::net::SocketAddr = server.url().trim_start_matches("http://").parse().expect("an address");
    assert!(MockServer::builder().listen(address).try_start().is_err());
}
