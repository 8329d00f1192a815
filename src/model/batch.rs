//! A batch: one user's identities, attributes and events.

use std::collections::BTreeMap;

use crate::types::{Batch, Environment, Event, UserAttributeValue, UserIdentities};

impl Batch {
    /// An empty batch. Production and development data are kept apart by the service, so this has to be said.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            api_key: None,
            api_keys: Vec::new(),
            application_info: None,
            attribution_info: None,
            batch_id: None,
            consent_state: None,
            context: None,
            deleted_user_attributes: Vec::new(),
            device_info: None,
            events: Vec::new(),
            integration_attributes: BTreeMap::new(),
            ip: None,
            job_id: None,
            mp_deviceid: None,
            mpid: None,
            origin_mpid: None,
            partner_identities: BTreeMap::new(),
            partner_identity: None,
            sdk_version: None,
            source_info: None,
            source_request_id: None,
            timestamp_unixtime_ms: None,
            user_attributes: BTreeMap::new(),
            user_identities: None,
        }
    }

    /// Your own id of the user.
    #[must_use]
    pub fn customer_id(mut self, customer_id: impl Into<String>) -> Self {
        self.identities().customer_id = Some(customer_id.into());
        self
    }

    /// The e-mail address of the user.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.identities().email = Some(email.into());
        self
    }

    /// The mobile number of the user.
    #[must_use]
    pub fn mobile_number(mut self, mobile_number: impl Into<String>) -> Self {
        self.identities().mobile_number = Some(mobile_number.into());
        self
    }

    /// The user's mParticle ID, if it is known. It can be negative.
    #[must_use]
    pub fn mpid(mut self, mpid: i64) -> Self {
        self.mpid = Some(mpid);
        self
    }

    /// What is known of the user, under a name of at most 256 characters; a batch takes 100 of them.
    #[must_use]
    pub fn user_attribute(mut self, name: impl Into<String>, value: impl Into<UserAttributeValue>) -> Self {
        self.user_attributes.insert(name.into(), value.into());
        self
    }

    /// Any string that names this batch. Without one, sealing stamps a random UUID.
    ///
    /// The service drops a second batch with the same id under the same key for 30 to 60 days.
    #[must_use]
    pub fn source_request_id(mut self, id: impl Into<String>) -> Self {
        self.source_request_id = Some(id.into());
        self
    }

    /// Adds an event of this user.
    #[must_use]
    pub fn event(mut self, event: impl Into<Event>) -> Self {
        self.events.push(event.into());
        self
    }

    /// Adds many events of this user, in their order.
    #[must_use]
    pub fn events<E: Into<Event>>(mut self, events: impl IntoIterator<Item = E>) -> Self {
        self.events.extend(events.into_iter().map(Into::into));
        self
    }

    fn identities(&mut self) -> &mut UserIdentities {
        self.user_identities.get_or_insert_default()
    }
}
