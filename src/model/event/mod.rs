//! Events: a constructor for each type, and what all types share.

mod common;
mod custom;
