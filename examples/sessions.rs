//! A session that a server starts, stores as text, resumes and ends: `cargo run --example sessions`.

use mparticle::chrono::{TimeDelta, Utc};
use mparticle::mock::MockServer;
use mparticle::{AppState, Batch, Client, CustomEvent, CustomEventType, Environment, ScreenView, Session};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    let user = Batch::new(Environment::Development).customer_id("customer-10482");

    let start = Utc::now();
    let session = Session::start(start);
    let first = user
        .clone()
        .event(session.start_event())
        .event(AppState::install().timestamp(start))
        .event(ScreenView::new("Home").timestamp(start))
        .in_session(&session);
    client.upload(first).await?;

    // Between two requests, a service stores the session as text, for example in a cookie.
    let stored = session.to_string();
    let session: Session = stored.parse()?;
    let end = start + TimeDelta::minutes(5);
    let second = user
        .event(CustomEvent::new("Added Note", CustomEventType::UserContent).timestamp(end))
        .event(AppState::background().timestamp(end))
        .event(session.end_event(end))
        .in_session(&session);
    client.upload(second).await?;

    for batch in server.batches() {
        println!("the mock received: {batch:#}");
    }
    Ok(())
}
