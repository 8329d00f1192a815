//! The interface of a form of output.

use std::io;
use std::path::Path;

use super::summary::Summary;
use crate::input::{Examined, Located, Place};

/// Writes faults to stdout as they come, and keeps none of them.
pub trait Report {
    fn fault(&mut self, path: &Path, examined: &Examined, fault: &Located) -> io::Result<()>;

    /// A file, or the rest of it from this place, could not be read. It has been told on stderr.
    fn unread(&mut self, path: &Path, place: Option<Place>, words: &str) -> io::Result<()>;

    fn end(&mut self, summary: &Summary) -> io::Result<()>;
}
