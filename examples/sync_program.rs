//! A program without an async runtime: it submits, goes on, and looks at the statistics at its end.
//! `cargo run --example sync_program`

use std::time::Duration;

use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, Uploader};

fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start_blocking();
    let client = Client::for_mock(&server)?;
    let uploader = Uploader::builder(client)
        .linger(Duration::from_millis(200))
        .on_delivery(|report| {
            if let (Some(error), Some(batch)) = (report.error(), report.batch()) {
                eprintln!("{}: {error}", batch.source_request_id());
            }
        })
        .start()?;

    let reader = Batch::new(Environment::Development).customer_id("customer-1").into_template();
    for page in 1..=30 {
        uploader.track(&reader, CustomEvent::new("Read Page", CustomEventType::UserContent).attribute("page", page))?;
    }

    // Dropping the uploader would deliver as well, for a bounded time, but could not report what is left.
    let stats = uploader.shutdown(Duration::from_secs(10)).wait();
    println!("{} of {} events delivered, in {} batches", stats.delivered, stats.accepted, server.batches().len());
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
