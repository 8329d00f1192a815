//! Push messages, and the registration for them.

use super::common::payload;
use crate::generated::types::{
    PushApplicationState, PushMessage, PushMessageBehavior, PushMessageType, PushRegistration,
};
use crate::model::setters;

impl PushRegistration {
    /// The device with this token was registered for push messages (true), or its registration ended (false).
    #[must_use]
    pub fn new(register: bool, registration_token: impl Into<String>) -> Self {
        payload!(PushRegistration { register, registration_token: registration_token.into() })
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
        payload!(PushMessage {
            push_message_token: push_message_token.into(),
            push_message_type,
            push_notification_payload: push_notification_payload.into(),
            action_identifier: None,
            application_state: None,
            message: None,
            network: None,
            push_message_behavior: None,
        })
    }
}

setters!(PushMessage {
    /// The text of the message.
    message: String,
    /// The network that carried it: `apn`, `gcm`, or free text.
    network: String,
    /// What the application did at the time.
    application_state: PushApplicationState,
    /// The action that was chosen, at most 100 characters.
    action_identifier: String,
    /// What the user did with the message.
    push_message_behavior: PushMessageBehavior,
});
