//! Background delivery: accepts batches and events, and delivers them from its own thread.
//!
//! ```text
//! track ─▶ coalescer ─┐
//! send ───────────────┴▶ durable queue ─▶ dispatcher ─▶ rate limiter ─▶ transport
//!                            │     ▲
//!                            ▼     │ only batches that do not fit into memory, or from before a restart
//!                          journal (the spool, if there is one)
//! ```
//!
//! Every accepted batch is in one place, and counted there: see [`UploaderStats`].

mod accounting;
mod admission;
mod backlog;
mod builder;
mod coalescer;
mod config;
mod delivery_error;
mod disk_journal;
mod dispatcher;
mod durable_queue;
mod entry;
mod error;
mod journal;
mod journaling;
mod pending_write;
mod queue;
mod report;
mod room;
mod shared;
mod shutdown;
mod status;
mod submission;
mod telemetry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Utc;
use uuid::Uuid;

pub use accounting::UploaderStats;
pub use builder::UploaderBuilder;
pub use config::WhenFull;
pub use delivery_error::DeliveryError;
pub use error::TrySendError;
pub use report::{DeliveryReport, DeliveryReports, DeliveryStatus};
pub use status::UploaderStatus;
pub use submission::SendHandle;

use crate::completion::Completion;
use crate::error::ErrorKind;
use crate::generated::types::Event;
use crate::seal::{
    BatchTemplate, BeforeSend, EncodedEvent, IntoSealed, RandomIds, SealError, SealedBatch, Sealing, TemplateData,
};
use shared::{DISK_GRACE_PERIOD, Phase, Shared};
use submission::Submission;

/// Delivers batches and events in the background, from its own thread.
///
/// [`track`](Self::track) is for events as they happen: it collects those of one user into one batch. [`try_send`](Self::try_send)
/// and [`send`](Self::send) are for complete batches.
///
/// Submitting never blocks. The uploader works in any runtime and without one, and its memory is bounded. It fills requests,
/// sends them at the rate that the service allows, and retries without limit. The batches of each user arrive in order. A batch
/// that the service rejects is isolated and reported, and does not delay others.
///
/// Every submission is accounted for, see [`UploaderStats`], and every batch has one [`DeliveryReport`]: by
/// [`on_delivery`](UploaderBuilder::on_delivery), as a stream from [`reports`](Self::reports), or for one batch by
/// [`SendHandle::delivered`]. Call [`shutdown`](Self::shutdown) at the end, and check what is left. Dropping the last
/// handle also delivers what is queued, for a bounded time, but cannot report what is left.
///
/// Cloning returns another handle of the same uploader.
///
/// Outages and lost batches are logged with `tracing`. The page about [observability](crate::observability) lists all log lines,
/// spans and metrics.
///
/// ```
/// use std::time::Duration;
/// use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, Uploader};
///
/// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
/// let client = Client::builder(Credentials::new("key", "secret"))
/// #   .base_url(server.url())
///     .build()?;
/// let uploader = Uploader::builder(client).linger(Duration::from_millis(200)).start()?;
///
/// let user = Batch::new(Environment::Development).customer_id("123456").into_template();
/// uploader.track(&user, CustomEvent::new("Added Note", CustomEventType::UserContent))?;
///
/// let stats = uploader.shutdown(Duration::from_secs(10)).wait(); // or `.await`
/// assert_eq!((stats.delivered, stats.pending), (1, 0));
/// # Ok::<(), mparticle::Error>(())
/// ```
#[derive(Clone)]
pub struct Uploader(Arc<Handle>);

/// Dropped with the last handle.
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Uploader {
    fn new(shared: Arc<Shared>, thread: Option<JoinHandle<()>>) -> Self {
        Self(Arc::new(Handle { shared, thread: Mutex::new(thread) }))
    }

    /// Submits a batch, or applies the [`WhenFull`] policy. Never blocks. `Ok` means queued, not delivered.
    ///
    /// The batch is sealed here. One that is too large is split, and still counts as one submission. Events without a timestamp get
    /// the time of this call: the service would use the time of receipt, which may be much later.
    ///
    /// With a spool, this does not wait for the disk; use [`send`](Self::send) to know when the batch is written.
    ///
    /// # Errors
    /// [`TrySendError::Invalid`] as [`Batch::seal_parts`](crate::Batch::seal_parts); [`TrySendError::Full`] if there is no room
    /// and the policy is not to drop; [`TrySendError::Closed`], which is permanent, if the uploader is shut down;
    /// [`TrySendError::TooLarge`] if it would not fit into an empty queue. The error returns the batch.
    pub fn try_send(&self, batch: impl IntoSealed) -> Result<(), TrySendError> {
        self.try_send_with(batch, None)
    }

    /// Submits a batch as [`try_send`](Self::try_send) does, with a tag that the [`DeliveryReport`] of each part returns. The tag is
    /// lost in a restart.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_tagged(&self, batch: impl IntoSealed, tag: u64) -> Result<(), TrySendError> {
        self.try_send_with(batch, Some(tag))
    }

    fn try_send_with(&self, batch: impl IntoSealed, tag: Option<u64>) -> Result<(), TrySendError> {
        match self.seal(batch, self.0.shared.config.before_send.as_ref())? {
            Some(parts) => self.0.shared.try_send(Submission::new(parts, tag)),
            None => Ok(()),
        }
    }

    /// Submits a batch as soon as there is room, in the order of the calls. Returns a handle with one completion for
    /// when it is [accepted](SendHandle::accepted), which with a spool means that it is on the disk, and one for when it is
    /// [delivered](SendHandle::delivered). Acknowledge a message of a queue only after the second.
    ///
    /// Both can be awaited, or waited for with [`wait`](Completion::wait) in code without a runtime. Dropping the handle and its
    /// completions before the batch is accepted cancels the submission. Once accepted, a batch is sent whether or not they are
    /// kept. With [`WhenFull::Spill`], a batch that fits into memory is not written to the disk, and is accepted immediately.
    pub fn send(&self, batch: impl IntoSealed) -> SendHandle {
        self.send_with(batch, None)
    }

    /// Submits a batch as [`send`](Self::send) does, with a tag that the [`DeliveryReport`] of each part returns. The tag is lost in a
    /// restart.
    pub fn send_tagged(&self, batch: impl IntoSealed, tag: u64) -> SendHandle {
        self.send_with(batch, Some(tag))
    }

    fn send_with(&self, batch: impl IntoSealed, tag: Option<u64>) -> SendHandle {
        match self.seal(batch, self.0.shared.config.before_send.as_ref()) {
            Ok(Some(parts)) => self.0.shared.send(parts, tag),
            Ok(None) => SendHandle::filtered(),
            Err(error) => SendHandle::from_error(error.into()),
        }
    }

    /// Submits an event with the data of a template. Never blocks. `Ok` means queued, not delivered.
    ///
    /// Use it for events as they happen, and [`try_send`](Self::try_send) or [`send`](Self::send) for batches. Events with
    /// equal templates within the linger time go as one batch, because the service counts batches. An event without a time gets the
    /// time of this call.
    ///
    /// # Errors
    /// [`TrySendError::Invalid`] if the batch is no [template](BatchTemplate) or the event has no JSON form, and the others as
    /// [`try_send`](Self::try_send). The error hands the event back in a batch.
    pub fn track(&self, template: impl Into<BatchTemplate>, event: impl Into<Event>) -> Result<(), TrySendError> {
        let (template, event) = template.into().apply(event.into())?;
        match &self.0.shared.config.before_send {
            Some(before_send) => self.track_filtered(&template, event, before_send),
            None => self.track_encoded(&template, event),
        }
    }

    fn track_encoded(&self, template: &TemplateData, event: Event) -> Result<(), TrySendError> {
        let new_id = || self.0.shared.config.new_id();
        let event = EncodedEvent::new(template, event, new_id, Utc::now().timestamp_millis())?;
        self.0.shared.track(template, event)
    }

    /// Tracks what the callback leaves of the event and its template.
    fn track_filtered(
        &self,
        template: &TemplateData,
        event: Event,
        before_send: &BeforeSend,
    ) -> Result<(), TrySendError> {
        let mut batch = template.batch().event(event);
        if !before_send(&mut batch) || batch.events.is_empty() {
            self.0.shared.count_filtered();
            return Ok(());
        }
        // A batch with its own id is not merged with other events. One with several events is queued completely or not at all.
        if batch.source_request_id.is_some() || batch.events.len() > 1 {
            let Some(parts) = self.seal(batch, None)? else { return Ok(()) };
            return self.0.shared.try_send(Submission::new(parts, None));
        }
        let Some(event) = batch.events.pop() else { return Ok(()) };
        match TemplateData::new(&batch) {
            Ok(template) => self.track_encoded(&template, event),
            Err(error) => Err(SealError::new(error, batch.event(event)).into()),
        }
    }

    /// Sends what is queued without lingering. Completes with the statistics when everything that was submitted before is
    /// delivered, rejected or dropped, or after `timeout`. Does not abort requests that are in flight.
    pub fn flush(&self, timeout: Duration) -> Completion<UploaderStats> {
        self.0.shared.flush(timeout, false)
    }

    /// Stops accepting submissions, delivers what is queued, and shuts down. Completes within `timeout`, even if a request
    /// hangs.
    ///
    /// The remaining batches are counted as `pending` if they are only in memory (see [`take_unsent`](Self::take_unsent)),
    /// and as `spooled` if they are on the disk for the next uploader. With a spool, everything is written to the disk first.
    /// Every batch has its report by the time this completes.
    pub fn shutdown(&self, timeout: Duration) -> Completion<UploaderStats> {
        self.0.shared.flush(timeout, true)
    }

    /// Takes the batches that are still pending after [`shutdown`](Self::shutdown). Their ids are set: when they
    /// are sent again, the service drops those that it had already accepted. They are still counted as pending.
    #[must_use]
    pub fn take_unsent(&self) -> Vec<SealedBatch> {
        self.0.shared.take_unsent()
    }

    /// Returns a consistent snapshot of the number of submissions in each state.
    #[must_use]
    pub fn stats(&self) -> UploaderStats {
        self.0.shared.stats()
    }

    /// Returns the used share of the tightest rate limit, in percent, as of the last accepted request. `None` if the service did
    /// not report it.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.0.shared.lock().rate_limit_used_percent
    }

    /// Returns a stream of the reports of batches from now until the end of the shutdown.
    #[must_use]
    pub fn reports(&self) -> DeliveryReports {
        self.0.shared.reports.subscribe()
    }

    /// Returns the status of delivery, for a health check.
    ///
    /// ```
    /// # let server = mparticle::mock::MockServer::start_blocking();
    /// # let uploader = mparticle::Uploader::builder(mparticle::Client::for_mock(&server)?).start()?;
    /// use mparticle::UploaderStatus;
    ///
    /// match uploader.status() {
    ///     UploaderStatus::Running => println!("ok"),
    ///     UploaderStatus::Retrying(error) => println!("degraded: {error}"),
    ///     status => println!("down: {status}"),
    /// }
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> UploaderStatus {
        let last_error = self.0.shared.limiter.get().and_then(|limiter| limiter.last_error());
        let state = self.0.shared.lock();
        match (&state.stopped, state.phase, last_error) {
            (Some(error), ..) => UploaderStatus::Stopped(error.clone()),
            (None, Phase::Closed, last_error) => UploaderStatus::ShutDown(last_error),
            (None, Phase::Running | Phase::Closing, Some(error)) => UploaderStatus::Retrying(error),
            (None, Phase::Running | Phase::Closing, None) => UploaderStatus::Running,
        }
    }

    /// Resumes sending after the uploader has [stopped](UploaderStatus::Stopped). It stops again if the cause persists.
    pub fn resume(&self) {
        self.0.shared.lock().stopped = None;
        self.0.shared.work.notify_one();
    }

    /// Seals a batch, or counts it and returns `None` if the callback discards it.
    fn seal(
        &self,
        mut batch: impl IntoSealed,
        before_send: Option<&BeforeSend>,
    ) -> Result<Option<Vec<SealedBatch>>, SealError> {
        let source = self.0.shared.config.id_source.as_ref();
        let mut random = RandomIds::new();
        let mut new_id = || -> Uuid { source.map_or_else(|| random.next(), |source| source()) };
        let event_time_ms = Some(Utc::now().timestamp_millis());
        let mut sealing = Sealing { new_id: &mut new_id, event_time_ms, before_send };
        let mut parts = Vec::with_capacity(1);
        match batch.seal_in_place(&mut sealing, &mut parts) {
            Ok(()) => Ok(Some(parts)),
            Err(error) if error.kind() == ErrorKind::Filtered => {
                self.0.shared.count_filtered();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let start = Instant::now();
        let timeout = self.shared.config.drop_timeout;
        let ended = self.shared.flush(timeout, true);
        // On the dispatcher's own thread, where the callback was dropped, it cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            let _ = ended.wait();
            let _ = thread.join();
            // A hanging disk is not waited for any longer.
            let journal = Arc::clone(&self.shared.lock().queue.journal);
            journal.close(timeout.saturating_sub(start.elapsed()).max(DISK_GRACE_PERIOD));
        }
    }
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
