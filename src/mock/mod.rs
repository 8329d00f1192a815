//! A service to test against: a server on loopback that holds every request against the OpenAPI document that this crate was
//! built from.
//!
//! It answers with the statuses, headers and bodies of the service, and is stricter: what breaks the document is refused
//! with a 400 that lists everything, in words that help; see [`contract`](crate::contract). What the service would take and
//! then truncate, drop or ignore in silence is accepted and recorded as a warning. [Lenient](MockServerBuilder::lenient) it
//! accepts what the service would, and records it all the same. With
//! [partial responses](MockServerBuilder::partial_responses) it refuses the bad batches of a bulk request alone.
//!
//! It is for tests and for trying things out: it knows the document and nothing of this crate's client or types, so any
//! HTTP client can talk to it. It has a thread and a runtime of its own, and a [live page](MockServer::url) at `/`, and gives the
//! document at `/openapi.json` and its [strict view](crate::contract::strict_document) at `/openapi.strict.json`.
//!
//! # In a test
//!
//! ```
//! use mparticle::mock::{self, MockServer};
//! use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), mparticle::Error> {
//! let server = MockServer::start().await;
//! server.expect(mock::event_named("Signed Up").identity("customer_id", "123456")).times(1);
//!
//! // The code under test:
//! let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build()?;
//! let batch = Batch::new(Environment::Development)
//!     .customer_id("123456")
//!     .event(CustomEvent::new("Signed Up", CustomEventType::Other));
//! client.upload(batch).await?;
//!
//! assert_eq!(server.batches()[0]["events"][0]["data"]["event_name"], "Signed Up");
//! # Ok(())
//! # } // Dropping the server verifies what was expected.
//! ```
//!
//! # Faults
//!
//! What a service does on a bad day, as a script, by chance, or both; see [`Fault`]:
//!
//! ```
//! use std::time::Duration;
//! use mparticle::mock::{Fault, MockServer};
//!
//! let server = MockServer::builder()
//!     .fault_sequence([Fault::status(503), Fault::status(429).retry_after(1), Fault::ok()])
//!     .fault_rate(0.1, Fault::lost_response())
//!     .fault_rate(0.1, Fault::delay(Duration::from_millis(20)))
//!     .seed(7)
//!     .rate_limit(270)
//!     .start_blocking();
//! ```

//! # A document of yours
//!
//! Built from a document of yours ([`IS_CUSTOM_DOCUMENT`](crate::contract::IS_CUSTOM_DOCUMENT)), it knows your event types, fields and
//! values, and it answers your operations. It checks the method, the credentials, the content type, the size and the body
//! against the document, limits among them, but no parameters. It responds with the lowest 2xx status of the document, and with
//! the first example, by name, of its `application/json` body. Such requests meet faults and are kept as others are; they hold no
//! batches, and no rate limit counts them.

mod body;
mod builder;
mod engine;
mod expect;
mod fault;
mod page;
mod partial;
mod plan;
mod quota;
mod received;
mod reply;
mod request_stream;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use builder::MockServerBuilder;
pub use expect::{Matcher, Times, VerificationError, batches, event_named, events, requests};
pub use fault::{Fault, Naming, ParseFaultError};
pub use plan::FaultPlan;
pub use quota::{Exceeded, Quota};
pub use received::ReceivedRequest;
pub use request_stream::RequestStream;
pub use store::MockStats;

use engine::Engine;
use expect::{Expectation, RecordedRequest};
use server::Running;

/// The key that a mock takes unless it is told otherwise.
pub const KEY: &str = "mock-key";

/// The secret that a mock takes unless it is told otherwise.
pub const SECRET: &str = "mock-secret";

/// At most this many requests are kept, unless a mock is told otherwise: the newest ones.
pub const KEPT_REQUESTS: usize = 10_000;

/// In about at most this many bytes of memory, unless a mock is told otherwise.
pub const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// A running mock, on a port of its own. Dropping it ends it, and panics if an expectation was not met.
pub struct MockServer {
    running: Running,
    engine: Arc<Engine>,
}

impl MockServer {
    /// Where it listens: a base URL for a client, as `http://127.0.0.1:49152`, and of the live page for a browser. With
    /// `/v2` added it is a base URL as well, as the service's own ends so.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// The requests so far, in the order in which they were answered: the newest ones, as many as are
    /// [kept](MockServerBuilder::keep).
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.engine.state().store.requests().map(|request| ReceivedRequest::clone(request)).collect()
    }

    /// The batches of these requests that were taken and kept, in order: none that was refused, no duplicates, and none that
    /// the service would not process.
    #[must_use]
    pub fn batches(&self) -> Vec<Value> {
        self.requests().iter().flat_map(ReceivedRequest::batches).collect()
    }

    /// The events of these batches, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let batches = self.batches().into_iter();
        batches.filter_map(|mut batch| Some(batch.get_mut("events")?.as_array_mut()?.split_off(0))).flatten().collect()
    }

    /// The [batches](Self::batches) as a type of yours, or of this crate.
    ///
    /// # Errors
    /// If a batch is not of that type.
    ///
    /// ```
    /// let server = mparticle::mock::MockServer::start_blocking();
    /// // ... send something ...
    /// for batch in server.batches_as::<mparticle::Batch>()? {
    ///     println!("{:?}", batch.environment);
    /// }
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn batches_as<T: DeserializeOwned>(&self) -> serde_json::Result<Vec<T>> {
        self.batches().into_iter().map(serde_json::from_value).collect()
    }

    /// The requests one after the other, as they come from now on.
    #[must_use]
    pub fn request_stream(&self) -> RequestStream {
        let seen = self.stats().requests;
        RequestStream::after(&self.engine, seen)
    }

    /// How much came in since the start.
    #[must_use]
    pub fn stats(&self) -> MockStats {
        self.engine.state().store.stats()
    }

    /// How much of the rate limit is in use now, in percent. `None` if there is no limit.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.engine.rate_limit_used_percent()
    }

    /// The faults that the next requests meet, one each, after those that are planned already.
    pub fn queue_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.engine.state().faults.script.extend(faults);
    }

    /// Ends all faults, planned ones and those by chance.
    pub fn clear_faults(&self) {
        self.engine.state().faults = FaultPlan::default();
    }

    /// Expects something to come, at least once unless [`times`](ExpectationHandle::times) says otherwise. What came before counts as
    /// well, as far as it is kept. It is verified when the server is dropped.
    #[expect(clippy::must_use_candidate, reason = "without a number it is a whole sentence")]
    pub fn expect(&self, matcher: Matcher) -> ExpectationHandle<'_> {
        let mut state = self.engine.state();
        let mut expectation = Expectation::new(matcher);
        for request in state.store.requests() {
            expectation.record(&RecordedRequest { request, batches: &request.all_batches() });
        }
        state.store.expectations.push(expectation);
        ExpectationHandle { engine: &self.engine, index: state.store.expectations.len() - 1 }
    }

    /// Whether all that is expected has come, no more and no less.
    ///
    /// # Errors
    /// If not: in words, with what came instead.
    pub fn verify(&self) -> Result<(), VerificationError> {
        let state = self.engine.state();
        let kept = || state.store.requests().map(AsRef::as_ref);
        VerificationError::from_unmet(&state.store.expectations, kept).map_or(Ok(()), Err)
    }

    /// Waits until all that is expected has come, at most this long. For code that sends in the background.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), at the end of that time.
    pub async fn verify_within(&self, time: Duration) -> Result<(), VerificationError> {
        let engine = Arc::clone(&self.engine);
        let mut newest = engine.state().store.newest();
        // On the server's own runtime, since the caller's may have no clock, or one that stands still.
        let met = self.running.runtime().spawn(async move {
            let all_met = || engine.state().store.expectations.iter().all(Expectation::is_met);
            let wait = async { while !all_met() && newest.changed().await.is_ok() {} };
            let _ = tokio::time::timeout(time, wait).await;
        });
        let _ = met.await;
        self.verify()
    }
}

/// Something that a [`MockServer`] expects; see [`MockServer::expect`].
#[derive(Clone, Copy)]
pub struct ExpectationHandle<'a> {
    engine: &'a Engine,
    index: usize,
}

impl ExpectationHandle<'_> {
    /// How often: a number, or a range such as `1..=3`, `2..` or `..=5`. Never is 0.
    pub fn times(self, times: impl Into<Times>) {
        self.engine.state().store.expectations[self.index].times = times.into();
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        if thread::panicking() {
            return; // One panic tells enough, and two abort.
        }
        if let Err(error) = self.verify() {
            panic!("{error}");
        }
    }
}

impl fmt::Debug for MockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServer").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExpectationHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectationHandle").finish_non_exhaustive()
    }
}
