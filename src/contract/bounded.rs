//! A list of diagnostics with a maximum length.

use serde_json::Value;

use crate::diagnostics::{Code, Diagnostic, EventPlace, Severity};

/// The maximum number of diagnostics listed for one body. One more then says how many were left out.
pub const MAX_DIAGNOSTICS: usize = 1000;

/// The diagnostics of a body, bounded: a small body can be wrong in a hundred thousand places.
#[derive(Default)]
pub(super) struct BoundedDiagnostics {
    listed: Vec<Diagnostic>,
    omitted: usize,
}

impl BoundedDiagnostics {
    /// Adds what was found in a batch at this place of the body.
    pub(super) fn extend(&mut self, at: &str, batch: Option<&Value>, found: impl IntoIterator<Item = Diagnostic>) {
        for mut diagnostic in found {
            if self.listed.len() == MAX_DIAGNOSTICS {
                self.omitted += 1;
                continue;
            }
            diagnostic.event = batch.and_then(|batch| event_place(batch, &diagnostic.pointer));
            diagnostic.pointer.insert_str(0, at);
            self.listed.push(diagnostic);
        }
    }

    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        if self.omitted > 0 {
            let message = format!("{} more violations are not listed", self.omitted);
            let severity = self.listed.iter().map(|listed| listed.severity).max().unwrap_or(Severity::Warning);
            self.listed.push(Diagnostic { severity, ..Diagnostic::new(Code::More, "", message) });
        }
        self.listed
    }
}

/// The event of a batch that a pointer leads into.
fn event_place(batch: &Value, pointer: &str) -> Option<EventPlace> {
    let index = pointer.strip_prefix("/events/")?.split('/').next()?.parse().ok()?;
    let event_type = batch["events"][index]["event_type"].as_str();
    let event_type = event_type.map(|name| name.chars().take(60).collect());
    Some(EventPlace { index, event_type })
}
