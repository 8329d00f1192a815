//! Many users at once, and what to do with what the service does not take. `cargo run --example bulk`

use mparticle::mock::MockServer;
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let users = (0..250).map(|user| {
        let batch = Batch::new(Environment::Development)
            .customer_id(format!("customer-{user}"))
            .event(CustomEvent::new("Read Newsletter", CustomEventType::UserContent).attribute("issue", 11));
        // One of them is a mistake: the service refuses the request, and the client finds out which it is.
        if user == 42 { Batch { ip: Some("not an address".into()), ..batch } } else { batch }
    });
    match client.upload_bulk(users).await {
        Ok(report) => {
            println!("{} delivered with {} requests", report.delivered(), report.requests());
            for rejected in report.rejected() {
                println!("batch {} was rejected: {:?}", rejected.index(), rejected.error().api_errors());
            }
        }
        // Something was not sent, after all attempts. `into_unsent` hands it back sealed: sent again, the service drops what it had
        // accepted after all.
        Err(error) => println!("{error}: {} batches to be sent later", error.unsent().len()),
    }
    let received = server.batches();
    println!("the mock has {} batches, the first of them: {:#}", received.len(), received[0]);
    Ok(())
}
