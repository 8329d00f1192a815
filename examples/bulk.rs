//! Many users in one request, and what to do with an error. `cargo run --example bulk`

use mparticle::limits::MAX_BATCHES_PER_REQUEST;
use mparticle::mock::{self, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build()?;

    let users: Vec<_> = (0..250)
        .map(|user| {
            Batch::new(Environment::Development)
                .customer_id(format!("customer-{user}"))
                .event(CustomEvent::new("Read Newsletter", CustomEventType::UserContent).attribute("issue", 11))
        })
        .collect();
    for batches in users.chunks(MAX_BATCHES_PER_REQUEST) {
        match client.upload_bulk(batches.to_vec()).await {
            Ok(accepted) => println!("{} batches: {}", batches.len(), accepted.status()),
            // The sealed batches keep their ids: sent again, the service drops what it had accepted after all.
            Err(error) if error.is_retryable() => println!("to be sent again: {}", error.into_unsent().len()),
            Err(error) => println!("{error}: {:?}", error.api_errors()),
        }
    }
    let received = server.batches();
    println!("the mock has {} batches, the first of them: {:#}", received.len(), received[0]);
    Ok(())
}
