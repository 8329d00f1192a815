//! Constructors and setters on the generated types. There is no second set of types: what is made here goes anywhere.

mod application;
mod attribute;
mod batch;
mod commerce;
mod consent;
mod device;
mod event;
mod identity;
mod location;
mod session;

pub use session::{Session, SessionId};

/// Setters that consume and return `self`, each named after its field: `Type { /// Words. field: Taken, ... }`.
///
/// Text is taken as whatever becomes a `String`. A number is taken as the type that it has: a literal of 64 bits would not
/// find it through `Into`.
macro_rules! setters {
    ($type:ident { $($(#[$words:meta])* $field:ident: $taken:ident),* $(,)? }) => {
        impl $crate::generated::types::$type {
            $(
                $(#[$words])*
                #[must_use]
                pub fn $field(mut self, $field: $crate::model::taken!($taken)) -> Self {
                    self.$field = Some($field.into());
                    self
                }
            )*
        }
    };
}

/// How a setter takes a value of this type.
macro_rules! taken {
    (String) => { impl Into<String> };
    ($type:ident) => { $type };
}

use {setters, taken};

/// A time as the wire says it, in milliseconds since the Unix epoch. Whoever writes a time goes through here, so that no
/// seconds can slip in.
fn unixtime_ms(time: chrono::DateTime<chrono::Utc>) -> i64 {
    time.timestamp_millis()
}

/// A span as the wire says it, in milliseconds.
fn milliseconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
