//! The records that lie on the disk alone: how many, of which users, and for which submissions. Its size does not grow with
//! their number, except by those that have a tag or that somebody awaits.

use std::collections::BTreeMap;

use super::entry::SubmissionToken;
use crate::seal::UserKey;

/// The number of counters of records by user. Users who share one wait for each other.
const COUNTERS: usize = 1024;

/// Below this many ranges nothing is merged.
const MIN_RANGES: usize = 1024;

pub(super) struct Backlog {
    /// Records of earlier processes, which are older than all others and of unknown users.
    recovered: u64,
    /// Records of this process.
    own: u64,
    /// Unread batches of this process by user, those included that the journal failed to write and that wait for older ones.
    by_user: Box<[u32; COUNTERS]>,
    has_users: bool,
    /// By the number of the first record.
    ranges: BTreeMap<u64, RecordRange>,
    /// With so many ranges they are merged again.
    max_ranges: usize,
}

/// Records whose submissions have equal tokens. Numbers in between may be of records that are not in the backlog.
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

    /// Returns whether a new batch of this user may have older ones in here.
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

    /// Forgets the counts of users: evicted records of which not even the user can be read leave theirs behind.
    pub(super) fn forget_users(&mut self) {
        if std::mem::take(&mut self.has_users) {
            self.by_user.fill(0);
        }
    }

    /// Adds a record, whose number is higher than all before. `forget` returns the token as it is by now.
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

    /// Removes a record that was read or evicted, and returns its token. One that is not of this process was recovered. `None`
    /// if it was removed before.
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

    /// Returns the tokens of all records, with the number of those that have it.
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
