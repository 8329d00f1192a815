//! Whatever the generated types can hold, they write as JSON that the document accepts, and read back as it was.
//!
//! The values are drawn from the document and read into the types, so the types also have to take everything that the
//! document allows.

mod support;
#[path = "support/values.rs"]
mod values;

use std::collections::BTreeSet;
use std::env;

use mparticle::contract::{self, ComponentSchema};
use mparticle::diagnostics::Code;
use mparticle::types::Batch;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// The names of the optional lists and maps, which the types leave out when they are empty: that means the same.
fn left_out_when_empty(node: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(schema) = node else {
        return node.as_array().into_iter().flatten().for_each(|item| left_out_when_empty(item, names));
    };
    let required: Vec<_> = node["required"].as_array().into_iter().flatten().collect();
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let is_map = property["type"] == "object" && property["additionalProperties"].is_object();
        let is_list = property["type"] == "array";
        if (is_map || is_list) && !required.iter().any(|required| *required == name) {
            names.insert(name.clone());
        }
    }
    schema.values().for_each(|value| left_out_when_empty(value, names));
}

fn without_empty(value: Value, names: &BTreeSet<String>) -> Value {
    let is_empty = |value: &Value| *value == json!([]) || *value == json!({});
    match value {
        Value::Object(object) => object
            .into_iter()
            .filter(|(key, value)| !(names.contains(key) && is_empty(value)))
            .map(|(key, value)| (key, without_empty(value, names)))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| without_empty(item, names)).collect(),
        other => other,
    }
}

#[test]
fn ten_thousand_batches_go_there_and_back() {
    // `.ci/regenerates` draws fewer for each of many documents.
    let cases = env::var("ROUND_TRIP_CASES").map_or(10_000, |cases| cases.parse().expect("a number"));
    let document: Value = serde_json::from_str(contract::DOCUMENT).expect("the document");
    let batches = values::of(&document, &document["components"]["schemas"]["Batch"]);
    let mut left_out = BTreeSet::new();
    left_out_when_empty(&document["components"]["schemas"], &mut left_out);
    assert!(left_out.contains("events"), "{left_out:?}");
    let published = ComponentSchema::get("Batch").expect("a component");
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
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
        prop_assert_eq!(without_empty(written, &left_out), without_empty(json, &left_out));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
