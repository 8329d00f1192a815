//! The interface of the output formats.

use std::io;
use std::path::Path;

use super::summary::Summary;
use crate::input::{CheckedText, FilePosition, LocatedDiagnostic};

/// Writes diagnostics to stdout one by one, without storing them.
pub trait Reporter {
    fn diagnostic(&mut self, path: &Path, checked: &CheckedText, diagnostic: &LocatedDiagnostic) -> io::Result<()>;

    /// Reports a file that could not be read, or not beyond this position. The message is on stderr already.
    fn unreadable(&mut self, path: &Path, position: Option<FilePosition>, message: &str) -> io::Result<()>;

    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
}
