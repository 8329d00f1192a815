//! A proptest strategy for the JSON that a schema of the document allows: all properties and branches, and the ends of ranges.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

/// Returns a strategy for the values of a schema of the document.
pub fn values_of(document: &Value, schema: &Value) -> BoxedStrategy<Value> {
    if let Some(target) = schema["$ref"].as_str() {
        return values_of(document, document.pointer(&target[1..]).expect("a component"));
    }
    if let Some(branches) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let branches = branches.iter().map(|branch| values_of(document, branch));
        return proptest::strategy::Union::new(branches).boxed();
    }
    if let Some(branches) = schema["allOf"].as_array() {
        return match branches.as_slice() {
            [one] => values_of(document, one),
            several => values_of(document, &merge(document, several)),
        };
    }
    if let Some(values) = schema["enum"].as_array() {
        return select(values.clone()).boxed();
    }
    match schema["type"].as_str() {
        Some("object") => object(document, schema),
        Some("array") => vec(values_of(document, &schema["items"]), 0..4).prop_map(Value::from).boxed(),
        Some("string") => string(schema),
        Some("integer") => integer(schema),
        Some("number") => {
            let minimum = schema["minimum"].as_f64().unwrap_or(f64::NEG_INFINITY);
            let number = any::<f64>().prop_map(move |number| if number < minimum { -number } else { number });
            number.prop_filter("in range", move |n| n.is_finite() && *n >= minimum).prop_map(Value::from).boxed()
        }
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        other => panic!("no strategy for a schema of type {other:?}: {schema}"),
    }
}

/// Merges the branches of an `allOf` into one object schema.
fn merge(document: &Value, branches: &[Value]) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for branch in branches {
        let branch = match branch["$ref"].as_str() {
            Some(target) => document.pointer(&target[1..]).expect("a component"),
            None => branch,
        };
        properties.extend(branch["properties"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        required.extend(branch["required"].as_array().into_iter().flatten().cloned());
    }
    serde_json::json!({ "type": "object", "properties": properties, "required": required })
}

fn object(document: &Value, schema: &Value) -> BoxedStrategy<Value> {
    if schema["additionalProperties"].is_object() {
        let entries = btree_map(text(20), values_of(document, &schema["additionalProperties"]), 0..4);
        return entries.prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()).boxed();
    }
    let required = schema["required"].as_array();
    let properties: Vec<_> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let always = required.is_some_and(|required| required.iter().any(|key| key == name));
            let value = values_of(document, property);
            let value =
                if always { value.prop_map(Some).boxed() } else { proptest::option::weighted(0.3, value).boxed() };
            value.prop_map({
                let name = name.clone();
                move |value| value.map(|value| (name.clone(), value))
            })
        })
        .collect();
    properties.prop_map(|entries| entries.into_iter().flatten().collect::<Map<_, _>>().into()).boxed()
}

fn string(schema: &Value) -> BoxedStrategy<Value> {
    let text = match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("uuid"), _) => {
            let upper_or_lower = (any::<u128>(), any::<bool>());
            upper_or_lower
                .prop_map(|(bits, upper)| {
                    let text = uuid::Uuid::from_u128(bits).to_string();
                    if upper { text.to_uppercase() } else { text }
                })
                .boxed()
        }
        (Some("ip"), _) => any::<std::net::IpAddr>().prop_map(|address| address.to_string()).boxed(),
        (Some("date"), _) => proptest::string::string_regex("20[0-9]{2}-0[1-9]-1[0-9]").expect("a regex").boxed(),
        (Some("date-time"), _) => {
            let time = "20[0-9]{2}-0[1-9]-1[0-9]T1[0-9]:[0-5][0-9]:[0-5][0-9](Z|\\+02:00)";
            proptest::string::string_regex(time).expect("a regex").boxed()
        }
        (Some("uri"), _) => {
            proptest::string::string_regex("https://[a-z]{1,9}\\.example/[a-z]*").expect("a regex").boxed()
        }
        (Some("email"), _) => {
            proptest::string::string_regex("[a-z]{1,9}@[a-z]{1,9}\\.example").expect("a regex").boxed()
        }
        (Some(format), _) => panic!("no strategy for a string of format {format}"),
        (None, Some(pattern)) => {
            proptest::string::string_regex(pattern.trim_matches(['^', '$'])).expect("a regex").boxed()
        }
        (None, None) => text(40).boxed(),
    };
    text.prop_map(Value::from).boxed()
}

/// Returns a strategy for text in all scripts, including characters that JSON must escape.
fn text(longest: usize) -> impl Strategy<Value = String> + Clone {
    vec(any::<char>(), 0..longest).prop_map(String::from_iter)
}

fn integer(schema: &Value) -> BoxedStrategy<Value> {
    let minimum = schema["minimum"].as_i64();
    match (schema["format"].as_str(), minimum) {
        // The only case in which the generated type is unsigned.
        (None, Some(0)) => any::<u64>().prop_map(Value::from).boxed(),
        (Some("int32"), None) => any::<i32>().prop_map(Value::from).boxed(),
        (Some("int64") | None, None) => any::<i64>().prop_map(Value::from).boxed(),
        (Some("int32"), Some(minimum)) => (minimum..=i32::MAX.into()).prop_map(Value::from).boxed(),
        (Some("int64") | None, Some(minimum)) => (minimum..=i64::MAX).prop_map(Value::from).boxed(),
        other => panic!("no strategy for an integer of format {other:?}"),
    }
}
