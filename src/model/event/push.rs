//! Push messages, and the registration for them.

use crate::generated::types::{PushMessage, PushMessageType, PushRegistration};

impl PushRegistration {
    /// The device with this token was registered for push messages (true), or its registration ended (false).
    #[must_use]
    pub fn new(register: bool, registration_token: impl Into<String>) -> Self {
        Self::with_required(register, registration_token)
    }
}

impl PushMessage {
    /// What happened to a message to the device with this token; the payload is the message as it was sent, as JSON in
    /// text.
    #[must_use]
    pub fn new(
        push_message_token: impl Into<String>,
        push_message_type: PushMessageType,
        push_notification_payload: impl Into<String>,
    ) -> Self {
        Self::with_required(push_message_token, push_message_type, push_notification_payload)
    }
}
