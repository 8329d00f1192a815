//! The segments of the index, and the records that are lost with them.

use super::range_set::RangeSet;
use super::records::Damage;

/// The committed part of a segment.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) last: u64,
    /// The committed size, in bytes. Bytes beyond it were left by a failed write, and are not read.
    pub(super) bytes: u64,
    /// The number of bytes that a failed write may have left.
    pub(super) torn_bytes: u64,
    pub(super) records: u64,
    /// The number of records that are taken, or were done in an earlier process.
    pub(super) taken: u64,
    pub(super) done: RangeSet,
    /// The records that vanished from a segment that this process wrote. No other count includes them.
    pub(super) lost: RangeSet,
    /// Set if the segment was found when the spool was opened: its numbers may have gaps.
    pub(super) found: bool,
    pub(super) damage: Damage,
}

/// Records that vanished from the disk while the spool was open.
#[derive(Debug, Default)]
pub(crate) struct LostRecords {
    /// The known numbers. All records that this process wrote are among them.
    pub(crate) numbers: Vec<u64>,
    /// The number of records whose numbers are unknown.
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

    /// Returns the disk space that the segment takes, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.bytes + self.torn_bytes
    }
}

/// The position of the next unread record.
pub(super) struct Position {
    pub(super) first: u64,
    pub(super) bytes: u64,
    /// Records up to this number are in earlier segments.
    pub(super) after: Option<u64>,
}

/// A segment that was evicted.
pub(super) struct DroppedSegment {
    pub(super) first: u64,
    pub(super) segment: Segment,
    /// The records of which the segment held the only copy.
    pub(super) only_copies: LostRecords,
    pub(super) outstanding: RangeSet,
}

impl DroppedSegment {
    /// Returns the committed size, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.segment.bytes
    }

    /// Returns whether the segment held the only copy of a record.
    pub(super) fn is_lost(&self, number: u64) -> bool {
        let is_over = self.segment.done.contains(number) || self.segment.lost.contains(number);
        !is_over && !self.outstanding.contains(number)
    }

    /// Returns the number of records of which the segment held the only copy.
    pub(super) fn count(&self) -> u64 {
        self.only_copies.count()
    }

    /// Returns the records of which the segment held the only copy, except those that were reported.
    pub(super) fn lost_except(self, reported: &RangeSet) -> LostRecords {
        let LostRecords { mut numbers, others } = self.only_copies;
        numbers.retain(|number| !reported.contains(*number));
        let others = others.saturating_sub(reported.count());
        LostRecords { numbers, others }
    }
}
