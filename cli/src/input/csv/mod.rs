//! CSV as batches: `rows` → `convert` (with a `map`) or `paths` → `validate` → `window`.
//!
//! Each row is checked on its own, as a batch of one event, so that an invalid row does not affect the others, and batches of
//! valid rows are valid. The rows of one transaction are checked together.

mod cells;
mod convert;
mod event_map;
mod first_line;
mod map;
mod map_file;
mod paths;
mod propose;
mod reader;
mod row_map;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod times;
mod toml;
mod transactions;
mod window;

pub use map_file::{CsvFormat, MapFile};
pub use propose::propose_map;
pub use reader::CsvBatchReader;
