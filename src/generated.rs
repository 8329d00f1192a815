//! The types and endpoints that `build.rs` made of `openapi/events.yaml`. Nothing in here is written by hand.
#![allow(missing_docs, private_interfaces, clippy::all, clippy::pedantic, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/events.rs"));
