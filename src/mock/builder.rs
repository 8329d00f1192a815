//! The settings of a mock, and its start.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::engine::{Engine, Settings};
use super::fault::Fault;
use super::plan::FaultPlan;
use super::quota::Quota;
use super::server::Running;
use super::store::{Kept, Store};
use super::{KEPT_BYTES, KEPT_REQUESTS, KEY, MockServer, SECRET};
use crate::contract::{self, Operations};

/// The settings of a [`MockServer`].
pub struct MockServerBuilder {
    address: SocketAddr,
    credentials: Vec<(String, String)>,
    lenient: bool,
    partial_responses: bool,
    rate: Option<u32>,
    acceleration: Option<f64>,
    faults: FaultPlan,
    seed: u64,
    kept: Kept,
    operations: Arc<Operations>,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl MockServer {
    /// Starts a mock that takes [`KEY`] and [`SECRET`], on a free port of loopback.
    ///
    /// # Panics
    /// If no port of loopback can be had.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// As [`start`](Self::start), for code that is not async.
    ///
    /// # Panics
    /// If no port of loopback can be had.
    #[must_use]
    pub fn start_blocking() -> Self {
        Self::builder().start_blocking()
    }

    /// Starts the settings of a mock.
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
            partial_responses: false,
            rate: None,
            acceleration: None,
            faults: FaultPlan::default(),
            seed: 0,
            kept: Kept { requests: KEPT_REQUESTS, bytes: KEPT_BYTES },
            operations: contract::operations(),
            clock: Box::new(Utc::now),
        }
    }

    /// Where to listen. By default on loopback, on a port that is free. Elsewhere than on loopback whoever reaches this
    /// machine can read what is sent.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// A pair of key and secret that is let in. Called again it adds one more; without any it is [`KEY`] and [`SECRET`].
    #[must_use]
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        self.credentials.push((key.into(), secret.into()));
        self
    }

    /// Accepts what breaks the document, as the service mostly does, and records it. Only what the service is documented to
    /// refuse is refused: what is not JSON or not a batch, and too much at once.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Sets whether a bulk request of which some batches are bad is accepted in part, as the service does it: the good ones
    /// are stored, and the bad ones named in the body of a 202, each by the index that begins a path. If all are bad, or the
    /// request as a whole is, it is refused with a 400. Off by default: one bad batch refuses its request.
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
    /// The position is that of the end of the batch, in UTF-16 units of the body.
    #[must_use]
    pub fn partial_responses(mut self, enabled: bool) -> Self {
        self.partial_responses = enabled;
        self
    }

    /// A limit of this many batches per second; see [`Quota`]. The service's default is 270. There is none by default.
    #[must_use]
    pub fn rate_limit(mut self, batches_per_second: u32) -> Self {
        self.rate = Some(batches_per_second);
        self
    }

    /// Together with [`rate`](Self::rate): by which factor the speed may rise from one second to the next; see
    /// [`Quota::acceleration`].
    #[must_use]
    pub fn acceleration_limit(mut self, factor: f64) -> Self {
        self.acceleration = Some(factor);
        self
    }

    /// The faults that the next requests meet, one each; then all is well. Called again it adds to the end.
    #[must_use]
    pub fn fault_sequence(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.script.extend(faults);
        self
    }

    /// A fault that a share of the requests meets, from 0 to 1, by chance. Several add up.
    #[must_use]
    pub fn fault_rate(mut self, share: f64, fault: Fault) -> Self {
        self.faults.chances.push((share, fault));
        self
    }

    /// A whole plan of faults, in place of what was set so far.
    #[must_use]
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.faults = plan;
        self
    }

    /// What chance starts from: with the same seed the same requests meet the same faults. 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How much is kept of what came in: the newest requests, at most this many, in about this many bytes of memory. By
    /// default [`KEPT_REQUESTS`] and [`KEPT_BYTES`]. MockStats and expectations go on beyond.
    #[must_use]
    pub fn keep(mut self, requests: usize, bytes: usize) -> Self {
        self.kept = Kept { requests, bytes };
        self
    }

    /// What time it is, for the rule that historical data is older than 72 hours.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Takes the operations of this document in place of those of the one that the crate was built from.
    #[cfg(test)]
    pub(super) fn operations_of(mut self, document: &serde_json::Value) -> Self {
        self.operations = Operations::of(document).into();
        self
    }

    /// Starts the mock, in a thread of its own. It blocks for no longer than it takes to bind a port.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn try_start(mut self) -> io::Result<MockServer> {
        if self.credentials.is_empty() {
            self = self.credentials(KEY, SECRET);
        }
        let quota = self.rate.map(|rate| {
            let quota = Quota::new(rate);
            self.acceleration.map_or(quota.clone(), |factor| quota.acceleration(factor))
        });
        let settings = Settings {
            credentials: self.credentials,
            lenient: self.lenient,
            partial_responses: self.partial_responses,
            rate: self.rate,
            operations: self.operations,
            clock: self.clock,
        };
        let engine = Arc::new(Engine::new(settings, Store::new(self.kept), self.faults, self.seed, quota));
        let running = Running::start(self.address, Arc::clone(&engine))?;
        Ok(MockServer { running, engine })
    }

    /// As [`try_start`](Self::try_start), for tests.
    ///
    /// # Panics
    /// If the address cannot be had.
    #[must_use]
    pub fn start_blocking(self) -> MockServer {
        self.try_start().expect("an address to listen on")
    }

    /// As [`try_start`](Self::try_start), for async tests.
    ///
    /// # Panics
    /// If the address cannot be had.
    #[expect(clippy::unused_async, reason = "binding may come to wait")]
    pub async fn start(self) -> MockServer {
        self.start_blocking()
    }
}

impl fmt::Debug for MockServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServerBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
