//! Sends batches as a user of this crate does: types, seal, HTTP. `tests/peers/prism` drives it.
//!
//! It reads one batch as JSON a line, and uploads each by itself, then all in bulk, then all as historical data. Where
//! to, it takes from the environment. It prints one JSON object a request: its path, and whether it was accepted or the error.

use std::error::Error;
use std::io;

use mparticle::limits::MAX_BATCHES_PER_REQUEST;
use mparticle::{Batch, Client, Report, UploadError};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    let batches = io::stdin()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<Result<Vec<Batch>, Box<dyn Error>>>()?;

    for batch in &batches {
        print_result("/events", client.upload(batch.clone()).await.map(drop).map_err(Into::into));
    }
    for part in batches.chunks(MAX_BATCHES_PER_REQUEST) {
        print_result("/bulkevents", all(client.upload_bulk(part.to_vec()).await));
        print_result("/bulkevents/historical", all(client.upload_historical(part.to_vec()).await));
    }
    Ok(())
}

/// All of them, or the reason of the first that was not accepted.
fn all(result: Result<Report, UploadError>) -> Result<(), mparticle::Error> {
    result?.into_rejected().into_iter().next().map_or(Ok(()), |rejected| Err(rejected.into_error()))
}

fn print_result(path: &str, result: Result<(), mparticle::Error>) {
    let line = match result {
        Ok(()) => json!({ "path": path, "accepted": true }),
        Err(error) => json!({ "path": path, "error": error.to_string(), "said": error.api_errors() }),
    };
    println!("{line}");
}
