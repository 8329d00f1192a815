//! Requests of an application over the network.

use std::time::Duration;

use crate::generated::types::NetworkPerformance;
use crate::model::milliseconds;

impl NetworkPerformance {
    /// A request to this URL was answered with this status.
    #[must_use]
    pub fn new(url: impl Into<String>, response_code: u16) -> Self {
        Self::with_required(url, response_code.into())
    }

    /// How long it took.
    #[must_use]
    pub fn time_elapsed(mut self, time_elapsed: Duration) -> Self {
        self.time_elapsed = Some(milliseconds(time_elapsed));
        self
    }
}
