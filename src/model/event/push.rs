//! Push messages, and the registration for them.

use crate::generated::types::{PushMessage, PushMessageType, PushRegistration};

impl PushRegistration {
    /// Creates the event of a device with this token that was registered for push messages.
    #[must_use]
    pub fn registered(registration_token: impl Into<String>) -> Self {
        Self::with_required(true, registration_token)
    }

    /// Creates the event of a device with this token whose registration for push messages ended.
    #[must_use]
    pub fn unregistered(registration_token: impl Into<String>) -> Self {
        Self::with_required(false, registration_token)
    }
}

impl PushMessage {
    /// Creates the event of a push message that was sent to, received by or acted upon on the device with this token. The payload
    /// is the message as it was sent: JSON, as text.
    #[must_use]
    pub fn new(
        push_message_token: impl Into<String>,
        push_message_type: PushMessageType,
        push_notification_payload: impl Into<String>,
    ) -> Self {
        Self::with_required(push_message_token, push_message_type, push_notification_payload)
    }
}
