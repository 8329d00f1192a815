//! The generated endpoints and types, with nothing added: they send exactly what they are given. `cargo run --example raw_client`

use mparticle::mock::{self, MockServer};
use mparticle::types::{Batch, Event, ScreenView, UserIdentities};
use mparticle::{Client, Credentials, Environment, raw};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    let raw = client.raw()?;

    // Types with required fields are made by a constructor or from JSON. Their fields are public.
    let mut view: ScreenView = serde_json::from_str(r#"{ "screen_name": "Home" }"#)?;
    view.timestamp_unixtime_ms = Some(chrono::Utc::now().timestamp_millis());
    let mut batch = Batch::new(Environment::Development);
    batch.user_identities = Some(UserIdentities { email: Some("mira@shop.example".into()), ..Default::default() });
    batch.events = vec![Event::ScreenView(view)];

    let response = raw.upload_events(&batch).await?;
    println!("status: {}", response.status());
    println!("rate limit used: {:?}", response.headers().get("x-mp-rate-limit-percentage-used"));
    println!("the mock received: {:#}", server.batches()[0]);

    // Every response other than a 202 is returned unchanged.
    let wrong = Client::builder(Credentials::new(mock::KEY, "wrong")).base_url(server.url()).build()?;
    match wrong.raw()?.upload_events(&batch).await {
        Err(raw::Error::UnexpectedResponse(response)) => println!("with a wrong secret: {}", response.status()),
        other => println!("unexpected: {other:?}"),
    }
    Ok(())
}
