//! The device of a user.

use chrono::{DateTime, Utc};

use super::unixtime_ms;
use crate::generated::types::{AttAuthorizationStatus, DeviceInfo, Platform};

impl Platform {
    /// iOS, as the platform spells itself.
    pub const IOS: Self = Self::IOs;
    /// tvOS, as the platform spells itself.
    pub const TVOS: Self = Self::TvOs;
}

impl DeviceInfo {
    /// What the user answered to App Tracking Transparency, and when.
    #[must_use]
    pub fn att_authorization(mut self, status: AttAuthorizationStatus, at: DateTime<Utc>) -> Self {
        self.att_authorization_status = Some(status);
        self.att_timestamp_unixtime_ms = Some(unixtime_ms(at));
        self
    }
}
