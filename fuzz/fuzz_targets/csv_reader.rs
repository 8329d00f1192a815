//! Splits arbitrary bytes into the rows of a CSV file: no panic, bounded memory, and the same rows in chunks of any size.
//!
//! `cli/src/input/csv/tests/rows.rs` replays the corpus.
#![no_main]

#[path = "../../cli/src/input"]
#[allow(dead_code, reason = "the target reads rows alone")]
mod input {
    pub mod csv {
        #[path = "tests/any_rows.rs"]
        pub mod any_rows;
        pub mod first_line;
        pub mod rows;
    }
    pub mod decode;
    pub mod frame;
    pub mod frames;
    pub mod gzip;
    pub mod parse;
    pub mod position;
    pub mod read_buffer;
    pub mod recover;
    pub mod scan;
}

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| input::csv::any_rows::check(bytes));
