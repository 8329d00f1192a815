//! The account of every submission: each is in exactly one place, and all counts are of one moment.

use std::collections::{HashMap, VecDeque};

/// How many submissions are where, all at one moment. A submission is one batch that was sent, or one event that was
/// tracked.
///
/// Always `accepted + recovered == delivered + rejected + dropped + spooled + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken by the uploader since it was started.
    pub accepted: u64,
    /// Found in the spool when the uploader was started: batches, however many events were tracked for one.
    pub recovered: u64,
    /// Accepted by the service.
    pub delivered: u64,
    /// Will never be accepted as they are.
    pub rejected: u64,
    /// Given up: the queue or the spool was full, and the policy is to drop; or it had been in the spool for too long, or was
    /// no batch, and is among the dead letters; or its record vanished from the disk, which the log reports.
    pub dropped: u64,
    /// On the disk, not delivered so far. The next uploader on the same spool takes them up.
    pub spooled: u64,
    /// In memory, not delivered so far; those on their way as well.
    pub pending: u64,
    /// Requests (not submissions) that count as accepted by their status alone: the response body was cut off, also when the
    /// request was repeated, or longer than 64 KiB, before it was known whether it lists errors. 0 as a rule.
    pub unread_responses: u64,
}

impl Counts {
    /// Whether every submission is somewhere, and none is twice. It always is.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.accepted + self.recovered == self.delivered + self.rejected + self.dropped + self.spooled + self.pending
    }

    fn at(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Memory => &mut self.pending,
            Place::Spool => &mut self.spooled,
            Place::Delivered => &mut self.delivered,
            Place::Dropped => &mut self.dropped,
            Place::Rejected => &mut self.rejected,
        }
    }
}

/// Where a part of a submission is. The first of these that any part is in is where the submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Spool,
    Rejected,
    Dropped,
    Delivered,
}

impl Place {
    const ALL: [Self; 5] = [Self::Memory, Self::Spool, Self::Rejected, Self::Dropped, Self::Delivered];

    fn is_open(self) -> bool {
        matches!(self, Self::Memory | Self::Spool)
    }
}

/// Stands for the submissions that a batch carries: one, or the events that were tracked together, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    submissions: u32,
    /// What was submitted before a flush belongs to an earlier epoch.
    epoch: u32,
    /// The split submission that the batch is a part of; 0 if it is whole.
    split: u32,
}

impl Ticket {
    pub(super) fn submissions(self) -> u32 {
        self.submissions
    }
}

/// How many parts of a split submission are where.
#[derive(Default)]
struct Split([u32; 5]);

impl Split {
    fn place(&self) -> Place {
        let first = Place::ALL.into_iter().find(|place| self.0[*place as usize] > 0);
        first.unwrap_or(Place::Delivered)
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    counts: Counts,
    /// Submissions that have not ended, by epoch, from the oldest that has any.
    open: VecDeque<u64>,
    oldest_epoch: u32,
    splits: HashMap<u32, Split>,
    last_split: u32,
}

impl Ledger {
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts requests whose response bodies could not be read.
    pub(super) fn add_unread_responses(&mut self, responses: u32) {
        self.counts.unread_responses += u64::from(responses);
    }

    /// A submission came, in this many parts. Each part gets this ticket, and is in memory.
    pub(super) fn accept(&mut self, parts: usize) -> Ticket {
        self.counts.accepted += 1;
        let mut ticket = self.ticket();
        if parts > 1 {
            self.last_split = self.last_split.wrapping_add(1).max(1);
            ticket.split = self.last_split;
            let mut split = Split::default();
            split.0[Place::Memory as usize] = u32::try_from(parts).unwrap_or(u32::MAX);
            self.splits.insert(ticket.split, split);
        }
        ticket
    }

    /// A submission came, and joins those of a ticket that is in memory.
    pub(super) fn join(&mut self, ticket: &mut Ticket) {
        self.counts.accepted += 1;
        self.counts.pending += 1;
        ticket.submissions += 1;
        *self.open_in(ticket.epoch) += 1;
    }

    /// These many were found in the spool. Each of them has a ticket of its own, see [`found`](Self::found).
    pub(super) fn recover(&mut self, submissions: u64) {
        self.counts.recovered += submissions;
        self.counts.spooled += submissions;
        *self.open_in(self.oldest_epoch) += submissions;
    }

    /// The ticket of one that was found.
    pub(super) fn found() -> Ticket {
        Ticket { submissions: 1, epoch: 0, split: 0 }
    }

    fn ticket(&mut self) -> Ticket {
        let epoch = self.epoch();
        self.counts.pending += 1;
        *self.open_in(epoch) += 1;
        Ticket { submissions: 1, epoch, split: 0 }
    }

    /// One part of the ticket's submissions is elsewhere now.
    pub(super) fn moved(&mut self, ticket: Ticket, from: Place, to: Place) {
        let (from, to) = match self.splits.get_mut(&ticket.split) {
            None => (from, to),
            Some(split) => {
                let before = split.place();
                split.0[from as usize] -= 1;
                split.0[to as usize] += 1;
                let after = split.place();
                if !after.is_open() {
                    self.splits.remove(&ticket.split);
                }
                (before, after)
            }
        };
        let submissions = u64::from(ticket.submissions);
        *self.counts.at(from) -= submissions;
        *self.counts.at(to) += submissions;
        if from.is_open() && !to.is_open() {
            *self.open_in(ticket.epoch) -= submissions;
            self.forget_ended();
        }
    }

    /// Ends the epoch: what is submitted from now on belongs to the next one. Gives the one that ended.
    pub(super) fn end_epoch(&mut self) -> u32 {
        let ended = self.epoch();
        self.open.push_back(0);
        self.forget_ended();
        ended
    }

    /// Epochs of which nothing is open any more, from the oldest.
    fn forget_ended(&mut self) {
        while self.open.len() > 1 && self.open[0] == 0 {
            self.open.pop_front();
            self.oldest_epoch += 1;
        }
    }

    /// Whether everything of this epoch and of those before has ended.
    pub(super) fn is_over(&self, epoch: u32) -> bool {
        let epochs = epoch.checked_sub(self.oldest_epoch).map_or(0, |ahead| ahead as usize + 1);
        self.open.iter().take(epochs).all(|open| *open == 0)
    }

    fn epoch(&mut self) -> u32 {
        if self.open.is_empty() {
            self.open.push_back(0);
        }
        self.oldest_epoch + u32::try_from(self.open.len() - 1).unwrap_or(u32::MAX)
    }

    fn open_in(&mut self, epoch: u32) -> &mut u64 {
        self.epoch();
        // What was found in the spool belongs to the oldest epoch, whichever that is by now.
        let place = epoch.saturating_sub(self.oldest_epoch) as usize;
        &mut self.open[place]
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Accept(usize),
        Join(Index),
        Move(Index, Place),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        let place = prop::sample::select(Place::ALL.to_vec());
        prop_oneof![
            1 => (1..4_usize).prop_map(Step::Accept),
            1 => any::<Index>().prop_map(Step::Join),
            3 => (any::<Index>(), place).prop_map(|(index, place)| Step::Move(index, place)),
            1 => Just(Step::Flush),
        ]
    }

    proptest! {
        #[test]
        fn every_submission_is_in_one_place(steps in vec(step(), 0..200), recovered in 0..5_u64) {
            let mut ledger = Ledger::default();
            ledger.recover(recovered);
            let mut parts: Vec<(Ticket, Place)> = (0..recovered).map(|_| (Ledger::found(), Place::Spool)).collect();
            let mut flushes: Vec<(u32, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Accept(count) => {
                        let ticket = ledger.accept(count);
                        parts.extend((0..count).map(|_| (ticket, Place::Memory)));
                    }
                    Step::Join(index) if !parts.is_empty() => {
                        let part = index.get_mut(&mut parts);
                        if part.0.split == 0 && part.1 == Place::Memory && ledger.epoch() == part.0.epoch {
                            ledger.join(&mut part.0);
                        }
                    }
                    Step::Move(index, to) if !parts.is_empty() => {
                        let (ticket, from) = index.get_mut(&mut parts);
                        if from.is_open() {
                            ledger.moved(*ticket, *from, to);
                            *from = to;
                        }
                    }
                    Step::Flush => flushes.push((ledger.end_epoch(), parts.len())),
                    Step::Join(_) | Step::Move(..) => {}
                }
                let counts = ledger.counts();
                prop_assert!(counts.add_up(), "{counts:?}");
                for (epoch, before) in &flushes {
                    let over = parts[..*before].iter().all(|(_, place)| !place.is_open());
                    prop_assert_eq!(ledger.is_over(*epoch), over);
                }
                let open = parts.iter().filter(|(ticket, place)| ticket.split == 0 && place.is_open());
                let open: u64 = open.map(|(ticket, _)| u64::from(ticket.submissions)).sum();
                prop_assert!(counts.pending + counts.spooled >= open);
            }
        }
    }

    #[test]
    fn a_split_submission_ends_when_all_its_parts_do() {
        let mut ledger = Ledger::default();
        let ticket = ledger.accept(3);
        ledger.moved(ticket, Place::Memory, Place::Delivered);
        ledger.moved(ticket, Place::Memory, Place::Rejected);
        assert_eq!((ledger.counts().pending, ledger.counts().rejected), (1, 0));
        ledger.moved(ticket, Place::Memory, Place::Delivered);
        assert_eq!((ledger.counts().pending, ledger.counts().rejected, ledger.counts().delivered), (0, 1, 0));
        assert!(ledger.splits.is_empty());
    }
}
