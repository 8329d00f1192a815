//! What is in the segments, in memory: how many records, which were handed out, which are done. Nothing here touches a
//! file.

use std::collections::{BTreeMap, BTreeSet};

use super::cursor::Cursor;
use super::numbers::Numbers;
use super::records::Damage;

/// A segment as far as it is committed.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) last: u64,
    /// Its size in bytes. What lies beyond is of a write that failed, and nobody reads it.
    pub(super) bytes: u64,
    /// What a failed write may have left behind.
    pub(super) waste: u64,
    pub(super) records: u64,
    /// How many were handed out, or are known to be done from before.
    pub(super) handed: u64,
    pub(super) done: Numbers,
    /// It was found at opening: some of its numbers may be left out.
    pub(super) found: bool,
    pub(super) damage: Damage,
}

/// Records that vanished while the spool is open.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// Those whose numbers are known, as all are that this process wrote.
    pub(crate) numbers: Vec<u64>,
    /// The number of the others.
    pub(crate) others: u64,
}

impl Lost {
    pub(super) fn count(&self) -> u64 {
        self.numbers.len() as u64 + self.others
    }
}

impl Segment {
    pub(super) fn unread(&self) -> u64 {
        self.records.saturating_sub(self.handed)
    }

    fn pending(&self) -> u64 {
        self.records.saturating_sub(self.done.count())
    }
}

/// Where the next unread record lies.
pub(super) struct Place {
    pub(super) first: u64,
    pub(super) bytes: u64,
    /// Records up to this one lie in earlier segments.
    pub(super) after: Option<u64>,
}

/// A segment that was given up.
pub(super) struct Dropped {
    pub(super) first: u64,
    pub(super) segment: Segment,
    /// Records below this were read before.
    read: u64,
    /// Records that were too old and not yet among the dead letters.
    expired: Numbers,
}

impl Dropped {
    /// Whether nobody has the record but the segment.
    pub(super) fn is_lost(&self, number: u64) -> bool {
        (number >= self.read && !self.segment.done.contains(number)) || self.expired.contains(number)
    }

    /// Returns the number of records that nobody else has.
    pub(super) fn lost(&self) -> u64 {
        self.segment.unread() + self.expired.count()
    }
}

/// All segments by the number of their first record.
///
/// Numbers rise with the segments, and each segment is read to its end before the next one.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) segments: BTreeMap<u64, Segment>,
    /// The one segment that is still written to.
    active: Option<u64>,
    /// Records below this were handed out.
    read: u64,
    outstanding: BTreeSet<u64>,
    /// Read, found too old, and not yet among the dead letters.
    expired: Numbers,
    /// Segments that were done and are kept aside because they are damaged, with their sizes.
    pub(super) kept_aside: BTreeMap<u64, u64>,
}

impl Index {
    pub(super) fn committed(&mut self, first: u64, last: u64, records: u64, bytes: u64) {
        let segment = self.segments.entry(first).or_default();
        segment.last = last;
        segment.records += records;
        segment.bytes += bytes;
        self.active = Some(first);
    }

    /// The active segment gets no more records.
    pub(super) fn sealed(&mut self) {
        self.active = None;
    }

    /// Accounts for what a failed write may have left in a segment; whether the segment holds anything else.
    pub(super) fn failed(&mut self, first: u64, bytes: u64) -> bool {
        self.active = None;
        match self.segments.get_mut(&first) {
            Some(segment) => {
                segment.waste += bytes;
                true
            }
            None => false,
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        let (first, segment) = self.segments.iter().find(|(_, segment)| segment.unread() > 0)?;
        let after = self.segments.range(..first).next_back().map(|(_, before)| before.last);
        Some(Place { first: *first, bytes: segment.bytes, after: after.max(first.checked_sub(1)) })
    }

    /// Counts a record as handed out; not one that was before, that is done, or whose segment is gone.
    pub(super) fn hand_out(&mut self, first: u64, number: u64) -> bool {
        self.read(first, number) && self.outstanding.insert(number)
    }

    /// Counts a record as too old, as [`hand_out`](Self::hand_out) does as handed out.
    pub(super) fn expire(&mut self, first: u64, number: u64) -> bool {
        self.read(first, number) && self.expired.insert(number)
    }

    fn read(&mut self, first: u64, number: u64) -> bool {
        let Some(segment) = self.segments.get_mut(&first) else { return false };
        if number < self.read || segment.done.contains(number) {
            return false;
        }
        segment.handed += 1;
        self.read = number + 1;
        true
    }

    /// Returns the place of the first record that is too old, and the numbers of all such records of its segment.
    pub(super) fn expired_place(&self) -> Option<(Place, Numbers)> {
        let number = self.expired.first()?;
        let (first, segment) = self.segments.range(..=number).next_back()?;
        let expired = self.expired.clone().take(number, segment.last);
        Some((Place { first: *first, bytes: segment.bytes, after: number.checked_sub(1) }, expired))
    }

    /// Returns whether any record is too old and not yet among the dead letters.
    pub(super) fn has_expired(&self) -> bool {
        self.expired.count() > 0
    }

    /// A segment showed all that it has in this many bytes, which is less than was counted if it was shortened or damaged in
    /// the meantime.
    pub(super) fn exhausted(&mut self, first: u64, bytes: u64, damage: Damage) -> Lost {
        // Records may have been added since.
        let Some(segment) = self.segments.get(&first).filter(|segment| segment.bytes == bytes) else {
            return Lost::default();
        };
        let lost = self.unread_of(first, segment);
        if let Some(segment) = self.segments.get_mut(&first) {
            segment.records = segment.handed;
            if damage.bytes > segment.damage.bytes {
                segment.damage = damage;
            }
        }
        lost
    }

    /// A segment is gone. What was handed out of it can still be acknowledged.
    pub(super) fn vanished(&mut self, first: u64) -> Lost {
        let Some(segment) = self.segments.remove(&first) else { return Lost::default() };
        if self.active == Some(first) {
            self.active = None;
        }
        let mut lost = self.unread_of(first, &segment);
        let expired = self.expired.take(first, segment.last);
        if segment.found {
            lost.others += expired.count();
        } else {
            lost.numbers.extend(expired.ranges().flat_map(|(first, last)| first..=last));
        }
        lost
    }

    /// The records of a segment that were not handed out.
    fn unread_of(&self, first: u64, segment: &Segment) -> Lost {
        if segment.found || segment.unread() == 0 {
            return Lost { numbers: Vec::new(), others: segment.unread() };
        }
        let known = |number: &u64| {
            segment.done.contains(*number) || self.outstanding.contains(number) || self.expired.contains(*number)
        };
        Lost { numbers: (first..=segment.last).filter(|number| !known(number)).collect(), others: 0 }
    }

    /// Records of a segment that were too old are not in it any more.
    pub(super) fn lose_expired(&mut self, first: u64, expired: &Numbers) -> Lost {
        let mut lost = Lost::default();
        for (start, end) in expired.ranges() {
            self.expired.take(start, end);
            if let Some(segment) = self.segments.get_mut(&first) {
                (start..=end).for_each(|number| _ = segment.done.insert(number));
            }
            match self.segments.get(&first) {
                Some(segment) if !segment.found => lost.numbers.extend(start..=end),
                _ => lost.others += end - start + 1,
            }
        }
        lost
    }

    /// Whether the segment is still there.
    pub(super) fn has(&self, first: u64) -> bool {
        self.segments.contains_key(&first)
    }

    /// Counts a record as done, if it was handed out; whether it was.
    pub(super) fn acknowledge(&mut self, number: u64) -> bool {
        if !self.outstanding.remove(&number) && self.expired.take(number, number).count() == 0 {
            return false;
        }
        // The segment is gone if the spool was full.
        if let Some((_, segment)) = self.segments.range_mut(..=number).next_back()
            && number <= segment.last
        {
            segment.done.insert(number);
        }
        true
    }

    /// Whether a record that was handed out lies in a segment that is still there.
    pub(super) fn keeps(&self, number: u64) -> bool {
        let segment = self.segments.range(..=number).next_back();
        self.outstanding.contains(&number) && segment.is_some_and(|(_, segment)| number <= segment.last)
    }

    /// The segments that are no longer needed.
    pub(super) fn finished(&self) -> Vec<u64> {
        let finished = |(first, segment): (&u64, &Segment)| {
            (segment.pending() == 0 && self.active != Some(*first)).then_some(*first)
        };
        self.segments.iter().filter_map(finished).collect()
    }

    /// Whether a segment has to be kept aside when it is done.
    pub(super) fn is_damaged(&self, first: u64) -> bool {
        self.segments.get(&first).is_some_and(|segment| segment.damage.bytes > 0)
    }

    pub(super) fn forget(&mut self, firsts: &[u64]) {
        for first in firsts {
            if let Some(segment) = self.segments.remove(first).filter(|segment| segment.damage.bytes > 0) {
                self.kept_aside.insert(*first, segment.bytes + segment.waste);
            }
        }
    }

    /// Takes out the oldest segment, unless it is still written to. What was handed out of it can still be
    /// acknowledged.
    pub(super) fn drop_oldest(&mut self) -> Option<Dropped> {
        let (first, _) = self.segments.first_key_value().filter(|(first, _)| self.active != Some(**first))?;
        let first = *first;
        let segment = self.segments.remove(&first)?;
        let expired = self.expired.take(first, segment.last);
        Some(Dropped { first, segment, read: self.read, expired })
    }

    /// Returns the number of the newest record.
    pub(super) fn last(&self) -> Option<u64> {
        self.segments.values().next_back().map(|segment| segment.last)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes + segment.waste).sum::<u64>() + self.kept_aside_bytes()
    }

    /// The size of what is kept aside and can give way.
    pub(super) fn kept_aside_bytes(&self) -> u64 {
        self.kept_aside.values().sum()
    }

    pub(super) fn unread(&self) -> u64 {
        self.segments.values().map(Segment::unread).sum()
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding.len() as u64 + self.expired.count()
    }

    pub(super) fn cursor(&self, next: u64) -> Cursor {
        let ranges = self.segments.values().flat_map(|segment| segment.done.ranges());
        Cursor { next, done: Numbers::from_ranges(ranges).unwrap_or_default() }
    }
}
