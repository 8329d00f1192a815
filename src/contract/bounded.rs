//! A list of diagnostics with a maximum length.

use serde_json::Value;

use crate::diagnostics::{Code, Diagnostic, EventLocation, Severity};

/// The maximum number of diagnostics for one body. If there are more, an additional one reports the number of the omitted ones.
pub const MAX_DIAGNOSTICS: usize = 1000;

/// A bounded list of diagnostics: a small body can have a hundred thousand errors.
#[derive(Default)]
pub(super) struct BoundedDiagnostics {
    listed: Vec<Diagnostic>,
    omitted: usize,
}

impl BoundedDiagnostics {
    /// Adds the diagnostics of a batch at the pointer `at` of the body.
    pub(super) fn extend(&mut self, at: &str, batch: Option<&Value>, found: impl IntoIterator<Item = Diagnostic>) {
        for mut diagnostic in found {
            if self.listed.len() == MAX_DIAGNOSTICS {
                self.omitted += 1;
                continue;
            }
            diagnostic.event = batch.and_then(|batch| event_location(batch, &diagnostic.pointer));
            diagnostic.pointer.insert_str(0, at);
            self.listed.push(diagnostic);
        }
    }

    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        if self.omitted > 0 {
            let message = format!("{} more violations are not listed", self.omitted);
            let severity = self.listed.iter().map(|listed| listed.severity).max().unwrap_or(Severity::Warning);
            self.listed.push(Diagnostic { severity, ..Diagnostic::new(Code::Omitted, "", message) });
        }
        self.listed
    }
}

/// Returns the event of a batch that contains the value at a pointer.
fn event_location(batch: &Value, pointer: &str) -> Option<EventLocation> {
    let index = pointer.strip_prefix("/events/")?.split('/').next()?.parse().ok()?;
    let event_type = batch["events"][index]["event_type"].as_str();
    let event_type = event_type.map(|name| name.chars().take(60).collect());
    Some(EventLocation { index, event_type })
}
