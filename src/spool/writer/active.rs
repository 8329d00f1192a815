//! The active segment.

use super::super::file_system::AppendFile;

/// The segment that is being written.
pub(super) struct ActiveSegment {
    pub(super) file: Box<dyn AppendFile>,
    pub(super) first: u64,
    pub(super) bytes: u64,
}
