//! A server on loopback that holds every request against `openapi/events.yaml`.
//!
//! It answers with the statuses, headers and bodies of the service, and is stricter: what breaks the document is refused
//! with a 400 that lists everything, also where the service would truncate, drop or ignore in silence.
//!
//! It is for tests and for trying things out: it knows the document and nothing of this crate's client or types, so any
//! HTTP client can talk to it.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mparticle::mock::MockServer;
//! use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment};
//!
//! let server = MockServer::builder().credentials("key", "secret").start();
//! let client = Client::builder(Credentials::new("key", "secret")).base_url(server.url()).build()?;
//! let batch = Batch::new(Environment::Development)
//!     .customer_id("123456")
//!     .event(CustomEvent::new("Example", CustomEventType::Other));
//!
//! tokio::runtime::Runtime::new()?.block_on(client.upload(batch))?;
//! assert_eq!(server.batches()[0]["events"][0]["data"]["event_name"], "Example");
//! # Ok(())
//! # }
//! ```

mod reply;
mod server;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use server::Running;

/// The key that a mock takes unless it is told otherwise.
pub const KEY: &str = "mock-key";

/// The secret that a mock takes unless it is told otherwise.
pub const SECRET: &str = "mock-secret";

/// A running mock, on a port of its own. Dropping it ends it.
pub struct MockServer {
    running: Running,
    seen: Arc<Mutex<Seen>>,
}

/// A request that came in, whatever was answered.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The method, as `POST`.
    pub method: String,
    /// The path, as `/events`.
    pub path: String,
    /// The headers, with names in lower case, in the order in which they came. The credentials are left out.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte. Of a body of 262,144 bytes or more nothing is kept.
    pub body: Vec<u8>,
    /// The status that was answered.
    pub status: u16,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Received>,
    batches: Vec<Value>,
}

/// The settings of a [`MockServer`].
#[derive(Clone)]
pub struct MockServerBuilder {
    key: String,
    secret: String,
}

impl MockServer {
    /// Starts a mock that takes [`KEY`] and [`SECRET`].
    ///
    /// # Panics
    /// If no port of loopback can be had.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts the settings of a mock.
    #[must_use]
    pub fn builder() -> MockServerBuilder {
        MockServerBuilder { key: KEY.into(), secret: SECRET.into() }
    }

    /// Where it listens: a base URL for a client, as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// Every request so far, in the order in which they were answered.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.seen().requests.clone()
    }

    /// Every batch that was accepted so far, in order.
    #[must_use]
    pub fn batches(&self) -> Vec<Value> {
        self.seen().batches.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MockServerBuilder {
    /// The only pair of key and secret that is let in.
    #[must_use]
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        self.key = key.into();
        self.secret = secret.into();
        self
    }

    /// Starts the mock on a port that is free, in a thread of its own.
    ///
    /// # Panics
    /// If no port of loopback can be had.
    #[must_use]
    pub fn start(self) -> MockServer {
        let seen = Arc::default();
        let running = Running::start(&self, Arc::clone(&seen)).expect("a port of loopback");
        MockServer { running, seen }
    }
}

impl Received {
    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for MockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServer").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl fmt::Debug for MockServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServerBuilder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
