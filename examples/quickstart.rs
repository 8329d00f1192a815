//! Sends one customer's day and prints the result: `cargo run --example quickstart`.
//!
//! Without credentials it starts the mock and sends to it over HTTP. With `MPARTICLE_API_KEY` and `MPARTICLE_API_SECRET` in the
//! environment (and `MPARTICLE_POD`, if it is not US1) it sends to the real service, as development data.

use std::process::ExitCode;
use std::time::Duration;

use mparticle::chrono::{TimeDelta, Utc};
use mparticle::mock::MockServer;
use mparticle::{
    AppState, Batch, CcpaConsent, Client, ClientBuilder, Consent, CustomEvent, CustomEventType, DeviceInfo,
    Environment, Error, ErrorKind, Platform, Product, ProductAction, RetryPolicy, ScreenView, Session,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}\n{}", error.detailed(), advice(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let (client, mock) = connect()?;

    let morning = Utc::now() - TimeDelta::hours(3);
    let minute = |minute| morning + TimeDelta::minutes(minute);
    let session = Session::start(morning);
    let tea = Product::new("TEA-12", "Assam 250 g").category("Tea").price(12.99).quantity(2);
    let added = ProductAction::add_to_cart().product(tea.clone());
    let purchase = ProductAction::purchase().transaction_id("T-2026-000117").product(tea).tax(4.15).total(25.98);
    let batch = Batch::new(Environment::Development)
        .customer_id("customer-10482")
        .email("mira@shop.example")
        .user_firstname("Mira")
        .user_attribute("seats", 5)
        .user_attribute("plans", ["free", "pro"])
        .device_info(DeviceInfo::default().platform(Platform::IOS).os_version("18.1").timezone_offset(1))
        .gdpr_consent("analytics", Consent::granted(morning).document("terms.v3"))
        .ccpa_consent(CcpaConsent::opted_in(morning))
        .event(session.start_event())
        .event(AppState::install().timestamp(morning))
        .event(ScreenView::new("Home").timestamp(minute(1)))
        .event(
            CustomEvent::new("Searched", CustomEventType::Search)
                .timestamp(minute(2))
                .attribute("words", "assam")
                .attribute("results", 12),
        )
        .event(added.into_event().timestamp(minute(3)))
        .event(purchase.into_event().timestamp(minute(9)).currency_code("EUR"))
        .event(session.end_event(minute(12)))
        .in_session(&session);
    for finding in batch.check() {
        println!("note: {finding}");
    }
    let accepted = client.upload(batch).await?;

    println!("status: {}", accepted.status());
    println!("rate limit used: {} %", accepted.rate_limit_used_percent().unwrap_or_default());
    if let Some(mock) = mock {
        println!("the mock received: {:#}", mock.batches()[0]);
    }
    Ok(())
}

/// Connects to the real service if the environment has credentials for it, and otherwise to a mock.
fn connect() -> Result<(Client, Option<MockServer>), Error> {
    if std::env::var_os("MPARTICLE_API_KEY").is_some() {
        // At a terminal a failure should show soon. The default keeps trying for up to two minutes.
        let soon = RetryPolicy::new().request_timeout(Duration::from_secs(10));
        let client = ClientBuilder::from_env()?.retry_policy(soon).build()?;
        println!("sending to {}", client.base_url());
        return Ok((client, None));
    }
    let server = MockServer::start_blocking();
    println!(
        "sending to a mock at {} (set MPARTICLE_API_KEY and MPARTICLE_API_SECRET for the real service)",
        server.url()
    );
    let client = Client::for_mock(&server)?;
    Ok((client, Some(server)))
}

/// Returns what a person can do about the error.
fn advice(error: &Error) -> String {
    match (error.kind(), error.status().map(|status| status.as_u16())) {
        (ErrorKind::Config, _) => "check the MPARTICLE_ variables of the environment".into(),
        (_, Some(401 | 403)) => {
            "check the key and the secret, and whether the workspace is in another pod (MPARTICLE_POD)".into()
        }
        (ErrorKind::Connect | ErrorKind::Timeout, _) => {
            "check the network, and whether a firewall blocks the connection".into()
        }
        _ if error.is_retryable() => match error.retry_after() {
            Some(wait) => format!("try again in {wait:?}"),
            None => "try again later".into(),
        },
        _ => "correct the data and try again".into(),
    }
}
