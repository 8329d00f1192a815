//! The interface of a form of output.

use std::io;
use std::path::Path;

use super::summary::Summary;
use crate::input::{CheckedText, FilePosition, LocatedDiagnostic};

/// Writes faults to stdout as they come, and keeps none of them.
pub trait Reporter {
    fn fault(&mut self, path: &Path, checked: &CheckedText, fault: &LocatedDiagnostic) -> io::Result<()>;

    /// A file, or the rest of it from this place, could not be read. It has been told on stderr.
    fn unreadable(&mut self, path: &Path, position: Option<FilePosition>, message: &str) -> io::Result<()>;

    fn end(&mut self, summary: &Summary) -> io::Result<()>;
}
