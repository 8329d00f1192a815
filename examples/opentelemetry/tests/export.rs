//! The exported spans, metrics and log lines of five scenarios. `UPDATE_GOLDEN=1` writes the expected texts.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The credentials and the user's data of each scenario.
const PRIVATE: [&str; 10] = [
    "shop-key",
    "shop-secret",
    // The credentials as the header has them.
    "c2hvcC1rZXk6c2hvcC1zZWNyZXQ=",
    "customer-4711",
    "mira@shop.example",
    "Mimi",
    "Order Placed",
    "Elm Street",
    "10.0.0.7",
    "not an IP address",
];

fn check(scenario: &str) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_mparticle-opentelemetry")).arg(scenario).output().expect("the program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let exported = String::from_utf8(output.stdout).expect("a text");
    for private in PRIVATE {
        assert!(!exported.contains(private), "{private} is exported:\n{exported}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{scenario}.txt"));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &exported).expect("the golden file");
    }
    let golden = fs::read_to_string(&path).expect("the golden file");
    assert_eq!(exported, golden, "set UPDATE_GOLDEN=1 to rewrite {}", path.display());
}

#[test]
fn one_upload_exports_a_call_and_an_attempt_and_logs_nothing() {
    check("upload");
}

#[test]
fn a_retried_upload_exports_each_attempt_with_its_number() {
    check("retry");
}

#[test]
fn a_rate_limited_upload_counts_the_response_and_logs_nothing() {
    check("limited");
}

#[test]
fn an_outage_exports_one_delivery_with_all_its_attempts_and_logs_its_begin_and_end() {
    check("outage");
}

#[test]
fn a_rejected_batch_exports_an_error_and_is_logged() {
    check("rejected");
}
