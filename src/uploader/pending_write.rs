//! The batches that the journal was handed and has not confirmed.

use super::entry::{Entry, RecordId};
use super::journal::WriteFuture;
use super::submission::Acceptance;

/// A batch that is being written.
pub(super) struct PendingWrite {
    pub(super) id: RecordId,
    /// Whether the journal took it, so that the number is its own.
    pub(super) is_taken: bool,
    pub(super) written: WriteFuture,
    pub(super) content: WriteContent,
    /// Whether it is the last part of its submission, and who waits for all of them.
    pub(super) is_last: bool,
    pub(super) accepted: Option<Acceptance>,
}

pub(super) enum WriteContent {
    Batch(Entry),
    /// It was evicted before its confirmation was seen.
    Evicted,
    /// A copy of the record of this number, of this many bytes.
    Rewrite(u64, usize),
}

/// Whether the journal works. The first of several failures in a row is logged.
#[derive(Default)]
pub(super) struct JournalHealth {
    /// It failed to write the last batch.
    pub(super) is_failing: bool,
    /// It did not take the last batch.
    pub(super) is_refusing: bool,
}
