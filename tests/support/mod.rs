//! What several tests share. Each test file is a crate of its own and uses a part of it.
#![allow(dead_code)]

pub mod any_body;
pub mod export;
pub mod killed;
pub mod peer;
pub mod process;
pub mod raw;
pub mod responses;
pub mod values;

use mparticle::diagnostics::{Diagnostic, Severity};
use mparticle::mock::{self, MockServer};
use mparticle::{Batch, Client, ClientBuilder, Credentials, CustomEvent, CustomEventType, Environment, RetryPolicy};

/// The settings of a client that sends to this base URL with the mock's credentials, once: what a test is about is told
/// by the first answer, unless it is about retries.
pub fn builder(url: impl Into<String>) -> ClientBuilder {
    Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(url).retry_policy(RetryPolicy::never())
}

/// A client of this mock.
pub fn client(server: &MockServer) -> Client {
    builder(server.url()).build().expect("a client")
}

/// What breaks the document, without what is only warned of.
pub fn errors(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}

/// A small batch that the service would take.
pub fn batch() -> Batch {
    Batch::new(Environment::Development)
        .customer_id("123456")
        .event(CustomEvent::new("Example", CustomEventType::Other))
}

/// A batch that is exactly this large when it is sealed.
pub fn batch_of(bytes: usize) -> Batch {
    // An identity has no limit of its own.
    let padded = |length| batch().email("x".repeat(length)).source_request_id("padded");
    let bare = padded(0).seal().expect("a batch").len();
    padded(bytes - bare)
}
