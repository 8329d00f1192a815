//! Files of batches, from opening to what is wrong with each: `source` → `frames` → `parse` → `examine`.
//!
//! One batch is in memory at a time, whatever the size of the file. Of CSV it is a window of rows.

mod batches;
mod csv;
mod examine;
mod frames;
mod parse;
mod place;
mod reading;
mod source;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use batches::Batches;
pub use csv::MapFile;
pub use examine::{Examined, Examiner, Located, severity};
pub use frames::{Frame, Frames};
pub use place::{Lines, Place, locate};
pub use reading::Reading;
pub use source::{Source, is_dash};

/// Opens a file, or stdin for `-`, and splits it into the texts of its batches.
pub fn open(path: &Path) -> io::Result<Frames<Source>> {
    Frames::new(Source::open(path)?)
}
