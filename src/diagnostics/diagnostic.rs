//! The diagnostic that all checks of this crate report.

use std::fmt;

use serde::Serialize;

use super::code::Code;
use super::severity::Severity;

/// An error in data, or a warning about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The kind of the diagnostic.
    pub code: Code,
    /// The severity of the diagnostic.
    pub severity: Severity,
    /// The JSON pointer (RFC 6901) into the batch or the request body. Empty for the batch or the body itself.
    pub pointer: String,
    /// The human-readable message. It can quote up to 60 characters of the data.
    pub message: String,
    /// The event that contains the data, if any.
    pub event: Option<EventLocation>,
    /// The expected value, type or limit, if the message contains one.
    pub expected: Option<String>,
    /// The value, type or size that was found instead, if the message contains it.
    pub actual: Option<String>,
    /// The name that was probably meant, if one is similar enough.
    pub suggestion: Option<String>,
    /// The unambiguous fix, if there is one.
    pub fix: Option<Fix>,
}

/// The event of a batch that a [`Diagnostic`] concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventLocation {
    /// The index of the event in the batch, from 0.
    pub index: usize,
    /// The `event_type`, if it is text, truncated to 60 characters.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// An unambiguous edit that fixes the problem of a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fix {
    /// Rename the field to this name: the present name has a typing error, or other separators or capitalisation.
    Rename(String),
    /// Quote the number or the boolean: any text is allowed.
    Quote,
    /// Multiply by 1000: the time is in seconds.
    Milliseconds,
    /// Remove the null.
    Remove,
    /// Replace the value by this JSON: the same value in the type or the spelling that the document requires.
    Replace(String),
}

impl Diagnostic {
    /// Creates a diagnostic with the default severity of its code, a pointer and a message.
    #[must_use]
    pub fn new(code: Code, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            pointer: pointer.into(),
            message: message.into(),
            event: None,
            expected: None,
            actual: None,
            suggestion: None,
            fix: None,
        }
    }

    /// Creates a diagnostic with the message `expected {expected}, found {actual}`.
    #[must_use]
    pub fn mismatch(
        code: Code,
        pointer: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        let (expected, actual) = (expected.into(), actual.into());
        let message = format!("expected {expected}, found {actual}");
        Self { expected: Some(expected), actual: Some(actual), ..Self::new(code, pointer, message) }
    }
}

/// Formats the diagnostic as `/events/0/data/event_name: expected text, found 5 (event 0, custom_event)`, with `(batch)` for the
/// empty pointer.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(batch)" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)?;
        match &self.event {
            None => Ok(()),
            Some(EventLocation { index, event_type: None }) => write!(f, " (event {index})"),
            Some(EventLocation { index, event_type: Some(event_type) }) => write!(f, " (event {index}, {event_type})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn serializes_as_json() {
        let whole = Diagnostic::new(Code::NoIdentity, "", "no identity");
        assert_eq!(whole.to_string(), "(batch): no identity");
        let unset = json!({
            "code": "no-identity", "severity": "warning", "pointer": "", "message": "no identity", "event": null,
            "expected": null, "actual": null, "suggestion": null, "fix": null,
        });
        assert_eq!(serde_json::to_value(&whole).expect("JSON"), unset);

        let mut field = Diagnostic::mismatch(Code::UnknownField, "/events/0/data/x", "a", "b");
        field.event = Some(EventLocation { index: 0, event_type: Some("opt_out".into()) });
        field.suggestion = Some("y".into());
        field.fix = Some(Fix::Rename("y".into()));
        assert_eq!(field.to_string(), "/events/0/data/x: expected a, found b (event 0, opt_out)");
        let set = json!({
            "code": "unknown-field", "severity": "error", "pointer": "/events/0/data/x", "message": "expected a, found b",
            "event": { "index": 0, "type": "opt_out" }, "expected": "a", "actual": "b", "suggestion": "y",
            "fix": { "rename": "y" },
        });
        assert_eq!(serde_json::to_value(&field).expect("JSON"), set);
    }
}
