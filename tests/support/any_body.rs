//! The properties of the contract for arbitrary bodies, shared by the fuzz target and the replay of its corpus.

use mparticle::contract;
use mparticle::diagnostics::{Code, Severity};
use serde_json::Value;

/// Checks that the list of diagnostics is bounded, and that the pointer of each error exists.
pub fn check(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    let now = "1970-01-01T00:00:00Z".parse().expect("a time");
    for violations in [contract::check_batch(&body), contract::check_historical(&body, now)] {
        assert!(violations.len() <= contract::MAX_DIAGNOSTICS + 1);
        for violation in violations.iter().filter(|violation| violation.severity == Severity::Error) {
            let exists = violation.code == Code::Omitted || body.pointer(&violation.pointer).is_some();
            assert!(exists, "{violation}");
        }
    }
}
