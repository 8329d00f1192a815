//! A segment as the index knows it, and the records that go with it.

use super::range_set::RangeSet;
use super::records::Damage;

/// A segment as far as it is committed.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) last: u64,
    /// Its size in bytes. What lies beyond is of a write that failed, and nobody reads it.
    pub(super) bytes: u64,
    /// The bytes that a failed write may have left behind.
    pub(super) torn_bytes: u64,
    pub(super) records: u64,
    /// The number of those that were read or taken, or were done in an earlier process.
    pub(super) taken: u64,
    pub(super) done: RangeSet,
    /// Those that vanished, of a segment that this process wrote. They are counted in no other number here.
    pub(super) lost: RangeSet,
    /// It was found at opening: some of its numbers may be left out.
    pub(super) found: bool,
    pub(super) damage: Damage,
}

/// Records that vanished while the spool is open.
#[derive(Debug, Default)]
pub(crate) struct LostRecords {
    /// Those whose numbers are known, as all are that this process wrote.
    pub(crate) numbers: Vec<u64>,
    /// The number of the others.
    pub(crate) others: u64,
}

impl LostRecords {
    pub(super) fn count(&self) -> u64 {
        self.numbers.len() as u64 + self.others
    }
}

impl Segment {
    pub(super) fn unread(&self) -> u64 {
        self.records.saturating_sub(self.taken)
    }

    pub(super) fn pending(&self) -> u64 {
        self.records.saturating_sub(self.done.count())
    }

    /// Returns what it takes of the disk, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.bytes + self.torn_bytes
    }
}

/// The place of the next unread record.
pub(super) struct Position {
    pub(super) first: u64,
    pub(super) bytes: u64,
    /// Records up to this one lie in earlier segments.
    pub(super) after: Option<u64>,
}

/// A segment that was given up.
pub(super) struct DroppedSegment {
    pub(super) first: u64,
    pub(super) segment: Segment,
    /// The records that nobody has but the segment.
    pub(super) only_copies: LostRecords,
    pub(super) outstanding: RangeSet,
}

impl DroppedSegment {
    /// Returns the number of its bytes that are committed.
    pub(super) fn bytes(&self) -> u64 {
        self.segment.bytes
    }

    /// Returns whether nobody has the record but the segment.
    pub(super) fn is_lost(&self, number: u64) -> bool {
        let is_over = self.segment.done.contains(number) || self.segment.lost.contains(number);
        !is_over && !self.outstanding.contains(number)
    }

    /// Returns the number of records that nobody has but the segment.
    pub(super) fn count(&self) -> u64 {
        self.only_copies.count()
    }

    /// Returns the records that nobody has but the segment, without those of these numbers.
    pub(super) fn lost_except(self, told: &RangeSet) -> LostRecords {
        let LostRecords { mut numbers, others } = self.only_copies;
        numbers.retain(|number| !told.contains(*number));
        let others = others.saturating_sub(told.count());
        LostRecords { numbers, others }
    }
}
