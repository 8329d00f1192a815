//! Finds the fields of a batch, and the type of each, in the OpenAPI document.

use std::sync::LazyLock;

use mparticle::contract;
use serde_json::{Value, json};

use super::cells::{DecimalMark, parse_boolean, parse_decimal, parse_identity, parse_integer};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(contract::DOCUMENT).expect("the document of the build is JSON"));

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    Text,
    /// An identity, which is text.
    Identity,
    Integer,
    Number,
    Boolean,
}

impl FieldType {
    pub fn parse(self, mark: DecimalMark, text: &str) -> Result<Value, String> {
        Ok(match self {
            Self::Text => text.into(),
            Self::Identity => parse_identity(text)?.into(),
            Self::Integer => parse_integer(text)?.into(),
            Self::Number => json!(parse_decimal(mark, text)?),
            Self::Boolean => parse_boolean(text)?.into(),
        })
    }
}

/// A field of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedField {
    /// The names from the batch to the field, `0` for the one element of a list.
    pub path: Vec<String>,
    pub kind: FieldType,
}

/// Returns the schema with this name.
fn schema(name: &str) -> &'static Value {
    &DOCUMENT["components"]["schemas"][name]
}

/// Follows references to the schema that has the properties or the type.
fn resolve(schema: &'static Value) -> &'static Value {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    match reference.and_then(|reference| reference.strip_prefix('#')).and_then(|pointer| DOCUMENT.pointer(pointer)) {
        // An object that adds fields to those of another is looked up by all of its parts.
        Some(target)
            if schema["properties"].is_null() && schema["allOf"].as_array().is_none_or(|all| all.len() == 1) =>
        {
            resolve(target)
        }
        _ => schema,
    }
}

/// Returns the property with this name of an object, or of the objects that it extends.
fn property(object: &'static Value, name: &str) -> Option<(&'static str, &'static Value)> {
    let object = resolve(object);
    let own = object["properties"].as_object().into_iter().flatten();
    let found = own.filter(|(known, _)| is_same(known, name)).min_by_key(|(known, _)| known.as_str() != name);
    found.map(|(known, schema)| (known.as_str(), schema)).or_else(|| {
        let mut parts = object["allOf"].as_array().into_iter().flatten();
        parts.find_map(|part| property(part, name))
    })
}

/// Returns whether a column names this property. mParticle's own files spell some names without underscores, and `other_id_2` as
/// `other2`.
fn is_same(known: &str, name: &str) -> bool {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let name = plain(name);
    plain(known) == name || known.strip_prefix("other_id_").is_some_and(|number| name == format!("other{number}"))
}

/// Returns the types of event with the schema of each.
pub fn event_types() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let types = schema("Event")["oneOf"].as_array().into_iter().flatten();
    types.filter_map(|event| Some((event["properties"]["event_type"]["enum"][0].as_str()?, event)))
}

/// Returns the names of the fields that the data of an event must have.
pub fn required_fields(event: &'static Value) -> Vec<&'static str> {
    fn collect(object: &'static Value, names: &mut Vec<&'static str>) {
        let object = resolve(object);
        names.extend(object["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        for part in object["allOf"].as_array().into_iter().flatten() {
            collect(part, names);
        }
    }
    let mut names = Vec::new();
    collect(&event["properties"]["data"], &mut names);
    names
}

/// Finds a field of a batch by its names, separated by points. `event` is the schema of its events.
pub fn field(path: &str, event: &'static Value) -> Option<TypedField> {
    find(schema("Batch"), path, event, Vec::new())
}

/// Finds a field of a device.
pub fn device_field(name: &str) -> Option<TypedField> {
    let (known, _) = schema("DeviceInfo")["properties"].as_object()?.get_key_value(name)?;
    find(schema("DeviceInfo"), known, &Value::Null, vec!["device_info".to_owned()])
}

/// Returns the names of the fields of a device.
pub fn device_fields() -> Vec<&'static str> {
    schema("DeviceInfo")["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Returns the paths of fields that a misspelt one may mean.
pub fn suggestions(event: &'static Value) -> Vec<String> {
    let mut paths = Vec::new();
    let mut add = |prefix: &str, object: &'static Value| {
        paths.extend(properties(object).map(|name| format!("{prefix}{name}")));
    };
    for (prefix, name) in [("", "Batch"), ("user_identities.", "UserIdentities"), ("device_info.", "DeviceInfo")] {
        add(prefix, schema(name));
    }
    add("events.data.", &event["properties"]["data"]);
    paths
}

/// Returns the names of the properties of an object, with those that it extends.
fn properties(object: &'static Value) -> Box<dyn Iterator<Item = &'static str>> {
    let object = resolve(object);
    let own = object["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    Box::new(own.chain(object["allOf"].as_array().into_iter().flatten().flat_map(properties)))
}

fn find(object: &'static Value, rest: &str, event: &'static Value, mut path: Vec<String>) -> Option<TypedField> {
    let object = resolve(object);
    if object["type"] == "array" {
        path.push("0".into());
        return find(&object["items"], rest, event, path);
    }
    if object["oneOf"].is_array() {
        return find(event, rest, event, path);
    }
    let (name, below) = rest.split_once('.').map_or((rest, None), |(name, below)| (name, Some(below)));
    if let Some((known, value)) = property(object, name) {
        let is_identity = path.last().is_some_and(|parent| parent == "user_identities");
        path.push(known.to_owned());
        return match below {
            Some(below) => find(value, below, event, path),
            None => leaf(value, is_identity).map(|kind| TypedField { path, kind }),
        };
    }
    let values = object.get("additionalProperties").filter(|values| values.is_object())?;
    match (leaf(values, false), below) {
        // A name of an attribute can contain points.
        (Some(kind), _) => {
            let is_reserved = rest.starts_with('$') && path.last().is_some_and(|parent| parent == "user_attributes");
            path.push(if is_reserved { rest.to_lowercase() } else { rest.to_owned() });
            Some(TypedField { path, kind })
        }
        (None, Some(below)) => {
            path.push(name.to_owned());
            find(values, below, event, path)
        }
        (None, None) => None,
    }
}

/// Returns the type of a field; `None` if it is an object or a list. The value of an attribute is text.
fn leaf(value: &'static Value, is_identity: bool) -> Option<FieldType> {
    let value = resolve(value);
    match value["type"].as_str() {
        Some("string") if is_identity => Some(FieldType::Identity),
        Some("string") => Some(FieldType::Text),
        Some("integer") => Some(FieldType::Integer),
        Some("number") => Some(FieldType::Number),
        Some("boolean") => Some(FieldType::Boolean),
        None if value["anyOf"].is_array() => Some(FieldType::Text),
        _ => None,
    }
}
