//! What became of each batch of a file, and up to where all have their end.
//!
//! Batches end in any order. What is told to the outside, the mark and the rejects file, is in the order of the file: so
//! a run that goes on from a mark writes neither too much nor too little.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::checkpoint::{BatchCount, Checkpoint};
use super::rejects::RejectsFile;
use crate::input::FilePosition;

/// So many bytes of rejects wait for the batches before them; then reading waits.
const MAX_PENDING_BYTES: usize = 4 << 20;

/// So many batches are kept behind one that has no end; then reading waits.
const MAX_BATCHES: usize = 50_000;

/// A batch of the file.
#[derive(Clone, Copy, Debug)]
pub struct BatchSpan {
    /// Where it begins.
    pub start: FilePosition,
    /// From where to read on when it has its end; `None` if only a later batch tells.
    pub resume_at: Option<FilePosition>,
    pub events: u64,
}

/// How a batch ended.
pub enum BatchOutcome {
    Delivered,
    /// With its line of the rejects file.
    Rejected(Vec<u8>),
}

pub struct Tracker {
    state: Mutex<TrackerState>,
    room_freed: Condvar,
}

struct TrackerState {
    /// In the order of the file; the first one has no end yet.
    unfinished: VecDeque<(BatchSpan, Option<BatchOutcome>)>,
    /// The number of the first one.
    first: u64,
    pending_bytes: usize,
    in_flight: u64,
    /// `None` if nothing is to be written.
    rejects: Option<RejectsFile>,
    /// All that has its end, and is written.
    committed: Checkpoint,
    /// The same at the last place from which to read on.
    checkpoint: Checkpoint,
    delivered: BatchCount,
    rejected: BatchCount,
    warnings: u64,
    /// The rejects file could not be written: from then on the mark stays.
    failure: Option<io::Error>,
}

/// The numbers so far, those of earlier runs that were gone on with included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub delivered: BatchCount,
    pub rejected: BatchCount,
    pub warnings: u64,
    pub in_flight: u64,
    /// Where the first batch without an end begins, in bytes of the unpacked file, and where the last one does.
    unfinished: (u64, u64),
}

impl Totals {
    /// How many bytes have their end when so many are read, of a file that is packed or not.
    pub fn finished_bytes(&self, read: u64) -> u64 {
        let (first, last) = self.unfinished;
        let ended = u128::from(read) * u128::from(first) / u128::from(last.max(1));
        u64::try_from(ended).unwrap_or(read)
    }
}

impl Tracker {
    /// Goes on from a mark.
    pub fn new(checkpoint: Checkpoint, rejects: Option<RejectsFile>) -> Self {
        let state = TrackerState {
            unfinished: VecDeque::new(),
            first: 0,
            pending_bytes: 0,
            in_flight: 0,
            rejects,
            committed: checkpoint,
            checkpoint,
            delivered: checkpoint.delivered,
            rejected: checkpoint.rejected,
            warnings: 0,
            failure: None,
        };
        Self { state: Mutex::new(state), room_freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, TrackerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch that is about to be sent, and returns the tag to send it with. Waits as long as too much of the file has no
    /// end yet.
    pub fn sending(&self, read: BatchSpan) -> u64 {
        let mut state = self.wait_for_room(self.lock());
        state.in_flight += 1;
        let tag = state.first + state.unfinished.len() as u64;
        state.unfinished.push_back((read, None));
        tag
    }

    /// Ends the batch with this tag; the line of the rejects file is made from where it begins.
    pub fn ended(&self, tag: u64, end: impl FnOnce(FilePosition) -> BatchOutcome) {
        let mut state = self.lock();
        let Some(position) = tag.checked_sub(state.first).and_then(|position| usize::try_from(position).ok()) else {
            return;
        };
        let end = end(state.unfinished[position].0.start);
        state.in_flight -= 1;
        state.end(position, end);
        self.room_freed.notify_all();
    }

    /// A batch is not sent at all. Waits as [`sending`](Self::sending) does.
    pub fn rejected(&self, read: BatchSpan, line: Vec<u8>) {
        let mut state = self.wait_for_room(self.lock());
        state.unfinished.push_back((read, None));
        let last = state.unfinished.len() - 1;
        state.end(last, BatchOutcome::Rejected(line));
    }

    fn wait_for_room<'a>(&'a self, state: MutexGuard<'a, TrackerState>) -> MutexGuard<'a, TrackerState> {
        let too_much =
            |state: &mut TrackerState| state.pending_bytes > MAX_PENDING_BYTES || state.unfinished.len() >= MAX_BATCHES;
        self.room_freed.wait_while(state, too_much).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add_warnings(&self, warnings: usize) {
        self.lock().warnings += warnings as u64;
    }

    pub fn totals(&self) -> Totals {
        let state = self.lock();
        let TrackerState { in_flight, delivered, rejected, warnings, .. } = *state;
        let unfinished = match (state.unfinished.front(), state.unfinished.back()) {
            (Some((first, _)), Some((last, _))) => (first.start.offset, last.start.offset.max(first.start.offset)),
            // All that was read has its end, if anything was.
            _ => (u64::from(state.first > 0), 1),
        };
        Totals { delivered, rejected, warnings, in_flight, unfinished }
    }

    /// Up to where all have their end, with the rejects on the disk, and whether that is all there is.
    pub fn checkpoint(&self, at_the_end: bool) -> io::Result<Checkpoint> {
        let state = self.lock();
        if let Some(error) = &state.failure {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        if let Some(rejects) = &state.rejects {
            rejects.sync()?;
        }
        Ok(Checkpoint { complete: at_the_end && state.unfinished.is_empty(), ..state.checkpoint })
    }
}

impl TrackerState {
    fn end(&mut self, position: usize, end: BatchOutcome) {
        let events = self.unfinished[position].0.events;
        match &end {
            BatchOutcome::Delivered => self.delivered.add(events),
            BatchOutcome::Rejected(line) => {
                self.rejected.add(events);
                self.pending_bytes += line.len();
            }
        }
        self.unfinished[position].1 = Some(end);
        while let Some((_, Some(_))) = self.unfinished.front()
            && let Some((read, Some(end))) = self.unfinished.pop_front()
        {
            self.first += 1;
            self.advance(read, &end);
        }
    }

    /// The mark moves over a batch.
    fn advance(&mut self, read: BatchSpan, end: &BatchOutcome) {
        if let BatchOutcome::Rejected(line) = end {
            self.pending_bytes -= line.len();
            if let (Some(rejects), None) = (&mut self.rejects, &self.failure) {
                self.failure = rejects.write(line).err();
                self.committed.rejects_bytes = Some(rejects.bytes());
            }
        }
        if self.failure.is_some() {
            return;
        }
        match end {
            BatchOutcome::Delivered => self.committed.delivered.add(read.events),
            BatchOutcome::Rejected(_) => self.committed.rejected.add(read.events),
        }
        if let Some(resume_at) = read.resume_at {
            self.committed.set_position(resume_at);
            self.checkpoint = self.committed;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn position(offset: u64) -> FilePosition {
        FilePosition { offset, line: offset + 1, column: 1 }
    }

    proptest! {
        /// Whatever the order of the ends, the mark stands before the first batch without one, and the file has the rejects
        /// before the mark, in their order.
        #[test]
        fn the_mark_is_never_ahead(
            ends in prop::collection::vec((any::<bool>(), any::<bool>()), 1..40),
            order in prop::collection::vec(any::<Index>(), 40),
        ) {
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("rejects");
            let tracker = Tracker::new(Checkpoint::default(), Some(RejectsFile::new(path.clone(), None, |_| {})));
            let mut ended = vec![false; ends.len()];
            for (number, &(delivered, at_once)) in ends.iter().enumerate() {
                let offset = number as u64;
                let read = BatchSpan { start: position(offset), resume_at: Some(position(offset + 1)), events: 1 };
                if at_once && !delivered {
                    tracker.rejected(read, format!("{number}\n").into_bytes());
                    ended[number] = true;
                } else {
                    prop_assert_eq!(tracker.sending(read), offset);
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
                tracker.ended(number as u64, |start| {
                    assert_eq!(start.offset, number as u64);
                    if ends[number].0 { BatchOutcome::Delivered } else { BatchOutcome::Rejected(format!("{number}\n").into_bytes()) }
                });
                ended[number] = true;
            }
        }
    }
}
