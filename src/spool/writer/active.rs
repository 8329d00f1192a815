//! The segment that is written to.

use super::super::file_system::Output;

/// The segment that is written to.
pub(super) struct Active {
    pub(super) file: Box<dyn Output>,
    pub(super) first: u64,
    pub(super) bytes: u64,
}
