//! A batch read from a file.

use super::position::ReadPosition;
use super::validate::CheckedText;

/// A checked batch of a file, or a text in its place.
pub struct InputBatch {
    pub checked: CheckedText,
    pub events: u64,
    /// The position from which a later run can resume after this batch; `None` if it can resume only after a later batch.
    pub resume_at: Option<ReadPosition>,
}
