//! The entries of the queue: accepted batches with their stages and submissions.

use std::ops::{Add, AddAssign, SubAssign};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::seal::SealedBatch;

/// An accepted batch that has not ended.
pub(super) struct Entry {
    pub(super) batch: SealedBatch,
    pub(super) endpoint: Endpoint,
    pub(super) token: SubmissionToken,
    pub(super) since: Instant,
    /// The record of the batch, once the journal has confirmed it.
    pub(super) record: Option<RecordId>,
    /// Set only by [`Accounting::set_stage`], like `state`.
    pub(super) stage: Stage,
    pub(super) state: SubmissionState,
}

/// A record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordId {
    pub(crate) number: u64,
    /// The time at which the batch was first appended, which determines its age.
    pub(crate) appended: DateTime<Utc>,
}

impl Entry {
    /// Creates the entry of a batch in memory.
    pub(super) fn new(batch: SealedBatch, endpoint: Endpoint, token: SubmissionToken, since: Instant) -> Self {
        Self { batch, endpoint, token, since, record: None, stage: Stage::Moving, state: SubmissionState::Memory }
    }

    /// Creates the entry of a record that was read.
    pub(super) fn from_record(
        batch: SealedBatch,
        endpoint: Endpoint,
        token: SubmissionToken,
        record: RecordId,
    ) -> Self {
        let entry = Self::new(batch, endpoint, token, Instant::now());
        Self { record: Some(record), stage: Stage::Stored, state: SubmissionState::Spool, ..entry }
    }

    pub(super) fn amount(&self) -> Amount {
        Amount { batches: 1, bytes: self.batch.len() }
    }

    /// Returns how long ago the batch was accepted, by this process or an earlier one.
    pub(super) fn age(&self, now: Instant) -> Duration {
        let stored = self.record.and_then(|record| (Utc::now() - record.appended).to_std().ok());
        now.saturating_duration_since(self.since).max(stored.unwrap_or_default())
    }

    /// Returns whether the batch is in memory only, and the journal is not writing it.
    pub(super) fn is_held(&self) -> bool {
        self.state == SubmissionState::Memory && self.stage != Stage::Writing && self.stage.slot().is_some()
    }
}

/// The state of a submission, or of a part of one. A submission has the first of these states that any of its parts has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubmissionState {
    Memory,
    Spool,
    Rejected,
    Dropped,
    Delivered,
}

impl SubmissionState {
    pub(super) const ALL: [Self; 5] = [Self::Memory, Self::Spool, Self::Rejected, Self::Dropped, Self::Delivered];

    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Memory | Self::Spool)
    }
}

/// The stage of an entry of the queue, that is, what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In no list, and not counted as held.
    Moving,
    /// The journal is writing it.
    Writing,
    /// The journal failed to write it, and it waits for the older records of its user to be read.
    Deferred,
    /// It is ready to be sent.
    Queued,
    /// It waits behind batches of its user that are in flight.
    Blocked,
    InFlight,
    /// It is on the disk, and no longer in memory.
    Stored,
    Ended(SubmissionState),
}

impl Stage {
    /// Returns the index of a stage in which the batch is in memory, and `None` for the others.
    pub(super) fn slot(self) -> Option<usize> {
        match self {
            Self::Writing => Some(0),
            Self::Deferred => Some(1),
            Self::Queued => Some(2),
            Self::Blocked => Some(3),
            Self::InFlight => Some(4),
            Self::Moving | Self::Stored | Self::Ended(_) => None,
        }
    }
}

/// A number of batches and their size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) batches: usize,
    pub(super) bytes: usize,
}

impl Amount {
    /// Returns whether neither number exceeds that of the limit.
    pub(super) fn fits(self, limit: Self) -> bool {
        self.batches <= limit.batches && self.bytes <= limit.bytes
    }

    /// Returns whether both numbers are below those of the limit.
    pub(super) fn is_below(self, limit: Self) -> bool {
        self.batches < limit.batches && self.bytes < limit.bytes
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { batches: self.batches + other.batches, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        self.batches -= other.batches;
        self.bytes -= other.bytes;
    }
}

/// Identifies the submissions of a batch: one, several tracked events, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubmissionToken {
    pub(super) submissions: u32,
    /// The epoch. Submissions before a flush belong to an earlier one.
    pub(super) epoch: u32,
    /// The key of the tracked submission. 0 if the submission is neither split, tagged nor awaited.
    pub(super) id: u64,
}

impl SubmissionToken {
    /// The token of a record that was found in the spool.
    pub(super) const RECOVERED: Self = Self { submissions: 1, epoch: 0, id: 0 };
}
