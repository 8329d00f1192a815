//! Uploads a batch without an async runtime: `cargo run --example blocking`.

use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, blocking};

fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start_blocking();
    let client = blocking::Client::new(Client::for_mock(&server)?)?;

    let batch = Batch::new(Environment::Development)
        .customer_id("customer-10482")
        .event(CustomEvent::new("Nightly Report", CustomEventType::Other));
    let accepted = client.upload(batch)?;

    println!("status: {}", accepted.status());
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
