//! The background road: what takes batches off the hands of a program and delivers them.

pub mod spool;
