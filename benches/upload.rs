//! Measures the cost of the client relative to a bare reqwest post of the same batches, on loopback: `cargo bench --bench upload`.
//!
//! Measures the CPU time of the sending thread only: the runtime has one thread, and the peer runs in another. Each round uploads
//! other values, which are not in the cache because an earlier round used them.

mod support;

use std::process::ExitCode;

use mparticle::{Batch, Client, Credentials};
use reqwest::header::CONTENT_TYPE;
use support::{MinimalBatch, Rotation, compare, peer};

fn main() -> ExitCode {
    let url = peer::start("202 Accepted");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::builder(Credentials::new("key", "secret")).base_url(&url).build().expect("a client");
    let bare = reqwest::Client::new();
    let (mut ours, mut rival) = (Rotation::batches(), Rotation::minimal());
    let (mut with_ids, mut rival_with_ids) = (Rotation::batches_with_ids(), Rotation::minimal_with_ids());
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
        (|| ours.next(), upload),
        (
            || rival.next(),
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
        (|| with_ids.next(), upload),
        (|| rival_with_ids.next(), |batches| post(serde_json::to_vec(&batches).expect("JSON"))),
    );
    compare(
        "upload that assigns ids, relative to to_vec and a bare post of the same size that has ids already",
        None,
        500,
        (|| ours.next(), upload),
        (|| rival_with_ids.next(), |batches| post(serde_json::to_vec(&batches).expect("JSON"))),
    );
    support::exit_code()
}
