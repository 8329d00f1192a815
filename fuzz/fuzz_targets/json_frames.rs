//! Splits arbitrary bytes into JSON values: no panic, bounded memory, and no byte that is neither in a frame nor a separator.
//!
//! The unit tests of `mparticle-cli` replay the corpus.
#![no_main]
#![allow(dead_code)]

#[path = "../../cli/src/input/decode.rs"]
mod decode;
#[path = "../../cli/src/input/frame.rs"]
mod frame;
#[path = "../../cli/src/input/frames.rs"]
mod frames;
#[path = "../../cli/src/input/gzip.rs"]
mod gzip;
#[path = "../../cli/src/input/invariants.rs"]
mod invariants;
#[path = "../../cli/src/input/parse.rs"]
mod parse;
#[path = "../../cli/src/input/position.rs"]
mod position;
#[path = "../../cli/src/input/read_buffer.rs"]
mod read_buffer;
#[path = "../../cli/src/input/recover.rs"]
mod recover;
#[path = "../../cli/src/input/scan.rs"]
mod scan;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| invariants::check(bytes));
