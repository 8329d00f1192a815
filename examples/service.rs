//! A web service that tracks events off its hot path, and delivers what is queued when it stops: `cargo run --example service`.
//!
//! It serves on loopback, is called a few times, and then ends as it would at SIGTERM.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Router, serve};
use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, Uploader};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A request waits for nothing here: the event is taken, or there is no room.
async fn add_note(State(uploader): State<Uploader>, Path(customer): Path<String>) -> StatusCode {
    let user = Batch::new(Environment::Development).customer_id(customer);
    let event = CustomEvent::new("Added Note", CustomEventType::UserContent);
    match uploader.track(user, event) {
        Ok(()) => StatusCode::ACCEPTED,
        // The note is added all the same; what was not tracked is worth a metric.
        Err(error) => {
            eprintln!("not tracked: {error}");
            StatusCode::OK
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    let uploader = Uploader::builder(client).start()?;

    let app = Router::new().route("/customers/{customer}/notes", post(add_note)).with_state(uploader.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let service = tokio::spawn(async move {
        // In earnest: `tokio::signal`, for SIGTERM and Ctrl-C.
        serve(listener, app).with_graceful_shutdown(async { _ = stopped.await }).await
    });

    let http = reqwest::Client::new();
    for customer in 0..20 {
        let answer = http.post(format!("http://{address}/customers/customer-{customer}/notes")).send().await?;
        assert_eq!(answer.status(), 202);
    }

    // The server stops accepting requests, then the uploader delivers what is queued.
    drop(http);
    _ = stop.send(());
    service.await??;
    let stats = uploader.shutdown(Duration::from_secs(10)).await;
    println!("{} of {} events delivered, {} left", stats.delivered, stats.accepted, stats.pending);
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
