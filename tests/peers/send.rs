//! Sends batches with the client of this crate, for `tests/peers/prism`.
//!
//! It reads batches as lines of JSON, and uploads each alone, then all in bulk, then all as historical data. The environment has
//! the address. It prints a JSON object for each upload: the path, and `accepted` or the error.

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
        print_result("/bulkevents", first_error(client.upload_bulk(part.to_vec()).await));
        print_result("/bulkevents/historical", first_error(client.upload_historical(part.to_vec()).await));
    }
    Ok(())
}

/// Returns the error of the first batch that was not accepted, if any.
fn first_error(result: Result<Report, UploadError>) -> Result<(), mparticle::Error> {
    result?.into_rejected().into_iter().next().map_or(Ok(()), |rejected| Err(rejected.into_error()))
}

fn print_result(path: &str, result: Result<(), mparticle::Error>) {
    let line = match result {
        Ok(()) => json!({ "path": path, "accepted": true }),
        Err(error) => json!({ "path": path, "error": error.to_string(), "api_errors": error.api_errors() }),
    };
    println!("{line}");
}
