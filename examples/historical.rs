//! Data older than 30 days, checked first: the service ignores what does not fit, in silence. `cargo run --example historical`

use chrono::{TimeDelta, Utc};
use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let now = Utc::now();
    let bought = |days| CustomEvent::new("Bought", CustomEventType::Transaction).timestamp(now - TimeDelta::days(days));
    let archive = [
        Batch::new(Environment::Development).customer_id("1").event(bought(400)).event(bought(90)),
        Batch::new(Environment::Development).customer_id("2").event(bought(1)),
        Batch::new(Environment::Development).customer_id("3"),
    ];

    let (fitting, ignored): (Vec<_>, Vec<_>) =
        archive.into_iter().partition(|batch| batch.check_historical(now).is_empty());
    for batch in &ignored {
        for finding in batch.check_historical(now) {
            println!("left out: {finding}");
        }
    }
    let report = client.upload_historical(fitting).await?;
    println!("{} delivered", report.delivered());
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
