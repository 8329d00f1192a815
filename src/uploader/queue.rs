//! The send queue: batches that are ready to be sent, in order, and batches that wait behind others of their users in
//! flight.

use std::collections::{HashMap, HashSet, VecDeque};

use tokio::time::Instant;

use super::accounting::Accounting;
use super::entry::{Amount, Entry, Stage};
use super::room::free_queue_room;
use crate::limits::{MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use crate::seal::UserKey;

#[derive(Default)]
pub(super) struct SendQueue {
    entries: VecDeque<Entry>,
    /// The users with batches in flight, with their next batches, which wait so that each user's order is preserved.
    in_flight: HashMap<UserKey, VecDeque<Entry>>,
}

impl SendQueue {
    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// Returns the queued entries, beginning with the first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Returns the entries that wait behind batches of their users in flight.
    pub(super) fn blocked(&self) -> impl Iterator<Item = &Entry> {
        self.in_flight.values().flatten()
    }

    pub(super) fn push_back(&mut self, mut entry: Entry, accounting: &mut Accounting) {
        accounting.set_stage(&mut entry, Stage::Queued);
        self.entries.push_back(entry);
    }

    /// Inserts entries at the front, in their order.
    pub(super) fn put_first(&mut self, entries: impl DoubleEndedIterator<Item = Entry>, accounting: &mut Accounting) {
        for mut entry in entries.rev() {
            accounting.set_stage(&mut entry, Stage::Queued);
            self.entries.push_front(entry);
        }
    }

    /// Takes the entries of the next request: at most `max`, all for the same endpoint. Entries of users with batches in
    /// flight are blocked instead. `refill` may insert entries at the front, before each entry is taken.
    pub(super) fn take(
        &mut self,
        max: usize,
        accounting: &mut Accounting,
        mut refill: impl FnMut(&mut Self, &mut Accounting),
    ) -> Vec<Entry> {
        let mut taken: Vec<Entry> = Vec::new();
        let (mut bytes, mut users) = (1, HashSet::new());
        loop {
            refill(self, accounting);
            let Some(mut next) = self.entries.pop_front() else { break };
            if let Some(blocked) = self.in_flight.get_mut(&next.batch.user()) {
                accounting.set_stage(&mut next, Stage::Blocked);
                blocked.push_back(next);
                continue;
            }
            // A batch that is too large for any request is taken alone: delivery rejects it.
            let fits = taken.is_empty() || (taken.len() < max && bytes + next.batch.len() < MAX_REQUEST_BYTES);
            if !fits || taken.first().is_some_and(|first| first.endpoint != next.endpoint) {
                self.entries.push_front(next);
                break;
            }
            bytes += next.batch.len() + 1;
            accounting.set_stage(&mut next, Stage::InFlight);
            users.insert(next.batch.user());
            taken.push(next);
        }
        free_queue_room(&mut self.entries);
        // Only now, because one request can have several batches of a user.
        self.in_flight.extend(users.into_iter().map(|user| (user, VecDeque::new())));
        taken
    }

    /// Unblocks the next batches of these users, who have none in flight any more, and inserts them at the front.
    pub(super) fn unblock(&mut self, users: impl Iterator<Item = UserKey>, accounting: &mut Accounting) {
        for user in users {
            if let Some(blocked) = self.in_flight.remove(&user) {
                self.put_first(blocked.into_iter(), accounting);
            }
        }
    }

    /// Removes and returns all queued entries.
    pub(super) fn take_all(&mut self, accounting: &mut Accounting) -> Vec<Entry> {
        let mut entries: Vec<_> = self.entries.drain(..).collect();
        for entry in &mut entries {
            accounting.set_stage(entry, Stage::Moving);
        }
        entries
    }

    /// Removes and returns the queued entries behind the last one that is on the disk.
    pub(super) fn take_newest_in_memory(&mut self, accounting: &mut Accounting) -> Vec<Entry> {
        let newest = self.entries.iter().rposition(|entry| entry.record.is_some()).map_or(0, |last| last + 1);
        let mut entries: Vec<_> = self.entries.split_off(newest).into();
        for entry in &mut entries {
            accounting.set_stage(entry, Stage::Moving);
        }
        entries
    }

    /// Returns the time of the batch that has waited longest of those in memory only.
    pub(super) fn oldest_in_memory(&self) -> Option<Instant> {
        let queued = self.entries.iter().find(|entry| entry.record.is_none());
        queued.into_iter().chain(self.blocked_in_memory().map(|(_, entry)| entry)).map(|entry| entry.since).min()
    }

    /// Removes and returns the batch that has waited longest of those in memory only. Batches on the disk do not count
    /// against the limits of memory.
    pub(super) fn pop_oldest_in_memory(&mut self) -> Option<Entry> {
        let queued = self.entries.iter().position(|entry| entry.record.is_none());
        let blocked = self.blocked_in_memory().min_by_key(|(_, entry)| entry.since);
        let blocked = blocked.map(|(user, entry)| (user, entry.since));
        match (queued, blocked) {
            (queued, Some((user, since))) if queued.is_none_or(|queued| since <= self.entries[queued].since) => {
                self.in_flight.get_mut(&user)?.pop_front()
            }
            (queued, _) => self.entries.remove(queued?),
        }
    }

    /// Returns the first blocked batch of each user, if it is in memory only.
    fn blocked_in_memory(&self) -> impl Iterator<Item = (UserKey, &Entry)> {
        let first = self.in_flight.iter().filter_map(|(user, blocked)| Some((*user, blocked.front()?)));
        first.filter(|(_, entry)| entry.record.is_none())
    }
}

/// Returns whether these batches fill a request.
pub(super) fn is_full_request(amount: Amount) -> bool {
    amount.batches >= MAX_BATCHES_PER_REQUEST || amount.bytes >= MAX_REQUEST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::seal::SealedBatch;
    use crate::uploader::entry::SubmissionToken;

    #[test]
    fn a_queue_that_was_large_keeps_no_room() {
        const LARGE: usize = 10_000;
        let (mut queue, mut accounting) = (SendQueue::default(), Accounting::default());
        for number in 0..LARGE {
            let batch = SealedBatch::from_json(format!(r#"{{"mpid":{}}}"#, number + 1)).expect("a batch");
            queue.push_back(
                Entry::new(batch, Endpoint::BulkEvents, SubmissionToken::RECOVERED, Instant::now()),
                &mut accounting,
            );
        }
        let before = queue.entries.capacity();
        while !queue.take(100, &mut accounting, |_, _| ()).is_empty() {}
        assert!(before >= LARGE && queue.entries.capacity() < LARGE / 2, "{before}, then {}", queue.entries.capacity());
    }
}
