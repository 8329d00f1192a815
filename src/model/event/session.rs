//! The start and the end of a session. A [`Session`](crate::Session) makes both, so that they match.

use std::time::Duration;

use crate::generated::types::{SessionEnd, SessionStart};
use crate::model::milliseconds;

impl SessionStart {
    /// Creates the event of a session start. [`Session::start_event`](crate::Session::start_event) also sets the session.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self::with_required()
    }
}

impl SessionEnd {
    /// Creates the event of the end of a session with this duration. [`Session::end_event`](crate::Session::end_event) computes it.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self::with_required(milliseconds(duration))
    }
}
