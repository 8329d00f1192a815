//! A web service that tracks in the background and ends gracefully. `cargo run --example service`
//!
//! It serves its own visitors here and ends by itself; `service --stay` waits for Ctrl-C.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use mparticle::mock::{self, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, Fate, Uploader, User};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build()?;
    let uploader = Uploader::builder(client)
        .linger(Duration::from_millis(200))
        .on_outcome(|outcome| {
            if let Fate::Rejected(error) = outcome.fate() {
                eprintln!("rejected: {error}");
            }
        })
        .start()?;

    let app = axum::Router::new().route("/notes/{user}", post(add_note)).with_state(uploader.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let visitors = visit(url);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            visitors.await;
            if std::env::args().any(|argument| argument == "--stay") {
                let _ = tokio::signal::ctrl_c().await;
            }
        })
        .await?;

    // No request is left that could track; what was tracked goes now. What is pending after that, an orchestrator's patience
    // would have lost too: with a spool it would wait on the disk.
    let counts = uploader.shutdown(Duration::from_secs(10)).await;
    println!("{counts:?}");
    println!("the mock received {} batches, the first: {:#}", server.batches().len(), server.batches()[0]);
    Ok(())
}

/// Answers the visitor at once: tracking never waits.
async fn add_note(State(uploader): State<Uploader>, Path(user): Path<String>) -> StatusCode {
    let tracked = User::new(Batch::new(Environment::Development).customer_id(user))
        .and_then(|user| uploader.track(&user, CustomEvent::new("Added Note", CustomEventType::UserContent)));
    // The visitor's note matters more than the event of it.
    if let Err(error) = tracked {
        eprintln!("not tracked: {error}");
    }
    StatusCode::CREATED
}

async fn visit(url: String) {
    let http = reqwest::Client::new();
    for visit in 0..30 {
        let answer = http.post(format!("{url}/notes/customer-{}", visit % 3)).send().await;
        assert!(answer.is_ok_and(|answer| answer.status() == StatusCode::CREATED));
    }
}
