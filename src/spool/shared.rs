//! The state that the threads of a spool share. Its lock is never held during I/O.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::format::{RECORD_HEAD_BYTES, SEGMENT_HEAD_BYTES};
use super::index::Index;
use super::options::SpoolOptions;
use super::receipt::Confirmation;
use super::segment::LostRecords;
use crate::endpoint::Endpoint;
use crate::error::Error;

/// The longest time until the cursor is saved after a record is done. After a crash within that time, the record is sent
/// again, and the service drops the duplicate.
const CURSOR_DELAY: Duration = Duration::from_secs(1);

/// A batch that is queued for a segment.
pub(super) struct PendingAppend {
    pub(super) number: u64,
    pub(super) endpoint: Endpoint,
    pub(super) batch: Bytes,
    pub(super) appended: DateTime<Utc>,
    pub(super) confirmation: Confirmation,
}

/// Returns the largest size of a batch on the disk, in bytes: it may be the first of its segment.
pub(super) fn size_on_disk(batch: &[u8]) -> u64 {
    (SEGMENT_HEAD_BYTES + RECORD_HEAD_BYTES + batch.len()) as u64
}

/// Returns the error for a batch that exceeds the limits of a record.
pub(super) fn too_large_error() -> Error {
    Error::spool("the batch is too large for the spool")
}

/// A batch that is queued for the dead-letter file.
pub(super) struct PendingDeadLetter {
    pub(super) endpoint: Endpoint,
    pub(super) batch: Bytes,
    pub(super) reason: String,
    /// The record that is done once the dead letter is written.
    pub(super) number: Option<u64>,
    /// The number of failed attempts to write it.
    pub(super) failures: u32,
    pub(super) confirmation: Confirmation,
}

impl PendingDeadLetter {
    /// Returns the memory that it takes, in bytes.
    pub(super) fn size(&self) -> u64 {
        size_on_disk(&self.batch) + self.reason.len() as u64
    }
}

#[derive(Default)]
pub(super) struct SpoolState {
    /// In the order of their numbers.
    pub(super) appends: Vec<PendingAppend>,
    /// The number of the next append. It is not reused if the write fails.
    next: u64,
    pub(super) dead_letters: VecDeque<PendingDeadLetter>,
    /// The memory that they take, in bytes.
    pub(super) dead_letter_bytes: u64,
    /// The time of the next attempt to write dead letters, after a failure.
    pub(super) dead_letters_due: Option<Instant>,
    /// The number of appends that are not written yet, including those that the writer has taken.
    pub(super) waiting: u64,
    /// Their size on the disk, in bytes.
    pub(super) waiting_bytes: u64,
    pub(super) index: Index,
    /// The time at which to remove segments and save the cursor, if anything has changed.
    compaction_due: Option<Instant>,
    pub(super) closing: bool,
    /// Set while the writer waits for work: waking a busy one would still be a system call.
    idle: bool,
    pub(super) reader: Option<Waker>,
    pub(super) dropped: u64,
    pub(super) expired: u64,
    pub(super) dead_letters_dropped: u64,
    pub(super) lost: u64,
    /// The confirmations to complete when the cursor is saved.
    pub(super) checkpoints: Vec<Confirmation>,
    thread: ThreadState,
}

/// The state of the writer's thread.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum ThreadState {
    #[default]
    Running,
    /// It did not end in time, and closing no longer waits for it.
    Detached,
    Ended,
}

impl SpoolState {
    /// Queues an append under the next number, and returns the number.
    pub(super) fn append(
        &mut self,
        endpoint: Endpoint,
        batch: Bytes,
        appended: DateTime<Utc>,
        confirmation: Confirmation,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting += 1;
        self.appends.push(PendingAppend { number, endpoint, batch, appended, confirmation });
        number
    }

    pub(super) fn compact_within(&mut self, delay: Duration) {
        let due = Instant::now() + delay;
        self.compaction_due = Some(self.compaction_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn has_dead_letters(&self) -> bool {
        !self.dead_letters.is_empty() || self.index.has_expired()
    }

    /// Marks a record as done, and schedules saving the cursor: immediately if that frees a segment, and soon otherwise.
    pub(super) fn acknowledge(&mut self, number: u64) -> bool {
        let Some(makes_room) = self.index.acknowledge(number) else { return false };
        self.compact_within(if makes_room { Duration::ZERO } else { CURSOR_DELAY });
        true
    }
}

#[derive(Default)]
pub(super) struct SpoolShared {
    state: Mutex<SpoolState>,
    work: Condvar,
    end: Condvar,
}

/// The work of the writer other than appends.
pub(super) struct Work {
    pub(super) compact: bool,
    pub(super) dead_letters: bool,
    pub(super) closing: bool,
}

impl SpoolShared {
    pub(super) fn new(index: Index, next: u64) -> Self {
        Self {
            state: Mutex::new(SpoolState { next, index, ..SpoolState::default() }),
            work: Condvar::new(),
            end: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SpoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer, after a change of the state.
    pub(super) fn wake(&self, mut state: MutexGuard<'_, SpoolState>) {
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        if idle {
            self.work.notify_one();
        }
    }

    /// Ends the writer, and waits for that up to `timeout`. Returns whether it has ended.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.closing = true;
        let timeout = if state.thread == ThreadState::Detached { Duration::ZERO } else { timeout };
        self.wake(state);
        let waited = self.end.wait_timeout_while(self.lock(), timeout, |state| state.thread != ThreadState::Ended);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.thread == ThreadState::Running {
            state.thread = ThreadState::Detached;
        }
        state.thread == ThreadState::Ended
    }

    /// Marks the writer's thread as ended.
    pub(super) fn mark_ended(&self) {
        self.lock().thread = ThreadState::Ended;
        self.end.notify_all();
    }

    /// Waits until there is work, or until the given time.
    pub(super) fn wait_for_work(&self, until: Option<Instant>) -> Work {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let dead_letters_due = state.has_dead_letters().then(|| state.dead_letters_due.unwrap_or(now));
            let due = [state.compaction_due, until, dead_letters_due].into_iter().flatten().min();
            if !state.appends.is_empty() || state.closing || due.is_some_and(|due| due <= now) {
                state.idle = false;
                let compact = state.compaction_due.take_if(|due| *due <= now).is_some();
                let dead_letters = dead_letters_due.is_some_and(|due| due <= now) || state.closing;
                return Work { compact, dead_letters, closing: state.closing };
            }
            state.idle = true;
            state = match due {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => self.work.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl SpoolShared {
    /// Counts records that vanished, and reports them.
    pub(super) fn report_lost(&self, lost: LostRecords, segment: &Path, settings: &SpoolOptions) {
        if lost.count() == 0 {
            return;
        }
        let records = lost.count();
        self.lock().lost += records;
        tracing::error!(
            segment = %segment.display(),
            records,
            "records are lost: their segment was removed, truncated or damaged while the spool was open"
        );
        if let Some(on_lost) = &settings.on_lost {
            on_lost(lost);
        }
    }
}

/// Logs a failure that no caller waits for.
pub(super) fn warn(action: &str, error: &io::Error) {
    tracing::warn!(%error, "the spool failed to {action}");
}
