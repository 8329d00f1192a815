//! Requests of an application over the network.

use std::time::Duration;

use super::common::payload;
use crate::generated::types::NetworkPerformance;
use crate::model::{milliseconds, setters};

impl NetworkPerformance {
    /// A request to this URL was answered with this status.
    #[must_use]
    pub fn new(url: impl Into<String>, response_code: u16) -> Self {
        payload!(NetworkPerformance {
            url: url.into(),
            response_code: response_code.into(),
            bytes_in: None,
            bytes_out: None,
            data: None,
            http_verb: None,
            time_elapsed: None,
        })
    }

    /// How long it took.
    #[must_use]
    pub fn time_elapsed(mut self, time_elapsed: Duration) -> Self {
        self.time_elapsed = Some(milliseconds(time_elapsed));
        self
    }
}

setters!(NetworkPerformance {
    /// The method of the request.
    http_verb: String,
    /// What was sent.
    data: String,
    /// Bytes received.
    bytes_in: i64,
    /// Bytes sent.
    bytes_out: i64,
});
