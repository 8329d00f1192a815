//! Findings about data, and the rules that need no schema.

mod batch;
mod finding;
pub(crate) mod rules;

pub use finding::{Finding, Rule};
