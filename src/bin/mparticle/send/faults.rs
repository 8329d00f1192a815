//! What is wrong with batches, told as it comes: the first few, and where all are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mparticle::Error;
use mparticle::diagnostics::Diagnostic;

use super::progress::Progress;
use crate::exit;
use crate::input::{Examined, Located, Place};
use crate::text::printable;

/// How many are told.
const TOLD: usize = 10;

/// Tells of the batches of one file.
pub struct Faults {
    name: String,
    progress: Arc<Progress>,
    told: AtomicUsize,
    /// Where all are.
    all: &'static str,
}

impl Faults {
    pub fn new(name: String, progress: Arc<Progress>, dry_run: bool) -> Self {
        let all = if dry_run { "`mparticle check` tells all" } else { "the rejects file has all" };
        Self { name, progress, told: AtomicUsize::new(0), all }
    }

    /// What was found wrong before it was sent.
    pub fn found(&self, examined: &Examined) {
        self.tell(|| line(&self.name, &examined.faults));
    }

    /// What the service refused, in its words.
    pub fn refused(&self, start: Place, error: &Error) {
        self.tell(|| printable(&format!("{}:{start}  the service refused it: {}", self.name, exit::said(error))));
    }

    fn tell(&self, words: impl FnOnce() -> String) {
        match self.told.fetch_add(1, Ordering::Relaxed) {
            count if count < TOLD => self.progress.say(&words()),
            TOLD => self.progress.say(&format!("there are more; {}", self.all)),
            _ => {}
        }
    }
}

/// The first fault of a batch, as editors and people read it.
pub fn line(name: &str, faults: &[Located]) -> String {
    let mut faults = faults.iter().filter(|fault| fault.is_error());
    let Some(Located { diagnostic, place, .. }) = faults.next() else { return String::new() };
    let more = match faults.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let Diagnostic { pointer, message, .. } = diagnostic;
    let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}  ") };
    printable(&format!("{name}:{place}  {pointer}{message}{more}"))
}
