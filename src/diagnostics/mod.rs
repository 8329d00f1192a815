//! What is wrong with data: one [`Diagnostic`] for every finding, and the rules that need no schema.
//!
//! [`Batch::check`](crate::Batch::check) reports what the service accepts and then truncates, drops or ignores. With the
//! feature `mock`, `mparticle::contract` holds JSON to the API's document as well.

mod batch;
mod code;
mod diagnostic;
pub(crate) mod rules;
mod severity;

pub use code::Code;
pub use diagnostic::{Diagnostic, EventPlace, Fix};
pub use severity::Severity;
