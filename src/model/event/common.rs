//! What all event types share. The document merges the common fields into each payload, so this is written once, by macro.

use chrono::{DateTime, Utc};

use crate::generated::types::{
    AppState, AttributeValue, Breadcrumb, CommerceEvent, CrashReport, CustomEvent, DeviceCurrentState, Event, FirstRun,
    Location, NetworkPerformance, OptOut, Profile, PushMessage, PushRegistration, ScreenView, SessionEnd, SessionStart,
    Uninstall, UserAttributeChange, UserIdentityChange,
};
use crate::model::{Session, unixtime_ms};

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

            /// Where an uploader notes the time of an event that has none.
            pub(crate) fn timestamp_unixtime_ms_mut(&mut self) -> &mut Option<i64> {
                match self {
                    $(Self::$variant(data) => &mut data $(.$inner)? .timestamp_unixtime_ms,)*
                }
            }
        }

        $(impl $payload {
            /// When it happened. Without a time the service takes that of receipt.
            #[must_use]
            pub fn at(mut self, time: DateTime<Utc>) -> Self {
                self $(.$inner)? .timestamp_unixtime_ms = Some(unixtime_ms(time));
                self
            }

            /// When it began, of an event that lasted.
            #[must_use]
            pub fn began_at(mut self, time: DateTime<Utc>) -> Self {
                self $(.$inner)? .event_start_unixtime_ms = Some(unixtime_ms(time));
                self
            }

            /// What you tell of the event, under a name of at most 256 characters; an event takes 100 of them.
            #[must_use]
            pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
                self $(.$inner)? .custom_attributes.insert(name.into(), value.into());
                self
            }

            /// The session that it belongs to.
            #[must_use]
            pub fn session(mut self, session: &Session) -> Self {
                let common = &mut self $(.$inner)?;
                session.mark(&mut common.session_uuid, &mut common.session_id, &mut common.session_start_unixtime_ms);
                self
            }

            /// Where it happened.
            #[must_use]
            pub fn location(mut self, location: Location) -> Self {
                self $(.$inner)? .location = Some(location);
                self
            }

            /// The state of the device when it happened.
            #[must_use]
            pub fn device_state(mut self, state: DeviceCurrentState) -> Self {
                self $(.$inner)? .device_current_state = Some(state);
                self
            }

            /// An id of the event. Without one, sealing stamps a random UUID.
            #[must_use]
            pub fn source_message_id(mut self, id: impl Into<String>) -> Self {
                self $(.$inner)? .source_message_id = Some(id.into());
                self
            }

            /// Its place within the session, from 0.
            #[must_use]
            pub fn event_num(mut self, event_num: i64) -> Self {
                self $(.$inner)? .event_num = Some(event_num);
                self
            }

            /// By how much it changes the lifetime value of the user, which is kept in the user attribute of this name.
            #[must_use]
            pub fn lifetime_value(mut self, change: f64, attribute_name: impl Into<String>) -> Self {
                self $(.$inner)? .lifetime_value_change = Some(change);
                self $(.$inner)? .lifetime_value_attribute_name = Some(attribute_name.into());
                self
            }

            /// Whether it counts as a goal.
            #[must_use]
            pub fn is_goal_defined(mut self, is_goal: bool) -> Self {
                self $(.$inner)? .is_goal_defined = Some(is_goal);
                self
            }

            /// Whether it happened on the main thread of the application.
            #[must_use]
            pub fn is_main_thread(mut self, is_main_thread: bool) -> Self {
                self $(.$inner)? .is_main_thread = Some(is_main_thread);
                self
            }

            /// The connection in use when it happened.
            #[must_use]
            pub fn data_connection_type(mut self, connection: impl Into<String>) -> Self {
                self $(.$inner)? .data_connection_type = Some(connection.into());
                self
            }

            /// The view controller that it happened in.
            #[must_use]
            pub fn view_controller(mut self, view_controller: impl Into<String>) -> Self {
                self $(.$inner)? .view_controller = Some(view_controller.into());
                self
            }

            /// The canonical name of the event.
            #[must_use]
            pub fn canonical_name(mut self, name: impl Into<String>) -> Self {
                self $(.$inner)? .canonical_name = Some(name.into());
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
