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
/// A field that is taken as `String`, a number or a component is set as `Some(value.into())`.
macro_rules! setters {
    ($type:ident { $($(#[$words:meta])* $field:ident: $taken:ty),* $(,)? }) => {
        impl $crate::types::$type {
            $(
                $(#[$words])*
                #[must_use]
                pub fn $field(mut self, $field: impl Into<$taken>) -> Self {
                    self.$field = Some($field.into());
                    self
                }
            )*
        }
    };
}

use setters;

/// A time as the wire says it, in milliseconds since the Unix epoch. Whoever writes a time goes through here, so that no
/// seconds can slip in.
fn unixtime_ms(time: chrono::DateTime<chrono::Utc>) -> i64 {
    time.timestamp_millis()
}

/// A span as the wire says it, in milliseconds.
fn milliseconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
