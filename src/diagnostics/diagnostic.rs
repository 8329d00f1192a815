//! One diagnostic, as every check of this crate reports it.

use std::fmt;

use serde::Serialize;

use super::code::Code;
use super::severity::Severity;

/// Something that is wrong with data, or that its sender would want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The kind of the diagnostic.
    pub code: Code,
    /// Whether the data breaks the API's document, or is accepted by the service and not treated as hoped.
    pub severity: Severity,
    /// The place, as a JSON pointer (RFC 6901) into the batch or the request body. Empty for the whole of it.
    pub pointer: String,
    /// A message for a person. It can quote up to 60 characters of the data.
    pub message: String,
    /// The event that it belongs to, if it belongs to one.
    pub event: Option<EventPlace>,
    /// The expected value, type or limit, if the message names one.
    pub expected: Option<String>,
    /// The value, type or size that was found instead, if the message names it.
    pub actual: Option<String>,
    /// The name that was probably meant, if one is similar enough.
    pub suggestion: Option<String>,
    /// An edit that fixes it, if there is one that needs no guessing.
    pub fix: Option<Fix>,
}

/// The event of a batch that a [`Diagnostic`] belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventPlace {
    /// Its index within the batch, from 0.
    pub index: usize,
    /// Its `event_type`, if it has one that is text, shortened to 60 characters.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// An edit that fixes what a [`Diagnostic`] is about, without guessing at what its sender meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fix {
    /// Rename the field to this: its name has a typing error, or separates or capitalises its words differently.
    Rename(String),
    /// Put the number, true or false into quotes: any text is allowed there.
    Quote,
    /// Multiply by 1000: the time is in seconds.
    Milliseconds,
    /// Remove the null.
    Remove,
}

impl Diagnostic {
    /// Creates a diagnostic with the severity of its code, and nothing but its place and its message.
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

/// `/events/0/data/event_name: expected text, found 5 (event 0, custom_event)`. The place of a whole batch is `(batch)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(batch)" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)?;
        match &self.event {
            None => Ok(()),
            Some(EventPlace { index, event_type: None }) => write!(f, " (event {index})"),
            Some(EventPlace { index, event_type: Some(event_type) }) => write!(f, " (event {index}, {event_type})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diagnostic_has_a_json_form() {
        let whole = Diagnostic::new(Code::NoIdentity, "", "no identity");
        assert_eq!(whole.to_string(), "(batch): no identity");
        let unset = json!({
            "code": "no-identity", "severity": "warning", "pointer": "", "message": "no identity", "event": null,
            "expected": null, "actual": null, "suggestion": null, "fix": null,
        });
        assert_eq!(serde_json::to_value(&whole).expect("JSON"), unset);

        let mut field = Diagnostic::mismatch(Code::UnknownField, "/events/0/data/x", "a", "b");
        field.event = Some(EventPlace { index: 0, event_type: Some("opt_out".into()) });
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
