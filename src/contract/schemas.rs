//! The schemas from which validators are compiled.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::payload;
use super::reference::inline;
use super::strict::change_each;

/// The keywords for limits. The service accepts bodies that exceed them, so validators ignore them; `crate::diagnostics` warns about
/// them.
const LIMITS: [&str; 3] = ["maxLength", "maxItems", "maxProperties"];

/// A custom keyword; see [`super::number::WrittenWhole`].
pub(super) const WRITTEN_WHOLE: &str = "x-written-whole";

/// The schema of a batch with unchecked payloads, and the schema of the payload of each event type. Separate, because for a `oneOf`
/// with many branches a validator reports only that none of them matches.
pub(super) struct BatchSchemas {
    pub(super) batch: Value,
    pub(super) payloads: BTreeMap<String, Value>,
}

impl BatchSchemas {
    /// Extracts the schemas from a strict view.
    pub(super) fn new(strict: &Value) -> Self {
        let mut batch = inline(strict, &strict["components"]["schemas"]["Batch"]);
        let payloads = payload::schemas(strict);
        if let Some(event) = batch.pointer_mut("/properties/events/items") {
            *event = json!({
                "type": "object",
                "required": ["event_type", "data"],
                "properties": {
                    "event_type": { "type": "string", "enum": payloads.keys().collect::<Vec<_>>() },
                    "data": { "type": "object" },
                },
                "additionalProperties": false,
            });
        }
        let payloads = payloads.into_iter().map(|(name, schema)| (name, without_limits(schema))).collect();
        Self { batch: without_limits(batch), payloads }
    }
}

/// Returns a schema for a validator without limits.
fn without_limits(mut schema: Value) -> Value {
    change_each(&mut schema, |schema| schema.retain(|key, value| !(LIMITS.contains(&key.as_str()) && value.is_u64())));
    for_validator(schema)
}

/// Returns a schema for a validator: null is allowed at every optional property, where it means absent, and wherever the document
/// allows it; and integers do not include floats.
pub(super) fn for_validator(mut schema: Value) -> Value {
    for change in [with_nulls, with_nullable, with_whole_numbers] {
        change_each(&mut schema, change);
    }
    schema
}

fn with_whole_numbers(schema: &mut Map<String, Value>) {
    let has_type = schema.get("type").is_some_and(|name| name == "integer" || name[0] == "integer");
    if has_type {
        schema.insert(WRITTEN_WHOLE.into(), true.into());
    }
}

/// Allows null where the document does. [`with_nulls`] did so for optional properties.
fn with_nullable(schema: &mut Map<String, Value>) {
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        schema.remove("nullable");
        allow_null(schema);
    }
}

fn with_nulls(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|n| n == name));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            if let (false, Value::Object(property)) = (is_required(name), property) {
                property.remove("nullable");
                allow_null(property);
            }
        }
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("oneOf") {
        kinds.iter_mut().for_each(require_more_than_null);
    }
}

fn allow_null(property: &mut Map<String, Value>) {
    if property.contains_key("$ref") {
        // Validators ignore keywords beside a reference.
        *property = Map::from_iter([("anyOf".into(), json!([property, { "type": "null" }]))]);
        return;
    }
    if let Some(values) = property.get_mut("enum").and_then(Value::as_array_mut)
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    if let Some(name @ Value::String(_)) = property.get_mut("type") {
        *name = json!([name.take(), "null"]);
    }
    for branches in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = property.get_mut(branches) {
            branches.push(json!({ "type": "null" }));
        }
    }
}

/// Requires a value other than null: `required` alone allows null, but a kind of commerce event that is null is absent.
fn require_more_than_null(kind: &mut Value) {
    if let (Some([Value::String(name)]), None) = (kind["required"].as_array().map(Vec::as_slice), kind.get("type")) {
        kind["properties"] = json!({ name: { "not": { "enum": [null] } } });
    }
}
