//! Events: a constructor for each type that takes what the service requires, and the setters of all types.

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

/// The setter of flags, for the three types on which the service allows them.
macro_rules! flags {
    ($type:ident) => {
        impl $crate::generated::types::$type {
            /// Sets a flag for integrations. Flags are not kept as attributes.
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
