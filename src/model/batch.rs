//! A batch: one user's identities, attributes, device, consent and events.

use std::net::IpAddr;

use crate::generated::types::{Batch, Context, DataPlan, Environment, Event, Location, UserAttributeValue};

impl Batch {
    /// An empty batch. Production and development data are kept apart by the service, so this has to be said.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self::with_required(environment)
    }

    /// What is known of the user, under a name of at most 256 characters; a batch takes 100 of them.
    ///
    /// A value is text of at most 4096 characters, a number, a truth, a list of texts, or nothing (`None::<bool>`).
    #[must_use]
    pub fn user_attribute(mut self, name: impl Into<String>, value: impl Into<UserAttributeValue>) -> Self {
        self.user_attributes.insert(name.into(), value.into());
        self
    }

    /// Many things that are known of the user.
    #[must_use]
    pub fn user_attributes<N: Into<String>, V: Into<UserAttributeValue>>(
        mut self,
        attributes: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.user_attributes.extend(attributes.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The name of a user attribute to forget.
    #[must_use]
    pub fn deleted_user_attribute(mut self, name: impl Into<String>) -> Self {
        self.deleted_user_attributes.push(name.into());
        self
    }

    /// The address of the consumer's device, not of your server.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into().to_string());
        self
    }

    /// The data plan that the events follow: its id, or its id and version.
    ///
    /// ```
    /// use mparticle::{Batch, Environment};
    ///
    /// let batch = Batch::new(Environment::Production).data_plan("shop_events");
    /// let batch = Batch::new(Environment::Production).data_plan(("shop_events", 3));
    /// ```
    #[must_use]
    pub fn data_plan(mut self, plan: impl Into<DataPlan>) -> Self {
        self.context().data_plan = Some(plan.into());
        self
    }

    /// Where the user was.
    #[must_use]
    pub fn location(mut self, location: Location) -> Self {
        self.context().location = Some(location);
        self
    }

    /// An attribute for one integration, by the number of its module.
    #[must_use]
    pub fn integration_attribute(mut self, module_id: u32, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.integration_attributes.entry(module_id.to_string()).or_default().insert(name.into(), value.into());
        self
    }

    /// The user's identity at a partner, by `PartnerName_IdentityName`. The name has to be registered with the service
    /// first: an unregistered one can fail the request.
    #[must_use]
    pub fn partner_identity_at(mut self, partner: impl Into<String>, identity: impl Into<String>) -> Self {
        self.partner_identities.insert(partner.into(), identity.into());
        self
    }

    /// Sets the id of this batch, any string. Without one, sealing stamps a random UUID.
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

    fn context(&mut self) -> &mut Context {
        self.context.get_or_insert_default()
    }
}

impl Batch {
    /// The age of the user, in years: the attribute `$age`.
    #[must_use]
    pub fn user_age(self, years: u32) -> Self {
        self.user_attribute("$age", years)
    }
}

/// The other user attributes whose names the service reserves, each with a setter of its own.
macro_rules! reserved_attributes {
    ($($(#[$words:meta])* $setter:ident = $name:literal,)*) => {
        impl Batch {
            $(
                $(#[$words])*
                #[must_use]
                pub fn $setter(self, text: impl Into<String>) -> Self {
                    self.user_attribute($name, text.into())
                }
            )*
        }
    };
}

reserved_attributes! {
    /// The gender of the user: the attribute `$gender`.
    user_gender = "$gender",
    /// The country of the user: the attribute `$country`.
    user_country = "$country",
    /// The postal code of the user: the attribute `$zip`.
    user_zip = "$zip",
    /// The city of the user: the attribute `$city`.
    user_city = "$city",
    /// The state or region of the user: the attribute `$state`.
    user_state = "$state",
    /// The street address of the user: the attribute `$address`.
    user_address = "$address",
    /// The first name of the user: the attribute `$firstname`.
    user_firstname = "$firstname",
    /// The last name of the user: the attribute `$lastname`.
    user_lastname = "$lastname",
    /// The mobile number of the user: the attribute `$mobile`.
    user_mobile = "$mobile",
}

impl From<&str> for DataPlan {
    fn from(plan_id: &str) -> Self {
        Self::with_required(plan_id)
    }
}

impl From<(&str, i64)> for DataPlan {
    fn from((plan_id, version): (&str, i64)) -> Self {
        Self { plan_version: Some(version), ..Self::with_required(plan_id) }
    }
}
