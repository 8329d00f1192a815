//! Bounds the size of a report before a body is validated.
//!
//! Each diagnostic contains its JSON pointer, and so all names above its value. One long name above a long list would let a small
//! body produce gigabytes of messages.

use serde_json::Value;

/// The maximum cost of a value, in bytes. It is several times the cost of the largest realistic batch.
const MAX_COST: usize = 16 << 20;

/// The cost of each value in addition to its pointer.
const VALUE_COST: usize = 128;

/// The message for a value that is too complex to check.
pub(super) const TOO_COMPLEX: &str = "too complex to check: too many values, or long names above many values";

/// Returns whether a report of errors in all parts of a value would stay within the bound.
pub(super) fn is_bounded(value: &Value) -> bool {
    spend(value, 0, MAX_COST).is_some()
}

/// Returns the rest of the budget, or `None` if it does not suffice.
fn spend(value: &Value, pointer: usize, budget: usize) -> Option<usize> {
    /// The size of an index, or of a slash.
    const STEP_BYTES: usize = 4;
    let budget = budget.checked_sub(pointer + VALUE_COST)?;
    match value {
        Value::Array(items) => items.iter().try_fold(budget, |budget, item| spend(item, pointer + STEP_BYTES, budget)),
        Value::Object(members) => {
            let mut members = members.iter();
            members.try_fold(budget, |budget, (name, value)| spend(value, pointer + name.len() + STEP_BYTES, budget))
        }
        _ => Some(budget),
    }
}
