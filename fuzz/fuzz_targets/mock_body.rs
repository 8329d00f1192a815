//! Checks arbitrary bodies against the contract: no panic, a bounded list, and an existing pointer for each error.
#![no_main]

#[path = "../../tests/support/any_body.rs"]
mod any_body;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_body::check(bytes));
