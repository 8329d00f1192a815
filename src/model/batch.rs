//! A batch: one user's identities, attributes, device, consent and events.

use std::net::IpAddr;

use serde::Serialize;

use super::{Session, Text, attributes_of};
use crate::error::Error;
use crate::generated::types::{Batch, Context, DataPlan, Environment, Event, Location, UserAttributeValue};

impl Batch {
    /// Creates an empty batch. The service keeps production and development data apart.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self::with_required(environment)
    }

    /// Sets a user attribute. Names are limited to 256 characters, and a batch to 100 attributes.
    ///
    /// A value is a string (at most 4,096 characters), a number, a boolean, a list of strings, or null. `None` is sent as null,
    /// which is a value here: the user has the attribute, without a value, like a tag. It does not delete the attribute;
    /// [`deleted_user_attribute`](Self::deleted_user_attribute) does.
    ///
    /// ```
    /// use mparticle::{Batch, Environment};
    ///
    /// let plans = vec![String::from("free"), String::from("pro")];
    /// let batch = Batch::new(Environment::Production)
    ///     .customer_id("123456")
    ///     .user_attribute("plans", &plans)
    ///     .user_attribute("seats", plans.len());
    /// ```
    #[must_use]
    pub fn user_attribute(mut self, name: impl Into<String>, value: impl Into<UserAttributeValue>) -> Self {
        self.user_attributes.insert(name.into(), value.into());
        self
    }

    /// Sets several user attributes, each as [`user_attribute`](Self::user_attribute) does.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use mparticle::{Batch, Environment};
    ///
    /// let scores = BTreeMap::from([("loyalty", 0.5), ("churn", 0.25)]);
    /// let batch = Batch::new(Environment::Production).customer_id("123456").user_attributes(scores);
    /// ```
    #[must_use]
    pub fn user_attributes<N: Into<String>, V: Into<UserAttributeValue>>(
        mut self,
        attributes: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.user_attributes.extend(attributes.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Sets each field of a struct or entry of a map as a user attribute, by the names that serde gives them.
    ///
    /// ```
    /// use mparticle::{Batch, Environment};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Account {
    ///     plan: &'static str,
    ///     seats: u64,
    /// }
    ///
    /// let account = Account { plan: "pro", seats: 5 };
    /// let batch = Batch::new(Environment::Production).customer_id("123456").user_attributes_of(&account)?;
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the value is neither a struct nor a map, or a field of it is a map, a
    /// list of anything but strings, or NaN; the error names the field.
    pub fn user_attributes_of(self, value: &impl Serialize) -> Result<Self, Error> {
        Ok(self.user_attributes(attributes_of::<UserAttributeValue>(value)?))
    }

    /// Deletes a user attribute.
    ///
    /// This is the way to delete one: a null is a value, and a
    /// [`UserAttributeChange`](crate::UserAttributeChange) only reports a deletion to integrations.
    #[must_use]
    pub fn deleted_user_attribute(mut self, name: impl Into<String>) -> Self {
        self.deleted_user_attributes.push(name.into());
        self
    }

    /// Sets the IP address of the consumer's device (not that of your server).
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into().to_string());
        self
    }

    /// Sets the data plan that the events follow: its id, or its id and version.
    ///
    /// ```
    /// use mparticle::{Batch, Environment};
    ///
    /// let batch = Batch::new(Environment::Production).data_plan("shop_events");
    /// let batch = Batch::new(Environment::Production).data_plan(("shop_events", 3));
    /// ```
    #[must_use]
    pub fn data_plan(mut self, plan: impl Into<DataPlan>) -> Self {
        self.context_mut().data_plan = Some(Box::new(plan.into()));
        self
    }

    /// Sets the location of the user.
    #[must_use]
    pub fn location(mut self, location: Location) -> Self {
        self.context_mut().location = Some(location.into());
        self
    }

    /// Sets an attribute for a single integration, by the number of its module.
    #[must_use]
    pub fn integration_attribute(mut self, module_id: u32, name: impl Into<String>, value: impl Into<Text>) -> Self {
        self.integration_attributes.entry(module_id.to_string()).or_default().insert(name.into(), value.into().into());
        self
    }

    /// Sets the identity of the user at a partner, by `PartnerName_IdentityName`. The name has to be registered with the service
    /// first; an unregistered one can fail the request.
    #[must_use]
    pub fn partner_identity_for(mut self, partner: impl Into<String>, identity: impl Into<Text>) -> Self {
        self.partner_identities.insert(partner.into(), identity.into().into());
        self
    }

    /// Sets the id of this batch, which can be any string. Sealing stamps a random UUID into a batch without one.
    ///
    /// The service drops a second batch with the same id under the same key for 30 to 60 days.
    #[must_use]
    pub fn source_request_id(mut self, id: impl Into<Text>) -> Self {
        self.source_request_id = Some(id.into().into());
        self
    }

    /// Adds an event of this user.
    #[must_use]
    pub fn event(mut self, event: impl Into<Event>) -> Self {
        self.events.push(event.into());
        self
    }

    /// Adds several events of this user, in order.
    #[must_use]
    pub fn events<E: Into<Event>>(mut self, events: impl IntoIterator<Item = E>) -> Self {
        self.events.extend(events.into_iter().map(Into::into));
        self
    }

    /// Assigns the events that the batch has so far to a session, except those that belong to one.
    ///
    /// ```
    /// use mparticle::{Batch, Environment, ScreenView, Session};
    ///
    /// let session = Session::start(chrono::Utc::now());
    /// let batch = Batch::new(Environment::Production)
    ///     .customer_id("123456")
    ///     .event(ScreenView::new("Home"))
    ///     .event(ScreenView::new("Cart"))
    ///     .in_session(&session);
    /// ```
    #[must_use]
    pub fn in_session(mut self, session: &Session) -> Self {
        self.events.iter_mut().for_each(|event| event.join(session));
        self
    }

    fn context_mut(&mut self) -> &mut Context {
        self.context.get_or_insert_default()
    }
}

impl Batch {
    /// Sets the age of the user in years: the attribute `$age`.
    #[must_use]
    pub fn user_age(self, years: u32) -> Self {
        self.user_attribute("$age", years)
    }
}

/// A setter for each other user attribute whose name the service reserves.
macro_rules! reserved_attributes {
    ($($setter:ident = $name:literal: $what:literal,)*) => {
        impl Batch {
            $(
                #[doc = concat!("Sets the ", $what, " of the user: the attribute `", $name, "`.")]
                #[must_use]
                pub fn $setter(self, text: impl Into<Text>) -> Self {
                    self.user_attribute($name, String::from(text.into()))
                }
            )*
        }
    };
}

reserved_attributes! {
    user_gender = "$gender": "gender",
    user_country = "$country": "country",
    user_zip = "$zip": "postal code",
    user_city = "$city": "city",
    user_state = "$state": "state or region",
    user_address = "$address": "street address",
    user_firstname = "$firstname": "first name",
    user_lastname = "$lastname": "last name",
    user_mobile = "$mobile": "mobile number",
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
