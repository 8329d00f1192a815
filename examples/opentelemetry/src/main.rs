//! Sends to the embedded mock, and prints the spans, metrics and log lines that a collector receives:
//! `cargo run -- upload`, or `retry`, `limited`, `outage`, `rejected`.

use std::env;
use std::error::Error;
use std::time::Duration;

use mparticle::mock::{Fault, MockServer};
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, RetryPolicy, Uploader};
use mparticle_opentelemetry::Collector;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let scenario = env::args().nth(1).unwrap_or_else(|| "upload".to_owned());
    let collector = Collector::install();
    match &*scenario {
        "upload" => upload(&[]).await?,
        "retry" => upload(&[503]).await?,
        "limited" => upload(&[429]).await?,
        "outage" => background(&[503, 503, 503], "10.0.0.7").await?,
        "rejected" => background(&[], "not an IP address").await?,
        other => return Err(format!("unknown scenario {other}: use upload, retry, limited, outage or rejected").into()),
    }
    print!("{}", collector.report());
    Ok(())
}

/// Uploads one batch. The service first fails with these statuses.
async fn upload(failures: &[u16]) -> Result<(), Box<dyn Error>> {
    let (_server, client) = connect(failures)?;
    client.upload(batch("10.0.0.7")).await?;
    Ok(())
}

/// Delivers one batch in the background. The service first fails with these statuses.
async fn background(failures: &[u16], ip: &str) -> Result<(), Box<dyn Error>> {
    let (_server, client) = connect(failures)?;
    let uploader = Uploader::builder(client).linger(Duration::ZERO).start()?;
    uploader.try_send(batch(ip))?;
    uploader.flush(Duration::from_secs(10)).await;
    uploader.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

fn connect(failures: &[u16]) -> Result<(MockServer, Client), mparticle::Error> {
    let server = MockServer::builder()
        .credentials("shop-key", "shop-secret")
        .fault_sequence(failures.iter().map(|status| Fault::status(*status)))
        .start_blocking();
    let client = Client::builder(Credentials::new("shop-key", "shop-secret"))
        .base_url(server.url())
        .retry_policy(RetryPolicy::new().initial_backoff(Duration::from_millis(10)))
        .build()?;
    Ok((server, client))
}

/// Returns a batch of a user, none of whose data may be exported.
fn batch(ip: &str) -> Batch {
    let event = CustomEvent::new("Order Placed", CustomEventType::Transaction).attribute("street", "Elm Street");
    let mut batch = Batch::new(Environment::Development)
        .customer_id("customer-4711")
        .email("mira@shop.example")
        .user_attribute("nickname", "Mimi")
        .source_request_id("order-7")
        .event(event);
    batch.ip = Some(ip.to_owned());
    batch
}
