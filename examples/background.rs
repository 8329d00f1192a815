//! A program without any async code that delivers in the background. `cargo run --example background`

use std::time::Duration;

use mparticle::mock::{self, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, Uploader, User};

fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start_blocking();
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build()?;
    let uploader = Uploader::builder(client).start()?;

    for customer in ["ada", "grace"] {
        let user = User::new(Batch::new(Environment::Development).customer_id(customer))?;
        for page in 1..=3 {
            uploader
                .track(&user, CustomEvent::new("Read Page", CustomEventType::UserContent).attribute("page", page))?;
        }
    }
    // One that has to be taken before the program goes on.
    let order = Batch::new(Environment::Development)
        .customer_id("ada")
        .event(CustomEvent::new("Ordered", CustomEventType::Transaction));
    uploader.send(order).wait()?;

    println!("flushed: {:?}", uploader.flush(Duration::from_secs(5)).wait());
    let counts = uploader.shutdown(Duration::from_secs(5)).wait();
    println!("ended: {counts:?}");
    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
