//! How much there can be to say of a body, known before anything is said.
//!
//! Whatever is wrong is told with its place, and a place has all the names above it. So a small body can be wrong in
//! gigabytes: one long name over a long list is enough.

use serde_json::Value;

/// More than this is not looked at. It is several times what the largest batch of a sane shape comes to.
const MAX_COST: usize = 16 << 20;

/// What one place costs besides its pointer.
const VALUE_COST: usize = 128;

/// The message for a value that is not looked at.
pub(super) const TOO_COMPLEX: &str = "too much to look at: very many values, or long names over many values";

/// Whether everything in a value could be wrong and still be told.
pub(super) fn is_bounded(value: &Value) -> bool {
    spend(value, 0, MAX_COST).is_some()
}

/// What is left of a budget, if it suffices.
fn spend(value: &Value, pointer: usize, budget: usize) -> Option<usize> {
    /// An index, or a slash.
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
