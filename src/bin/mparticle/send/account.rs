//! What became of each batch of a file, and up to where all have their end.
//!
//! Batches end in any order. What is told to the outside, the mark and the rejects file, is in the order of the file: so
//! a run that goes on from a mark writes neither too much nor too little.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::journal::{Mark, Tally};
use super::rejects::Rejects;
use crate::input::Place;

/// So many bytes of rejects wait for the batches before them; then reading waits.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// So many batches are kept behind one that has no end; then reading waits.
const MAX_BATCHES: usize = 50_000;

/// A batch of the file.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Where it begins.
    pub start: Place,
    /// From where to read on when it has its end; `None` if only a later batch tells.
    pub next: Option<Place>,
    pub events: u64,
}

/// How a batch ended.
pub enum End {
    Delivered,
    /// With its line of the rejects file.
    Rejected(Vec<u8>),
}

pub struct Account {
    state: Mutex<State>,
    less: Condvar,
}

struct State {
    /// In the order of the file; the first one has no end yet.
    open: VecDeque<(Read, Option<End>)>,
    /// The number of the first one.
    first: u64,
    waiting_bytes: usize,
    under_way: u64,
    /// `None` if nothing is to be written.
    rejects: Option<Rejects>,
    /// All that has its end, and is written.
    passed: Mark,
    /// The same at the last place from which to read on.
    mark: Mark,
    delivered: Tally,
    rejected: Tally,
    warnings: u64,
    /// The rejects file could not be written: from then on the mark stays.
    failure: Option<io::Error>,
}

/// The numbers so far, those of earlier runs that were gone on with included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub delivered: Tally,
    pub rejected: Tally,
    pub warnings: u64,
    pub under_way: u64,
    /// Where the first batch without an end begins, in bytes of the unpacked file, and where the last one does.
    open: (u64, u64),
}

impl Totals {
    /// How many bytes have their end when so many are read, of a file that is packed or not.
    pub fn ended_of(&self, read: u64) -> u64 {
        let (first, last) = self.open;
        let ended = u128::from(read) * u128::from(first) / u128::from(last.max(1));
        u64::try_from(ended).unwrap_or(read)
    }
}

impl Account {
    /// Goes on from a mark.
    pub fn new(mark: Mark, rejects: Option<Rejects>) -> Self {
        let state = State {
            open: VecDeque::new(),
            first: 0,
            waiting_bytes: 0,
            under_way: 0,
            rejects,
            passed: mark,
            mark,
            delivered: mark.delivered,
            rejected: mark.rejected,
            warnings: 0,
            failure: None,
        };
        Self { state: Mutex::new(state), less: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch that is about to be sent, and returns the tag to send it with. Waits as long as too much of the file has no
    /// end yet.
    pub fn sending(&self, read: Read) -> u64 {
        let mut state = self.wait_for_room(self.lock());
        state.under_way += 1;
        let tag = state.first + state.open.len() as u64;
        state.open.push_back((read, None));
        tag
    }

    /// Ends the batch with this tag; the line of the rejects file is made from where it begins.
    pub fn ended(&self, tag: u64, end: impl FnOnce(Place) -> End) {
        let mut state = self.lock();
        let Some(place) = tag.checked_sub(state.first).and_then(|place| usize::try_from(place).ok()) else { return };
        let end = end(state.open[place].0.start);
        state.under_way -= 1;
        state.end(place, end);
        self.less.notify_all();
    }

    /// A batch is not sent at all. Waits as [`sending`](Self::sending) does.
    pub fn rejected(&self, read: Read, line: Vec<u8>) {
        let mut state = self.wait_for_room(self.lock());
        state.open.push_back((read, None));
        let last = state.open.len() - 1;
        state.end(last, End::Rejected(line));
    }

    fn wait_for_room<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let too_much = |state: &mut State| state.waiting_bytes > MAX_WAITING_BYTES || state.open.len() >= MAX_BATCHES;
        self.less.wait_while(state, too_much).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn warned(&self, warnings: usize) {
        self.lock().warnings += warnings as u64;
    }

    pub fn totals(&self) -> Totals {
        let state = self.lock();
        let State { under_way, delivered, rejected, warnings, .. } = *state;
        let open = match (state.open.front(), state.open.back()) {
            (Some((first, _)), Some((last, _))) => (first.start.offset, last.start.offset.max(first.start.offset)),
            // All that was read has its end, if anything was.
            _ => (u64::from(state.first > 0), 1),
        };
        Totals { delivered, rejected, warnings, under_way, open }
    }

    /// Up to where all have their end, with the rejects on the disk, and whether that is all there is.
    pub fn mark(&self, at_the_end: bool) -> io::Result<Mark> {
        let state = self.lock();
        if let Some(error) = &state.failure {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        if let Some(rejects) = &state.rejects {
            rejects.sync()?;
        }
        Ok(Mark { complete: at_the_end && state.open.is_empty(), ..state.mark })
    }
}

impl State {
    fn end(&mut self, place: usize, end: End) {
        let events = self.open[place].0.events;
        match &end {
            End::Delivered => self.delivered.add(events),
            End::Rejected(line) => {
                self.rejected.add(events);
                self.waiting_bytes += line.len();
            }
        }
        self.open[place].1 = Some(end);
        while let Some((_, Some(_))) = self.open.front()
            && let Some((read, Some(end))) = self.open.pop_front()
        {
            self.first += 1;
            self.pass(read, &end);
        }
    }

    /// The mark moves over a batch.
    fn pass(&mut self, read: Read, end: &End) {
        if let End::Rejected(line) = end {
            self.waiting_bytes -= line.len();
            if let (Some(rejects), None) = (&mut self.rejects, &self.failure) {
                self.failure = rejects.write(line).err();
                self.passed.rejects_bytes = Some(rejects.bytes());
            }
        }
        if self.failure.is_some() {
            return;
        }
        match end {
            End::Delivered => self.passed.delivered.add(read.events),
            End::Rejected(_) => self.passed.rejected.add(read.events),
        }
        if let Some(next) = read.next {
            self.passed.set_place(next);
            self.mark = self.passed;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn place(offset: u64) -> Place {
        Place { offset, line: offset + 1, column: 1 }
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
            let account = Account::new(Mark::default(), Some(Rejects::new(path.clone(), None, |_| {})));
            let mut ended = vec![false; ends.len()];
            for (number, &(delivered, at_once)) in ends.iter().enumerate() {
                let offset = number as u64;
                let read = Read { start: place(offset), next: Some(place(offset + 1)), events: 1 };
                if at_once && !delivered {
                    account.rejected(read, format!("{number}\n").into_bytes());
                    ended[number] = true;
                } else {
                    prop_assert_eq!(account.sending(read), offset);
                }
            }
            for pick in order {
                let open: Vec<_> = (0..ends.len()).filter(|&number| !ended[number]).collect();
                let first_open = open.first().copied().unwrap_or(ends.len());
                let mark = account.mark(true)?;
                prop_assert_eq!(mark.offset, if first_open == 0 { 0 } else { first_open as u64 });
                prop_assert_eq!(mark.complete, open.is_empty());
                let rejects: Vec<_> =
                    (0..first_open).filter(|&number| !ends[number].0).map(|number| format!("{number}\n")).collect();
                let rejects = rejects.concat();
                prop_assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), rejects.clone());
                prop_assert_eq!(mark.rejects_bytes.unwrap_or(0), rejects.len() as u64);
                let delivered = (0..first_open).filter(|&number| ends[number].0).count() as u64;
                prop_assert_eq!((mark.delivered.batches, mark.rejected.events), (delivered, first_open as u64 - delivered));
                prop_assert_eq!(account.totals().under_way, open.len() as u64);
                if open.is_empty() {
                    break;
                }
                let number = open[pick.index(open.len())];
                account.ended(number as u64, |start| {
                    assert_eq!(start.offset, number as u64);
                    if ends[number].0 { End::Delivered } else { End::Rejected(format!("{number}\n").into_bytes()) }
                });
                ended[number] = true;
            }
        }
    }
}
