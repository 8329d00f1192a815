//! Changes of a user: sign-up, log-in, a changed attribute, a changed identity.

use crate::generated::types::{
    ChangedValue, Profile, ProfileEventType, UserAttributeChange, UserAttributeValue, UserIdentity, UserIdentityChange,
};
use crate::model::attribute::by_json;

impl Profile {
    /// Creates the event of a user who signed up, logged in or out, changed or was deleted, with the mParticle ID before and after.
    #[must_use]
    pub fn new(profile_event_type: ProfileEventType, previous_mpid: i64, current_mpid: i64) -> Self {
        Self::with_required(profile_event_type, previous_mpid, current_mpid)
    }
}

impl UserAttributeChange {
    /// Creates the event of a change of the user attribute with this name.
    ///
    /// The event reports a change. To make it, set the attribute on the batch
    /// ([`Batch::user_attribute`](crate::Batch::user_attribute)) or delete it there
    /// ([`Batch::deleted_user_attribute`](crate::Batch::deleted_user_attribute)).
    ///
    /// ```
    /// use mparticle::UserAttributeChange;
    ///
    /// let change = UserAttributeChange::new("plan").old_value("free").new_value("pro");
    /// ```
    #[must_use]
    pub fn new(user_attribute_name: impl Into<String>) -> Self {
        Self::with_required(user_attribute_name)
    }

    /// Sets the value after the change. Null means that there is none.
    #[must_use]
    pub fn new_value(mut self, value: impl Into<UserAttributeValue>) -> Self {
        self.new = changed(value.into());
        self
    }

    /// Sets the value before the change. Null means that there was none.
    #[must_use]
    pub fn old_value(mut self, value: impl Into<UserAttributeValue>) -> Self {
        self.old = changed(value.into());
        self
    }
}

fn changed(value: UserAttributeValue) -> Option<ChangedValue> {
    #[allow(unreachable_patterns, reason = "a later document may have more kinds of values")]
    Some(match value {
        UserAttributeValue::String(text) => ChangedValue::String(text),
        UserAttributeValue::Integer(number) => ChangedValue::Integer(number),
        UserAttributeValue::Number(number) => ChangedValue::Number(number),
        UserAttributeValue::Boolean(truth) => ChangedValue::Boolean(truth),
        UserAttributeValue::List(list) => ChangedValue::List(list),
        UserAttributeValue::Null => return None,
        other => by_json(&other, ChangedValue::String),
    })
}

impl UserIdentityChange {
    /// Creates the event of a new identity, the first of its type unless [`old_value`](Self::old_value) is set.
    #[must_use]
    pub fn new(new: UserIdentity) -> Self {
        Self::with_required(new, None)
    }

    /// Sets the identity before the change.
    #[must_use]
    pub fn old_value(mut self, old: UserIdentity) -> Self {
        self.old = Some(old);
        self
    }
}
