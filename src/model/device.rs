//! The device of a user.

use chrono::{DateTime, Utc};

use super::unixtime_ms;
use crate::generated::types::{AttAuthorizationStatus, DeviceInfo, Platform};

impl Platform {
    /// iOS, in its own spelling.
    pub const IOS: Self = Self::IOs;
    /// tvOS, in its own spelling.
    pub const TVOS: Self = Self::TvOs;
}

impl DeviceInfo {
    /// Sets the answer of the user to App Tracking Transparency, and its time.
    #[must_use]
    pub fn att_authorization(mut self, status: AttAuthorizationStatus, at: impl Into<DateTime<Utc>>) -> Self {
        self.att_authorization_status = Some(status);
        self.att_timestamp_unixtime_ms = Some(unixtime_ms(at));
        self
    }
}
