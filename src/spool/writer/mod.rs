//! The writer: commits appends, removes finished segments, saves the cursor, and writes dead letters. One thread runs it;
//! tests run it step by step.

mod active;
mod compact;
mod dead_letters;
mod group;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dead_letters::DeadLetterFiles;
use super::directory::Directory;
use super::options::{Fsync, SpoolOptions};
use super::reader::OpenSegment;
use super::shared::{PendingAppend, SpoolShared};
use active::ActiveSegment;

/// The delay after a failed file operation before segments are removed, the cursor is saved or dead letters are written
/// again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    directory: Directory,
    settings: SpoolOptions,
    shared: Arc<SpoolShared>,
    /// The next number, for the cursor: above those of all records that it tried to write.
    next: u64,
    active: Option<ActiveSegment>,
    /// Appends that were taken from the shared state and are not written yet.
    appends: VecDeque<PendingAppend>,
    /// The time of the first write that is not synced, with [`Fsync::Interval`].
    unsynced: Option<Instant>,
    dead_letters: DeadLetterFiles,
    /// The segment whose expired records were read last: it can take several portions of dead letters.
    expiring: Option<OpenSegment>,
    /// Set if the last attempt to write dead letters failed.
    dead_letters_failing: bool,
    buffer: Vec<u8>,
    /// Held until the writer is dropped.
    _lock: Box<dyn Send + Sync>,
}

/// Completes everything that is pending, also after a panic.
impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        let unwritten = (
            std::mem::take(&mut state.appends),
            std::mem::take(&mut state.dead_letters),
            std::mem::take(&mut state.checkpoints),
        );
        drop(state);
        drop(unwritten);
    }
}

impl Writer {
    pub(super) fn new(
        directory: Directory,
        settings: SpoolOptions,
        shared: Arc<SpoolShared>,
        next: u64,
        lock: Box<dyn Send + Sync>,
    ) -> Self {
        let dead_letters = DeadLetterFiles::new(directory.clone(), settings.max_dead_letter_bytes);
        let (active, appends, unsynced, buffer) = (None, VecDeque::new(), None, Vec::new());
        Self {
            directory,
            settings,
            shared,
            next,
            active,
            appends,
            unsynced,
            dead_letters,
            expiring: None,
            dead_letters_failing: false,
            buffer,
            _lock: lock,
        }
    }

    /// Runs until the spool is closed and everything that was appended before is written.
    pub(super) fn run(mut self) {
        loop {
            let work = self.shared.wait_for_work(self.sync_due());
            self.commit();
            if work.dead_letters {
                self.write_dead_letters();
            }
            if self.sync_due().is_some_and(|due| due <= Instant::now()) {
                self.sync();
            }
            if work.compact {
                self.compact();
            }
            if work.closing {
                return self.close();
            }
        }
    }

    pub(crate) fn close(mut self) {
        let lost = self.shared.lock().dead_letters.iter().filter(|letter| letter.number.is_none()).count();
        if lost > 0 {
            tracing::warn!(
                letters = lost,
                "the spool was closed before it could write dead letters that were in memory only"
            );
        }
        self.seal();
        self.compact();
    }

    fn sync_due(&self) -> Option<Instant> {
        match self.settings.fsync {
            Fsync::Interval(interval) => self.unsynced.and_then(|since| since.checked_add(interval)),
            Fsync::EachCommit | Fsync::Never => None,
        }
    }
}
