//! Whatever the generated types can hold, they write as JSON that the document accepts, and read back as it was.
//!
//! The values are drawn from the document and read into the types, so the types also have to take everything that the
//! document allows.

mod support;

use mparticle::contract::{self, Component};
use mparticle::diagnostics::Code;
use mparticle::types::Batch;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// The lists and maps that the types leave out when they are empty, which means the same.
const LEFT_OUT_WHEN_EMPTY: [&str; 14] = [
    "api_keys",
    "apple_search_ads_attributes",
    "breadcrumbs",
    "custom_attributes",
    "custom_flags",
    "deleted_user_attributes",
    "events",
    "gdpr",
    "integration_attributes",
    "partner_identities",
    "product_impressions",
    "products",
    "promotions",
    "user_attributes",
];

fn without_empty(value: Value) -> Value {
    let empty = |value: &Value| *value == json!([]) || *value == json!({});
    match value {
        Value::Object(object) => object
            .into_iter()
            .filter(|(key, value)| !(LEFT_OUT_WHEN_EMPTY.contains(&key.as_str()) && empty(value)))
            .map(|(key, value)| (key, without_empty(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_empty).collect(),
        other => other,
    }
}

#[test]
fn ten_thousand_batches_go_there_and_back() {
    let document: Value = serde_json::from_str(contract::DOCUMENT).expect("the document");
    let batches = support::values::of(&document, &document["components"]["schemas"]["Batch"]);
    let published = Component::named("Batch").expect("a component");
    let mut runner = TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&batches, |json| {
        let typed: Batch = serde_json::from_value(json.clone()).expect("the types take what the document allows");
        let text = serde_json::to_string(&typed).expect("JSON");
        let written: Value = serde_json::from_str(&text).expect("JSON");

        // The document says only in words that a commerce event is about one thing, so what is drawn from it may not be.
        let mut violations = support::errors(contract::check_batch(&written));
        violations.retain(|violation| violation.code != Code::CommerceKind);
        prop_assert_eq!(violations, []);
        prop_assert_eq!(published.check(&written), []);
        prop_assert_eq!(&serde_json::from_str::<Batch>(&text).expect("a batch"), &typed);
        prop_assert_eq!(serde_json::to_string(&typed).expect("JSON"), text);
        prop_assert_eq!(without_empty(written), without_empty(json));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
