//! What a user agreed to, under the GDPR by purpose and under the CCPA. `cargo run --example consent`

use chrono::Utc;
use mparticle::mock::MockServer;
use mparticle::{Batch, CcpaConsent, Client, Consent, Environment};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let now = Utc::now();
    let batch = Batch::new(Environment::Development)
        .customer_id("customer-10482")
        // Purposes are those that the workspace defines.
        .gdpr_consent("analytics", Consent::granted(now).document("terms.v3").location("shop.example/signup"))
        .gdpr_consent("personalisation", Consent::denied(now))
        // The wire says `consented: true` for opting out; the name says what it means.
        .ccpa_consent(CcpaConsent::opted_out(now).document("ccpa.v1"));
    client.upload(batch).await?;

    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
