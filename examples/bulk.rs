//! Uploads the batches of many users, one of which the service rejects: `cargo run --example bulk`.

use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let batches = (0..250).map(|user| {
        let batch = Batch::new(Environment::Development)
            .customer_id(format!("customer-{user}"))
            .event(CustomEvent::new("Read Newsletter", CustomEventType::UserContent).attribute("issue", 11));
        // The service refuses a request with this batch. The client bisects the request and delivers the other batches.
        if user == 42 { Batch { ip: Some("not an address".into()), ..batch } } else { batch }
    });
    match client.upload_bulk(batches).await {
        Ok(report) => {
            println!("{} delivered with {} requests", report.delivered(), report.requests());
            for rejected in report.rejected() {
                println!("batch {} was rejected: {:?}", rejected.index(), rejected.error().api_errors());
            }
        }
        // The unsent batches keep their ids, so sending them again is safe: the service drops those that it already has.
        Err(error) => println!("{error}: {} batches to send later", error.unsent().len()),
    }

    let received = server.batches();
    println!("the mock received {} batches, first: {:#}", received.len(), received[0]);
    Ok(())
}
