//! A program that uses `mparticle` with a custom document, which adds an event type, an operation, a property of a batch and an
//! identity. The hand-written code of the crate mentions none of them.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mparticle::mock::{self, MockServer};
use mparticle::types::{AudienceRequest, LoyaltyEvent, LoyaltyKind};
use mparticle::{Batch, Client, Credentials, Environment, Event, IdentityType, Session, Uploader};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = MockServer::start().await;
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build()?;
    upload(&server, &client).await?;
    track(&server, &client).await?;
    check_refusal(&server)?;
    call_operation(&server, &client).await?;
    check_page(&server)
}

fn points_earned(points: i64) -> LoyaltyEvent {
    LoyaltyEvent::with_required("Leaf Club", points, LoyaltyKind::Earned)
}

fn user() -> Batch {
    let mut batch = Batch::new(Environment::Development).identity(IdentityType::LoyaltyId, "L-7");
    batch.loyalty_tier = Some("gold".to_owned());
    batch
}

/// Uploads an event of the new type, which has the common setters and is sealed like any other.
async fn upload(server: &MockServer, client: &Client) -> Result<(), Box<dyn Error>> {
    let start = chrono::Utc::now();
    let mut event = points_earned(120).timestamp(start).session(&Session::resume(4711, start)).attribute("till", 3);
    event.note = Some("birthday".to_owned());
    let event = Event::from(event);
    assert_eq!(event.event_type(), "loyalty_event");

    let sealed = user().event(event).seal()?;
    let sent: Value = serde_json::from_slice(sealed.json())?;
    assert!(sent["source_request_id"].is_string());
    let data = &sent["events"][0]["data"];
    assert!(data["source_message_id"].is_string());
    assert_eq!(data["timestamp_unixtime_ms"], start.timestamp_millis());
    assert_eq!(data["session_id"], 4711);
    assert_eq!(data["custom_attributes"], json!({ "till": 3 }));
    assert_eq!((&data["programme"], &data["points"]), (&json!("Leaf Club"), &json!(120)));
    assert_eq!((&data["kind"], &data["note"]), (&json!("earned"), &json!("birthday")));

    client.upload(sealed).await?;
    let received = &server.batches()[0];
    assert_eq!(*received, sent);
    assert_eq!(received["user_identities"], json!({ "loyalty_id": "L-7" }));
    assert_eq!(received["loyalty_tier"], "gold");
    println!("uploaded: {}", received["events"][0]["event_type"]);
    Ok(())
}

/// Tracks events of the new type for one user. They become one batch, with ids and times.
async fn track(server: &MockServer, client: &Client) -> Result<(), Box<dyn Error>> {
    let uploader = Uploader::builder(client.clone()).linger(Duration::from_secs(60)).start()?;
    let user = user().into_template();
    for points in 1..=3 {
        uploader.track(&user, points_earned(points))?;
    }
    let stats = uploader.shutdown(Duration::from_secs(20)).await;
    assert_eq!((stats.delivered, stats.pending), (3, 0), "{stats:?}");
    let batches = server.batches();
    assert_eq!(batches.len(), 2);
    let events = batches[1]["events"].as_array().expect("events");
    assert_eq!(events.iter().map(|event| event["data"]["points"].as_i64()).collect::<Vec<_>>(), [1, 2, 3].map(Some));
    for event in events {
        assert!(event["data"]["timestamp_unixtime_ms"].is_i64() && event["data"]["source_message_id"].is_string());
    }
    println!("coalesced: {} events in one batch", events.len());
    Ok(())
}

/// Sends an event with invalid fields, which the mock refuses with a pointer to each field.
fn check_refusal(server: &MockServer) -> Result<(), Box<dyn Error>> {
    let data = json!({ "programme": "Leaf Club", "points": "many", "kind": "lost", "color": "red" });
    let event = json!({ "event_type": "loyalty_event", "data": data });
    let batch = json!({ "environment": "development", "user_identities": { "loyalty_id": "L-7" }, "events": [event] });
    let response = request(server, "POST", "/events", &batch.to_string())?;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    let requests = server.requests();
    let refused = requests.last().expect("a request");
    let mut pointers: Vec<_> = refused.violations.iter().map(|violation| violation.pointer.as_str()).collect();
    pointers.sort_unstable();
    let at = |field: &str| format!("/events/0/data/{field}");
    assert_eq!(pointers, [at("color"), at("kind"), at("points")]);
    println!("refused: {}", refused.violations[0]);
    Ok(())
}

/// Calls the new operation. The mock validates its body.
async fn call_operation(server: &MockServer, client: &Client) -> Result<(), Box<dyn Error>> {
    let audience = AudienceRequest { audience_id: 7, name: Some("Tea drinkers".to_owned()) };
    let response = client.raw()?.request_audience(&audience).await?;
    assert_eq!(response.status(), 202);
    let received = server.requests().pop().expect("a request");
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/audiences"));
    assert_eq!(serde_json::from_slice::<Value>(&received.body)?, json!({ "audience_id": 7, "name": "Tea drinkers" }));

    let response = request(server, "POST", "/audiences", r#"{"name":"Tea drinkers"}"#)?;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("audience_id"), "{response}");
    println!("called: {} {}", received.method, received.path);
    Ok(())
}

/// Reads the stream of the live page, which has all requests in their order.
fn check_page(server: &MockServer) -> Result<(), Box<dyn Error>> {
    let stream = open(server, "GET", "/page/stream", "")?;
    let requests = BufReader::new(stream).lines().map_while(Result::ok).filter_map(|line| {
        let data: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
        data["path"].is_string().then_some(data)
    });
    let requests: Vec<_> = requests.take(server.requests().len()).collect();
    assert_eq!(requests[0]["batches"][0]["events"][0]["event_type"], "loyalty_event");
    assert_eq!(requests[0]["batches"][0]["events"][0]["data"]["points"], 120);
    assert_eq!(requests[0]["violations"], json!([]));
    assert_eq!(requests[1]["batches"][0]["events"].as_array().map(Vec::len), Some(3));
    assert_eq!(requests[2]["violations"][0]["event_type"], "loyalty_event");
    assert_eq!(requests[3]["path"], "/audiences");
    let document = request(server, "GET", "/openapi.json", "")?;
    assert!(document.contains("loyalty_event"));
    println!("shown: {} requests", requests.len());
    Ok(())
}

/// Sends a request without the client, and returns the whole response.
fn request(server: &MockServer, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut response = String::new();
    open(server, method, path, body)?.read_to_string(&mut response)?;
    Ok(response)
}

fn open(server: &MockServer, method: &str, path: &str, body: &str) -> std::io::Result<TcpStream> {
    let url = server.url();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // `mock-key:mock-secret` in Base64.
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Basic bW9jay1rZXk6bW9jay1zZWNyZXQ=\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(stream)
}
