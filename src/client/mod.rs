//! The client: takes batches or sealed batches, delivers them over HTTP, and reports the result.

mod attempt_span;
#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
mod bulk_upload;
mod credentials;
pub(crate) mod env;
mod error_list;
mod http_error;
mod pod;
mod resolver;
mod response;
mod tls;
mod transport;
mod upload_error;

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::sleep_until;
use uuid::Uuid;

pub use builder::ClientBuilder;
pub use credentials::Credentials;
pub use pod::Pod;
pub use transport::HttpTransport;
pub use upload_error::UploadError;

use crate::delivery::{
    Accepted, CallResult, ClientLimiter, Deliverer, Loss, LossKind, LossLog, Rejected, Report, client_span, in_span,
};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::generated;
use crate::seal::{BeforeSend, IntoSealed, RandomIds, SealError, SealedBatch, Sealing};
use bulk_upload::BulkUpload;

/// Sends batches to the mParticle Events API.
///
/// Transient failures are retried according to the [`RetryPolicy`](crate::RetryPolicy). The ids of a batch never change, so the
/// service drops a repeat of a batch that it had already accepted.
///
/// Cloning is cheap and shares the connections, the retry budget, and the wait that the service asks for. A client can be
/// used from several Tokio runtimes; each gets its own HTTP client. It must be used within a runtime that has timers enabled:
/// `enable_all` or `enable_time` of Tokio's builder.
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
    pub(crate) deliverer: Deliverer<HttpTransport, ClientLimiter>,
    /// The ids are random if this is `None`.
    pub(crate) id_source: Option<IdSource>,
    pub(crate) before_send: Option<BeforeSend>,
    /// Logs the batches that bulk calls report as rejected.
    losses: Arc<LossLog>,
}

pub(crate) type IdSource = Arc<dyn Fn() -> Uuid + Send + Sync>;

impl Client {
    /// Sends one batch to `/events`, and retries transient failures.
    ///
    /// A batch larger than [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES) is sent in several parts, one after the other;
    /// see [`Batch::seal_parts`](crate::Batch::seal_parts). The result then describes the last part.
    ///
    /// ```
    /// # async fn run(client: mparticle::Client) -> Result<(), mparticle::Error> {
    /// use mparticle::{Batch, Environment};
    ///
    /// let batch = Batch::new(Environment::Development).customer_id("123456").source_request_id("signup-123456");
    /// client.upload(&batch).await?; // or `upload(batch)`, or a batch that is sealed
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Before sending: as [`Batch::seal_parts`](crate::Batch::seal_parts), with the batch in
    /// [`UploadError::unsealed`]; and [`ErrorKind::Limit`](crate::ErrorKind::Limit) if a [`SealedBatch`] is too large. After
    /// that: the failure of the last attempt, with the sealed parts that were not accepted in [`UploadError::unsent`]. A 202
    /// whose body lists errors refuses the batch: [`ErrorKind::Refused`](crate::ErrorKind::Refused) with that status. A response
    /// that is not from the service, such as the sign-in page of a network, is
    /// [`ErrorKind::UnexpectedResponse`](crate::ErrorKind::UnexpectedResponse).
    ///
    /// # Cancel safety
    /// Not cancel safe: if the future is dropped, for example by a timeout around it, the batch is dropped too, and the service
    /// may or may not have accepted it. [`RetryPolicy::request_timeout`](crate::RetryPolicy::request_timeout) limits the time and hands
    /// the batch back; a batch that was [sealed](crate::Batch::seal) before and is uploaded by reference can be uploaded again.
    pub async fn upload(&self, batch: impl IntoSealed) -> Result<Accepted, UploadError> {
        let upload = self.seal(batch)?;
        self.send_one(upload).await
    }

    /// Sends batches to `/bulkevents`, in as few requests as the limits allow, one after the other.
    ///
    /// Accepts any number of batches, including none. If the service refuses a request, the client bisects it to find the bad
    /// batches. Those are rejected, with the errors of the service, and all others are delivered. After many refusals in a row
    /// each batch is sent alone instead, until one is accepted. A batch that cannot be sealed is rejected too.
    ///
    /// The batches of each user arrive in order. The first of these that is present identifies the user: the customer id, the
    /// MPID, another identity, the device, the identity of a partner. A user who gains a customer id counts as another user.
    ///
    /// The service may also accept a request with a 202 and list errors in its body. A batch that an error names, by its index or
    /// by a position in the body, is rejected. If an error names no batch, the request is bisected too. The service may still
    /// silently drop individual batches of a request that it accepted.
    ///
    /// # Errors
    /// Returns an error only if a batch was not sent after all attempts, if a status such as 401 or 403 shows that no batch would
    /// be accepted, or if the response was not from the service
    /// ([`ErrorKind::UnexpectedResponse`](crate::ErrorKind::UnexpectedResponse)). The error hands back the sealed batches that
    /// were not sent ([`UploadError::unsent`]), and has the result of the others ([`UploadError::report`]).
    ///
    /// # Cancel safety
    /// Not cancel safe: if the future is dropped, the unsent batches are dropped too, and it is unknown which those are. Use
    /// [`upload_bulk_until`](Self::upload_bulk_until) to stop it, or
    /// [`RetryPolicy::call_timeout`](crate::RetryPolicy::call_timeout) to limit its time: both hand back what was not sent.
    ///
    /// ```
    /// # async fn run(client: mparticle::Client, batches: Vec<mparticle::Batch>) -> Result<(), mparticle::Error> {
    /// let report = client.upload_bulk(batches).await?;
    /// println!("{} delivered", report.delivered());
    /// for rejected in report.rejected() {
    ///     println!("batch {}: {:?}", rejected.index(), rejected.error().api_errors());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn upload_bulk<B: IntoSealed>(
        &self,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Report, UploadError> {
        let upload = self.seal_all(batches);
        self.send_all(Endpoint::BulkEvents, upload).await
    }

    /// Sends batches as [`upload_bulk`](Self::upload_bulk) does, until `stop` completes, for example at a signal. Its output is ignored.
    ///
    /// Completing `stop` ends a wait and aborts an attempt that is in flight. The service may have accepted that attempt, which
    /// does no harm: the ids of the batches make sending them again safe. The call does not wait for `stop` once it is done.
    ///
    /// # Errors
    /// As [`upload_bulk`](Self::upload_bulk), and [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), which is retryable, if it
    /// was stopped before everything was sent. [`UploadError::unsent`] hands back the unsent batches, sealed, and
    /// [`UploadError::report`] has the result of the others.
    ///
    /// # Cancel safety
    /// Not cancel safe, as [`upload_bulk`](Self::upload_bulk): complete `stop` instead of dropping the future.
    ///
    /// ```
    /// # async fn run(client: mparticle::Client, batches: Vec<mparticle::Batch>) -> Result<(), mparticle::Error> {
    /// let stop = tokio::signal::ctrl_c(); // or `tokio::time::sleep(..)`, or `token.cancelled()`
    /// if let Err(error) = client.upload_bulk_until(batches, stop).await {
    ///     println!("{error}: {} delivered, {} left", error.report().delivered(), error.unsent().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn upload_bulk_until<B: IntoSealed>(
        &self,
        batches: impl IntoIterator<Item = B>,
        stop: impl Future,
    ) -> Result<Report, UploadError> {
        let upload = self.seal_all(batches);
        self.send_until(Endpoint::BulkEvents, upload, stop).await
    }

    /// Sends batches of old data to `/bulkevents/historical`, as [`upload_bulk`](Self::upload_bulk) does.
    ///
    /// This is for data older than 30 days. The service silently ignores a batch without events, an event without a timestamp,
    /// and an event younger than 72 hours. It does not forward historical data to event and warehouse outputs, and does not
    /// update audiences.
    ///
    /// # Errors
    /// As [`upload_bulk`](Self::upload_bulk).
    ///
    /// # Cancel safety
    /// Not cancel safe, as [`upload_bulk`](Self::upload_bulk); use [`upload_historical_until`](Self::upload_historical_until).
    pub async fn upload_historical<B: IntoSealed>(
        &self,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Report, UploadError> {
        let upload = self.seal_all(batches);
        self.send_all(Endpoint::HistoricalEvents, upload).await
    }

    /// Sends batches of old data as [`upload_historical`](Self::upload_historical) does, until `stop` completes, as
    /// [`upload_bulk_until`](Self::upload_bulk_until) does.
    ///
    /// # Errors
    /// As [`upload_bulk_until`](Self::upload_bulk_until).
    ///
    /// # Cancel safety
    /// Not cancel safe, as [`upload_bulk`](Self::upload_bulk): complete `stop` instead of dropping the future.
    pub async fn upload_historical_until<B: IntoSealed>(
        &self,
        batches: impl IntoIterator<Item = B>,
        stop: impl Future,
    ) -> Result<Report, UploadError> {
        let upload = self.seal_all(batches);
        self.send_until(Endpoint::HistoricalEvents, upload, stop).await
    }

    /// Returns the generated endpoints, with the same connections and credentials; see [`raw`](crate::raw).
    ///
    /// Their [`ResponseValue<()>`](crate::raw::ResponseValue) has no body, so it does not show which batches of an accepted
    /// bulk request the service refused.
    ///
    /// ```
    /// # async fn run(server: &mparticle::mock::MockServer) -> Result<(), Box<dyn std::error::Error>> {
    /// use mparticle::{Batch, Client, Credentials, Environment};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    /// #   .base_url(server.url())
    ///     .build()?;
    /// let response = client.raw()?.upload_events(&Batch::new(Environment::Development)).await?;
    /// assert_eq!(response.status(), 202);
    /// # Ok(())
    /// # }
    /// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run(&server)).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the HTTP client cannot be created, or the client is
    /// [disabled](ClientBuilder::disabled).
    pub fn raw(&self) -> Result<crate::raw::Client, Error> {
        let transport = &self.deliverer.transport;
        if transport.is_disabled() {
            return Err(Error::config("raw endpoints are not available: the client is disabled"));
        }
        let http = transport.http().map_err(http_error::convert)?;
        Ok(generated::Client { baseurl: transport.base_url().to_owned(), client: http, inner: transport.clone() })
    }

    /// Returns the base URL of the endpoints, without a trailing slash. It contains no credentials.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.deliverer.transport.base_url()
    }

    /// Returns whether the client sends nothing; see [`ClientBuilder::disabled`].
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.deliverer.transport.is_disabled()
    }

    /// Returns the source of the ids of one call.
    fn ids(&self) -> impl FnMut() -> Uuid {
        let mut random = RandomIds::new();
        move || self.id_source.as_ref().map_or_else(|| random.next(), |source| source())
    }

    fn seal(&self, mut batch: impl IntoSealed) -> Result<BulkUpload, SealError> {
        let mut parts = Vec::with_capacity(1);
        batch.seal_in_place(&mut self.sealing(&mut self.ids()), &mut parts)?;
        Ok(BulkUpload::from_parts(parts))
    }

    fn seal_all<B: IntoSealed>(&self, batches: impl IntoIterator<Item = B>) -> BulkUpload {
        BulkUpload::seal(batches, &mut self.sealing(&mut self.ids()))
    }

    fn sealing<'a>(&'a self, new_id: &'a mut dyn FnMut() -> Uuid) -> Sealing<'a> {
        // The service uses the time of receipt for an event without a timestamp, and a client sends at once.
        Sealing { new_id, event_time_ms: None, before_send: self.before_send.as_ref() }
    }

    /// Sends the parts of one batch.
    async fn send_one(&self, upload: BulkUpload) -> Result<Accepted, UploadError> {
        let outcome = self.deliver(Endpoint::Events, upload.parts()).await;
        let accepted = outcome.accepted.clone();
        let mut report = upload.report(outcome)?;
        match (report.rejected.pop(), accepted) {
            (None, Some(accepted)) => Ok(accepted),
            (Some(rejected), _) => Err(UploadError::rejected(rejected, report)),
            (None, None) => Err(UploadError::new(Error::limit("the batch has no parts to send"), Vec::new(), report)),
        }
    }

    async fn send_all(&self, endpoint: Endpoint, upload: BulkUpload) -> Result<Report, UploadError> {
        let outcome = self.deliver(endpoint, upload.parts()).await;
        self.report(upload, outcome)
    }

    async fn send_until(
        &self,
        endpoint: Endpoint,
        upload: BulkUpload,
        stop: impl Future,
    ) -> Result<Report, UploadError> {
        let stop = async {
            let _ = stop.await;
            Error::cancelled()
        };
        let parts = upload.parts();
        let outcome = match no_runtime() {
            Some(error) => CallResult::unsent(parts.len(), error),
            None => {
                in_span(client_span(endpoint, parts.len()), self.deliverer.deliver_until(endpoint, parts, stop)).await
            }
        };
        self.report(upload, outcome)
    }

    async fn deliver(&self, endpoint: Endpoint, batches: &[SealedBatch]) -> CallResult {
        match no_runtime() {
            Some(error) => CallResult::unsent(batches.len(), error),
            None => in_span(client_span(endpoint, batches.len()), self.deliverer.deliver(endpoint, batches)).await,
        }
    }

    /// Returns the report of a bulk call. Logs the batches that it lists as rejected: the call may return `Ok` with them.
    fn report(&self, upload: BulkUpload, outcome: CallResult) -> Result<Report, UploadError> {
        let result = upload.report(outcome);
        let report = result.as_ref().unwrap_or_else(UploadError::report);
        if self.losses.record(report.rejected().iter().map(loss))
            && let Ok(runtime) = Handle::try_current()
        {
            let losses = Arc::clone(&self.losses);
            // No later loss may report the number of these.
            runtime.spawn(async move {
                while let Some(due) = losses.flush_due() {
                    sleep_until(due).await;
                }
            });
        }
        result
    }
}

fn loss(rejected: &Rejected) -> Loss<'_> {
    let sealed = rejected.sealed().first().map(SealedBatch::source_request_id);
    let source_request_id = sealed.or(rejected.unsealed().and_then(|batch| batch.source_request_id.as_deref()));
    Loss { kind: LossKind::Rejected, source_request_id, error: rejected.error() }
}

/// Returns the error of a call outside of a Tokio runtime.
fn no_runtime() -> Option<Error> {
    const REASON: &str =
        "the client must be used within a Tokio runtime, or as a `blocking::Client`, which has its own";
    Handle::try_current().err().map(|_| Error::config(REASON))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("transport", &self.deliverer.transport).finish_non_exhaustive()
    }
}
