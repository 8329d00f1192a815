//! `shop serve` serves HTTP, and `shop backfill` uploads all accounts. Both stop at Ctrl-C and SIGTERM. The configuration is
//! `shop.toml` or the file in the second argument.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use mparticle::{Credentials, Environment};
use shop::backfill::{Row, backfill};
use shop::{Config, Shop, orders, web};
use tokio::net::TcpListener;
use tokio::select;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let config = Config::read(arguments.next().as_deref().unwrap_or("shop.toml"))?;
    let client = config.mparticle.client(Credentials::from_env()?)?;
    let environment = config.mparticle.environment.unwrap_or(Environment::Development);
    let stop = stop_signal()?;

    match command.as_str() {
        "backfill" => {
            let report = backfill(&client, environment, &accounts(), stop).await?;
            info!(delivered = report.delivered(), rejected = report.rejected().len(), "the backfill is complete");
        }
        "serve" => {
            let uploader = config.mparticle.uploader(client).start()?;
            let (queue, messages) = mpsc::channel(500);
            let consumer = tokio::spawn(orders::consume(uploader.clone(), environment, messages));
            let app = web::router(Shop::new(uploader.clone(), environment, queue));
            let listener = TcpListener::bind(config.listen).await?;
            info!(address = %listener.local_addr()?, "serving");
            axum::serve(listener, app).with_graceful_shutdown(stop).await?;
            let stats = uploader.shutdown(Duration::from_secs(10)).await;
            consumer.await?; // the server owned the only sender of the queue
            info!(%stats, "stopped");
        }
        _ => return Err("usage: shop serve|backfill [CONFIG]".into()),
    }
    Ok(())
}

/// Completes at Ctrl-C or SIGTERM.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        select! {
            _ = ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Returns the table of accounts. A real service would read it from its database.
fn accounts() -> Vec<Row> {
    (0..10_000).map(|id| Row { id, plan: "pro".into(), seats: 5 }).collect()
}
