//! Measures the cost of the client relative to a bare reqwest post of the same batches, on loopback: `cargo bench --bench upload`.
//!
//! Measures the CPU time of the sending thread only: the runtime has one thread, and the peer runs in another.

mod support;

use std::process::ExitCode;

use mparticle::{Batch, Client, Credentials, Event};
use reqwest::header::CONTENT_TYPE;
use support::{MinimalBatch, batches, compare, minimal, peer};
use uuid::Uuid;

fn main() -> ExitCode {
    let url = peer::start("202 Accepted");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::builder(Credentials::new("key", "secret")).base_url(&url).build().expect("a client");
    let bare = reqwest::Client::new();
    let (ours, rival) = (batches(), minimal());
    let (mut with_ids, mut rival_with_ids) = (batches(), minimal());
    with_ids.iter_mut().for_each(stamp);
    rival_with_ids.iter_mut().for_each(MinimalBatch::stamp);
    let endpoint = format!("{url}/bulkevents");
    let post = |body: Vec<u8>| {
        let request = bare.post(&endpoint).basic_auth("key", Some("secret")).header(CONTENT_TYPE, "application/json");
        let response = runtime.block_on(request.body(body).send()).expect("a response");
        assert_eq!(response.status(), 202);
    };
    let upload = |batches| _ = runtime.block_on(client.upload_bulk::<Batch>(batches)).expect("accepted");

    compare(
        "upload, relative to to_vec and a bare post; both assign ids",
        Some(1.3),
        500,
        (|| ours.clone(), upload),
        (
            || rival.clone(),
            |mut batches| {
                batches.iter_mut().for_each(MinimalBatch::stamp);
                post(serde_json::to_vec(&batches).expect("JSON"));
            },
        ),
    );
    compare(
        "upload, relative to to_vec and a bare post; both have ids already",
        Some(1.3),
        500,
        (|| with_ids.clone(), upload),
        (|| rival_with_ids.clone(), |batches| post(serde_json::to_vec(&batches).expect("JSON"))),
    );
    compare(
        "upload that assigns ids, relative to to_vec and a bare post of the same size that has ids already",
        None,
        500,
        (|| ours.clone(), upload),
        (|| rival_with_ids.clone(), |batches| post(serde_json::to_vec(&batches).expect("JSON"))),
    );
    support::exit_code()
}

/// The id that sealing would stamp.
fn stamp(batch: &mut Batch) {
    batch.source_request_id = Some(Uuid::new_v4().to_string());
    for event in &mut batch.events {
        if let Event::CustomEvent(event) = event {
            event.source_message_id = Some(Uuid::new_v4().to_string());
        }
    }
}
