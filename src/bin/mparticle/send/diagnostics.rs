//! What is wrong with batches, told as it comes: the first few, and where all are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mparticle::Error;
use mparticle::diagnostics::Diagnostic;

use super::progress::Progress;
use crate::exit;
use crate::input::{CheckedText, FilePosition, LocatedDiagnostic};
use crate::text::printable;

/// How many are told.
const MAX_PRINTED: usize = 10;

/// Tells of the batches of one file.
pub struct DiagnosticPrinter {
    name: String,
    progress: Arc<Progress>,
    receiver: AtomicUsize,
    /// Where all are.
    all: &'static str,
}

impl DiagnosticPrinter {
    pub fn new(name: String, progress: Arc<Progress>, dry_run: bool) -> Self {
        let all = if dry_run { "`mparticle check` tells all" } else { "the rejects file has all" };
        Self { name, progress, receiver: AtomicUsize::new(0), all }
    }

    /// What was found wrong before it was sent.
    pub fn found(&self, checked: &CheckedText) {
        self.eprint_line(|| line(&self.name, &checked.diagnostics));
    }

    /// What the service refused, in its words.
    pub fn refused(&self, start: FilePosition, error: &Error) {
        self.eprint_line(|| {
            printable(&format!("{}:{start}  the service refused it: {}", self.name, exit::service_message(error)))
        });
    }

    fn eprint_line(&self, message: impl FnOnce() -> String) {
        match self.receiver.fetch_add(1, Ordering::Relaxed) {
            count if count < MAX_PRINTED => self.progress.print(&message()),
            MAX_PRINTED => self.progress.print(&format!("there are more; {}", self.all)),
            _ => {}
        }
    }
}

/// The first fault of a batch, as editors and people read it.
pub fn line(name: &str, diagnostics: &[LocatedDiagnostic]) -> String {
    let mut diagnostics = diagnostics.iter().filter(|fault| fault.is_error());
    let Some(LocatedDiagnostic { diagnostic, position, .. }) = diagnostics.next() else { return String::new() };
    let more = match diagnostics.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let Diagnostic { pointer, message, .. } = diagnostic;
    let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}  ") };
    printable(&format!("{name}:{position}  {pointer}{message}{more}"))
}
