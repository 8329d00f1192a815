//! Events: a constructor for each type, which takes what the service requires, and what all types share.

mod app_state;
mod commerce;
mod common;
mod crash;
mod custom;
mod network;
mod opt_out;
mod profile;
mod push;
mod screen;
mod session;

/// What integrations are told: on the three types on which the service allows it.
macro_rules! flags {
    ($type:ident) => {
        impl $crate::generated::types::$type {
            /// What you tell integrations of the event. Flags are not kept as attributes.
            #[must_use]
            pub fn flag(
                mut self,
                name: impl Into<String>,
                value: impl Into<$crate::generated::types::AttributeValue>,
            ) -> Self {
                self.custom_flags.insert(name.into(), value.into());
                self
            }
        }
    };
}

use flags;
