//! Uploads data older than 30 days, and leaves out what the service would ignore: `cargo run --example historical`.

use mparticle::chrono::{TimeDelta, Utc};
use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let now = Utc::now();
    let order = |days| CustomEvent::new("Ordered", CustomEventType::Transaction).timestamp(now - TimeDelta::days(days));
    let mut archive = vec![
        Batch::new(Environment::Development).customer_id("1").event(order(400)).event(order(90)),
        Batch::new(Environment::Development).customer_id("2").event(order(1)),
        Batch::new(Environment::Development).customer_id("3"),
    ];

    // The service accepts a batch that is too recent or has no events, and then ignores it without an error.
    archive.retain(|batch| {
        let findings = batch.check_historical(now);
        for finding in &findings {
            println!("left out: {finding}");
        }
        findings.is_empty()
    });
    let report = client.upload_historical(archive).await?;

    println!("{} delivered", report.delivered());
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
