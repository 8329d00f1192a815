//! Network requests of an application.

use std::time::Duration;

use crate::generated::types::NetworkPerformance;
use crate::model::milliseconds;

impl NetworkPerformance {
    /// Creates the event of a request to this URL with this response status.
    #[must_use]
    pub fn new(url: impl Into<String>, response_code: u16) -> Self {
        Self::with_required(url, response_code.into())
    }

    /// Sets the duration of the request.
    #[must_use]
    pub fn time_elapsed(mut self, time_elapsed: Duration) -> Self {
        self.time_elapsed = Some(milliseconds(time_elapsed));
        self
    }
}
