//! A session that a server keeps for an application: begun, stored, resumed, ended. `cargo run --example sessions`

use chrono::{TimeDelta, Utc};
use mparticle::mock::MockServer;
use mparticle::{AppState, Batch, Client, CustomEvent, CustomEventType, Environment, ScreenView, Session};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    let user = || Batch::new(Environment::Development).customer_id("customer-10482");

    let begin = Utc::now();
    let session = Session::start(begin);
    let first = user()
        .event(session.start_event())
        .event(AppState::install().timestamp(begin).session(&session))
        .event(ScreenView::new("Home").timestamp(begin).session(&session));
    client.upload(first).await?;

    // A service stores the session as text between two requests, for example in a cookie.
    let stored = session.to_string();
    let session: Session = stored.parse()?;
    let end = begin + TimeDelta::minutes(5);
    let second = user()
        .event(CustomEvent::new("Added Note", CustomEventType::UserContent).timestamp(end).session(&session))
        .event(AppState::background().timestamp(end).session(&session))
        .event(session.end_event(end));
    client.upload(second).await?;

    for batch in server.batches() {
        println!("the mock received: {batch:#}");
    }
    Ok(())
}
