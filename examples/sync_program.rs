//! A program without an async runtime: it submits, goes on, and looks at the account at its end.
//! `cargo run --example sync_program`

use std::time::Duration;

use mparticle::mock::{self, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, Uploader, User};

fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start_blocking();
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build()?;
    let uploader = Uploader::builder(client)
        .linger(Duration::from_millis(200))
        .on_outcome(|outcome| {
            if let Some(error) = outcome.reason() {
                eprintln!("{}: {error}", outcome.batch().source_request_id());
            }
        })
        .start()?;

    let reader = User::new(Batch::new(Environment::Development).customer_id("customer-1"))?;
    for page in 1..=30 {
        uploader.track(&reader, CustomEvent::new("Read Page", CustomEventType::UserContent).attribute("page", page))?;
    }

    // Without this, dropping the uploader would deliver as well, within a bound, and could not tell.
    let counts = uploader.shutdown(Duration::from_secs(10)).wait();
    println!("{} of {} events delivered, in {} batches", counts.delivered, counts.accepted, server.batches().len());
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
