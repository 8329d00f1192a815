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
use crate::when_some::when_some;

/// The policy for making written records durable.
///
/// The policy matters only for a power loss or a kernel crash. A confirmed record survives the end of the process, also by a
/// panic or SIGKILL, with any of them: the operating system has its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Syncs before records are confirmed. No confirmed record is lost, provided that the disk honours flushes. Appends that
    /// arrive during an fsync share the next one.
    EachCommit,
    /// Syncs after this time at the latest. A power loss loses the records that were confirmed within that time.
    Interval(Duration),
    /// Leaves syncing to the operating system. A power loss loses whatever it had not written yet, on Linux commonly the
    /// last 30 seconds.
    Never,
}

/// The policy for appends when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolFullPolicy {
    /// Refuses the new batch with an error.
    Refuse,
    /// Evicts the oldest batches, a whole segment at a time, and calls [`SpoolOptions::on_evict`] with each.
    DropOldest,
}

/// The reason why the spool evicted a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The spool was full, and the record was among the oldest. Its batch is lost.
    Capacity,
    /// The record was older than [`SpoolOptions::max_age`]. Its batch is in the dead-letter file.
    Expired,
}

type OnEvict = dyn Fn(&Record, EvictionReason) + Send + Sync;
type OnLost = dyn Fn(LostRecords) + Send + Sync;
type Clock = dyn Fn() -> DateTime<Utc> + Send + Sync;

/// The options of a spool. With the defaults, no confirmed record is lost, and the segments take up to 256 MiB.
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
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when written records are made durable. [`Fsync::EachCommit`] by default.
    #[must_use]
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Sets the largest size of a segment, in bytes. 8 MiB by default. Disk space is freed one segment at a time, and a
    /// record must fit into one.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    when_some!();

    /// Sets the largest total size of the segments, in bytes. 256 MiB by default, and at least two segments. Segments that
    /// are kept because they are damaged count as well, and are removed first, with a warning in the log.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many bytes may be queued in memory for the disk. 16 MiB by default. Above it new batches are refused, which
    /// does not happen while the disk keeps up.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: u64) -> Self {
        self.max_waiting_bytes = bytes;
        self
    }

    /// Sets the largest total size of the dead-letter files, in bytes. 128 MiB by default. A new file is started at an
    /// eighth of it. Above it the oldest file is removed, with a warning in the log; see
    /// [`SpoolStats::dead_letters_dropped`](super::SpoolStats::dead_letters_dropped). The newest dead letter is always kept,
    /// however large.
    #[must_use]
    pub fn max_dead_letter_bytes(mut self, bytes: u64) -> Self {
        self.max_dead_letter_bytes = bytes;
        self
    }

    /// Sets the largest age of a record at the time it is read. 28 days by default. Older records become dead letters.
    ///
    /// The service drops duplicates for 30 to 60 days. Whether it accepted a record before the program ended is not always
    /// known, so an older record could be counted twice.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how long opening waits while another process has the spool open. Zero by default, which fails immediately. In a
    /// rolling update, the new process can wait for the old one to end. Opening blocks the calling thread for that time.
    #[must_use]
    pub fn lock_timeout(mut self, wait: Duration) -> Self {
        self.lock_timeout = wait;
        self
    }

    /// Sets how long dropping the spool waits until everything is written. 5 seconds by default. If the disk takes longer,
    /// the spool's thread is detached: it continues if it can, and the spool stays locked until it ends. An
    /// [`Uploader`](crate::Uploader) uses its own timeout instead.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// Sets whether opening fails if other users can write to the directory, sticky or not. False by default, which logs a
    /// warning unless the directory is sticky: volumes of an orchestrator are often writable by a group. It has no effect
    /// outside of Unix.
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

    /// Sets a callback for each record that the spool evicts. Records that are taken already are not reported: they are
    /// delivered from memory. The callback runs on the spool's own thread, and should be quick. A panic in it is caught, and
    /// the first one is logged.
    #[must_use]
    pub fn on_evict(mut self, callback: impl Fn(&Record, EvictionReason) + Send + Sync + 'static) -> Self {
        let panicked = AtomicBool::new(false);
        self.on_evict = Arc::new(move |record, reason| {
            let result = catch_unwind(AssertUnwindSafe(|| callback(record, reason)));
            if result.is_err() && !panicked.swap(true, Ordering::Relaxed) {
                tracing::error!("the on_evict callback of the spool panicked");
            }
        });
        self
    }

    /// Adds a callback that runs after the caller's own.
    pub(crate) fn chain_on_evict(self, callback: impl Fn(&Record, EvictionReason) + Send + Sync + 'static) -> Self {
        let first = Arc::clone(&self.on_evict);
        self.on_evict(move |record, reason| {
            first(record, reason);
            callback(record, reason);
        })
    }

    /// Sets a callback for records that vanish from the disk while the spool is open.
    pub(crate) fn on_lost(mut self, callback: impl Fn(LostRecords) + Send + Sync + 'static) -> Self {
        self.on_lost = Some(Arc::new(callback));
        self
    }

    /// Sets the clock, for tests.
    #[cfg(test)]
    pub(super) fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns whether anything is synced at all.
    pub(super) fn syncs(&self) -> bool {
        self.fsync != Fsync::Never
    }

    /// Returns the reason of the dead letter of an expired record.
    pub(super) fn expiry_reason(&self) -> String {
        format!("older than {} days", self.max_age.as_secs() / (24 * 60 * 60))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.segment_bytes <= (SEGMENT_HEAD_BYTES + RECORD_HEAD_BYTES) as u64 {
            return Err(Error::config("segment_bytes of the spool is too small for a record"));
        }
        // The segment that is being written keeps its space until the next one, even if its records are done.
        if self.max_bytes / 2 < self.segment_bytes {
            return Err(Error::config("max_bytes of the spool is less than twice its segment_bytes"));
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
