//! Reads and checks files of batches: `source` → `decode` → `frames` (`scan`, `parse`) → `validate`.
//!
//! Only one batch is in memory at a time, or one window of rows for CSV.

mod batch_reader;
mod csv;
mod decode;
mod export_form;
mod fix;
mod frame;
mod frames;
mod gzip;
mod input_batch;
#[cfg(test)]
mod invariants;
mod open;
mod parse;
mod position;
mod prefix_hash;
mod read_buffer;
mod recover;
mod rejected;
mod scan;
mod seen;
mod source;
#[cfg(test)]
mod tests;
mod validate;

pub use batch_reader::BatchReader;
pub use csv::{CsvBatchReader, MapFile, propose_map};
#[cfg(test)]
pub use fix::FixedBatch;
pub use fix::{fix_batch, fix_export};
pub use frames::Frame;
#[cfg(test)]
pub use frames::FrameReader;
pub use input_batch::InputBatch;
pub use open::{OpenInput, open_source};
pub use position::{FilePosition, LineIndex, ReadPosition};
pub use rejected::unwrap_reject;
pub use seen::{MAX_IDS, SeenBatches};
pub use source::{Source, is_dash, is_regular_file};
pub use validate::{CheckedText, LocatedDiagnostic, Validator, severity};
