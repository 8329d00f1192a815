//! Tests of CSV files and maps.

#![allow(clippy::format_collect, reason = "clearer for test data")]

mod batches;
mod maps;
mod rows;
