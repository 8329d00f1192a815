//! The payloads of events, found through the branches of `Event`: the code lists no event types.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::reference::{follow, inline, reference_target};

const EVENT: &str = "/components/schemas/Event";
const COMMON: &str = "/components/schemas/CommonEventData";

/// Returns the pointer to the schema of the payload, by event type.
pub(super) fn payloads(document: &Value) -> BTreeMap<String, String> {
    let event = follow(document, EVENT);
    let branches = document.pointer(event).and_then(|event| event["oneOf"].as_array());
    let branches = branches.into_iter().flatten().enumerate().flat_map(|(index, _)| {
        let branch = format!("{event}/oneOf/{index}");
        let branch = follow(document, &branch);
        let data = format!("{branch}/properties/data");
        let data = follow(document, &data).to_owned();
        let event_type = document.pointer(branch).map(|branch| inline(document, &branch["properties"]["event_type"]));
        let names = event_type.iter().flat_map(|event_type| event_type["enum"].as_array().into_iter().flatten());
        names.filter_map(|name| Some((name.as_str()?.to_owned(), data.clone()))).collect::<Vec<_>>()
    });
    branches.collect()
}

/// Returns the schema at this pointer as one closed object that merges all branches of its `allOf`, because a branch alone cannot be
/// closed. Returns `None` if the schema is not an object with properties.
pub(super) fn close_schema(document: &Value, pointer: &str) -> Option<Value> {
    let schema = document.pointer(pointer)?;
    let (mut merged, mut seen) = (Map::new(), vec![pointer]);
    merge(document, schema, &mut merged, &mut seen);
    if !merged.contains_key("properties") {
        return None;
    }
    merged.insert("type".into(), "object".into());
    merged.entry("additionalProperties").or_insert(false.into());
    Some(merged.into())
}

/// Merges the keywords of a schema and then those of its branches. Skips branches that were merged already.
fn merge<'a>(document: &'a Value, schema: &'a Value, merged: &mut Map<String, Value>, seen: &mut Vec<&'a str>) {
    if let Some(pointer) = reference_target(schema) {
        if !seen.contains(&pointer) {
            seen.push(pointer);
            let mut branch = Map::new();
            merge(document, document.pointer(pointer).unwrap_or(&Value::Null), &mut branch, seen);
            // These describe only the component.
            branch.remove("description");
            branch.remove("example");
            add(branch, merged);
        }
        return;
    }
    let own = schema.as_object().into_iter().flatten().filter(|(key, _)| *key != "allOf");
    add(own.map(|(key, value)| (key.clone(), value.clone())).collect(), merged);
    for branch in schema["allOf"].as_array().into_iter().flatten() {
        merge(document, branch, merged, seen);
    }
}

fn add(keywords: Map<String, Value>, merged: &mut Map<String, Value>) {
    for (key, value) in keywords {
        match (key.as_str(), value, merged.get_mut(&key)) {
            ("properties", Value::Object(added), Some(Value::Object(properties))) => {
                added.into_iter().for_each(|(name, property)| _ = properties.entry(name).or_insert(property));
            }
            ("required", Value::Array(added), Some(Value::Array(names))) => {
                for name in added {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            // A closed branch does not close the merged schema.
            ("additionalProperties", Value::Bool(false), _) => {}
            (_, value, None) => _ = merged.insert(key, value),
            _ => {}
        }
    }
}

/// Returns the field that holds the name of an event, by event type: the first required text field that is not common to all events, or
/// else the first optional one. Types without such a field are left out.
pub(super) fn name_fields(document: &Value) -> BTreeMap<String, String> {
    let common = document.pointer(follow(document, COMMON)).map_or(&Value::Null, |common| &common["properties"]);
    let name = |pointer: &str| {
        let payload = close_schema(document, pointer)?;
        let properties = payload["properties"].as_object()?;
        let is_own_text = |name: &&String| {
            let property = inline(document, &properties[*name]);
            common.get(name).is_none() && property["type"] == "string"
        };
        let required = payload["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let required = required.filter_map(|name| properties.get_key_value(name)).map(|(name, _)| name);
        required.chain(properties.keys()).find(is_own_text).cloned()
    };
    payloads(document).into_iter().filter_map(|(event_type, pointer)| Some((event_type, name(&pointer)?))).collect()
}

/// Returns the schema of the payload, by event type.
pub(super) fn schemas(document: &Value) -> BTreeMap<String, Value> {
    let schema = |pointer: String| inline(document, document.pointer(&pointer).unwrap_or(&Value::Null));
    payloads(document).into_iter().map(|(event_type, pointer)| (event_type, schema(pointer))).collect()
}
