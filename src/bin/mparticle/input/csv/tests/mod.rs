//! Tests of CSV files and maps.

#![allow(clippy::format_collect, reason = "rows are written one after the other")]

mod batches;
mod maps;
mod rows;
