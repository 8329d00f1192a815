//! The fields of the document that the rules of `src/diagnostics` know: those that the service sets, and times.
//!
//! `build.rs` generates them for `Batch::check`, and `src/contract` includes this file, so that it reads them from its document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The key of the paths that begin at the batch.
pub const BATCH: &str = "";

/// Returns the paths of the read-only fields of a batch and of the payload of each event type. A path has the names joined by `/`,
/// and `*` for each entry of a list or a map.
pub fn read_only(document: &Value) -> BTreeMap<String, Vec<String>> {
    let component = |name: &str| resolve(document, &document["components"]["schemas"][name]);
    let paths = |schema: &Value| {
        let mut paths = BTreeSet::new();
        collect_read_only(document, schema, "", &mut Vec::new(), &mut paths);
        paths.into_iter().collect::<Vec<_>>()
    };
    let branches = component("Event")["oneOf"].as_array().into_iter().flatten();
    let payloads = branches.flat_map(|branch| {
        let properties = &resolve(document, branch)["properties"];
        let names = resolve(document, &properties["event_type"])["enum"].as_array().into_iter().flatten();
        names.filter_map(|name| Some((name.as_str()?.to_owned(), paths(&properties["data"])))).collect::<Vec<_>>()
    });
    let mut batch = paths(component("Batch"));
    // The paths of the payloads are those of each event type.
    batch.retain(|path| !path.starts_with("events/"));
    payloads.chain([(BATCH.to_owned(), batch)]).collect()
}

fn collect_read_only<'a>(
    document: &'a Value,
    schema: &'a Value,
    path: &str,
    within: &mut Vec<&'a str>,
    paths: &mut BTreeSet<String>,
) {
    if let Some(target) = reference_target(schema) {
        // A recursive schema has the fields that its first level has.
        if !within.contains(&target) {
            within.push(target);
            collect_read_only(document, document.pointer(target).unwrap_or(&Value::Null), path, within, paths);
            within.pop();
        }
        return;
    }
    if schema["readOnly"] == true && !path.is_empty() {
        paths.insert(path.to_owned());
        return;
    }
    for branches in ["allOf", "anyOf", "oneOf"] {
        for branch in schema[branches].as_array().into_iter().flatten() {
            collect_read_only(document, branch, path, within, paths);
        }
    }
    let step = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_read_only(document, property, &step(name), within, paths);
    }
    for entries in ["items", "additionalProperties"] {
        if schema[entries].is_object() {
            collect_read_only(document, &schema[entries], &step("*"), within, paths);
        }
    }
}

/// Returns whether an integer is a time in milliseconds, by its name or its description.
pub fn is_time(name: &str, schema: &Value) -> bool {
    let description = schema["description"].as_str().unwrap_or_default();
    let is_described = description.contains("milliseconds") && description.contains("since the Unix epoch");
    is_described || name.ends_with("_unixtime_ms")
}

/// Returns the names of the integers that are times in milliseconds.
pub fn times(document: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_times(&document["components"]["schemas"], &mut names);
    names
}

fn collect_times(node: &Value, names: &mut BTreeSet<String>) {
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        if property["type"] == "integer" && is_time(name, property) {
            names.insert(name.clone());
        }
    }
    match node {
        Value::Object(members) => members.values().for_each(|member| collect_times(member, names)),
        Value::Array(items) => items.iter().for_each(|item| collect_times(item, names)),
        _ => {}
    }
}

fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    /// A longer chain of references is a cycle, which generators reject.
    const MAX_REFERENCES: usize = 32;
    (0..MAX_REFERENCES).fold(part, |part, _| match reference_target(part) {
        Some(target) => document.pointer(target).unwrap_or(&Value::Null),
        None => part,
    })
}

fn reference_target(part: &Value) -> Option<&str> {
    part.get("$ref")?.as_str()?.strip_prefix('#')
}
