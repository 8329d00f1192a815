//! The builder of a mock.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::engine::{Engine, EngineSettings};
use super::fault::Fault;
use super::plan::FaultPlan;
use super::quota::Quota;
use super::server::ServerHandle;
use super::store::{Retention, Store};
use super::{KEPT_BYTES, KEPT_REQUESTS, KEY, MockServer, SECRET};
use crate::contract::{self, Operations};
use crate::when_some::when_some;

/// Builds a [`MockServer`].
pub struct MockServerBuilder {
    address: SocketAddr,
    credentials: Vec<(String, String)>,
    lenient: bool,
    deny_warnings: bool,
    partial_responses: bool,
    rate: Option<u32>,
    acceleration: Option<f64>,
    faults: FaultPlan,
    seed: u64,
    retention: Retention,
    operations: Arc<Operations>,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl MockServer {
    /// Starts a mock that accepts the credentials [`KEY`] and [`SECRET`], on a free port of loopback.
    ///
    /// # Panics
    /// Panics if no loopback port can be bound.
    ///
    /// # Cancel safety
    /// Cancel safe: it does not wait.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts a mock like [`start`](Self::start), outside of async code.
    ///
    /// # Panics
    /// Panics if no loopback port can be bound.
    #[must_use]
    pub fn start_blocking() -> Self {
        Self::builder().start_blocking()
    }

    /// Returns a builder with the default settings.
    #[must_use]
    pub fn builder() -> MockServerBuilder {
        MockServerBuilder::new()
    }
}

impl MockServerBuilder {
    fn new() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            credentials: Vec::new(),
            lenient: false,
            deny_warnings: false,
            partial_responses: false,
            rate: None,
            acceleration: None,
            faults: FaultPlan::default(),
            seed: 0,
            retention: Retention { requests: KEPT_REQUESTS, bytes: KEPT_BYTES },
            operations: contract::operations(),
            clock: Box::new(Utc::now),
        }
    }

    /// Sets the address to listen on. The default is a free port of loopback. On any other address, everyone who can reach this
    /// machine can read the received data.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Adds an API key and secret to accept. The default, if none is added, is [`KEY`] and [`SECRET`].
    #[must_use]
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        self.credentials.push((key.into(), secret.into()));
        self
    }

    /// Accepts and records data that violates the document, as the service mostly does. Refuses only data that the service is
    /// documented to refuse: bodies that are not JSON or not a batch, and those that exceed a size limit.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Makes [`verify`](MockServer::verify), and with it dropping the mock, fail if a request caused a warning: data that the
    /// service would accept and then silently truncate, drop or ignore.
    #[must_use]
    pub fn deny_warnings(mut self) -> Self {
        self.deny_warnings = true;
        self
    }

    /// Sets whether a bulk request with some invalid batches is accepted in part, as by the service: the valid batches are stored,
    /// and the body of a 202 names each invalid one by the index at the start of a path. If all batches or the request as a whole
    /// are invalid, the response is a 400. Off by default: one invalid batch makes the mock refuse the request.
    ///
    /// ```
    /// use mparticle::mock::{self, MockServer};
    /// use serde_json::{Value, json};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), reqwest::Error> {
    /// let server = MockServer::builder().partial_responses(true).start().await;
    /// let good = json!({ "environment": "development", "mpid": 1 });
    /// let bad = json!({ "environment": "test", "mpid": 2 });
    /// let request = reqwest::Client::new().post(format!("{}/bulkevents", server.url()));
    /// let request = request.basic_auth(mock::KEY, Some(mock::SECRET)).json(&json!([good, bad]));
    /// let response = request.send().await?;
    /// assert_eq!(response.status(), 202);
    /// let body: Value = response.json().await?;
    /// assert_eq!(
    ///     body["errors"][0]["message"],
    ///     "/1/environment: expected \"production\" or \"development\", found \"test\". \
    ///      Path '[1].environment', line 1, position 71."
    /// );
    /// assert_eq!(server.batches(), [good]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The position is that of the end of the batch, in UTF-16 code units of the body.
    #[must_use]
    pub fn partial_responses(mut self, enabled: bool) -> Self {
        self.partial_responses = enabled;
        self
    }

    /// Limits the rate of batches; requests beyond it receive a 429. The limit is a token bucket that holds the batches
    /// of one second, or 100 if that is more. No limit by default; the service's default for an account is 270.
    #[must_use]
    pub fn rate_limit(mut self, batches_per_second: u32) -> Self {
        self.rate = Some(batches_per_second);
        self
    }

    /// Limits the batches of one second to `factor` times those of the previous second, but to no less than 100 or a tenth of the
    /// [`rate_limit`](Self::rate_limit), without which it has no effect. The service documents that such a limit exists, but not
    /// how it is measured.
    #[must_use]
    pub fn acceleration_limit(mut self, factor: f64) -> Self {
        self.acceleration = Some(factor);
        self
    }

    /// Queues faults for the first requests, one per request. Further calls append to the sequence.
    #[must_use]
    pub fn fault_sequence(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.sequence.extend(faults);
        self
    }

    /// Injects a fault at random, into a share of the requests from 0 to 1. The shares of several faults add up.
    #[must_use]
    pub fn fault_rate(mut self, rate: f64, fault: Fault) -> Self {
        self.faults.rates.push((rate, fault));
        self
    }

    /// Sets a plan of faults, in place of all faults set so far.
    #[must_use]
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.faults = plan;
        self
    }

    /// Sets the seed of random faults: with the same seed the same requests meet the same faults. 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the maximum number of requests to keep, and their approximate size in memory in bytes; the oldest are discarded. The
    /// defaults are [`KEPT_REQUESTS`] and [`KEPT_BYTES`]. Statistics and expectations still count discarded requests.
    #[must_use]
    pub fn keep(mut self, requests: usize, bytes: usize) -> Self {
        self.retention = Retention { requests, bytes };
        self
    }

    /// Sets the clock, which dates the requests and decides whether historical data is at least 72 hours old.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the document whose operations the mock provides.
    #[cfg(test)]
    pub(super) fn operations_of(mut self, document: &serde_json::Value) -> Self {
        self.operations = contract::operations_of(document).into();
        self
    }

    /// Starts the mock on a thread of its own. Blocks only while it binds the port.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound or the thread cannot be spawned.
    pub fn try_start(mut self) -> io::Result<MockServer> {
        if self.credentials.is_empty() {
            self = self.credentials(KEY, SECRET);
        }
        let quota = self.rate.map(|rate| {
            let quota = Quota::new(rate);
            self.acceleration.map_or(quota.clone(), |factor| quota.acceleration(factor))
        });
        let settings = EngineSettings {
            credentials: self.credentials,
            lenient: self.lenient,
            deny_warnings: self.deny_warnings,
            partial_responses: self.partial_responses,
            rate: self.rate,
            operations: self.operations,
            clock: self.clock,
        };
        let engine = Arc::new(Engine::new(settings, Store::new(self.retention), self.faults, self.seed, quota));
        let running = ServerHandle::start(self.address, Arc::clone(&engine))?;
        Ok(MockServer { running, engine })
    }

    /// Starts the mock like [`try_start`](Self::try_start), for tests.
    ///
    /// # Panics
    /// Panics if [`try_start`](Self::try_start) returns an error.
    #[must_use]
    pub fn start_blocking(self) -> MockServer {
        self.try_start().expect("failed to start the mock")
    }

    when_some!();

    /// Starts the mock like [`try_start`](Self::try_start), for async tests.
    ///
    /// # Panics
    /// Panics if [`try_start`](Self::try_start) returns an error.
    ///
    /// # Cancel safety
    /// Cancel safe: it does not wait.
    #[expect(clippy::unused_async, reason = "binding may become async")]
    pub async fn start(self) -> MockServer {
        self.start_blocking()
    }
}

impl fmt::Debug for MockServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServerBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
