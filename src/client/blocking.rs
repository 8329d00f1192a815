//! The blocking client, for code without an async runtime. It runs a Tokio runtime on a background thread.
//!
//! It can be called from any thread, also from within a runtime, and blocks the calling thread. In async code prefer
//! [`Client`](crate::Client): a blocked thread runs no other task.
//!
//! ```
//! use mparticle::{Batch, Credentials, CustomEvent, CustomEventType, Environment};
//!
//! # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
//! let client = mparticle::Client::builder(Credentials::new("key", "secret"))
//! #   .base_url(server.url())
//!     .build()?;
//! let client = mparticle::blocking::Client::new(client)?;
//! let batch = Batch::new(Environment::Development)
//!     .customer_id("123456")
//!     .event(CustomEvent::new("Example", CustomEventType::Other));
//! let accepted = client.upload(batch)?;
//! assert_eq!(accepted.status(), 202);
//! # Ok::<(), mparticle::Error>(())
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::Instrument;

use super::upload_error::UploadError;
use crate::Client as AsyncClient;
use crate::delivery::{Accepted, Report};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::runtime::BackgroundRuntime;
use crate::seal::{IntoSealed, SealedBatch};

/// A client that blocks until the response has arrived; see the [module](self). Cloning is cheap and shares the background
/// thread, which ends when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    client: AsyncClient,
    tasks: UnboundedSender<Task>,
}

/// A call for the background thread. It sends its result to the caller itself.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Client {
    /// Creates a blocking client and starts its background thread.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the thread or its runtime cannot be created.
    pub fn new(client: AsyncClient) -> Result<Self, Error> {
        let failed = |error| Error::config("failed to spawn the background thread").with_source(error);
        let runtime = BackgroundRuntime::new().map_err(failed)?;
        let (tasks, receiver) = unbounded_channel();
        thread::Builder::new()
            .name("mparticle-blocking".into())
            .spawn(move || runtime.run(serve(receiver)))
            .map_err(failed)?;
        Ok(Self { client, tasks })
    }

    /// Creates a client with the settings of the environment; see [`ClientBuilder::from_env`](crate::ClientBuilder::from_env).
    ///
    /// # Errors
    /// As [`ClientBuilder::from_env`](crate::ClientBuilder::from_env), [`ClientBuilder::build`](crate::ClientBuilder::build)
    /// and [`new`](Self::new).
    pub fn from_env() -> Result<Self, Error> {
        Self::new(AsyncClient::from_env()?)
    }

    /// Sends one batch, like [`Client::upload`](crate::Client::upload).
    ///
    /// # Errors
    /// As [`Client::upload`](crate::Client::upload).
    pub fn upload(&self, batch: impl IntoSealed) -> Result<Accepted, UploadError> {
        let upload = self.client.seal(batch)?;
        let unsent = upload.unsent();
        self.wait(unsent, move |client| async move { client.send_one(upload).await })
    }

    /// Sends batches, like [`Client::upload_bulk`](crate::Client::upload_bulk).
    ///
    /// # Errors
    /// As [`Client::upload_bulk`](crate::Client::upload_bulk).
    pub fn upload_bulk<B: IntoSealed>(&self, batches: impl IntoIterator<Item = B>) -> Result<Report, UploadError> {
        self.send_all(Endpoint::BulkEvents, batches)
    }

    /// Sends batches of old data, like [`Client::upload_historical`](crate::Client::upload_historical).
    ///
    /// # Errors
    /// As [`Client::upload_historical`](crate::Client::upload_historical).
    pub fn upload_historical<B: IntoSealed>(
        &self,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Report, UploadError> {
        self.send_all(Endpoint::HistoricalEvents, batches)
    }

    fn send_all<B: IntoSealed>(
        &self,
        endpoint: Endpoint,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Report, UploadError> {
        let upload = self.client.seal_all(batches);
        let unsent = upload.unsent();
        self.wait(unsent, move |client| async move { client.send_all(endpoint, upload).await })
    }

    /// Runs the call on the background thread and waits for its result. If the call panics there is no result, and the
    /// error returns the batches.
    fn wait<T: Send + 'static, F: Future<Output = Result<T, UploadError>> + Send + 'static>(
        &self,
        unsent: (Vec<SealedBatch>, Vec<usize>),
        call: impl FnOnce(AsyncClient) -> F,
    ) -> Result<T, UploadError> {
        let (tx, rx) = mpsc::sync_channel(1);
        let future = call(self.client.clone());
        let sent = self.tasks.send(Box::pin(async move { _ = tx.send(future.await) }.in_current_span()));
        if let (Ok(()), Ok(result)) = (sent, rx.recv()) {
            return result;
        }
        let error = Error::config("the background thread ended unexpectedly");
        Err(UploadError::new(error, unsent.0, Report::default()).with_unsent_indices(unsent.1))
    }
}

/// Runs each call as a task of its own, so that calls from several threads do not wait for each other.
async fn serve(mut receiver: UnboundedReceiver<Task>) {
    while let Some(call) = receiver.recv().await {
        tokio::spawn(call);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("client", &self.client).finish_non_exhaustive()
    }
}
