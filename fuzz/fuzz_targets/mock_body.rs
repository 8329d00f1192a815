//! Any body, held against the contract: no panic, a bounded list, and each error at a place that is there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mparticle::contract::{self, Problem, Severity};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    for violations in [contract::check_batch(&body), contract::check_historical(&body, Default::default())] {
        assert!(violations.len() <= contract::MAX_VIOLATIONS + 1);
        for violation in violations.iter().filter(|violation| violation.severity == Severity::Error) {
            let there = violation.problem == Problem::More || body.pointer(&violation.pointer).is_some();
            assert!(there, "{violation}");
        }
    }
});
