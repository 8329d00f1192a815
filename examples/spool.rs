//! A service that is restarted during an outage, and delivers the events of before: `cargo run --example spool`.

use std::time::Duration;

use mparticle::mock::{Fault, MockServer};
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, Error, Uploader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("mparticle-spool-{}", std::process::id()));
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start_blocking();
    let start = || -> Result<Uploader, Error> { Uploader::builder(Client::for_mock(&server)?).spool(&dir).start() };

    let uploader = start()?;
    for n in 0..20 {
        let user = Batch::new(Environment::Development).customer_id(format!("customer-{n}")).into_template();
        uploader.track(&user, CustomEvent::new("Added Note", CustomEventType::UserContent))?;
    }
    let stats = uploader.shutdown(Duration::from_secs(1)).wait();
    println!("during the outage: {} of {} events on the disk", stats.spooled, stats.accepted);
    drop(uploader); // releases the lock of the spool

    server.clear_faults();
    let uploader = start()?;
    let stats = uploader.shutdown(Duration::from_secs(10)).wait();
    println!("after the restart: {} of {} batches delivered", stats.delivered, stats.recovered);
    drop(uploader);

    println!("the mock received: {:#}", server.batches()[0]);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
