//! Opting out of tracking, and in again.

use crate::generated::types::OptOut;

impl OptOut {
    /// Creates the event of a user who opted out of tracking.
    #[must_use]
    pub fn opted_out() -> Self {
        Self::with_required(true)
    }

    /// Creates the event of a user who opted in again.
    #[must_use]
    pub fn opted_in() -> Self {
        Self::with_required(false)
    }
}
