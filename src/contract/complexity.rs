//! Bounds the size of a report before a body is validated.
//!
//! Each diagnostic contains its JSON pointer, and so all names above its value. One long name above a long list would let a small
//! body produce gigabytes of messages.

use serde_json::Value;

/// The maximum cost of a value, in bytes. It is several times the cost of the largest realistic batch.
const MAX_COST: u64 = 16 << 20;

/// The cost of each value in addition to its pointer.
const VALUE_COST: u64 = 128;

/// The message for a value that is too complex to check.
pub(super) const TOO_COMPLEX: &str = "too complex to check: too many values, or long names above many values";

/// Returns whether a report of errors in all parts of a value would stay within the bound.
pub(super) fn is_bounded(value: &Value) -> bool {
    cost(value, 0) <= MAX_COST
}

/// Returns the cost of a value with a pointer of this size. The sizes of a body in memory cannot make it overflow.
fn cost(value: &Value, pointer: u64) -> u64 {
    /// The size of an index, or of a slash.
    const STEP_BYTES: u64 = 4;
    let parts: u64 = match value {
        Value::Array(items) => items.iter().map(|item| cost(item, pointer + STEP_BYTES)).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| cost(value, pointer + name.len() as u64 + STEP_BYTES)).sum()
        }
        _ => 0,
    };
    pointer + VALUE_COST + parts
}
