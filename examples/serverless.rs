//! A function that may be frozen as soon as it has responded: it uploads at once and awaits the response, within a timeout of its own.
//! `cargo run --example serverless`

use std::time::Duration;

use mparticle::mock::{Fault, MockServer};
use mparticle::{
    Batch, Client, ClientBuilder, CustomEvent, CustomEventType, Environment, Error, RetryPolicy, UploadError,
};

/// One call of the function. Nothing of it is left in memory when it returns: a batch is accepted, or in the error.
async fn handle(client: &Client, customer: &str) -> Result<(), UploadError> {
    let batch = Batch::new(Environment::Development)
        .customer_id(customer)
        .event(CustomEvent::new("Signed Up", CustomEventType::Other));
    client.upload(batch).await.map(drop)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = MockServer::builder().fault_sequence([Fault::status(503), Fault::lost_response()]).start().await;
    // Made once and kept between calls: its connections are kept with it. The platform's own limit is longer than this one.
    let client = ClientBuilder::for_mock(&server)
        .timeout(Duration::from_secs(2))
        .retry_policy(RetryPolicy::new().request_timeout(Duration::from_secs(5)))
        .build()?;

    for customer in ["customer-1", "customer-2"] {
        match handle(&client, customer).await {
            Ok(()) => println!("{customer}: accepted"),
            // Sealed and safe to send again: into the platform's own queue with it, as JSON.
            Err(error) => println!("{customer}: {} to be queued, {error}", error.unsent().len()),
        }
    }
    println!("{} requests, {} batches", server.stats().requests, server.stats().batches);
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
