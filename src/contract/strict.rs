//! The strict view of the document.
//!
//! The published document, from which the types are generated, has open objects where `allOf` requires them. Validation needs closed
//! objects instead. The strict view is the same document with
//! - each event payload as one closed object with its common and its own fields;
//! - exactly one of the three kinds of commerce event;
//! - an explicit range for each integer, which the document implies by the format;
//! - the two standard formats in place of `format: ip`, which is not a standard one.
//!
//! It remains an OpenAPI document, so that other tools can serve it and generate requests from it. No types are generated from it.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::payload;

/// The document that this crate was built from, as JSON with sorted keys: `openapi/events.yaml`, or
/// [another one](IS_CUSTOM_DOCUMENT).
pub const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/events.json"));

/// The exact bytes of the document that this crate was built from, as YAML.
pub const DOCUMENT_YAML: &str = include_str!(concat!(env!("OUT_DIR"), "/events.yaml"));

/// True if this crate was built from a custom document, named by `MPARTICLE_OPENAPI` in the environment of the build, instead of its
/// own.
pub const IS_CUSTOM_DOCUMENT: bool = cfg!(mparticle_custom_document);

/// The published document and its strict view.
pub(super) static PUBLISHED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(DOCUMENT).expect("build.rs wrote it"));
pub(super) static STRICT: LazyLock<Value> = LazyLock::new(|| strict_view(&PUBLISHED));

/// The kinds of a commerce event, exactly one of which is required. The merged schema alone does not express that.
const COMMERCE_KINDS: [&str; 3] = ["product_action", "promotion_action", "product_impressions"];

/// Returns the strict view of a document.
pub(super) fn strict_view(published: &Value) -> Value {
    let mut document = published.clone();
    for pointer in payload::payloads(published).values() {
        if let (Some(payload), Some(schema)) =
            (payload::close_schema(published, pointer), document.pointer_mut(pointer))
        {
            *schema = payload;
        }
    }
    if let Some(Value::Object(commerce)) = document.pointer_mut("/components/schemas/CommerceEvent") {
        let one_kind: Vec<_> = COMMERCE_KINDS.iter().map(|kind| json!({ "required": [kind] })).collect();
        commerce.insert("oneOf".into(), one_kind.into());
    }
    for part in ["/components/schemas", "/components/requestBodies", "/paths"] {
        document.pointer_mut(part).into_iter().for_each(|part| change_each(part, write_out_formats));
    }
    document
}

fn write_out_formats(schema: &mut Map<String, Value>) {
    let range = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => Some((i32::MIN.into(), i32::MAX.into())),
        Some("uint32") => Some((0, u32::MAX.into())),
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
        schema.entry("minimum").or_insert(minimum.into());
        schema.entry("maximum").or_insert(maximum.into());
    }
}

/// Applies a change to each object within a schema, from the outermost to the innermost.
pub(super) fn change_each(node: &mut Value, change: fn(&mut Map<String, Value>)) {
    match node {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| change_each(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| change_each(item, change)),
        _ => {}
    }
}
