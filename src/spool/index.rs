//! The in-memory index of the segments: how many records they contain, and which of these are taken and done. It does no
//! I/O.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::range_set::RangeSet;
use super::records::Damage;
use super::segment::{DroppedSegment, LostRecords, Position, Segment};

/// All segments, by the number of their first record.
///
/// Numbers increase within a segment, and from one segment to the next. A record is *taken* once it was read, or was handed
/// out from memory without a read: it is then outstanding, expired or done. Since a record can be taken while older ones are
/// unread, there is no single read position.
#[derive(Debug, Default)]
pub(super) struct Index {
    segments: BTreeMap<u64, Segment>,
    /// The size of all segments, in bytes.
    bytes: u64,
    /// The number of records in all segments that are not taken.
    unread: u64,
    /// No segment before this one has a record that is not taken.
    unread_from: u64,
    /// The segment that is being written.
    active: Option<u64>,
    /// Records that are taken and not done, including those of removed segments.
    outstanding: RangeSet,
    /// Records that were read, are too old, and are not in the dead-letter file yet.
    expired: RangeSet,
    /// Damaged segments whose records are done, with their sizes in bytes.
    quarantined: BTreeMap<u64, u64>,
    quarantined_bytes: u64,
}

impl Index {
    /// Adds a segment that was found when the spool was opened.
    pub(super) fn insert(&mut self, first: u64, segment: Segment) {
        self.remove(first);
        self.bytes += segment.size();
        self.unread += segment.unread();
        self.unread_from = self.unread_from.min(first);
        self.segments.insert(first, segment);
    }

    /// Adds a damaged segment whose records are done, with its size in bytes.
    pub(super) fn quarantine(&mut self, first: u64, bytes: u64) {
        self.quarantined_bytes += bytes;
        self.quarantined_bytes -= self.quarantined.insert(first, bytes).unwrap_or(0);
    }

    /// Removes the oldest quarantined segment, and returns its first number and its size in bytes.
    pub(super) fn pop_quarantined(&mut self) -> Option<(u64, u64)> {
        let (first, bytes) = self.quarantined.pop_first()?;
        self.quarantined_bytes -= bytes;
        Some((first, bytes))
    }

    fn remove(&mut self, first: u64) -> Option<Segment> {
        let segment = self.segments.remove(&first)?;
        self.bytes -= segment.size();
        self.unread -= segment.unread();
        Some(segment)
    }

    /// Changes a segment, and updates the totals. It is called for each record, so it does not visit the other segments.
    fn change<T>(&mut self, first: u64, change: impl FnOnce(&mut Segment) -> T) -> Option<T> {
        let segment = self.segments.get_mut(&first)?;
        let (size, unread) = (segment.size(), segment.unread());
        let result = change(segment);
        self.bytes = self.bytes - size + segment.size();
        self.unread = self.unread - unread + segment.unread();
        Some(result)
    }

    pub(super) fn record_commit(&mut self, first: u64, last: u64, records: u64, bytes: u64) {
        self.segments.entry(first).or_default();
        self.change(first, |segment| {
            segment.last = last;
            segment.records += records;
            segment.bytes += bytes;
        });
        self.unread_from = self.unread_from.min(first);
        self.active = Some(first);
    }

    /// Ends the active segment. Returns whether it is no longer needed.
    pub(super) fn seal_active(&mut self) -> bool {
        let active = self.active.take().and_then(|first| self.segments.get(&first));
        active.is_some_and(|segment| segment.pending() == 0)
    }

    /// Ends the active segment, and counts the bytes that a failed write may have left in it. Returns whether the segment
    /// contains anything else.
    pub(super) fn record_failed_write(&mut self, first: u64, bytes: u64) -> bool {
        self.active = None;
        self.change(first, |segment| segment.torn_bytes += bytes).is_some()
    }

    pub(super) fn read_position(&mut self) -> Option<Position> {
        let (first, segment) = self.segments.range(self.unread_from..).find(|(_, segment)| segment.unread() > 0)?;
        self.unread_from = *first;
        let after = self.segments.range(..first).next_back().map(|(_, before)| before.last);
        Some(Position { first: *first, bytes: segment.bytes, after: after.max(first.checked_sub(1)) })
    }

    /// Marks a record as taken. Returns false if it was taken before, is done, or its segment is gone.
    pub(super) fn take(&mut self, first: u64, number: u64) -> bool {
        self.count_taken(first, number) && self.outstanding.insert(number)
    }

    /// Marks a record as expired, under the conditions of [`take`](Self::take).
    pub(super) fn expire(&mut self, first: u64, number: u64) -> bool {
        self.count_taken(first, number) && self.expired.insert(number)
    }

    /// Marks a record that this process committed as taken, in whichever segment it is. Returns false if it was taken
    /// before, is done, or is gone.
    pub(super) fn take_committed(&mut self, number: u64) -> bool {
        let Some((first, segment)) = self.segments.range(..=number).next_back() else { return false };
        // The numbers of a segment of an earlier process may have gaps.
        !segment.found && number <= segment.last && self.take(*first, number)
    }

    fn count_taken(&mut self, first: u64, number: u64) -> bool {
        if self.segments.get(&first).is_none_or(|segment| !self.is_unread(segment, number)) {
            return false;
        }
        self.change(first, |segment| segment.taken += 1);
        true
    }

    /// Returns whether a record of a segment is neither taken nor lost.
    fn is_unread(&self, segment: &Segment, number: u64) -> bool {
        let is_over = segment.done.contains(number) || segment.lost.contains(number);
        !is_over && !self.outstanding.contains(number) && !self.expired.contains(number)
    }

    /// Returns the position of the first expired record, and the numbers of all expired records of its segment.
    pub(super) fn expired_position(&self) -> Option<(Position, RangeSet)> {
        let number = self.expired.first()?;
        let (first, segment) = self.segments.range(..=number).next_back()?;
        let expired = self.expired.intersection(number, segment.last);
        Some((Position { first: *first, bytes: segment.bytes, after: number.checked_sub(1) }, expired))
    }

    /// Returns whether any record is expired and not in the dead-letter file yet.
    pub(super) fn has_expired(&self) -> bool {
        self.expired.count() > 0
    }

    /// Records that the reader has reached the end of a segment of this size. Unread records that it did not find are lost:
    /// the segment was truncated or damaged in the meantime.
    pub(super) fn mark_exhausted(&mut self, first: u64, bytes: u64, damage: Damage) -> LostRecords {
        // More records may have been committed since.
        let Some(segment) = self.segments.get(&first).filter(|segment| segment.bytes == bytes) else {
            return LostRecords::default();
        };
        let lost = self.unread_records(first, segment);
        self.change(first, |segment| {
            segment.records = segment.taken;
            lost.numbers.iter().for_each(|number| _ = segment.lost.insert(*number));
            if damage.bytes > segment.damage.bytes {
                segment.damage = damage;
            }
        });
        lost
    }

    /// Returns the segments whose records are not all done, with their committed sizes in bytes.
    pub(super) fn unfinished_segments(&self) -> Vec<(u64, u64)> {
        let needed = self.segments.iter().filter(|(_, segment)| segment.pending() > 0);
        needed.map(|(first, segment)| (*first, segment.bytes)).collect()
    }

    /// Records that a segment was truncated by another program, and contains only the records in `present`. Taken records
    /// that are missing are no longer [contained](Self::contains), and unread ones are lost.
    pub(super) fn mark_shortened(&mut self, first: u64, bytes: u64, present: &RangeSet) -> LostRecords {
        let Some(segment) = self.segments.get(&first).filter(|segment| segment.bytes == bytes) else {
            return LostRecords::default();
        };
        let mut lost = self.unread_records(first, segment);
        if segment.found {
            let unread = present.iter().filter(|number| self.is_unread(segment, *number));
            lost.others = lost.others.saturating_sub(unread.count() as u64);
        } else {
            lost.numbers.retain(|number| !present.contains(*number));
        }
        let outstanding = self.outstanding.intersection(first, segment.last);
        let gone: Vec<u64> = outstanding.iter().filter(|number| !present.contains(*number)).collect();
        for number in &gone {
            self.outstanding.remove(*number);
        }
        self.change(first, |segment| {
            segment.records -= lost.count();
            for number in &lost.numbers {
                segment.lost.insert(*number);
            }
            for number in &gone {
                segment.done.insert(*number);
            }
        });
        lost
    }

    /// Removes a segment whose file is gone. Its taken records can still be acknowledged.
    pub(super) fn mark_vanished(&mut self, first: u64) -> LostRecords {
        let Some(segment) = self.remove(first) else { return LostRecords::default() };
        if self.active == Some(first) {
            self.active = None;
        }
        self.take_only_copies(first, &segment)
    }

    /// Returns the records of which this segment holds the only copy, and removes the expired ones from the index.
    fn take_only_copies(&mut self, first: u64, segment: &Segment) -> LostRecords {
        let mut lost = self.unread_records(first, segment);
        let expired = self.expired.remove_range(first, segment.last);
        if segment.found {
            lost.others += expired.count();
        } else {
            lost.numbers.extend(expired.iter());
        }
        lost
    }

    /// Returns the records of a segment that are not taken.
    fn unread_records(&self, first: u64, segment: &Segment) -> LostRecords {
        if segment.found || segment.unread() == 0 {
            return LostRecords { numbers: Vec::new(), others: segment.unread() };
        }
        let numbers = (first..=segment.last).filter(|number| self.is_unread(segment, *number));
        LostRecords { numbers: numbers.collect(), others: 0 }
    }

    /// Marks expired records that their segment no longer contains as lost.
    pub(super) fn lose_expired(&mut self, first: u64, expired: &RangeSet) -> LostRecords {
        let mut lost = LostRecords::default();
        for (start, end) in expired.ranges() {
            self.expired.remove_range(start, end);
            self.change(first, |segment| (start..=end).for_each(|number| _ = segment.done.insert(number)));
            match self.segments.get(&first) {
                Some(segment) if !segment.found => lost.numbers.extend(start..=end),
                _ => lost.others += end - start + 1,
            }
        }
        lost
    }

    /// Returns whether the segment exists.
    pub(super) fn has_segment(&self, first: u64) -> bool {
        self.segments.contains_key(&first)
    }

    /// Marks a taken record as done. Returns `None` if it was not taken, and otherwise whether its segment is no longer
    /// needed.
    pub(super) fn acknowledge(&mut self, number: u64) -> Option<bool> {
        if !self.outstanding.remove(number) && !self.expired.remove(number) {
            return None;
        }
        // The segment may have been evicted because the spool was full.
        if let Some((first, segment)) = self.segments.range_mut(..=number).next_back()
            && number <= segment.last
        {
            segment.done.insert(number);
            return Some(segment.pending() == 0 && self.active != Some(*first));
        }
        Some(false)
    }

    /// Returns whether an outstanding record is in a segment that still exists.
    pub(super) fn contains(&self, number: u64) -> bool {
        let segment = self.segments.range(..=number).next_back();
        self.outstanding.contains(number) && segment.is_some_and(|(_, segment)| number <= segment.last)
    }

    /// Returns the segments that are no longer needed.
    pub(super) fn finished_segments(&self) -> Vec<u64> {
        let finished = |(first, segment): (&u64, &Segment)| {
            (segment.pending() == 0 && self.active != Some(*first)).then_some(*first)
        };
        self.segments.iter().filter_map(finished).collect()
    }

    /// Returns whether a segment must be kept when its records are done.
    pub(super) fn is_damaged(&self, first: u64) -> bool {
        self.segments.get(&first).is_some_and(|segment| segment.damage.bytes > 0)
    }

    pub(super) fn remove_finished(&mut self, firsts: &[u64]) {
        for first in firsts {
            if let Some(segment) = self.remove(*first).filter(|segment| segment.damage.bytes > 0) {
                self.quarantine(*first, segment.size());
            }
        }
    }

    /// Removes the oldest segment, unless it is being written. Its taken records can still be acknowledged.
    pub(super) fn drop_oldest(&mut self) -> Option<DroppedSegment> {
        let (first, _) = self.segments.first_key_value().filter(|(first, _)| self.active != Some(**first))?;
        let first = *first;
        let segment = self.remove(first)?;
        let only_copies = self.take_only_copies(first, &segment);
        let outstanding = self.outstanding.intersection(first, segment.last);
        Some(DroppedSegment { first, segment, only_copies, outstanding })
    }

    /// Returns the number of the newest record.
    pub(super) fn last(&self) -> Option<u64> {
        self.segments.values().next_back().map(|segment| segment.last)
    }

    pub(super) fn bytes(&self) -> u64 {
        debug_assert_eq!(self.bytes, self.segments.values().map(Segment::size).sum::<u64>());
        self.bytes + self.quarantined_bytes
    }

    /// Returns the size of the quarantined segments, in bytes. They are removed first when the spool is full.
    pub(super) fn quarantined_bytes(&self) -> u64 {
        debug_assert_eq!(self.quarantined_bytes, self.quarantined.values().sum::<u64>());
        self.quarantined_bytes
    }

    pub(super) fn unread(&self) -> u64 {
        debug_assert_eq!(self.unread, self.segments.values().map(Segment::unread).sum::<u64>());
        self.unread
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding.count() + self.expired.count()
    }

    pub(super) fn cursor(&self, next: u64) -> Cursor {
        let ranges = self.segments.values().flat_map(|segment| segment.done.ranges());
        Cursor { next, done: RangeSet::from_ranges(ranges).unwrap_or_default() }
    }
}
