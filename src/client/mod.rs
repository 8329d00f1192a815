//! The client: takes batches or sealed batches, checks the hard limits, sends once, and tells what came of it.

mod answer;
#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
mod credentials;
mod pod;
mod transport;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::runtime::Handle;
use uuid::Uuid;

pub use answer::Accepted;
pub use builder::ClientBuilder;
pub use credentials::Credentials;
pub use pod::Pod;
pub use transport::Transport;

use crate::error::Error;
use crate::generated;
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use crate::seal::{IntoSealed, RandomIds, SealedBatch};

/// Sends batches to the mParticle Events API.
///
/// Cloning is cheap and shares the connections. A client can be used from several tokio runtimes; each gets an HTTP client
/// of its own. It has to be used within one.
///
/// ```
/// # async fn run(server: &mparticle::mock::MockServer) -> Result<(), mparticle::Error> {
/// use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment};
///
/// let client = Client::builder(Credentials::new("key", "secret"))
/// #   .base_url(server.url())
///     .build()?;
/// let batch = Batch::new(Environment::Development)
///     .customer_id("123456")
///     .event(CustomEvent::new("Example", CustomEventType::Other));
/// let accepted = client.upload(batch).await?;
/// assert_eq!(accepted.status(), 202);
/// # Ok(())
/// # }
/// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
/// # tokio::runtime::Runtime::new().unwrap().block_on(run(&server)).unwrap();
/// ```
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    /// Random ids if there is none.
    id_source: Option<IdSource>,
}

type IdSource = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// The endpoints of the service, as in `openapi/events.yaml`.
#[derive(Clone, Copy)]
enum Endpoint {
    Events,
    BulkEvents,
    HistoricalEvents,
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Events => "/events",
            Self::BulkEvents => "/bulkevents",
            Self::HistoricalEvents => "/bulkevents/historical",
        }
    }

    /// The name of the operation, as the generated endpoints give it to their hooks.
    fn operation(self) -> &'static str {
        match self {
            Self::Events => "upload_events",
            Self::BulkEvents => "bulk_upload_events",
            Self::HistoricalEvents => "bulk_upload_historical_events",
        }
    }

    /// The body that takes these batches there, if that keeps the limits.
    fn body(self, batches: &[SealedBatch]) -> Result<Bytes, Error> {
        match (self, batches) {
            (Self::Events, [batch]) => check_batch(batch).map(|()| batch.json().clone()),
            _ => bulk_body(batches),
        }
    }
}

impl Client {
    /// Starts the settings of a client that sends with these credentials.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mparticle::{Client, Credentials, Pod};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    ///     .pod(Pod::Eu1)
    ///     .timeout(Duration::from_secs(5))
    ///     .build()?;
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        ClientBuilder::new(credentials)
    }

    /// A client with the settings of the environment; see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// As [`ClientBuilder::from_env`] and [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }

    /// Sends one batch to `/events`, once.
    ///
    /// # Errors
    /// Before sending: as [`Batch::seal`](crate::Batch::seal), and [`ErrorKind::Limit`](crate::ErrorKind::Limit) if the
    /// batch is larger than [`MAX_BATCH_BYTES`]. After it: whatever the network or the service had to say. Unless it could
    /// not be sealed, the error hands the batch back, sealed.
    pub async fn upload(&self, batch: impl IntoSealed) -> Result<Accepted, Error> {
        let batch = self.seal(batch)?;
        self.send(Endpoint::Events, vec![batch]).await
    }

    /// Sends 1 to 100 batches to `/bulkevents`, as one request, once.
    ///
    /// Of an accepted request the service may still drop a batch that it cannot process; it does not say which.
    ///
    /// # Errors
    /// Before sending: as [`Batch::seal`](crate::Batch::seal), with the batch's place in front of the pointer, and
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) if there is no batch or more than [`MAX_BATCHES_PER_REQUEST`], one is
    /// larger than [`MAX_BATCH_BYTES`], or all are larger than [`MAX_REQUEST_BYTES`]. After it: whatever the network or the
    /// service had to say. The error hands back all batches that could be sealed.
    pub async fn upload_bulk<B: IntoSealed>(&self, batches: impl IntoIterator<Item = B>) -> Result<Accepted, Error> {
        let batches = self.seal_all(batches)?;
        self.send(Endpoint::BulkEvents, batches).await
    }

    /// Sends 1 to 100 batches of old data to `/bulkevents/historical`, as one request, once.
    ///
    /// It is for data older than 30 days. The service silently ignores a batch that has no events, an event without a
    /// time, or one younger than 72 hours. It does not forward historical data to event and warehouse outputs, and does
    /// not change audiences.
    ///
    /// # Errors
    /// As [`upload_bulk`](Self::upload_bulk).
    pub async fn upload_historical<B: IntoSealed>(
        &self,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Accepted, Error> {
        let batches = self.seal_all(batches)?;
        self.send(Endpoint::HistoricalEvents, batches).await
    }

    /// The generated endpoints over the same connections and with the same credentials; see [`raw`](crate::raw).
    ///
    /// ```
    /// # async fn run(server: &mparticle::mock::MockServer) -> Result<(), Box<dyn std::error::Error>> {
    /// use mparticle::{Batch, Client, Credentials, Environment};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    /// #   .base_url(server.url())
    ///     .build()?;
    /// let answer = client.raw()?.upload_events(&Batch::new(Environment::Development)).await?;
    /// assert_eq!(answer.status(), 202);
    /// # Ok(())
    /// # }
    /// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run(&server)).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the HTTP client cannot be made.
    pub fn raw(&self) -> Result<crate::raw::Client, Error> {
        let http = self.transport.http().map_err(Error::transport)?;
        Ok(generated::Client::new_with_client(self.transport.base_url(), http, self.transport.clone()))
    }

    /// The ids for one call.
    fn ids(&self) -> impl FnMut() -> Uuid {
        let mut random = RandomIds::new();
        move || self.id_source.as_ref().map_or_else(|| random.next(), |source| source())
    }

    fn seal(&self, mut batch: impl IntoSealed) -> Result<SealedBatch, Error> {
        batch.seal_in_place(&mut self.ids())
    }

    /// Seals each batch. If one cannot be, the others come back in the error.
    fn seal_all<B: IntoSealed>(&self, batches: impl IntoIterator<Item = B>) -> Result<Vec<SealedBatch>, Error> {
        let mut ids = self.ids();
        let mut failed = None;
        // A batch is large and is not moved more than it must be: collecting a `Vec` moves none, and each is sealed in place.
        let mut batches: Vec<B> = batches.into_iter().collect();
        let mut sealed = Vec::with_capacity(batches.len());
        for (index, batch) in batches.iter_mut().enumerate() {
            match batch.seal_in_place(&mut ids) {
                Ok(batch) => sealed.push(batch),
                Err(error) => _ = failed.get_or_insert(error.of_batch(index)),
            }
        }
        match failed {
            None => Ok(sealed),
            Some(error) => Err(error.with_unsent(sealed)),
        }
    }

    /// Sends sealed batches as one request, or hands them back in the error.
    async fn send(&self, endpoint: Endpoint, batches: Vec<SealedBatch>) -> Result<Accepted, Error> {
        let sent = match endpoint.body(&batches) {
            Ok(body) => self.post(endpoint, body).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| error.with_unsent(batches))
    }

    async fn post(&self, endpoint: Endpoint, body: Bytes) -> Result<Accepted, Error> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        if Handle::try_current().is_err() {
            return Err(Error::config("the client has to be used within a tokio runtime; `blocking` brings its own"));
        }
        let url = format!("{}{}", self.transport.base_url(), endpoint.path());
        let http = self.transport.http().map_err(Error::transport)?;
        let request = http.post(url).header(CONTENT_TYPE, JSON).body(body).build().map_err(Error::transport)?;
        let response = self.transport.execute(&http, request, endpoint.operation()).await.map_err(Error::transport)?;
        answer::read(response).await
    }
}

fn check_batch(batch: &SealedBatch) -> Result<(), Error> {
    if batch.len() > MAX_BATCH_BYTES {
        let size = batch.len();
        return Err(Error::limit(format!(
            "the batch has {size} bytes, more than the {MAX_BATCH_BYTES} that it may have"
        )));
    }
    Ok(())
}

/// `[` + the sealed batches joined by `,` + `]`, if that keeps the limits.
fn bulk_body(batches: &[SealedBatch]) -> Result<Bytes, Error> {
    let count = batches.len();
    if count == 0 {
        return Err(Error::limit("a bulk request needs at least one batch"));
    }
    if count > MAX_BATCHES_PER_REQUEST {
        let limit = MAX_BATCHES_PER_REQUEST;
        return Err(Error::limit(format!("the request has {count} batches, more than the {limit} that it may have")));
    }
    for (index, batch) in batches.iter().enumerate() {
        check_batch(batch).map_err(|error| error.of_batch(index))?;
    }
    let size = batches.iter().map(SealedBatch::len).sum::<usize>() + count + 1;
    if size > MAX_REQUEST_BYTES {
        let limit = MAX_REQUEST_BYTES;
        return Err(Error::limit(format!("the request has {size} bytes, more than the {limit} that it may have")));
    }
    let mut body = Vec::with_capacity(size);
    for (index, batch) in batches.iter().enumerate() {
        body.push(if index == 0 { b'[' } else { b',' });
        body.extend_from_slice(batch.json());
    }
    body.push(b']');
    Ok(body.into())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("transport", &self.transport).finish_non_exhaustive()
    }
}
