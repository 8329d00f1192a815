//! What holds of any bytes as a body: the fuzz target looks for some of which it does not, and its corpus is replayed.

use mparticle::contract;
use mparticle::diagnostics::{Code, Severity};
use serde_json::Value;

/// The list is bounded, and each error is at a place that is there.
pub fn check(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    let now = "1970-01-01T00:00:00Z".parse().expect("a time");
    for violations in [contract::check_batch(&body), contract::check_historical(&body, now)] {
        assert!(violations.len() <= contract::MAX_DIAGNOSTICS + 1);
        for violation in violations.iter().filter(|violation| violation.severity == Severity::Error) {
            let there = violation.code == Code::Omitted || body.pointer(&violation.pointer).is_some();
            assert!(there, "{violation}");
        }
    }
}
