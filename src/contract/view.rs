//! The strict view of the document, and the schemas that validators are made of.
//!
//! The published document stays open where its `allOf` needs it, and generation reads that. What holds a body against it
//! wants the opposite: every object closed. So the strict view is the same document with
//! - each event payload as one closed object, its common and its own fields together;
//! - exactly one of the three kinds of commerce event;
//! - the range of an integer written out, which OpenAPI says as its format;
//! - `format: ip`, which no standard knows, as the two formats that it stands for.
//!
//! It is still an OpenAPI document, so that other tools can serve it and draw from it. It is never generated from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// `openapi/events.yaml` as JSON, the whole of it, as it was when the crate was built.
pub const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/events.json"));

/// The document as it was published, and its strict view.
pub(super) static PUBLISHED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(DOCUMENT).expect("build.rs wrote it"));
pub(super) static STRICT: LazyLock<Value> = LazyLock::new(|| strict(PUBLISHED.clone()));

/// What a commerce event is about: one of these, which a schema of merged properties cannot say.
const COMMERCE_KINDS: [&str; 3] = ["product_action", "promotion_action", "product_impressions"];

/// The words of the document for a limit. A body that breaks one is taken by the service, so a validator does not hold it:
/// `crate::diagnostics` reports what the service does then.
const LIMITS: [&str; 3] = ["maxLength", "maxItems", "maxProperties"];

/// A word of our own: see `explain::NotRounded`.
pub(super) const NOT_ROUNDED: &str = "x-not-rounded";

fn strict(mut document: Value) -> Value {
    let schemas = &mut document["components"]["schemas"];
    let common = schemas["CommonEventData"]["properties"].clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(Map::values_mut) {
        close_payload(schema, &common);
    }
    let one_kind: Vec<_> = COMMERCE_KINDS.iter().map(|kind| json!({ "required": [kind] })).collect();
    schemas["CommerceEvent"]["oneOf"] = one_kind.into();
    change_each(&mut document["components"]["schemas"], write_out_formats);
    document
}

/// A payload is `allOf` of the common fields and its own. Neither branch can be closed alone; merged into one they can.
fn close_payload(schema: &mut Value, common: &Value) {
    let Some([_, own]) = schema["allOf"].as_array().map(Vec::as_slice) else { return };
    let mut properties = common.as_object().cloned().unwrap_or_default();
    properties.extend(own["properties"].as_object().cloned().unwrap_or_default());
    let mut closed = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    // Both as the schema's own: a schema with an empty list of them is not one that OpenAPI knows.
    if let Some(required) = own.get("required") {
        closed["required"] = required.clone();
    }
    for said in ["description", "example"] {
        if let Some(text) = schema.get(said) {
            closed[said] = text.clone();
        }
    }
    *schema = closed;
}

fn write_out_formats(schema: &mut Map<String, Value>) {
    let range = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => Some((i32::MIN.into(), i32::MAX.into())),
        Some("int64") => Some((i64::MIN, i64::MAX)),
        Some("ip") => {
            schema.remove("type");
            schema.remove("format");
            let formats = json!([{ "type": "string", "format": "ipv4" }, { "type": "string", "format": "ipv6" }]);
            schema.insert("anyOf".into(), formats);
            None
        }
        _ => None,
    };
    if let Some((minimum, maximum)) = range {
        schema.insert("minimum".into(), minimum.into());
        schema.insert("maximum".into(), maximum.into());
    }
}

/// Changes each object within a schema, the outer ones first.
fn change_each(node: &mut Value, change: fn(&mut Map<String, Value>)) {
    match node {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| change_each(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| change_each(item, change)),
        _ => {}
    }
}

/// A component as one schema that refers to nothing: the place of an error in it is then the way to the schema.
pub(super) fn inlined(document: &Value, name: &str) -> Option<Value> {
    let schemas = &document["components"]["schemas"];
    schemas.get(name).map(|schema| inline(schemas, schema))
}

fn inline(schemas: &Value, node: &Value) -> Value {
    let Value::Object(object) = node else {
        return match node {
            Value::Array(items) => items.iter().map(|item| inline(schemas, item)).collect(),
            other => other.clone(),
        };
    };
    if let Some(target) = object.get("$ref").and_then(Value::as_str) {
        return inline(schemas, &schemas[target.rsplit('/').next().unwrap_or_default()]);
    }
    let mut inlined: Map<_, _> = object.iter().map(|(key, value)| (key.clone(), inline(schemas, value))).collect();
    // A property that refers to a component does so through an `allOf` of one, to have a description of its own.
    if let Some([only]) = object.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        inlined.remove("allOf");
        if let Value::Object(component) = inline(schemas, only) {
            component.into_iter().for_each(|(key, value)| _ = inlined.entry(key).or_insert(value));
        }
    }
    inlined.into()
}

/// The schema of a batch whose events may hold anything, and the schema of each event type's payload: of a `oneOf` with
/// seventeen branches a validator can only say that none of them fits.
pub(super) struct Parts {
    pub(super) batch: Value,
    pub(super) payloads: BTreeMap<String, Value>,
}

impl Parts {
    pub(super) fn new() -> Self {
        let mut batch = inlined(&STRICT, "Batch").expect("tests/spec.rs holds the document to having it");
        let event = &mut batch["properties"]["events"]["items"];
        let branches = event["oneOf"].take();
        let payloads: BTreeMap<_, _> = branches
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|branch| {
                let name = branch["properties"]["event_type"]["enum"][0].as_str()?;
                Some((name.to_owned(), for_validator(branch["properties"]["data"].clone())))
            })
            .collect();
        *event = json!({
            "type": "object",
            "required": ["event_type", "data"],
            "properties": {
                "event_type": { "type": "string", "enum": payloads.keys().collect::<Vec<_>>() },
                "data": { "type": "object" },
            },
            "additionalProperties": false,
        });
        Self { batch: for_validator(batch), payloads }
    }
}

/// Without limits, with null allowed wherever it means absent (at every declared property that may be absent), and with the
/// edge of 64 bits held.
fn for_validator(mut schema: Value) -> Value {
    for change in [without_limits, with_nulls, with_edge] {
        change_each(&mut schema, change);
    }
    schema
}

fn without_limits(schema: &mut Map<String, Value>) {
    schema.retain(|key, value| !(LIMITS.contains(&key.as_str()) && value.is_u64()));
}

fn with_edge(schema: &mut Map<String, Value>) {
    if schema.get("minimum").and_then(Value::as_i64) == Some(i64::MIN) {
        schema.insert(NOT_ROUNDED.into(), true.into());
    }
}

fn with_nulls(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|n| n == name));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            if !is_required(name) {
                allow_null(property);
            }
        }
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("oneOf") {
        kinds.iter_mut().for_each(require_more_than_null);
    }
}

fn allow_null(property: &mut Value) {
    let Value::Object(property) = property else { return };
    if let Some(values) = property.get_mut("enum").and_then(Value::as_array_mut) {
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

/// `required` is content with a null; a kind of commerce event that is null is absent.
fn require_more_than_null(kind: &mut Value) {
    if let Some([Value::String(name)]) = kind["required"].as_array().map(Vec::as_slice) {
        kind["properties"] = json!({ name: { "not": { "enum": [null] } } });
    }
}
