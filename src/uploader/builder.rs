//! The builder of an uploader, and its start: a thread with its own runtime, so that it works with any runtime and without one,
//! and never depends on that of a caller.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::config::{Config, WhenFull};
use super::disk_journal::DiskJournal;
use super::journal::{Journal, NoJournal};
use super::report::DeliveryReport;
use super::shared::Shared;
use super::{Uploader, dispatcher};
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::generated::types::Batch;
use crate::runtime::BackgroundRuntime;
use crate::spool;
use crate::when_some::when_some;

/// A builder for an [`Uploader`]; see [`Uploader::builder`].
pub struct UploaderBuilder {
    client: Client,
    config: Config,
    spool: Option<(PathBuf, spool::SpoolOptions)>,
}

impl Uploader {
    /// Creates a builder for an uploader. It shares the credentials of the client, and the wait that the service asks for. Of the
    /// client's [`RetryPolicy`](crate::RetryPolicy) it uses only the waits, and retries without limit.
    #[must_use]
    pub fn builder(client: Client) -> UploaderBuilder {
        UploaderBuilder::new(client)
    }
}

impl UploaderBuilder {
    pub(super) fn new(client: Client) -> Self {
        let (id_source, before_send) = (client.id_source.clone(), client.before_send.clone());
        let config = Config { id_source, before_send, ..Config::new() };
        Self { client, config, spool: None }
    }

    /// Sends to `/bulkevents/historical`, for data older than 30 days; see
    /// [`Client::upload_historical`](crate::Client::upload_historical).
    #[must_use]
    pub fn historical(mut self) -> Self {
        self.config.endpoint = Endpoint::HistoricalEvents;
        self
    }

    /// Sets how long a batch waits for others before a request that is not full is sent, and the minimum time for which events of
    /// one user are collected. 1 second by default. The service counts batches, and a longer time means fewer of them.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// Sets the maximum number of batches in memory, including those in flight. 10,000 by default.
    ///
    /// With a spool, batches may also wait for the disk, up to [`spool::SpoolOptions::max_waiting_bytes`] and
    /// [`max_bytes`](Self::max_bytes). This number of batches stays in memory after they are written, to be sent from there. Of
    /// the others, at most 1,000 (or 4 MiB) are read ahead.
    #[must_use]
    pub fn max_batches(mut self, batches: usize) -> Self {
        self.config.max_batches = batches;
        self
    }

    /// Sets the maximum size of the sealed batches in memory, in bytes, including those in flight. 32 MiB by default.
    ///
    /// Each batch takes about 200 bytes in addition to its JSON. The memory of delivered batches is freed; whether the process returns
    /// it to the system, or keeps it for later batches, depends on its allocator.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.config.max_bytes = bytes;
        self
    }

    /// Sets the policy for a submission when memory is full. [`WhenFull::Refuse`] by default.
    #[must_use]
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.config.when_full = policy;
        self
    }

    /// Sets the maximum number of concurrent requests. 8 by default, and at least 1. The batches of one user are always sent one
    /// request at a time.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.config.max_in_flight = requests.max(1);
        self
    }

    /// Sets the initial rate in batches per second, also after an idle time or an outage. From there the rate rises as the service
    /// allows, and takes about 1.5 seconds or longer to double. 100 by default, and at least 1.
    #[must_use]
    pub fn initial_rate(mut self, batches_per_second: u32) -> Self {
        self.config.rates.initial = f64::from(batches_per_second.max(1));
        self
    }

    /// Sets the maximum rate in batches per second, and at least 1. Unlimited by default: the responses of the service report how
    /// much of its limit is used.
    #[must_use]
    pub fn max_rate(mut self, batches_per_second: u32) -> Self {
        self.config.rates.max = f64::from(batches_per_second.max(1));
        self
    }

    /// Sets the longest wait between the end of a failed request and the next one while the service is unavailable. 5 seconds
    /// by default, and at least 1 millisecond.
    ///
    /// After a failure that can be retried, one request at a time probes the service. The wait before each probe doubles, from
    /// [`RetryPolicy::initial_backoff`](crate::RetryPolicy::initial_backoff) up to this interval or to
    /// [`RetryPolicy::max_backoff`](crate::RetryPolicy::max_backoff), whichever is shorter, and up to a quarter less at random. The wait
    /// is never shorter than `Retry-After`. The first probe that is accepted ends the wait for all queued batches.
    #[must_use]
    pub fn max_probe_interval(mut self, interval: Duration) -> Self {
        self.config.max_probe_interval = interval;
        self
    }

    /// Sets how long dropping the last handle may block the thread to deliver the remaining batches. 5 seconds by default. Closing
    /// a spool may take another half second. Prefer [`Uploader::shutdown`], which reports what is left.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.config.drop_timeout = timeout;
        self
    }

    /// Sets a callback for the report of each batch. It is called on the uploader's thread, or, for a batch that
    /// [`WhenFull::DropNewest`] or [`WhenFull::DropOldest`] drops, inside the `try_send` or `track` that did so. Do not take a lock
    /// in it that is held there. The report may come before the call that submitted the batch returns.
    ///
    /// It should return quickly, because requests wait for it. It must not wait for the uploader itself, for example for a `flush`,
    /// and a handle that it holds prevents the uploader from being dropped. A panic in it is caught and logged.
    #[must_use]
    pub fn on_delivery(mut self, callback: impl Fn(&Arc<DeliveryReport>) + Send + Sync + 'static) -> Self {
        self.config.on_delivery = Some(Arc::new(callback));
        self
    }

    /// Sets a callback that is called with each batch before it is sealed, to remove personal data, to add common
    /// properties, or to discard the batch: it is sent if the callback returns `true`, as with [`Vec::retain_mut`]. By default it
    /// is [that of the client](crate::ClientBuilder::before_send), which this one replaces.
    ///
    /// It runs in the call that submits ([`try_send`](Uploader::try_send), [`send`](Uploader::send), [`track`](Uploader::track)),
    /// and a panic in it unwinds through that call. [`track`](Uploader::track) calls it with a batch of the user and that one event.
    /// If it changes the user, the event is sent with that user; if it adds events, they are one batch and one submission with that
    /// event. A [`SealedBatch`](crate::SealedBatch), including one from the spool, is sent unchanged.
    ///
    /// A batch that it discards is counted in [`UploaderStats::filtered`](crate::UploaderStats::filtered) and nowhere else, and has
    /// no report. `try_send` and `track` return `Ok`, and [`SendHandle::delivered`](crate::SendHandle::delivered) completes
    /// with [`DeliveryError::Filtered`](crate::DeliveryError::Filtered).
    ///
    /// ```
    /// # let server = mparticle::mock::MockServer::start_blocking();
    /// # let client = mparticle::Client::for_mock(&server)?;
    /// use std::time::Duration;
    /// use mparticle::{Batch, CustomEvent, CustomEventType, Environment, Uploader};
    ///
    /// let uploader = Uploader::builder(client)
    ///     .before_send(|batch| {
    ///         batch.user_attributes.remove("$mobile");
    ///         batch.consent_state.is_some()
    ///     })
    ///     .start()?;
    /// let user = Batch::new(Environment::Development).customer_id("123456").into_template();
    /// uploader.track(&user, CustomEvent::new("Added Note", CustomEventType::UserContent))?;
    /// let stats = uploader.shutdown(Duration::from_secs(10)).wait();
    /// assert_eq!((stats.filtered, stats.accepted), (1, 0));
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn before_send(mut self, callback: impl Fn(&mut Batch) -> bool + Send + Sync + 'static) -> Self {
        self.config.before_send = Some(Arc::new(callback));
        self
    }

    when_some! {
        /// See [`ClientBuilder::when_some`](crate::ClientBuilder::when_some) for an example.
    }

    /// Sets the directory of a [`spool`]. [`start`](Self::start) opens or creates it, and returns any error. Every batch is written
    /// to the disk, and batches that an earlier program left there are delivered too. With [`WhenFull::Spill`], only batches that
    /// do not fit into memory are written, and those that are left at the shutdown.
    ///
    /// A batch that the spool accepted and then failed to write stays in memory and is sent from there, in order. The shutdown
    /// tries to write it again.
    ///
    /// A batch that the service rejects is dead-lettered, with the errors of the service. A spool can be open only once at a time;
    /// the uploader closes it when its last handle is dropped.
    #[must_use]
    pub fn spool(self, dir: impl Into<PathBuf>) -> Self {
        self.spool_with(dir, spool::SpoolOptions::new())
    }

    /// Sets the directory of a spool as [`spool`](Self::spool) does, with custom options.
    #[must_use]
    pub fn spool_with(mut self, dir: impl Into<PathBuf>, options: spool::SpoolOptions) -> Self {
        self.spool = Some((dir.into(), options));
        self
    }

    /// Starts the uploader, with its own thread, runtime and HTTP client.
    ///
    /// It reads the [`spool`](Self::spool), if there is one, unless the client is [disabled](crate::ClientBuilder::disabled). This
    /// blocks the calling thread, and waits up to [`lock_timeout`](spool::SpoolOptions::lock_timeout) while another process has the
    /// spool open.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the thread or the HTTP client cannot be created; for the spool, as
    /// for [`Spool::open`](spool::Spool::open).
    pub fn start(self) -> Result<Uploader, Error> {
        let journal: Arc<dyn Journal> = match self.spool {
            // A disabled client would discard what an earlier program left in the spool.
            Some(_) if self.client.is_disabled() => Arc::new(NoJournal),
            Some((dir, settings)) => Arc::new(DiskJournal::open(dir, settings)?),
            None => Arc::new(NoJournal),
        };
        let failed = |error| Error::config("failed to spawn the background thread").with_source(error);
        let runtime = BackgroundRuntime::new().map_err(failed)?;
        let deliverer = self.client.deliverer;
        {
            // Creates the HTTP client of this runtime now, so that an error is returned from here.
            let _inside = runtime.enter();
            deliverer.transport.prepare()?;
        }
        let shared = Arc::new(Shared::new(self.config, journal));
        let dispatcher = dispatcher::run(Arc::clone(&shared), deliverer);
        let thread = thread::Builder::new().name("mparticle-uploader".into());
        let thread = thread.spawn(move || runtime.run(dispatcher)).map_err(failed)?;
        Ok(Uploader::new(shared, Some(thread)))
    }
}

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder")
            .field("client", &self.client)
            .field("linger", &self.config.linger)
            .field("max_batches", &self.config.max_batches)
            .field("max_bytes", &self.config.max_bytes)
            .field("when_full", &self.config.when_full)
            .field("max_in_flight", &self.config.max_in_flight)
            .field("rates", &self.config.rates)
            .field("max_probe_interval", &self.config.max_probe_interval)
            .field("drop_timeout", &self.config.drop_timeout)
            .field("spool", &self.spool.as_ref().map(|(dir, _)| dir))
            .finish_non_exhaustive()
    }
}
