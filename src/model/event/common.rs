//! What all event types share. The document merges the common fields into each payload, so this is written once, by macro.

use chrono::{DateTime, Utc};

use crate::types::{
    AppState, AttributeValue, Breadcrumb, CommerceEvent, CrashReport, CustomEvent, Event, FirstRun, NetworkPerformance,
    OptOut, Profile, PushMessage, PushRegistration, ScreenView, SessionEnd, SessionStart, Uninstall,
    UserAttributeChange, UserIdentityChange,
};

/// A payload of the given own fields, with none of the common ones set: they are listed here and nowhere else.
macro_rules! payload {
    ($payload:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        $payload {
            $($field $(: $value)?,)*
            canonical_name: None,
            custom_attributes: std::collections::BTreeMap::new(),
            data_connection_type: None,
            device_current_state: None,
            event_id: None,
            event_num: None,
            event_start_unixtime_ms: None,
            event_system_notification_info: None,
            is_goal_defined: None,
            is_main_thread: None,
            lifetime_value_attribute_name: None,
            lifetime_value_change: None,
            location: None,
            session_id: None,
            session_start_unixtime_ms: None,
            session_uuid: None,
            source_message_id: None,
            timestamp_unixtime_ms: None,
            view_controller: None,
        }
    };
}

pub(super) use payload;

/// For each payload: the variant of `Event`, the type, and the way to the common fields. A payload without fields of its
/// own is generated as a newtype, hence the `.0`.
macro_rules! payloads {
    ($($variant:ident($payload:ident $(. $inner:tt)?),)*) => {
        impl Event {
            /// Where sealing stamps the id of the event.
            pub(crate) fn source_message_id_mut(&mut self) -> &mut Option<String> {
                match self {
                    $(Self::$variant(data) => &mut data $(.$inner)? .source_message_id,)*
                }
            }
        }

        $(impl $payload {
            /// When it happened. Without a time the service takes that of receipt.
            #[must_use]
            pub fn at(mut self, time: DateTime<Utc>) -> Self {
                self $(.$inner)? .timestamp_unixtime_ms = Some(time.timestamp_millis());
                self
            }

            /// What you tell of the event, under a name of at most 256 characters; an event takes 100 of them.
            #[must_use]
            pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
                self $(.$inner)? .custom_attributes.insert(name.into(), value.into());
                self
            }

            /// An id of the event. Without one, sealing stamps a random UUID.
            #[must_use]
            pub fn source_message_id(mut self, id: impl Into<String>) -> Self {
                self $(.$inner)? .source_message_id = Some(id.into());
                self
            }
        })*
    };
}

payloads! {
    CustomEvent(CustomEvent),
    CommerceEvent(CommerceEvent),
    SessionStart(SessionStart.0),
    SessionEnd(SessionEnd),
    ScreenView(ScreenView),
    ApplicationStateTransition(AppState),
    CrashReport(CrashReport),
    Breadcrumb(Breadcrumb),
    NetworkPerformance(NetworkPerformance),
    OptOut(OptOut),
    PushRegistration(PushRegistration),
    PushMessage(PushMessage),
    Profile(Profile),
    UserAttributeChange(UserAttributeChange),
    UserIdentityChange(UserIdentityChange),
    FirstRun(FirstRun.0),
    Uninstall(Uninstall.0),
}
