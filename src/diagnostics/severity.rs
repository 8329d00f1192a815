//! The severity of diagnostics.

use serde::Serialize;

/// The severity of a [`Diagnostic`](super::Diagnostic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The service accepts the data, and then silently truncates, drops or ignores it.
    Warning,
    /// The data violates the API's document.
    Error,
}

impl Severity {
    /// Returns `error` or `warning`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
