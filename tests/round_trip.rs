//! The generated types write JSON that the document accepts, and read it back unchanged.
//!
//! The values are generated from the document and deserialized, so the types also have to accept everything that the
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

/// Collects the names of the optional lists and maps. The types omit them when they are empty, which means the same.
fn collect_omitted(node: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(schema) = node else {
        return node.as_array().into_iter().flatten().for_each(|item| collect_omitted(item, names));
    };
    let required: Vec<_> = node["required"].as_array().into_iter().flatten().collect();
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let is_map = property["type"] == "object" && property["additionalProperties"].is_object();
        let is_list = property["type"] == "array";
        if (is_map || is_list) && !required.iter().any(|required| *required == name) {
            names.insert(name.clone());
        }
    }
    schema.values().for_each(|value| collect_omitted(value, names));
}

fn remove_empty(value: Value, names: &BTreeSet<String>) -> Value {
    let is_empty = |value: &Value| *value == json!([]) || *value == json!({});
    match value {
        Value::Object(object) => object
            .into_iter()
            .filter(|(key, value)| !(names.contains(key) && is_empty(value)))
            .map(|(key, value)| (key, remove_empty(value, names)))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| remove_empty(item, names)).collect(),
        other => other,
    }
}

#[test]
fn random_batches_are_valid_and_read_back_equal() {
    // `.ci/regenerates` runs fewer cases for each of its documents.
    let cases = env::var("ROUND_TRIP_CASES").map_or(10_000, |cases| cases.parse().expect("a number"));
    let document: Value = serde_json::from_str(contract::DOCUMENT).expect("the document");
    let batches = values::values_of(&document, &document["components"]["schemas"]["Batch"]);
    let mut omitted = BTreeSet::new();
    collect_omitted(&document["components"]["schemas"], &mut omitted);
    assert!(omitted.contains("events"), "{omitted:?}");
    let published = ComponentSchema::get("Batch").expect("a component");
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&batches, |json| {
        let typed: Batch = serde_json::from_value(json.clone()).expect("the types accept what the document allows");
        let text = serde_json::to_string(&typed).expect("JSON");
        let written: Value = serde_json::from_str(&text).expect("JSON");

        // Only the descriptions of the document say that a commerce event has exactly one action, so random ones may break this.
        let mut violations = support::errors(contract::check_batch(&written));
        violations.retain(|violation| violation.code != Code::CommerceKind);
        prop_assert_eq!(violations, []);
        prop_assert_eq!(published.check(&written), []);
        prop_assert_eq!(&serde_json::from_str::<Batch>(&text).expect("a batch"), &typed);
        prop_assert_eq!(serde_json::to_string(&typed).expect("JSON"), text);
        prop_assert_eq!(remove_empty(written, &omitted), remove_empty(json, &omitted));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
