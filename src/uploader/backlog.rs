//! The backlog: the number of records that are on the disk only, their users and their submissions. Its size does not grow
//! with the number of records, except for tagged and awaited ones.

use std::collections::BTreeMap;

use super::entry::SubmissionToken;
use crate::seal::UserKey;

/// The number of per-user counters. Users that share a counter wait for each other.
const COUNTERS: usize = 1024;

/// The number of ranges below which none are merged.
const MIN_RANGES: usize = 1024;

pub(super) struct Backlog {
    /// The number of records of earlier processes. They are older than all others, and their users are unknown.
    recovered: u64,
    /// The number of records of this process.
    own: u64,
    /// The numbers of unread batches of this process by user, including batches that the journal failed to write and that
    /// wait for older ones.
    by_user: Box<[u32; COUNTERS]>,
    has_users: bool,
    /// Ranges by the number of their first record.
    ranges: BTreeMap<u64, RecordRange>,
    /// The number of ranges at which they are merged again.
    max_ranges: usize,
}

/// A range of records whose submissions have equal tokens. Records in the range need not all be in the backlog.
struct RecordRange {
    last: u64,
    records: u64,
    token: SubmissionToken,
}

impl Backlog {
    pub(super) fn new(recovered: u64) -> Self {
        let by_user = Box::new([0; COUNTERS]);
        Self { recovered, own: 0, by_user, has_users: false, ranges: BTreeMap::new(), max_ranges: MIN_RANGES }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recovered + self.own == 0
    }

    /// Returns whether the backlog may contain older batches of this user.
    pub(super) fn may_have_older(&self, user: UserKey) -> bool {
        self.recovered > 0 || self.by_user[user.slot(COUNTERS)] > 0
    }

    /// Counts a batch of this user as unread.
    pub(super) fn add_user(&mut self, user: UserKey) {
        self.by_user[user.slot(COUNTERS)] += 1;
        self.has_users = true;
    }

    /// Counts a batch of this user as read.
    pub(super) fn remove_user(&mut self, user: UserKey) {
        let counter = &mut self.by_user[user.slot(COUNTERS)];
        *counter = counter.saturating_sub(1);
    }

    /// Resets the counts by user. Evicted records whose users are unreadable leave theirs behind.
    pub(super) fn forget_users(&mut self) {
        if std::mem::take(&mut self.has_users) {
            self.by_user.fill(0);
        }
    }

    /// Adds a record, whose number must be higher than all before. `forget` returns the current form of a token.
    pub(super) fn insert(
        &mut self,
        number: u64,
        token: SubmissionToken,
        forget: impl FnMut(SubmissionToken) -> SubmissionToken,
    ) {
        self.own += 1;
        push(&mut self.ranges, RecordRange { last: number, records: 1, token }, number);
        if self.ranges.len() >= self.max_ranges {
            self.merge(forget);
            self.max_ranges = MIN_RANGES.max(2 * self.ranges.len());
        }
    }

    /// Merges the ranges whose tokens have become equal.
    fn merge(&mut self, mut forget: impl FnMut(SubmissionToken) -> SubmissionToken) {
        for (first, range) in std::mem::take(&mut self.ranges) {
            push(&mut self.ranges, RecordRange { token: forget(range.token), ..range }, first);
        }
    }

    /// Removes a record that was read or evicted, and returns its token. A record that is not of this process counts as
    /// recovered. Returns `None` if it was removed before.
    pub(super) fn remove(&mut self, number: Option<u64>, user: Option<UserKey>) -> Option<SubmissionToken> {
        let range = number.and_then(|number| {
            let (first, range) = self.ranges.range_mut(..=number).next_back()?;
            (number <= range.last).then_some((*first, range))
        });
        let Some((first, range)) = range else {
            self.recovered = self.recovered.checked_sub(1)?;
            return Some(SubmissionToken::RECOVERED);
        };
        let token = range.token;
        range.records -= 1;
        if range.records == 0 {
            self.ranges.remove(&first);
        }
        self.own -= 1;
        if let Some(user) = user {
            self.remove_user(user);
        }
        Some(token)
    }

    /// Returns the tokens of all records, each with the number of its records.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (SubmissionToken, u64)> {
        let own = self.ranges.values().map(|range| (range.token, range.records));
        [(SubmissionToken::RECOVERED, self.recovered)].into_iter().chain(own)
    }
}

fn push(ranges: &mut BTreeMap<u64, RecordRange>, range: RecordRange, first: u64) {
    match ranges.last_entry() {
        Some(mut last) if last.get().token == range.token => {
            let before = last.get_mut();
            before.last = range.last;
            before.records += range.records;
        }
        _ => _ = ranges.insert(first, range),
    }
}

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests;
