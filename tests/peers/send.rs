//! Sends batches as a user of this crate does: types, seal, HTTP. `tests/peers/prism` drives it.
//!
//! It reads one batch as JSON a line, and uploads each by itself, then all in bulk, then all as historical data. Where
//! to, it takes from the environment. It prints one JSON object a request: its path, and the status or the error.

use std::error::Error;
use std::io;

use mparticle::limits::MAX_BATCHES_PER_REQUEST;
use mparticle::{Accepted, Batch, Client};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    let batches = io::stdin()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<Result<Vec<Batch>, Box<dyn Error>>>()?;

    for batch in &batches {
        tell("/events", client.upload(batch.clone()).await);
    }
    for part in batches.chunks(MAX_BATCHES_PER_REQUEST) {
        tell("/bulkevents", client.upload_bulk(part.to_vec()).await);
        tell("/bulkevents/historical", client.upload_historical(part.to_vec()).await);
    }
    Ok(())
}

fn tell(path: &str, result: Result<Accepted, mparticle::Error>) {
    let told = match result {
        Ok(accepted) => json!({ "path": path, "status": accepted.status().as_u16() }),
        Err(error) => json!({ "path": path, "error": error.to_string(), "said": error.api_errors() }),
    };
    println!("{told}");
}
