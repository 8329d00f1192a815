//! The settings of an uploader.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::on_disk::OnDisk;
use super::outcome::{OnOutcome, Outcome};
use super::store::Store;
use super::{Uploader, worker};
use crate::client::{Client, IdSource};
use crate::delivery::{Endpoint, Rates};
use crate::error::Error;
use crate::spool;

/// What gives way when the memory of an [`Uploader`] is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The caller: `try_send` and `track` err and hand the batch back, `send` waits for room.
    Refuse,
    /// The caller, as with `Refuse`, but `send` waits this long at most.
    Wait(Duration),
    /// The batch that comes: it is dropped, and counted. `send` waits for room.
    DropNewest,
    /// The batches that wait longest: they are dropped, and counted. `send` waits for room.
    DropOldest,
    /// Memory: the batch goes to the spool, and so do all that come after it until the spool is empty again, so that the
    /// order holds. What waits in memory goes before it. Without a spool, or if the spool is full too, it is as `Refuse`.
    ///
    /// What is on its way at a [`shutdown`](Uploader::shutdown), and not delivered by its deadline, comes behind what was in
    /// the spool by then.
    Spill,
}

/// The settings of an [`Uploader`]; see [`Uploader::builder`].
pub struct UploaderBuilder {
    client: Client,
    settings: Settings,
    spool: Option<(PathBuf, spool::Settings)>,
}

pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) linger: Duration,
    pub(super) max_batches: usize,
    pub(super) max_bytes: usize,
    pub(super) when_full: WhenFull,
    pub(super) concurrency: usize,
    pub(super) rates: Rates,
    pub(super) max_probe_interval: Duration,
    pub(super) drop_deadline: Duration,
    pub(super) on_outcome: Option<OnOutcome>,
    pub(super) id_source: Option<IdSource>,
}

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            endpoint: Endpoint::BulkEvents,
            linger: Duration::from_secs(1),
            max_batches: 10_000,
            max_bytes: 32 << 20,
            when_full: WhenFull::Refuse,
            concurrency: 8,
            rates: Rates { initial: 100.0, max: f64::INFINITY },
            max_probe_interval: Duration::from_secs(5),
            drop_deadline: Duration::from_secs(5),
            on_outcome: None,
            id_source: None,
        }
    }

    /// The id of a batch of tracked events, or of one of them.
    pub(super) fn new_id(&self) -> Uuid {
        self.id_source.as_ref().map_or_else(Uuid::new_v4, |source| source())
    }
}

impl UploaderBuilder {
    pub(super) fn new(client: Client) -> Self {
        let settings = Settings { id_source: client.id_source.clone(), ..Settings::new() };
        Self { client, settings, spool: None }
    }

    /// Sends to `/bulkevents/historical`, for data older than 30 days; see
    /// [`Client::upload_historical`](crate::Client::upload_historical).
    #[must_use]
    pub fn historical(mut self) -> Self {
        self.settings.endpoint = Endpoint::HistoricalEvents;
        self
    }

    /// How long a batch waits for others before a request goes that is not full, and for how long events of one user
    /// gather at least. 1 second by default. The service counts batches: a longer time means fewer of them.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// How many batches memory may hold, those on their way included. 10,000 by default. With a spool, as many may wait for
    /// the disk as [`spool::Settings::max_waiting_bytes`] lets, and at most 1,000 (or 4 MiB) of what is there are read ahead.
    #[must_use]
    pub fn max_batches(mut self, batches: usize) -> Self {
        self.settings.max_batches = batches;
        self
    }

    /// How many bytes of sealed batches memory may hold, those on their way included. 32 MiB by default.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// What gives way when memory is full. [`WhenFull::Refuse`] by default.
    #[must_use]
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.settings.when_full = policy;
        self
    }

    /// How many requests may be on their way at once. 8 by default, and at least 1. A user's batches are on their way in
    /// one request at a time, whatever is set.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.settings.concurrency = requests.max(1);
        self
    }

    /// How many batches per second go out at first, and after a time of silence or an outage. From there the rate rises as
    /// the service lets it, and no faster than to the double in about a second and a half. 100 by default.
    #[must_use]
    pub fn start_rate(mut self, batches_per_second: u32) -> Self {
        self.settings.rates.initial = f64::from(batches_per_second.max(1));
        self
    }

    /// How many batches per second go out at most, whatever the service lets. Without a limit by default: the service tells
    /// with each answer how much of its limit is used.
    #[must_use]
    pub fn max_rate(mut self, batches_per_second: u32) -> Self {
        self.settings.rates.max = f64::from(batches_per_second.max(1));
        self
    }

    /// Sets the longest wait between the end of a failed request and the next one while the service is unavailable. 5 seconds
    /// by default, and at least 1 millisecond.
    ///
    /// After a failure that can be retried, one request at a time probes the service. The wait before each probe doubles, from
    /// [`RetryPolicy::base`](crate::RetryPolicy::base) up to this interval or to
    /// [`RetryPolicy::cap`](crate::RetryPolicy::cap), whichever is shorter, and up to a quarter less at random. A longer
    /// `Retry-After` of the service is waited for. The first probe that is accepted ends the wait for everything that is queued.
    #[must_use]
    pub fn max_probe_interval(mut self, interval: Duration) -> Self {
        self.settings.max_probe_interval = interval;
        self
    }

    /// For how long dropping the last handle blocks the thread to deliver what is left. 5 seconds by default.
    /// The spool's disk gets half a second of its own. [`Uploader::shutdown`] is better: it tells what is left.
    #[must_use]
    pub fn drop_deadline(mut self, deadline: Duration) -> Self {
        self.settings.drop_deadline = deadline;
        self
    }

    /// Called with the end of each batch: on the uploader's thread, or on the thread that submits for a batch that is
    /// dropped there. It should be quick: requests wait for it. It must not wait for the uploader itself, as for a `flush`. A
    /// handle that it holds keeps the uploader from ever being dropped. A panic in it is caught and logged.
    #[must_use]
    pub fn on_outcome(mut self, callback: impl Fn(&Outcome) + Send + Sync + 'static) -> Self {
        self.settings.on_outcome = Some(Arc::new(callback));
        self
    }

    /// Keeps batches in a [`spool`] in this directory, which [`start`](Self::start) opens, and makes if it is not there: every
    /// batch goes to the disk first, and what an earlier program left there is delivered too. With [`WhenFull::Spill`] only what
    /// memory has no room for goes there, and what is left at the end.
    ///
    /// A batch that the disk takes and then fails to write stays in memory and is sent from there, in its order. At the end it
    /// is handed to the disk once more.
    ///
    /// A batch that the service rejects goes to the spool's dead-letter file, with the service's words. One program at a time
    /// can have a spool open; the uploader closes it when its last handle is dropped.
    #[must_use]
    pub fn spool(self, dir: impl Into<PathBuf>) -> Self {
        self.spool_with(dir, spool::Settings::new())
    }

    /// As [`spool`](Self::spool), with settings of your own.
    #[must_use]
    pub fn spool_with(mut self, dir: impl Into<PathBuf>, settings: spool::Settings) -> Self {
        self.spool = Some((dir.into(), settings));
        self
    }

    /// Starts the uploader, with a thread, a runtime and an HTTP client of its own.
    ///
    /// With a [`spool`](Self::spool) it reads what is in there. It blocks the calling thread for that, and for
    /// [`lock_wait`](spool::Settings::lock_wait) at most while another process has the spool open.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the system gives no thread, or the HTTP client cannot be made; for
    /// the spool as [`Spool::open`](spool::Spool::open).
    pub fn start(self) -> Result<Uploader, Error> {
        let open = |(dir, settings)| Ok::<_, Error>(Arc::new(OnDisk::open(dir, settings)?) as Arc<dyn Store>);
        let store = self.spool.map(open).transpose()?;
        worker::start(self.client.deliverer, self.settings, store)
    }
}

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder")
            .field("client", &self.client)
            .field("linger", &self.settings.linger)
            .field("max_batches", &self.settings.max_batches)
            .field("max_bytes", &self.settings.max_bytes)
            .field("when_full", &self.settings.when_full)
            .field("concurrency", &self.settings.concurrency)
            .finish_non_exhaustive()
    }
}
