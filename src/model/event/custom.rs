//! Custom events: something of your own, with a name that you choose.

use std::collections::BTreeMap;

use super::common::payload;
use crate::types::{AttributeValue, CustomEvent, CustomEventType};

impl CustomEvent {
    /// An event with a name of your own; the service truncates names of more than 256 characters.
    #[must_use]
    pub fn new(event_name: impl Into<String>, custom_event_type: CustomEventType) -> Self {
        payload!(CustomEvent { event_name: event_name.into(), custom_event_type, custom_flags: BTreeMap::new() })
    }

    /// What you tell integrations of the event. Flags are not kept as attributes.
    #[must_use]
    pub fn flag(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.custom_flags.insert(name.into(), value.into());
        self
    }
}
