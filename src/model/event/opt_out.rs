//! Opting out of tracking, and in again.

use crate::generated::types::OptOut;

impl OptOut {
    /// The user opted out of tracking (true), or in again (false).
    #[must_use]
    pub fn new(is_opted_out: bool) -> Self {
        Self::with_required(is_opted_out)
    }
}
