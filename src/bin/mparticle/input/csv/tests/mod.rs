//! CSV as it comes, maps as people write them, and what becomes of both.

#![allow(clippy::format_collect, reason = "rows are written one after the other")]

mod batches;
mod maps;
mod rows;
