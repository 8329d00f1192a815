//! The consent of a user under the GDPR, by purpose, and under the CCPA: `cargo run --example consent`.

use mparticle::chrono::Utc;
use mparticle::mock::MockServer;
use mparticle::{Batch, CcpaConsent, Client, Consent, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let now = Utc::now();
    let batch = Batch::new(Environment::Development)
        .customer_id("customer-10482")
        // The workspace defines the purposes.
        .gdpr_consent("analytics", Consent::granted(now).document("terms.v3").location("shop.example/signup"))
        .gdpr_consent("personalisation", Consent::denied(now))
        // On the wire, opting out of the sale of data is `consented: true`.
        .ccpa_consent(CcpaConsent::opted_out(now).document("ccpa.v1"));
    client.upload(batch).await?;

    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
