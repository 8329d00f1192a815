//! What all event types share. The generator merges the common fields into each payload, so this is written once, by macro.

use chrono::{DateTime, Utc};

#[allow(clippy::wildcard_imports, reason = "the payloads are those of the document")]
use crate::generated::types::*;
use crate::generated::types::{AttributeValue, DeviceCurrentState, Event, Location, each_event};
use crate::model::{Session, unixtime_ms};

/// A payload without fields of its own is generated as a newtype, hence the `.0` on the way to its common fields.
macro_rules! common {
    (variants { $($variant:ident($(.$of_variant:tt)?),)* } payloads { $($payload:ident($(.$inner:tt)?),)* }) => {
        impl Event {
            /// Where sealing stamps the id of the event.
            pub(crate) fn source_message_id_mut(&mut self) -> &mut Option<String> {
                match self {
                    $(Self::$variant(data) => &mut data $(.$of_variant)? .source_message_id,)*
                }
            }

            /// Where an uploader notes the time of an event that has none.
            pub(crate) fn timestamp_unixtime_ms_mut(&mut self) -> &mut Option<i64> {
                match self {
                    $(Self::$variant(data) => &mut data $(.$of_variant)? .timestamp_unixtime_ms,)*
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

            /// By how much it changes the lifetime value of the user, which is kept in the user attribute of this name.
            #[must_use]
            pub fn lifetime_value(mut self, change: f64, attribute_name: impl Into<String>) -> Self {
                self $(.$inner)? .lifetime_value_change = Some(change);
                self $(.$inner)? .lifetime_value_attribute_name = Some(attribute_name.into());
                self
            }
        })*
    };
}

each_event!(common);
