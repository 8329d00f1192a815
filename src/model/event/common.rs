//! The setters that all event types share. The generator merges the common fields into each payload, so they are written
//! once, by macro.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::error::Error;
use crate::generated::types::{self, AttributeValue, CommonEventData, DeviceCurrentState, Event, Location, each_event};
use crate::model::{Session, attributes_of, unixtime_ms};

type Attributes = BTreeMap<String, AttributeValue>;

/// Inserts an attribute. This is not generic, so that it is compiled once and the setters are small enough to be inlined.
fn insert_attribute(mut attributes: Attributes, name: String, value: AttributeValue) -> Attributes {
    attributes.insert(name, value);
    attributes
}

/// Replaces the attributes of an event. This moves each other field to its destination once; an assignment to the field would copy
/// the event in each call of a chain.
macro_rules! with_attributes {
    ($attributes:ident, $event:ident) => {
        Self { custom_attributes: $attributes, ..$event }
    };
    ($attributes:ident, $event:ident.0) => {
        Self(CommonEventData { custom_attributes: $attributes, ..$event.0 })
    };
}

/// A payload without fields of its own is generated as a newtype, hence the `.0` in the path to its common fields.
macro_rules! common {
    (variants { $($variant:ident($(.$of_variant:tt)?),)* } payloads { $($payload:ident($(.$inner:tt)?),)* }) => {
        impl Event {
            /// Returns the field that sealing stamps the id of the event into.
            pub(crate) fn source_message_id_mut(&mut self) -> &mut Option<String> {
                match self {
                    $(Self::$variant(data) => &mut data $(.$of_variant)? .source_message_id,)*
                }
            }

            /// Returns the field that an uploader sets for an event without a time.
            pub(crate) fn timestamp_unixtime_ms_mut(&mut self) -> &mut Option<i64> {
                match self {
                    $(Self::$variant(data) => &mut data $(.$of_variant)? .timestamp_unixtime_ms,)*
                }
            }

            /// Assigns the event to the session, unless it belongs to one.
            pub(crate) fn join(&mut self, session: &Session) {
                let (uuid, number, start) = match self {
                    $(Self::$variant(data) => (
                        &mut data $(.$of_variant)? .session_uuid,
                        &mut data $(.$of_variant)? .session_id,
                        &mut data $(.$of_variant)? .session_start_unixtime_ms,
                    ),)*
                };
                if uuid.is_none() && number.is_none() {
                    session.write(uuid, number, start);
                }
            }
        }

        // By its path: the document may have a payload with the name of a type that is in scope here, like `Session`.
        $(impl types::$payload {
            /// Sets the time of the event, sent in milliseconds: a `chrono` time or a `SystemTime`. The service uses the time
            /// of receipt for an event without one.
            #[must_use]
            pub fn timestamp(mut self, time: impl Into<DateTime<Utc>>) -> Self {
                self $(.$inner)? .timestamp_unixtime_ms = Some(unixtime_ms(time));
                self
            }

            /// Sets the time at which an event with a duration began.
            #[must_use]
            pub fn start_timestamp(mut self, time: impl Into<DateTime<Utc>>) -> Self {
                self $(.$inner)? .event_start_unixtime_ms = Some(unixtime_ms(time));
                self
            }

            /// Sets a custom attribute. Names are limited to 256 characters, texts to 4,096, and an event to 100 attributes.
            ///
            /// `None` is sent as null, which is a value here: the attribute is present without a value.
            #[must_use]
            #[inline]
            pub fn attribute(self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
                let attributes = insert_attribute(self $(.$inner)? .custom_attributes, name.into(), value.into());
                with_attributes!(attributes, self $(.$inner)?)
            }

            /// Sets several custom attributes, each as [`attribute`](Self::attribute) does.
            #[must_use]
            pub fn attributes<N: Into<String>, V: Into<AttributeValue>>(
                mut self,
                attributes: impl IntoIterator<Item = (N, V)>,
            ) -> Self {
                let attributes = attributes.into_iter().map(|(name, value)| (name.into(), value.into()));
                self $(.$inner)? .custom_attributes.extend(attributes);
                self
            }

            /// Sets each field of a struct or entry of a map as a custom attribute, by the names that serde gives them.
            ///
            /// # Errors
            /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the value is neither a struct nor a map, or a field of it is a
            /// list, a map or NaN; the error names the field.
            pub fn attributes_of(self, value: &impl Serialize) -> Result<Self, Error> {
                Ok(self.attributes(attributes_of::<AttributeValue>(value)?))
            }

            /// Assigns the event to a session.
            #[must_use]
            pub fn session(mut self, session: &Session) -> Self {
                let common = &mut self $(.$inner)?;
                session.write(&mut common.session_uuid, &mut common.session_id, &mut common.session_start_unixtime_ms);
                self
            }

            /// Sets the place at which it happened.
            #[must_use]
            pub fn location(mut self, location: Location) -> Self {
                self $(.$inner)? .location = Some(location.into());
                self
            }

            /// Sets the state of the device at the time of the event.
            #[must_use]
            pub fn device_state(mut self, state: DeviceCurrentState) -> Self {
                self $(.$inner)? .device_current_state = Some(state.into());
                self
            }

            /// Sets the id of the event. Sealing stamps a random UUID into an event without one.
            #[must_use]
            pub fn source_message_id(mut self, id: impl Into<$crate::Text>) -> Self {
                self $(.$inner)? .source_message_id = Some(id.into().into());
                self
            }

            /// Sets the amount by which the event changes the lifetime value of the user, and the user attribute that holds that
            /// value.
            #[must_use]
            pub fn lifetime_value(mut self, change: impl Into<$crate::Number>, attribute_name: impl Into<String>) -> Self {
                self $(.$inner)? .lifetime_value_change = Some(change.into().into());
                self $(.$inner)? .lifetime_value_attribute_name = Some(attribute_name.into());
                self
            }
        })*
    };
}

each_event!(common);
