//! The fields of the document that rules know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use crate::generated::types::{READ_ONLY_FIELDS, TIME_FIELDS};
use crate::pointer::JsonPointer;

/// The fields of a document that rules know.
#[derive(Debug)]
pub(crate) struct KnownFields {
    /// The names of the integers that are times in milliseconds.
    pub(crate) times: BTreeSet<String>,
    /// The paths of the fields that the service sets: names joined by `/`, and `*` for each entry of a list or a map. Those of
    /// the payloads are by event type, those of the batch by the empty name.
    pub(crate) read_only: BTreeMap<String, Vec<String>>,
}

/// The fields of the document that this crate was built from.
pub(super) static OF_DOCUMENT: LazyLock<KnownFields> = LazyLock::new(|| KnownFields {
    times: TIME_FIELDS.iter().copied().map(String::from).collect(),
    read_only: READ_ONLY_FIELDS
        .iter()
        .map(|(name, paths)| ((*name).to_owned(), paths.iter().copied().map(String::from).collect()))
        .collect(),
});

impl KnownFields {
    /// Calls `found` with the pointer of each field of a batch that the service sets. Null counts as absent.
    pub(super) fn each_read_only(
        &self,
        root: &JsonPointer<'_>,
        batch: &Value,
        found: &mut impl FnMut(&JsonPointer<'_>),
    ) {
        let paths = |name: &str| self.read_only.get(name).into_iter().flatten();
        paths("").for_each(|path| visit(root, batch, path, found));
        let at = root.name("events");
        for (index, event) in batch["events"].as_array().into_iter().flatten().enumerate() {
            let event_type = event["event_type"].as_str().unwrap_or_default();
            if event_type.is_empty() {
                continue;
            }
            let (at, data) = (at.index(index), &event["data"]);
            paths(event_type).for_each(|path| visit(&at.name("data"), data, path, found));
        }
    }
}

fn visit(at: &JsonPointer<'_>, value: &Value, path: &str, found: &mut impl FnMut(&JsonPointer<'_>)) {
    let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let mut step = |at: &JsonPointer<'_>, value: &Value| match rest {
        _ if value.is_null() => {}
        None => found(at),
        Some(rest) => visit(at, value, rest, found),
    };
    match value {
        Value::Array(items) if name == "*" => {
            items.iter().enumerate().for_each(|(index, item)| step(&at.index(index), item));
        }
        Value::Object(members) if name == "*" => members.iter().for_each(|(name, value)| step(&at.name(name), value)),
        Value::Object(members) => members.get(name).into_iter().for_each(|value| step(&at.name(name), value)),
        _ => {}
    }
}
