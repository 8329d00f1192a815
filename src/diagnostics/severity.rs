//! How serious a diagnostic is.

use serde::Serialize;

/// The severity of a [`Diagnostic`](super::Diagnostic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The service accepts it, and then truncates, drops or ignores it silently.
    Warning,
    /// It breaks the document.
    Error,
}

impl Severity {
    /// Returns the word for it: `error` or `warning`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
