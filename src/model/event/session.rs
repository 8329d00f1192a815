//! The start and the end of a session. Best made from a [`Session`](crate::Session), which keeps the two in step.

use std::time::Duration;

use crate::generated::types::{SessionEnd, SessionStart};
use crate::model::milliseconds;

impl SessionStart {
    /// A session began. [`Session::start_event`](crate::Session::start_event) also says which.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self::with_required()
    }
}

impl SessionEnd {
    /// A session of this length ended. [`Session::end_event`](crate::Session::end_event) computes the length.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self::with_required(milliseconds(duration))
    }
}
