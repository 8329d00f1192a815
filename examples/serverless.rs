//! A function that is frozen as soon as it returns: it sends and awaits the answer, within its own time. `cargo run --example
//! serverless`

use std::time::Duration;

use mparticle::mock::{self, Fault, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, RetryPolicy};

/// What is called for each request. Nothing may be left to be done when it returns.
async fn handle(client: &Client, order: u32) -> &'static str {
    let batch = Batch::new(Environment::Development)
        .customer_id("123456")
        .event(CustomEvent::new("Ordered", CustomEventType::Transaction).attribute("order", order));
    match client.upload(batch).await {
        Ok(_) => "ordered",
        // Here a queue of the platform's would take `error.into_unsent()`: sealed, so that sending it again is safe.
        Err(error) => {
            eprintln!("order {order} is not told: {error} after {} attempts", error.attempts());
            "ordered all the same"
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    // Made once, and kept as long as the platform keeps the process: connections are reused from call to call.
    let server = MockServer::builder().script([Fault::status(503), Fault::status(503)]).start().await;
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET))
        .base_url(server.url())
        .timeout(Duration::from_secs(2))
        .retry(RetryPolicy::new().base(Duration::from_millis(50)).deadline(Duration::from_secs(3)))
        .build()?;

    for order in 1..=3 {
        println!("{}", handle(&client, order).await);
    }
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
