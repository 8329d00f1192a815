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
    /// The paths of the fields that the service sets: names, and `*` for each entry of a list or a map. Those of the payloads are
    /// by event type, those of the batch by the empty name.
    pub(crate) read_only: BTreeMap<String, Vec<Vec<String>>>,
}

/// The fields of the document that this crate was built from.
pub(super) static OF_DOCUMENT: LazyLock<KnownFields> = LazyLock::new(|| {
    let read_only = READ_ONLY_FIELDS.iter().map(|(name, paths)| (*name, *paths));
    KnownFields::new(TIME_FIELDS.iter().copied().map(String::from).collect(), read_only)
});

impl KnownFields {
    /// Creates the list from the names of times and the paths of read-only fields, whose names, and `*` for each entry, are
    /// joined by `/`.
    pub(crate) fn new<'a, P: AsRef<str> + 'a>(
        times: BTreeSet<String>,
        read_only: impl IntoIterator<Item = (&'a str, &'a [P])>,
    ) -> Self {
        let split = |path: &P| path.as_ref().split('/').map(String::from).collect();
        let read_only = read_only.into_iter().map(|(name, paths)| (name.to_owned(), paths.iter().map(split).collect()));
        Self { times, read_only: read_only.collect() }
    }

    /// Calls `found` with the pointer of each field of a batch that the service sets. Null counts as absent.
    pub(super) fn each_read_only(
        &self,
        root: &JsonPointer<'_>,
        batch: &Value,
        found: &mut impl FnMut(&JsonPointer<'_>),
    ) {
        let visit = |at: &JsonPointer<'_>, value, name, found: &mut _| {
            self.read_only.get(name).into_iter().flatten().for_each(|path| visit(at, value, path, found));
        };
        visit(root, batch, "", found);
        let at = root.name("events");
        for (index, event) in batch["events"].as_array().into_iter().flatten().enumerate() {
            if let Some(event_type) = event["event_type"].as_str().filter(|name| !name.is_empty()) {
                visit(&at.index(index).name("data"), &event["data"], event_type, found);
            }
        }
    }
}

fn visit(at: &JsonPointer<'_>, value: &Value, path: &[String], found: &mut impl FnMut(&JsonPointer<'_>)) {
    let [name, rest @ ..] = path else { return };
    let mut step = |at: &JsonPointer<'_>, value: &Value| match rest {
        _ if value.is_null() => {}
        [] => found(at),
        rest => visit(at, value, rest, found),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn read_only_fields_are_found_at_any_depth() {
        let batch = ["list/*/id", "map/*", "map/a/b", "part", "part/inner", "zip"];
        let fields = KnownFields::new(BTreeSet::new(), [("", &batch[..]), ("known", &["*/id", "id"][..])]);
        let event = |event_type: &str| json!({ "event_type": event_type, "data": { "$a": { "id": 1 }, "id": 2 } });
        let batch = json!({
            "abc": 1,
            "events": [event("known"), event("other"), event("")],
            "list": [{ "id": 1, "name": 2 }, { "id": null }],
            "map": { "$a": 1, "a": { "b": 2 } },
            "part": { "inner": 1, "other": 2 },
        });
        let mut found = Vec::new();
        fields.each_read_only(&JsonPointer::Root(""), &batch, &mut |at| found.push(at.to_string()));
        found.sort();
        let data = ["/events/0/data/$a/id", "/events/0/data/id"];
        let rest = ["/list/0/id", "/map/$a", "/map/a", "/map/a/b", "/part", "/part/inner"];
        assert_eq!(found, [&data[..], &rest].concat());
    }
}
