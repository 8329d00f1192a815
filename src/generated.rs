//! The types, the endpoints and what the model builds on, as `build.rs` generates them from the OpenAPI document.
#![allow(dead_code, missing_docs, private_interfaces, clippy::all, clippy::pedantic, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/events.rs"));
