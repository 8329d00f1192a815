//! Diagnostics of data: the type [`Diagnostic`], and the rules that need no schema.
//!
//! [`Batch::check`](crate::Batch::check) reports data that the service accepts and then truncates, drops or ignores. With the
//! feature `mock`, `mparticle::contract` also validates JSON against the API's document.

mod batch;
mod code;
mod diagnostic;
pub(crate) mod identities;
pub(crate) mod known_fields;
pub(crate) mod rules;
mod severity;
pub(crate) mod walk;

pub use code::Code;
pub use diagnostic::{Diagnostic, EventLocation, Fix};
pub use severity::Severity;
