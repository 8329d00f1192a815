//! Tests of CSV files and maps.

#![allow(clippy::format_collect, reason = "clearer for test data")]

mod any_rows;
mod batches;
mod cases;
mod cells;
mod maps;
mod propose;
mod rows;
mod transactions;
