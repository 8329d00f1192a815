//! What `openapi/events.yaml` says of a request body, and nothing else: no type of this crate is used to check.
//!
//! The document is JSON Schema as far as it goes (it has no `nullable`), so that a JSON Schema validator can hold a body
//! against it. Events are looked at one by one, under the schema that their `event_type` calls for: of a `oneOf` with
//! seventeen branches a validator can only say that none of them fits.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// `openapi/events.yaml` as JSON, the whole of it, as it was when the crate was built.
pub const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/events.json"));

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Where it is, as a JSON pointer into the body. Empty for the body as a whole.
    pub pointer: String,
    /// What is wrong, for a person, in about 300 characters at most. It can quote the body.
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)
    }
}

/// The body of `/events`: everything that is wrong with it, empty if it is right.
#[must_use]
pub fn check_batch(body: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    CONTRACT.check_batch(body, "", &mut violations);
    violations
}

/// The body of `/bulkevents` and of `/bulkevents/historical`: everything that is wrong with it, empty if it is right.
#[must_use]
pub fn check_batches(body: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    let Some(batches) = body.as_array() else {
        return vec![Violation { pointer: String::new(), message: "an array of batches is expected".into() }];
    };
    let limit = CONTRACT.batches_per_request;
    if batches.len() > limit {
        let message = format!("there are {} batches, at most {limit} are allowed", batches.len());
        violations.push(Violation { pointer: String::new(), message });
    }
    for (index, batch) in batches.iter().enumerate() {
        CONTRACT.check_batch(batch, &format!("/{index}"), &mut violations);
    }
    violations
}

/// One component of the document, as it is published, with formats and limits held.
///
/// For a whole body [`check_batch`] and [`check_batches`] have the better messages.
#[derive(Debug)]
pub struct Component(Validator);

impl Component {
    /// The component of this name, as `Product`. `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(DOCUMENT).ok()?;
        document["components"]["schemas"].get(name)?;
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        Some(Self(validator_of(&document["components"], &reference)))
    }

    /// Everything that is wrong with this value, empty if it is right.
    #[must_use]
    pub fn check(&self, value: &Value) -> Vec<Violation> {
        let mut violations = Vec::new();
        collect(&self.0, value, "", &mut violations);
        violations
    }
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::new);

struct Contract {
    /// A batch, with events of any kind.
    batch: Validator,
    /// The payload of each event type.
    payloads: BTreeMap<String, Validator>,
    batches_per_request: usize,
}

impl Contract {
    fn new() -> Self {
        let document: Value = serde_json::from_str(DOCUMENT).expect("build.rs wrote it");
        let mut components = document["components"].clone();
        hold_ranges(&mut components);
        close_payloads(&mut components["schemas"]);
        let branches = components["schemas"]["Event"]["oneOf"].take();
        let payloads = branches.as_array().into_iter().flatten().filter_map(|branch| {
            let name = branch["properties"]["event_type"]["enum"][0].as_str()?.to_owned();
            Some((name, validator_of(&components, &branch["properties"]["data"])))
        });
        let payloads = payloads.collect();
        components["schemas"]["Event"] = json!({
            "type": "object",
            "required": ["event_type", "data"],
            "properties": { "event_type": { "type": "string" }, "data": {} },
            "additionalProperties": false,
        });
        let bulk = &document["paths"]["/bulkevents"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        Self {
            batch: validator_of(&components, &json!({ "$ref": "#/components/schemas/Batch" })),
            payloads,
            batches_per_request: bulk["maxItems"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(usize::MAX),
        }
    }

    fn check_batch(&self, batch: &Value, at: &str, violations: &mut Vec<Violation>) {
        let mut batch = batch.clone();
        drop_nulls(&mut batch);
        collect(&self.batch, &batch, at, violations);
        for (index, event) in batch["events"].as_array().into_iter().flatten().enumerate() {
            let (Some(name), Some(data)) = (event["event_type"].as_str(), event.get("data")) else {
                continue; // The batch's own schema has said so.
            };
            let Some(payload) = self.payloads.get(name) else {
                violations.push(Violation {
                    pointer: format!("{at}/events/{index}/event_type"),
                    message: format!("there is no event type {name:?}"),
                });
                continue;
            };
            let at = format!("{at}/events/{index}/data");
            collect(payload, data, &at, violations);
            let kinds = COMMERCE_KINDS.iter().filter(|kind| data.get(kind).is_some()).count();
            if name == "commerce_event" && kinds != 1 {
                let message = format!("exactly one of {} is expected, there are {kinds}", COMMERCE_KINDS.join(", "));
                violations.push(Violation { pointer: at, message });
            }
        }
    }
}

/// What a commerce event is about: one of these, which a schema of merged properties cannot say.
const COMMERCE_KINDS: [&str; 3] = ["product_action", "promotion_action", "product_impressions"];

/// The published payloads are open, since neither branch of an `allOf` can be closed. Merged into one object they can.
fn close_payloads(schemas: &mut Value) {
    let common = schemas["CommonEventData"]["properties"].clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(|schemas| schemas.values_mut()) {
        let Some([_, own]) = schema["allOf"].as_array().map(Vec::as_slice) else { continue };
        let own = own.clone();
        let mut properties = common.as_object().cloned().unwrap_or_default();
        properties.extend(own["properties"].as_object().cloned().unwrap_or_default());
        let required = own.get("required").cloned().unwrap_or_else(|| json!([]));
        *schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
    }
}

/// OpenAPI says the range of an integer as its format, which a JSON Schema validator does not hold.
fn hold_ranges(node: &mut Value) {
    match node {
        Value::Object(object) => {
            let range = match object.get("format").and_then(Value::as_str) {
                Some("int32") => Some((i32::MIN.into(), i32::MAX.into())),
                Some("int64") => Some((i64::MIN, i64::MAX)),
                _ => None,
            };
            if let Some((minimum, maximum)) = range {
                object.insert("minimum".into(), minimum.into());
                object.insert("maximum".into(), maximum.into());
            }
            object.values_mut().for_each(hold_ranges);
        }
        Value::Array(items) => items.iter_mut().for_each(hold_ranges),
        _ => {}
    }
}

/// A null at a declared property means that it is absent. It stays where it is a value: in the attribute maps, and as
/// the `old` of a first identity.
fn drop_nulls(node: &mut Value) {
    const MAPS: [&str; 3] = ["user_attributes", "custom_attributes", "custom_flags"];
    match node {
        Value::Object(object) => {
            let first_identity = object.get("new").is_some_and(Value::is_object);
            object.retain(|key, value| !value.is_null() || (first_identity && key == "old"));
            object.iter_mut().filter(|(key, _)| !MAPS.contains(&key.as_str())).for_each(|(_, value)| drop_nulls(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn collect(validator: &Validator, value: &Value, at: &str, violations: &mut Vec<Violation>) {
    violations.extend(validator.iter_errors(value).map(|error| Violation {
        pointer: format!("{at}{}", error.instance_path()),
        message: shortened(&error.to_string()),
    }));
}

/// The validator quotes the value that it refuses, whole; what it says of it comes last.
fn shortened(message: &str) -> String {
    const HALF: usize = 150;
    let length = message.chars().count();
    if length <= 2 * HALF {
        return message.to_owned();
    }
    message.chars().take(HALF).chain(" … ".chars()).chain(message.chars().skip(length - HALF)).collect()
}

fn validator_of(components: &Value, schema: &Value) -> Validator {
    let schema = json!({ "components": components, "allOf": [schema] });
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .should_validate_formats(true)
        .with_format("ip", |text: &str| text.parse::<IpAddr>().is_ok())
        .with_format("uuid", |text: &str| text.len() == 36 && text.parse::<uuid::Uuid>().is_ok())
        .build(&schema)
        .expect("tests/spec.rs holds the document to being a schema")
}
