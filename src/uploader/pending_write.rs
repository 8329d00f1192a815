//! The writes that the journal has not confirmed.

use super::entry::{Entry, RecordId};
use super::journal::WriteFuture;
use super::submission::Acceptance;

/// A write that the journal has not confirmed.
pub(super) struct PendingWrite {
    pub(super) id: RecordId,
    /// Set if the journal accepted the batch. Otherwise the number is that of an older record.
    pub(super) is_taken: bool,
    pub(super) written: WriteFuture,
    pub(super) content: WriteContent,
    /// Set if this is the last part of its submission.
    pub(super) is_last: bool,
    /// Completes when all parts of the submission are written.
    pub(super) accepted: Option<Acceptance>,
}

/// The data of a write.
pub(super) enum WriteContent {
    Batch(Entry),
    /// The batch was evicted before its confirmation was processed.
    Evicted,
    /// A copy of the record with this number, and its size in bytes.
    Rewrite(u64, usize),
}

/// The health of the journal. Only the first of consecutive failures is logged.
#[derive(Default)]
pub(super) struct JournalHealth {
    /// Set if the journal failed to write the last batch.
    pub(super) is_failing: bool,
    /// Set if the journal refused the last batch.
    pub(super) is_refusing: bool,
}
