//! The uploader in a program without an async runtime: `cargo run --example sync_program`.

use std::time::Duration;

use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, Uploader};

fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start_blocking();
    let uploader = Uploader::builder(Client::for_mock(&server)?)
        .linger(Duration::from_millis(200))
        .on_delivery(|report| {
            if let Some(error) = report.error() {
                eprintln!("a batch was not delivered: {error}");
            }
        })
        .start()?;

    let reader = Batch::new(Environment::Development).customer_id("customer-1").into_template();
    for page in 1..=30 {
        uploader.track(&reader, CustomEvent::new("Read Page", CustomEventType::UserContent).attribute("page", page))?;
    }

    // Dropping the uploader delivers too, for a limited time, but returns no statistics.
    let stats = uploader.shutdown(Duration::from_secs(10)).wait();
    println!("{} of {} events delivered, in {} batches", stats.delivered, stats.accepted, server.batches().len());
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
