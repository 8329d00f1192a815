//! The options of a spool.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::format::{RECORD_HEAD_BYTES, Record, SEGMENT_HEAD_BYTES};
use super::segment::LostRecords;
use crate::error::Error;

/// When the spool makes durable what it wrote.
///
/// A program that ends, by a panic or by SIGKILL too, loses nothing that a [`Receipt`](super::Receipt) confirmed,
/// whatever is set: the system holds it. The choice is about a machine that stops at once, as without power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Before each receipt. Nothing that was confirmed is lost, as far as the disk keeps its word. Appends that come
    /// while the disk is at work share the next fsync.
    EachCommit,
    /// After this long at the latest. A machine that stops loses what was confirmed in that time.
    Interval(Duration),
    /// When the system pleases. A machine that stops loses whatever the system had not written, on Linux commonly the
    /// last 30 seconds.
    Never,
}

/// The policy for appends when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolFullPolicy {
    /// Refuses the new batch: [`append`](super::Spool::append) returns an error.
    Refuse,
    /// Evicts the oldest batches, a whole segment at once. [`SpoolOptions::on_evict`] is called with each.
    DropOldest,
}

/// The reason why the spool evicted a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvictionReason {
    /// It was among the oldest, and the spool was full. Its batch is lost.
    Capacity,
    /// It was older than [`SpoolOptions::max_age`]. Its batch is in the dead-letter file.
    Expired,
}

type OnEvict = dyn Fn(&Record, EvictionReason) + Send + Sync;
type OnLost = dyn Fn(LostRecords) + Send + Sync;
type Clock = dyn Fn() -> DateTime<Utc> + Send + Sync;

/// The options of a spool. The defaults lose nothing that was confirmed, in 256 MiB.
#[derive(Clone)]
pub struct SpoolOptions {
    pub(super) fsync: Fsync,
    pub(super) segment_bytes: u64,
    pub(super) max_bytes: u64,
    pub(super) max_waiting_bytes: u64,
    pub(super) max_dead_letter_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) lock_timeout: Duration,
    pub(super) drop_timeout: Duration,
    pub(super) require_private_dir: bool,
    pub(super) when_full: SpoolFullPolicy,
    pub(super) on_evict: Arc<OnEvict>,
    pub(super) on_lost: Option<Arc<OnLost>>,
    pub(super) clock: Arc<Clock>,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            fsync: Fsync::EachCommit,
            segment_bytes: 8 << 20,
            max_bytes: 256 << 20,
            max_waiting_bytes: 16 << 20,
            max_dead_letter_bytes: 128 << 20,
            max_age: Duration::from_secs(28 * 24 * 60 * 60),
            lock_timeout: Duration::ZERO,
            drop_timeout: Duration::from_secs(5),
            require_private_dir: false,
            when_full: SpoolFullPolicy::Refuse,
            on_evict: Arc::new(|_, _| {}),
            on_lost: None,
            clock: Arc::new(Utc::now),
        }
    }
}

impl SpoolOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// When to make durable what was written. [`Fsync::EachCommit`] by default.
    #[must_use]
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// How large a segment may be, in bytes; 8 MiB by default. Space comes back a segment at a time, and a record has
    /// to fit into one.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How large all segments together may be, in bytes; 256 MiB by default, and at least two segments. Those that are kept
    /// aside because they are damaged count as well, and give way first, with a warning in the log.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many bytes may wait in memory for the disk, 16 MiB by default. Above that
    /// [`append`](super::Spool::append) errs, which it does not do for a disk that keeps up.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: u64) -> Self {
        self.max_waiting_bytes = bytes;
        self
    }

    /// Sets how large all dead-letter files together may be, in bytes; 128 MiB by default. A new file is begun at an eighth
    /// of it. The newest dead letter is always kept, however large. Above it the oldest file is removed, with a warning in the log; see
    /// [`SpoolStats::dead_letters_dropped`](super::SpoolStats::dead_letters_dropped).
    #[must_use]
    pub fn max_dead_letter_bytes(mut self, bytes: u64) -> Self {
        self.max_dead_letter_bytes = bytes;
        self
    }

    /// How old a record may be when it is read, 28 days by default; older ones go to the dead-letter file.
    ///
    /// The service drops a repeat for 30 to 60 days. Whether a record was accepted before the program broke off is not
    /// always known, so sending it after that could count it twice.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how long opening waits while another process has the spool open; zero by default, which is to fail at once. In a
    /// rolling update the new process can wait for the old one to end. Opening blocks the calling thread for that long.
    #[must_use]
    pub fn lock_timeout(mut self, wait: Duration) -> Self {
        self.lock_timeout = wait;
        self
    }

    /// Sets how long dropping the spool waits until everything is written; 5 seconds by default. A thread that a disk holds
    /// up for longer is left to itself: it goes on if it can, and the spool stays locked until it ends. An
    /// [`Uploader`](crate::Uploader) has a timeout of its own, which holds instead.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// Sets whether opening refuses a directory that other users can write to, sticky or not; false by default, which is to
    /// warn of one that is not sticky. Volumes of an orchestrator are often writable by a group. It has no effect outside of
    /// Unix.
    #[must_use]
    pub fn require_private_dir(mut self, require: bool) -> Self {
        self.require_private_dir = require;
        self
    }

    /// Sets the policy for appends when the spool is full. [`SpoolFullPolicy::Refuse`] by default.
    #[must_use]
    pub fn when_full(mut self, policy: SpoolFullPolicy) -> Self {
        self.when_full = policy;
        self
    }

    /// Sets a function that is called with each record that the spool evicts before it was read, on the spool's own thread: it
    /// should be quick. A panic in it is caught, and the first is logged.
    #[must_use]
    pub fn on_evict(mut self, callback: impl Fn(&Record, EvictionReason) + Send + Sync + 'static) -> Self {
        let panicked = AtomicBool::new(false);
        self.on_evict = Arc::new(move |record, reason| {
            let result = catch_unwind(AssertUnwindSafe(|| callback(record, reason)));
            if result.is_err() && !panicked.swap(true, Ordering::Relaxed) {
                tracing::error!("the callback for evicted records of the spool panicked");
            }
        });
        self
    }

    /// Calls one more, after the caller's own.
    pub(crate) fn chain_on_evict(self, callback: impl Fn(&Record, EvictionReason) + Send + Sync + 'static) -> Self {
        let first = Arc::clone(&self.on_evict);
        self.on_evict(move |record, reason| {
            first(record, reason);
            callback(record, reason);
        })
    }

    /// Sets a function that is called with records that vanished while the spool is open.
    pub(crate) fn on_lost(mut self, callback: impl Fn(LostRecords) + Send + Sync + 'static) -> Self {
        self.on_lost = Some(Arc::new(callback));
        self
    }

    /// Sets the clock, for a test.
    #[cfg(test)]
    pub(super) fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns whether anything is to be synced at all.
    pub(super) fn syncs(&self) -> bool {
        self.fsync != Fsync::Never
    }

    /// Returns why a record that is too old became a dead letter.
    pub(super) fn expiry_reason(&self) -> String {
        format!("older than {} days", self.max_age.as_secs() / (24 * 60 * 60))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.segment_bytes <= (SEGMENT_HEAD_BYTES + RECORD_HEAD_BYTES) as u64 {
            return Err(Error::config("a segment of the spool is too small for a record"));
        }
        // A segment whose records are done may still be the one written to, and holds its space until the next one.
        if self.max_bytes / 2 < self.segment_bytes {
            return Err(Error::config("the spool is smaller than two of its segments"));
        }
        Ok(())
    }
}

impl fmt::Debug for SpoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolOptions")
            .field("fsync", &self.fsync)
            .field("segment_bytes", &self.segment_bytes)
            .field("max_bytes", &self.max_bytes)
            .field("max_waiting_bytes", &self.max_waiting_bytes)
            .field("max_dead_letter_bytes", &self.max_dead_letter_bytes)
            .field("max_age", &self.max_age)
            .field("lock_timeout", &self.lock_timeout)
            .field("drop_timeout", &self.drop_timeout)
            .field("require_private_dir", &self.require_private_dir)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
