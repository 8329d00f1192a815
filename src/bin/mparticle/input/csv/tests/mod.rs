//! CSV as it comes, maps as people write them, and what becomes of both.

mod batches;
mod maps;
mod rows;
