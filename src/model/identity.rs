//! User identities, by name and by type.

use chrono::{DateTime, Utc};

use super::{Text, unixtime_ms};
use crate::generated::types::{Batch, IdentityType, UserIdentities, UserIdentity};

impl UserIdentities {
    /// Sets the identity of this type.
    #[must_use]
    pub fn with(mut self, identity_type: IdentityType, identity: impl Into<Text>) -> Self {
        *self.get_mut(identity_type) = Some(identity.into().into());
        self
    }
}

impl Batch {
    /// Sets the identity of a type that is known only at run time. Each type also has a setter of its own.
    #[must_use]
    pub fn identity(mut self, identity_type: IdentityType, identity: impl Into<Text>) -> Self {
        *self.user_identities.get_or_insert_default().get_mut(identity_type) = Some(identity.into().into());
        self
    }
}

impl UserIdentity {
    /// Creates an identity that was set at this time.
    #[must_use]
    pub fn new(identity_type: IdentityType, identity: impl Into<Text>, at: impl Into<DateTime<Utc>>) -> Self {
        Self::with_required(identity_type, identity.into(), unixtime_ms(at))
    }
}
