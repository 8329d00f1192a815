//! One batch of a file, as it is read.

use super::position::FilePosition;
use super::validate::CheckedText;

/// A batch of a file, or what stands where one should be.
pub struct InputBatch {
    pub checked: CheckedText,
    pub events: u64,
    /// From where to read on after it. `None` if only a later one tells: reading on in between would give other batches.
    pub resume_at: Option<FilePosition>,
}
