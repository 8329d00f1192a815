//! What happens to a user: signing up, logging in, a changed attribute, a changed identity.

use crate::generated::types::{
    ChangedValue, Profile, ProfileEventType, UserAttributeChange, UserAttributeValue, UserIdentity, UserIdentityChange,
};

impl Profile {
    /// A user signed up, logged in or out, changed, or was deleted, and went from the one mParticle ID to the other.
    #[must_use]
    pub fn new(profile_event_type: ProfileEventType, previous_mpid: i64, current_mpid: i64) -> Self {
        Self::with_required(profile_event_type, previous_mpid, current_mpid)
    }
}

impl UserAttributeChange {
    /// The attribute of this name changed.
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

    /// The value after the change. A null is the same as none.
    #[must_use]
    pub fn new_value(mut self, value: impl Into<UserAttributeValue>) -> Self {
        self.new = changed(value.into());
        self
    }

    /// The value before the change. A null is the same as none.
    #[must_use]
    pub fn old_value(mut self, value: impl Into<UserAttributeValue>) -> Self {
        self.old = changed(value.into());
        self
    }
}

fn changed(value: UserAttributeValue) -> Option<ChangedValue> {
    #[allow(unreachable_patterns, reason = "all kinds of today's document are named")]
    Some(match value {
        UserAttributeValue::String(text) => ChangedValue::String(text),
        UserAttributeValue::Integer(number) => ChangedValue::Integer(number),
        UserAttributeValue::Number(number) => ChangedValue::Number(number),
        UserAttributeValue::Boolean(truth) => ChangedValue::Boolean(truth),
        UserAttributeValue::List(list) => ChangedValue::List(list),
        UserAttributeValue::Null => return None,
        // A kind that a later document adds: the same kind of `ChangedValue` if it has it, else its JSON as text.
        other => {
            let json = serde_json::to_value(other).unwrap_or_default();
            serde_json::from_value(json.clone()).unwrap_or_else(|_| ChangedValue::String(json.to_string()))
        }
    })
}

impl UserIdentityChange {
    /// The user has this identity now, as a first one of its type unless [`old_value`](Self::old_value) is set.
    #[must_use]
    pub fn new(new: UserIdentity) -> Self {
        Self::with_required(new, None)
    }

    /// The identity before the change.
    #[must_use]
    pub fn old_value(mut self, old: UserIdentity) -> Self {
        self.old = Some(old);
        self
    }
}
