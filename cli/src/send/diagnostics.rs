//! Prints the first diagnostics of a file to stderr.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mparticle::Error;
use mparticle::diagnostics::Diagnostic;

use super::progress::Progress;
use crate::exit;
use crate::input::{CheckedText, FilePosition, LocatedDiagnostic};
use crate::text::printable;

/// The maximum number of batches whose diagnostics are printed.
const MAX_PRINTED: usize = 10;

/// Prints the first diagnostics of one file, and then a hint to the complete list.
pub struct DiagnosticPrinter {
    name: String,
    progress: Arc<Progress>,
    printed: AtomicUsize,
    /// A hint to the complete list.
    hint: &'static str,
}

impl DiagnosticPrinter {
    pub fn new(name: String, progress: Arc<Progress>, dry_run: bool) -> Self {
        let hint = if dry_run { "`mparticle check` lists all of them" } else { "the rejects file lists all of them" };
        Self { name, progress, printed: AtomicUsize::new(0), hint }
    }

    /// Prints the first error of an invalid batch.
    pub fn print_invalid(&self, checked: &CheckedText) {
        self.print(|| format_first_error(&self.name, &checked.diagnostics));
    }

    /// Prints the response of the service to a refused batch.
    pub fn print_refused(&self, start: FilePosition, error: &Error) {
        self.print(|| {
            printable(&format!("{}:{start}  refused by the service: {}", self.name, exit::service_message(error)))
        });
    }

    fn print(&self, message: impl FnOnce() -> String) {
        match self.printed.fetch_add(1, Ordering::Relaxed) {
            count if count < MAX_PRINTED => self.progress.print(&message()),
            MAX_PRINTED => self.progress.print(&format!("more problems, not listed; {}", self.hint)),
            _ => {}
        }
    }
}

/// Formats the first error of a batch, with its position in the form that editors recognize.
pub fn format_first_error(name: &str, diagnostics: &[LocatedDiagnostic]) -> String {
    let mut diagnostics = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    let Some(LocatedDiagnostic { diagnostic, position, .. }) = diagnostics.next() else { return String::new() };
    let more = match diagnostics.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let Diagnostic { pointer, message, .. } = diagnostic;
    let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}  ") };
    printable(&format!("{name}:{position}  {pointer}{message}{more}"))
}
