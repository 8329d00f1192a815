//! Reads and checks files of batches: `source` → `frames` → `parse` → `validate`.
//!
//! Only one batch is in memory at a time, or one window of rows for CSV.

mod batch_reader;
mod csv;
mod frames;
mod input_batch;
mod parse;
mod position;
mod prefix_hash;
mod rejected;
mod seen;
mod source;
#[cfg(test)]
mod tests;
mod validate;

use std::io;
use std::path::Path;

pub use batch_reader::BatchReader;
pub use csv::MapFile;
pub use frames::{Frame, FrameReader};
pub use input_batch::InputBatch;
pub use position::{FilePosition, LineIndex, locate};
pub use rejected::unwrap_reject;
pub use seen::{MAX_IDS, SeenBatches};
pub use source::{Source, is_dash};
pub use validate::{CheckedText, LocatedDiagnostic, Validator, severity};

/// Opens a file, or stdin for `-`, and splits it into the texts of its batches.
pub fn open(path: &Path) -> io::Result<FrameReader<Source>> {
    FrameReader::new(Source::open(path)?)
}
