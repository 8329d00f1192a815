//! Tracks the outcome of each batch of a file, and the checkpoint up to which all batches are finished.
//!
//! Batches finish in any order, but the checkpoint and the rejects file advance in the order of the file, so that a resumed run
//! writes each reject exactly once.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::checkpoint::{BatchCount, Checkpoint, ResumePoint};
use super::rejects::{Reject, RejectsFile};
use crate::input::FilePosition;

/// The maximum size of rejects held back by unfinished batches before them. Beyond it, reading pauses.
const MAX_PENDING_BYTES: usize = 4 << 20;

/// The maximum number of batches from the first unfinished one on. Beyond it, reading pauses.
const MAX_BATCHES: usize = 50_000;

/// The positions and the number of events of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchSpan {
    /// The position of the batch.
    pub start: FilePosition,
    /// The point from which a later run can resume after this batch, if any.
    pub resume_at: Option<ResumePoint>,
    pub events: u64,
}

/// The outcome of a batch.
pub enum BatchOutcome {
    Delivered,
    /// Rejected, with its line for the rejects file.
    Rejected(Reject),
}

pub struct Tracker {
    state: Mutex<TrackerState>,
    room_freed: Condvar,
}

struct TrackerState {
    /// The batches in the order of the file, from the first unfinished one on.
    unfinished: VecDeque<(BatchSpan, Option<BatchOutcome>)>,
    /// The tag of the first batch in `unfinished`.
    first_tag: u64,
    pending_bytes: usize,
    in_flight: u64,
    /// The rejects file; `None` for a dry run.
    rejects: Option<RejectsFile>,
    /// The state after all finished and written batches.
    committed: Checkpoint,
    /// The last committed state from which a run can resume.
    checkpoint: Checkpoint,
    delivered: BatchCount,
    rejected: BatchCount,
    warnings: u64,
    /// The number of batches without an ID whose events have no time.
    undated: u64,
    /// The error of writing the rejects file, after which the checkpoint no longer advances.
    write_error: Option<io::Error>,
}

/// The totals so far, including earlier runs of a resumed file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub delivered: BatchCount,
    pub rejected: BatchCount,
    pub warnings: u64,
    /// The number of batches of this run without an ID whose events have no time.
    pub undated: u64,
    pub in_flight: u64,
    /// The offsets of the first and the last unfinished batch, in decompressed bytes.
    unfinished: (u64, u64),
}

/// The rejects on the disk.
pub struct KeptRejects {
    pub path: PathBuf,
    /// The number of batches in the file.
    pub in_file: u64,
    /// The number of texts that were too long to be kept, of which the file has only the positions.
    pub omitted: u64,
}

impl Totals {
    /// Estimates how many of the `read` bytes, compressed or not, belong to finished batches.
    pub fn finished_bytes(&self, read: u64) -> u64 {
        let (first, last) = self.unfinished;
        let finished = u128::from(read) * u128::from(first) / u128::from(last.max(1));
        u64::try_from(finished).unwrap_or(read)
    }
}

impl Tracker {
    /// Creates a tracker that continues from a checkpoint.
    pub fn new(mut checkpoint: Checkpoint, rejects: Option<RejectsFile>) -> Self {
        if rejects.as_ref().is_some_and(|rejects| rejects.count() == 0) {
            checkpoint.rejects_omitted = 0;
        }
        let state = TrackerState {
            unfinished: VecDeque::new(),
            first_tag: 0,
            pending_bytes: 0,
            in_flight: 0,
            rejects,
            committed: checkpoint,
            checkpoint,
            delivered: checkpoint.delivered,
            rejected: checkpoint.rejected,
            warnings: 0,
            undated: 0,
            write_error: None,
        };
        Self { state: Mutex::new(state), room_freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, TrackerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch to be sent, and returns its tag. Blocks while too many batches are unfinished.
    pub fn start(&self, span: BatchSpan) -> u64 {
        let mut state = self.wait_for_room(self.lock());
        state.in_flight += 1;
        let tag = state.first_tag + state.unfinished.len() as u64;
        state.unfinished.push_back((span, None));
        tag
    }

    /// Finishes the batch with this tag. `outcome` receives the position of the batch.
    pub fn finish(&self, tag: u64, outcome: impl FnOnce(FilePosition) -> BatchOutcome) {
        let mut state = self.lock();
        let Some(index) = tag.checked_sub(state.first_tag).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        let outcome = outcome(state.unfinished[index].0.start);
        state.in_flight -= 1;
        state.finish(index, outcome);
        self.room_freed.notify_all();
    }

    /// Adds a batch that is rejected without being sent. Blocks as [`start`](Self::start) does.
    pub fn reject(&self, span: BatchSpan, line: Reject) {
        let mut state = self.wait_for_room(self.lock());
        state.unfinished.push_back((span, None));
        let last = state.unfinished.len() - 1;
        state.finish(last, BatchOutcome::Rejected(line));
    }

    fn wait_for_room<'a>(&'a self, state: MutexGuard<'a, TrackerState>) -> MutexGuard<'a, TrackerState> {
        let is_full =
            |state: &mut TrackerState| state.pending_bytes > MAX_PENDING_BYTES || state.unfinished.len() >= MAX_BATCHES;
        self.room_freed.wait_while(state, is_full).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add_warnings(&self, warnings: usize) {
        self.lock().warnings += warnings as u64;
    }

    pub fn add_undated(&self) {
        self.lock().undated += 1;
    }

    /// Returns the path of the rejects file and the numbers of batches in it and too long for it; `None` for a dry run.
    pub fn rejects(&self) -> Option<KeptRejects> {
        let state = self.lock();
        let file = state.rejects.as_ref()?;
        let omitted = state.committed.rejects_omitted;
        Some(KeptRejects { path: file.path().to_owned(), in_file: file.count(), omitted })
    }

    pub fn totals(&self) -> Totals {
        let state = self.lock();
        let TrackerState { in_flight, delivered, rejected, warnings, undated, .. } = *state;
        let unfinished = match (state.unfinished.front(), state.unfinished.back()) {
            (Some((first, _)), Some((last, _))) => (first.start.offset, last.start.offset.max(first.start.offset)),
            // All batches read so far are finished.
            _ => (u64::from(state.first_tag > 0), 1),
        };
        Totals { delivered, rejected, warnings, undated, in_flight, unfinished }
    }

    /// Returns the checkpoint, after syncing the rejects file to the disk. It is complete if the file was read to its end and
    /// all batches are finished.
    pub fn checkpoint(&self, at_end_of_file: bool) -> io::Result<Checkpoint> {
        let state = self.lock();
        if let Some(error) = &state.write_error {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        if let Some(rejects) = &state.rejects {
            rejects.sync()?;
        }
        Ok(Checkpoint { complete: at_end_of_file && state.unfinished.is_empty(), ..state.checkpoint })
    }
}

impl TrackerState {
    fn finish(&mut self, index: usize, outcome: BatchOutcome) {
        let events = self.unfinished[index].0.events;
        match &outcome {
            BatchOutcome::Delivered => self.delivered.add(events),
            BatchOutcome::Rejected(reject) => {
                self.rejected.add(events);
                self.pending_bytes += reject.line.len();
            }
        }
        self.unfinished[index].1 = Some(outcome);
        while let Some((_, Some(_))) = self.unfinished.front()
            && let Some((span, Some(outcome))) = self.unfinished.pop_front()
        {
            self.first_tag += 1;
            self.advance(span, &outcome);
        }
    }

    /// Commits a finished batch.
    fn advance(&mut self, span: BatchSpan, outcome: &BatchOutcome) {
        if let BatchOutcome::Rejected(reject) = outcome {
            self.pending_bytes -= reject.line.len();
            if let (Some(rejects), None) = (&mut self.rejects, &self.write_error) {
                self.write_error = rejects.write(&reject.line).err();
                self.committed.rejects_bytes = Some(rejects.bytes());
                self.committed.rejects_hash = rejects.hash();
                self.committed.rejects_in_file = rejects.count();
                self.committed.rejects_omitted += u64::from(reject.is_omitted);
            }
        }
        if self.write_error.is_some() {
            return;
        }
        match outcome {
            BatchOutcome::Delivered => self.committed.delivered.add(span.events),
            BatchOutcome::Rejected(_) => self.committed.rejected.add(span.events),
        }
        if let Some(resume_at) = span.resume_at {
            self.committed.set_position(resume_at);
            self.checkpoint = self.committed;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use sha1_smol::Digest;

    use super::*;
    use crate::input::ReadPosition;

    fn position(offset: u64) -> FilePosition {
        FilePosition { offset, line: offset + 1, column: 1 }
    }

    fn resume_point(offset: u64) -> ResumePoint {
        ResumePoint { position: ReadPosition { position: position(offset), in_list: false }, hash: Digest::default() }
    }

    fn reject(number: usize) -> Reject {
        Reject { line: format!("{number}\n").into_bytes(), is_omitted: false }
    }

    proptest! {
        /// In any order of outcomes, the checkpoint precedes the first unfinished batch, and the rejects file has exactly the
        /// rejects before it, in order.
        #[test]
        fn the_checkpoint_never_overtakes_an_unfinished_batch(
            ends in prop::collection::vec((any::<bool>(), any::<bool>()), 1..40),
            order in prop::collection::vec(any::<Index>(), 40),
        ) {
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("rejects");
            let tracker = Tracker::new(Checkpoint::default(), Some(RejectsFile::new(path.clone(), &Checkpoint::default(), |_| {})));
            let mut ended = vec![false; ends.len()];
            for (number, &(delivered, at_once)) in ends.iter().enumerate() {
                let offset = number as u64;
                let read = BatchSpan { start: position(offset), resume_at: Some(resume_point(offset + 1)), events: 1 };
                if at_once && !delivered {
                    tracker.reject(read, reject(number));
                    ended[number] = true;
                } else {
                    prop_assert_eq!(tracker.start(read), offset);
                }
            }
            for pick in order {
                let unfinished: Vec<_> = (0..ends.len()).filter(|&number| !ended[number]).collect();
                let first_open = unfinished.first().copied().unwrap_or(ends.len());
                let checkpoint = tracker.checkpoint(true)?;
                prop_assert_eq!(checkpoint.offset, if first_open == 0 { 0 } else { first_open as u64 });
                prop_assert_eq!(checkpoint.complete, unfinished.is_empty());
                let rejects: Vec<_> =
                    (0..first_open).filter(|&number| !ends[number].0).map(|number| format!("{number}\n")).collect();
                let rejects = rejects.concat();
                prop_assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), rejects.clone());
                prop_assert_eq!(checkpoint.rejects_bytes.unwrap_or(0), rejects.len() as u64);
                let delivered = (0..first_open).filter(|&number| ends[number].0).count() as u64;
                prop_assert_eq!((checkpoint.delivered.batches, checkpoint.rejected.events), (delivered, first_open as u64 - delivered));
                prop_assert_eq!(tracker.totals().in_flight, unfinished.len() as u64);
                if unfinished.is_empty() {
                    break;
                }
                let number = unfinished[pick.index(unfinished.len())];
                tracker.finish(number as u64, |start| {
                    assert_eq!(start.offset, number as u64);
                    if ends[number].0 { BatchOutcome::Delivered } else { BatchOutcome::Rejected(reject(number)) }
                });
                ended[number] = true;
            }
        }
    }
}
