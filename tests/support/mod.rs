//! Helpers that several tests share. Each test file is a separate crate and uses a part of them.
#![allow(dead_code)]

pub mod any_body;
pub mod killed;
pub mod log;
pub mod peer;
pub mod process;
pub mod raw;
pub mod responses;

use mparticle::diagnostics::{Diagnostic, Severity};
use mparticle::mock::{self, MockServer};
use mparticle::{
    Batch, Client, ClientBuilder, Credentials, CustomEvent, CustomEventType, Environment, RetryPolicy, SealedBatch,
};
use serde::Serialize;
use serde_json::Value;

/// Returns the builder of a client for this base URL, with the mock's credentials and without retries.
pub fn builder(url: impl Into<String>) -> ClientBuilder {
    Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(url).retry_policy(RetryPolicy::never())
}

/// Returns a client for this mock.
pub fn client(server: &MockServer) -> Client {
    builder(server.url()).build().expect("a client")
}

/// Returns the errors without the warnings.
pub fn errors(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}

/// Returns a small valid batch.
pub fn batch() -> Batch {
    Batch::new(Environment::Development)
        .customer_id("123456")
        .event(CustomEvent::new("Example", CustomEventType::Other))
}

/// Returns a batch with exactly this size in bytes when sealed.
pub fn batch_of(bytes: usize) -> Batch {
    // An identity has no limit of its own.
    let padded = |length| batch().email("x".repeat(length)).source_request_id("padded");
    let bare = padded(0).seal().expect("a batch").len();
    padded(bytes - bare)
}

/// Returns the ids of batches.
pub fn ids(batches: &[SealedBatch]) -> Vec<&str> {
    batches.iter().map(SealedBatch::source_request_id).collect()
}

/// Returns the JSON of a value.
pub fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}
