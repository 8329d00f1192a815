//! A function that may be frozen as soon as it has responded, so it awaits each upload within a timeout:
//! `cargo run --example serverless`.

use std::time::Duration;

use mparticle::mock::{Fault, MockServer};
use mparticle::{
    Batch, Client, ClientBuilder, CustomEvent, CustomEventType, Environment, Error, RetryPolicy, UploadError,
};

/// Handles one invocation. When it returns, the batch is either accepted or in the error.
async fn handle(client: &Client, customer: &str) -> Result<(), UploadError> {
    let batch = Batch::new(Environment::Development)
        .customer_id(customer)
        .event(CustomEvent::new("Signed Up", CustomEventType::Other));
    client.upload(batch).await.map(drop)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = MockServer::builder().fault_sequence([Fault::status(503), Fault::lost_response()]).start().await;
    // One client for all invocations keeps its connections open. Five seconds are less than the limit of the platform.
    let client = ClientBuilder::for_mock(&server)
        .timeout(Duration::from_secs(2))
        .retry_policy(RetryPolicy::new().request_timeout(Duration::from_secs(5)))
        .build()?;

    for customer in ["customer-1", "customer-2"] {
        match handle(&client, customer).await {
            Ok(()) => println!("{customer}: accepted"),
            // A sealed batch keeps its ids, so a queue can store its JSON and send it again later.
            Err(error) => println!("{customer}: {error}; {} batch to queue", error.unsent().len()),
        }
    }

    println!("{} requests, {} batches", server.stats().requests, server.stats().batches);
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
