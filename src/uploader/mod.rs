//! The background road: takes batches off the hands of a program, and delivers them from a thread of its own.
//!
//! ```text
//! track, send ─▶ queue (bounded, each user in order) ─▶ worker ─▶ deliverer ─▶ service
//!                  │ full                                  ▲
//!                  └─▶ spool (if there is one) ────────────┘
//! ```
//!
//! What is taken is accounted for, from then on: see [`Counts`].

mod error;
mod ledger;
mod on_disk;
mod outcome;
mod queue;
mod settings;
mod shared;
mod spooling;
mod store;
mod telemetry;
#[cfg(test)]
mod tests;
mod user;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Utc;
use uuid::Uuid;

pub use error::TrySendError;
pub use ledger::Counts;
pub use outcome::{Fate, Outcome, Outcomes};
pub use settings::{UploaderBuilder, WhenFull};
pub use user::User;

use crate::client::Client;
use crate::completion::Completion;
use crate::error::Error;
use crate::generated::types::Event;
use crate::seal::{IntoSealed, RandomIds, SealError, SealedBatch};
use shared::Shared;
use user::TrackedEvent;

/// Delivers batches and events in the background, from a thread of its own.
///
/// It never blocks who submits, works in any runtime and without one, and holds no more in memory than it is set to.
/// Requests are filled, paced as the service asks, and sent again for as long as it takes. Each user's batches arrive in their
/// order. A batch that the service refuses is found and told, and holds up no other.
///
/// Every submission is accounted for; see [`Counts`]. [`shutdown`](Self::shutdown) it at the end and look at what is left:
/// dropping the last handle delivers too, within a bound, but cannot tell.
///
/// Cloning gives another handle of the same uploader.
///
/// While something changes, an event of the target `mparticle::uploader` and the level debug tells `tracing` the counts, at most
/// once a second, and at the end. With the feature `metrics`, the facade of the crate `metrics` is told the counters
/// `mparticle_uploader_{accepted,delivered,rejected,dropped,unread_responses}_total` and the gauges
/// `mparticle_uploader_{pending,spooled,queued_batches,held_bytes}`.
///
/// ```
/// use std::time::Duration;
/// use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, Uploader, User};
///
/// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
/// let client = Client::builder(Credentials::new("key", "secret"))
/// #   .base_url(server.url())
///     .build()?;
/// let uploader = Uploader::builder(client).linger(Duration::from_millis(200)).start()?;
///
/// let user = User::new(Batch::new(Environment::Development).customer_id("123456"))?;
/// uploader.track(&user, CustomEvent::new("Added Note", CustomEventType::UserContent))?;
///
/// let counts = uploader.shutdown(Duration::from_secs(10)).wait(); // or `.await`
/// assert_eq!((counts.delivered, counts.pending), (1, 0));
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
    /// Starts the settings of an uploader. It shares with the client its credentials and the wait that the service asks
    /// for; of its [`RetryPolicy`](crate::RetryPolicy) it uses the waits alone, since it never gives up.
    #[must_use]
    pub fn builder(client: Client) -> UploaderBuilder {
        UploaderBuilder::new(client)
    }

    fn new(shared: Arc<Shared>, thread: Option<JoinHandle<()>>) -> Self {
        Self(Arc::new(Handle { shared, thread: Mutex::new(thread) }))
    }

    /// Takes a batch, or does with it what [`WhenFull`] says. It never blocks.
    ///
    /// The batch is sealed here; one that is too large is split, and counts as one submission all the same. Events without
    /// a time get the time of this call: the service would take that of receipt, which may be much later.
    ///
    /// With a spool, the batch is on its way to the disk; [`send`](Self::send) tells when it is there.
    ///
    /// # Errors
    /// [`TrySendError::Full`] if there is no room and the policy is not to drop; [`TrySendError::Closed`] if the uploader is
    /// shut down; [`TrySendError::TooLarge`] if the queue could never hold it; [`TrySendError::Invalid`] as
    /// [`Batch::seal_parts`](crate::Batch::seal_parts). The error hands the batch back.
    pub fn try_send(&self, batch: impl IntoSealed) -> Result<(), TrySendError> {
        let parts = self.seal(batch)?;
        self.0.shared.try_send(parts)
    }

    /// Takes a batch as soon as there is room, in the order of the calls. With a spool it tells when the batch is on the disk.
    ///
    /// Await it, or [`wait`](Completion::wait) for it in code without a runtime. Whoever drops it while it waits for room
    /// takes the batch back; what was taken is sent all the same. With [`WhenFull::Spill`] a batch that memory has room for does not
    /// touch the disk, and is taken at once.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but [`TrySendError::Full`] only with [`WhenFull::Wait`], when that time is over; and
    /// [`TrySendError::NotSpooled`] if the spool could not be written: the batch is in memory and will be sent, but would not
    /// survive the end of the program.
    pub fn send(&self, batch: impl IntoSealed) -> Completion<Result<(), TrySendError>> {
        match self.seal(batch) {
            Ok(parts) => self.0.shared.send(parts),
            Err(error) => Completion::ready(Err(error.into())),
        }
    }

    /// Takes an event of a user. It never blocks.
    ///
    /// The events of one user that come within the linger time go as one batch: the service counts batches. An event
    /// without a time gets the time of this call.
    ///
    /// # Errors
    /// [`TrySendError::Invalid`] if the event has no JSON form, [`TrySendError::TooLarge`] if it is too large, and
    /// [`TrySendError::Full`] or [`TrySendError::Closed`] as [`try_send`](Self::try_send). The error hands it back as a batch
    /// of one event.
    pub fn track(&self, user: &User, event: impl Into<Event>) -> Result<(), TrySendError> {
        let (new_id, now_ms) = (|| self.0.shared.settings.new_id(), Utc::now().timestamp_millis());
        self.0.shared.track(user, TrackedEvent::new(user, event.into(), new_id, now_ms)?)
    }

    /// Sends what is there without lingering, and tells the counts when all that was submitted before has ended: delivered,
    /// rejected or dropped. When the deadline is over it tells them too, whatever is on its way; nothing is broken off.
    pub fn flush(&self, deadline: Duration) -> Completion<Counts> {
        self.0.shared.flush(deadline, false)
    }

    /// Takes nothing any more, delivers what is there, and ends. The deadline is kept even if a request stalls.
    ///
    /// What is then left is `pending` if memory alone holds it (see [`take_unsent`](Self::take_unsent)), and `spooled` if it is
    /// on the disk for the next uploader. With a spool, everything goes to the disk first.
    pub fn shutdown(&self, deadline: Duration) -> Completion<Counts> {
        self.0.shared.flush(deadline, true)
    }

    /// After [`shutdown`](Self::shutdown): takes the batches that are still pending. Their ids are set: sent again, the
    /// service drops what it had accepted after all. They stay counted as pending.
    #[must_use]
    pub fn take_unsent(&self) -> Vec<SealedBatch> {
        self.0.shared.take_unsent()
    }

    /// How many submissions are where, all at one moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.shared.counts()
    }

    /// How much of the tightest rate limit is in use, in percent, as the service told with the last acceptance. `None` as
    /// long as it has told nothing.
    #[must_use]
    pub fn rate_limit_used(&self) -> Option<f64> {
        self.0.shared.lock().rate_limit_used
    }

    /// The ends of batches, as a stream from now on.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.0.shared.teller.listen()
    }

    /// Returns why the uploader has stopped sending, if it has: the service refuses the credentials (401, 403), the base URL
    /// is wrong (404 and the like), or something else than the service responds, as the sign-in page of a network
    /// ([`ErrorKind::UnexpectedResponse`](crate::ErrorKind::UnexpectedResponse)).
    ///
    /// Stopping is logged as an error by `tracing`. Everything is kept, and nothing is sent until [`resume`](Self::resume) is
    /// called, even if the cause has passed: a health check is a good place to look here.
    #[must_use]
    pub fn stopped(&self) -> Option<Error> {
        self.0.shared.lock().stopped.clone()
    }

    /// Why the last request did not come through, if it is being sent again: no connection, no answer in time, a 5xx, a 429.
    /// It ends with the next answer that is none of these. An uploader never gives up by itself.
    /// [`Error::retry_after`] is the wait that the service asks for, and the source the reason of the operating system.
    #[must_use]
    pub fn trouble(&self) -> Option<Error> {
        self.0.shared.limiter.get().and_then(|limiter| limiter.last_error())
    }

    /// Starts sending again after it has [`stopped`](Self::stopped). If the cause is still there, it stops again.
    pub fn resume(&self) {
        self.0.shared.lock().stopped = None;
        self.0.shared.work.notify_one();
    }

    fn seal(&self, mut batch: impl IntoSealed) -> Result<Vec<SealedBatch>, SealError> {
        let source = self.0.shared.settings.id_source.as_ref();
        let mut random = RandomIds::new();
        let mut new_id = || -> Uuid { source.map_or_else(|| random.next(), |source| source()) };
        batch.stamp_times(Utc::now().timestamp_millis());
        let mut parts = Vec::with_capacity(1);
        batch.seal_in_place(&mut new_id, &mut parts)?;
        Ok(parts)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let start = Instant::now();
        let deadline = self.shared.settings.drop_deadline;
        let ended = self.shared.flush(deadline, true);
        // The worker drops what its callback holds: it cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            let _ = ended.wait();
            let _ = thread.join();
            // A disk that hangs is not waited for.
            let store = self.shared.lock().spooling.as_ref().map(|spooling| Arc::clone(&spooling.store));
            if let Some(store) = store {
                store.close(deadline.saturating_sub(start.elapsed()).max(shared::GRACE));
            }
        }
    }
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
