//! Constructors and setters, as inherent methods of the generated types: there is no second set of types.

mod application;
mod attribute;
mod batch;
mod commerce;
mod consent;
mod device;
mod event;
mod fields;
mod identity;
mod list;
mod location;
mod number;
mod session;
#[cfg(test)]
mod sizes;
mod text;

use fields::attributes_of;
pub use number::Number;
pub use session::{Session, SessionId};
pub use text::Text;

/// Converts a time to the milliseconds since the Unix epoch that are sent. Every time is converted here, so that no seconds can
/// slip in.
fn unixtime_ms(time: impl Into<chrono::DateTime<chrono::Utc>>) -> i64 {
    time.into().timestamp_millis()
}

/// Converts a duration to the milliseconds that are sent.
fn milliseconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
