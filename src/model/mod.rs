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

/// A time as the wire says it, in milliseconds since the Unix epoch. Whoever writes a time goes through here, so that no
/// seconds can slip in.
fn unixtime_ms(time: chrono::DateTime<chrono::Utc>) -> i64 {
    time.timestamp_millis()
}

/// A span as the wire says it, in milliseconds.
fn milliseconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
