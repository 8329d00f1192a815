//! A mock of the service for tests: a server on loopback that validates every request against the OpenAPI document that this
//! crate was built from.
//!
//! The mock responds with the statuses, headers and bodies of the service, but is stricter: it refuses data that violates the
//! document with a 400 that lists all errors; see [`contract`](crate::contract). It accepts data that the service would accept
//! and then silently truncate, drop or ignore, and records a warning. A [lenient](MockServerBuilder::lenient) mock accepts
//! whatever the service would, and records the errors. With
//! [partial responses](MockServerBuilder::partial_responses) a mock refuses only the invalid batches of a bulk request.
//!
//! The mock depends on the document, but not on the client or the types of this crate, so any HTTP client can use it. It runs
//! on a thread with its own runtime. It serves a [live page](MockServer::url) at `/`, the document at `/openapi.json`, and its
//! [strict view](crate::contract::strict_document) at `/openapi.strict.json`.
//!
//! # In a test
//!
//! ```
//! use mparticle::mock::{MockServer, event_named};
//! use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), mparticle::Error> {
//! let server = MockServer::start().await;
//! server.expect(event_named("Signed Up").identity("customer_id", "123456")).times(1);
//!
//! // The code under test:
//! let client = Client::for_mock(&server)?;
//! let batch = Batch::new(Environment::Development)
//!     .customer_id("123456")
//!     .event(CustomEvent::new("Signed Up", CustomEventType::Other));
//! client.upload(batch).await?;
//!
//! assert_eq!(server.batches()[0]["events"][0]["data"]["event_name"], "Signed Up");
//! # Ok(())
//! # } // Dropping the server verifies the expectation.
//! ```
//!
//! # Faults
//!
//! A mock can inject faults in a sequence, at random, or both; see [`Fault`]:
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
//!
//! # Custom documents
//!
//! If the crate was built from a document of yours ([`IS_CUSTOM_DOCUMENT`](crate::contract::IS_CUSTOM_DOCUMENT)), the mock knows
//! its event types, fields, values and operations. For an operation that this crate does not know it checks the method, the
//! credentials, the content type, the size and the body, including the limits of the schema, but no parameters. It responds with
//! the lowest 2xx status of the document and the first example, by name, of its `application/json` body. Such requests meet
//! faults and are kept like others, but contain no batches and do not count towards a rate limit.

mod body;
mod builder;
mod engine;
mod expect;
mod fault;
mod faulty_stream;
mod page;
mod partial;
mod plan;
mod protocol;
mod quota;
mod received;
mod request_stream;
mod server;
mod store;
#[cfg(test)]
mod tests;

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
pub use received::ReceivedRequest;
pub use request_stream::RequestStream;
pub use store::MockStats;

use engine::Engine;
use expect::{Expectation, RecordedRequest};
use server::ServerHandle;

/// The API key that a mock accepts by default.
pub const KEY: &str = "mock-key";

/// The API secret that a mock accepts by default.
pub const SECRET: &str = "mock-secret";

/// The default of the maximum number of requests that a mock keeps; see [`MockServerBuilder::keep`].
pub const KEPT_REQUESTS: usize = 10_000;

/// The default of the approximate maximum size in bytes of the requests that a mock keeps; see [`MockServerBuilder::keep`].
pub const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// A running mock on a port of its own.
///
/// Dropping it stops the server.
///
/// # Panics
/// Dropping panics if [`verify`](Self::verify) returns an error, unless the thread is already panicking.
pub struct MockServer {
    running: ServerHandle,
    engine: Arc<Engine>,
}

impl MockServer {
    /// Returns the URL of the mock, such as `http://127.0.0.1:49152`: the base URL for clients, and the live page in a browser. The
    /// URL followed by `/v2`, like the service's own, also works as a base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// Returns the [kept](MockServerBuilder::keep) requests in the order of their responses.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.engine.state().store.requests().map(|request| ReceivedRequest::clone(request)).collect()
    }

    /// Returns the stored batches of these requests, in order: neither refused, nor duplicates, nor ignored.
    #[must_use]
    pub fn batches(&self) -> Vec<Value> {
        self.requests().iter().flat_map(ReceivedRequest::batches).collect()
    }

    /// Returns the events of these batches, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let batches = self.batches().into_iter();
        batches.filter_map(|mut batch| Some(batch.get_mut("events")?.as_array_mut()?.split_off(0))).flatten().collect()
    }

    /// Returns the [batches](Self::batches), deserialized.
    ///
    /// # Errors
    /// Returns an error if a batch cannot be deserialized as a `T`.
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

    /// Returns a stream of the requests that arrive from now on.
    #[must_use]
    pub fn request_stream(&self) -> RequestStream {
        let seen = self.stats().requests;
        RequestStream::new(&self.engine, seen)
    }

    /// Returns the statistics since the start.
    #[must_use]
    pub fn stats(&self) -> MockStats {
        self.engine.state().store.stats()
    }

    /// Returns the currently used share of the rate limit in percent, or `None` without a limit.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.engine.rate_limit_used_percent()
    }

    /// Queues faults for the next requests, one per request, after the faults that are queued already.
    pub fn queue_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.engine.state().faults.sequence.extend(faults);
    }

    /// Removes all faults, both queued and random ones.
    pub fn clear_faults(&self) {
        self.engine.state().faults = FaultPlan::default();
    }

    /// Adds an expectation: a match at least once, unless [`times`](ExpectationHandle::times) sets another number. Earlier requests
    /// count as well, if they are still kept. Dropping the server verifies all expectations.
    #[expect(clippy::must_use_candidate, reason = "setting the number of times is optional")]
    pub fn expect(&self, matcher: Matcher) -> ExpectationHandle<'_> {
        let mut state = self.engine.state();
        let mut expectation = Expectation::new(matcher);
        for request in state.store.requests() {
            expectation.record(&RecordedRequest { request, batches: &request.all_batches() });
        }
        state.store.expectations.push(expectation);
        ExpectationHandle { engine: &self.engine, index: state.store.expectations.len() - 1 }
    }

    /// Verifies that each expectation was matched the expected number of times, and that there were no warnings if the mock
    /// [denies](MockServerBuilder::deny_warnings) them.
    ///
    /// # Errors
    /// Returns an error that lists the unmet expectations and what was received instead, and the denied warnings.
    pub fn verify(&self) -> Result<(), VerificationError> {
        let state = self.engine.state();
        let denied_warnings = if self.engine.settings.deny_warnings { state.store.stats().warnings } else { 0 };
        let kept = || state.store.requests().map(AsRef::as_ref);
        VerificationError::check(&state.store.expectations, denied_warnings, kept)
    }

    /// Waits until all expectations are met, for at most `timeout`, and then verifies them. For code that sends in the background.
    ///
    /// # Errors
    /// Returns the error of [`verify`](Self::verify) after the timeout.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn verify_within(&self, timeout: Duration) -> Result<(), VerificationError> {
        let engine = Arc::clone(&self.engine);
        let mut newest = engine.state().store.subscribe();
        // Uses the server's runtime, because the caller's may have no timers, or a paused clock.
        let met = self.running.runtime().spawn(async move {
            let all_met = || engine.state().store.expectations.iter().all(Expectation::is_met);
            let wait = async { while !all_met() && newest.changed().await.is_ok() {} };
            let _ = tokio::time::timeout(timeout, wait).await;
        });
        let _ = met.await;
        self.verify()
    }
}

/// An expectation of a [`MockServer`]; see [`MockServer::expect`].
#[derive(Clone, Copy)]
pub struct ExpectationHandle<'a> {
    engine: &'a Engine,
    index: usize,
}

impl ExpectationHandle<'_> {
    /// Sets the expected number of matches: a number, or a range such as `1..3`, `2..` or `..=5`. Use 0 to expect none.
    pub fn times(self, times: impl Into<Times>) {
        self.engine.state().store.expectations[self.index].times = times.into();
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        if thread::panicking() {
            return; // A second panic would abort the process.
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
