//! Who a user is: identities by name and by type, on a batch and on their own.

use chrono::{DateTime, Utc};

use super::unixtime_ms;
use crate::generated::types::{Batch, IdentityType, UserIdentities, UserIdentity};

/// Each kind of identity: the setter, which is the field, the variant of `IdentityType`, and its words.
macro_rules! identities {
    ($($(#[$words:meta])* $field:ident = $variant:ident,)*) => {
        impl Batch {
            $(
                $(#[$words])*
                #[must_use]
                pub fn $field(self, identity: impl Into<String>) -> Self {
                    self.identity(IdentityType::$variant, identity)
                }
            )*
        }

        impl UserIdentities {
            /// Sets the identity of this type.
            #[must_use]
            pub fn with(mut self, identity_type: IdentityType, identity: impl Into<String>) -> Self {
                *match identity_type {
                    $(IdentityType::$variant => &mut self.$field,)*
                } = Some(identity.into());
                self
            }
        }
    };
}

identities! {
    /// Your own id of the user.
    customer_id = CustomerId,
    /// The e-mail address of the user.
    email = Email,
    /// An identity of your own kind.
    other = Other,
    /// A second identity of your own kind.
    other_id_2 = OtherId2,
    /// A third identity of your own kind.
    other_id_3 = OtherId3,
    /// A fourth identity of your own kind.
    other_id_4 = OtherId4,
    /// A fifth identity of your own kind.
    other_id_5 = OtherId5,
    /// A sixth identity of your own kind.
    other_id_6 = OtherId6,
    /// A seventh identity of your own kind.
    other_id_7 = OtherId7,
    /// An eighth identity of your own kind.
    other_id_8 = OtherId8,
    /// A ninth identity of your own kind.
    other_id_9 = OtherId9,
    /// A tenth identity of your own kind.
    other_id_10 = OtherId10,
    /// The Facebook id of the user.
    facebook = Facebook,
    /// The Twitter id of the user.
    twitter = Twitter,
    /// The Google id of the user.
    google = Google,
    /// The Microsoft id of the user.
    microsoft = Microsoft,
    /// The Yahoo id of the user.
    yahoo = Yahoo,
    /// Another name of the user.
    alias = Alias,
    /// The app-scoped id for Facebook custom audiences.
    facebook_custom_audience_id = FacebookCustomAudienceId,
    /// The mobile number of the user.
    mobile_number = MobileNumber,
    /// A second phone number of the user.
    phone_number_2 = PhoneNumber2,
    /// A third phone number of the user.
    phone_number_3 = PhoneNumber3,
}

impl Batch {
    /// Who the user is, by a type of identity that is known only at run time. Each type also has a setter of its own.
    #[must_use]
    pub fn identity(mut self, identity_type: IdentityType, identity: impl Into<String>) -> Self {
        let identities = self.user_identities.take().unwrap_or_default();
        self.user_identities = Some(identities.with(identity_type, identity));
        self
    }
}

impl UserIdentity {
    /// An identity as it was set at this time.
    #[must_use]
    pub fn new(identity_type: IdentityType, identity: impl Into<String>, at: DateTime<Utc>) -> Self {
        Self {
            identity_type,
            identity: identity.into(),
            timestamp_unixtime_ms: unixtime_ms(at),
            created_this_batch: None,
        }
    }

    /// Whether it first came with this batch.
    #[must_use]
    pub fn created_this_batch(mut self, created_this_batch: bool) -> Self {
        self.created_this_batch = Some(created_this_batch);
        self
    }
}
