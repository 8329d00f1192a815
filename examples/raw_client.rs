//! The generated endpoints and types, which add and check nothing: `cargo run --example raw_client`.

use mparticle::mock::{self, MockServer};
use mparticle::types::{Batch, Event, ScreenView, UserIdentities};
use mparticle::{Client, Credentials, Environment, chrono, raw};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    let raw = Client::for_mock(&server)?.raw()?;

    // A type with required fields is made by its constructor or from JSON. All fields are public. Optional structs are boxed.
    let mut view = ScreenView::new("Home");
    view.timestamp_unixtime_ms = Some(chrono::Utc::now().timestamp_millis());
    let mut batch = Batch::new(Environment::Development);
    let identities = UserIdentities { email: Some("mira@shop.example".into()), ..Default::default() };
    batch.user_identities = Some(Box::new(identities));
    batch.events = vec![Event::ScreenView(view)];

    let response = raw.upload_events(&batch).await?;
    println!("status: {}", response.status());
    println!("rate limit used: {:?}", response.headers().get("x-mp-rate-limit-percentage-used"));
    println!("the mock received: {:#}", server.batches()[0]);

    // A response other than 202 is an error that contains the whole response.
    let client = Client::builder(Credentials::new(mock::KEY, "wrong")).base_url(server.url()).build()?;
    match client.raw()?.upload_events(&batch).await {
        Err(raw::Error::UnexpectedResponse(response)) => println!("status with a wrong secret: {}", response.status()),
        other => println!("unexpected: {other:?}"),
    }
    Ok(())
}
