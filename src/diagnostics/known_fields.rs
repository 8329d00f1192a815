//! The fields of the document that rules know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::generated::types::{READ_ONLY_FIELDS, TIME_FIELDS};

/// The fields of a document that rules know.
#[derive(Debug)]
pub(crate) struct KnownFields {
    /// The names of the integers that are times in milliseconds.
    pub(super) times: BTreeSet<String>,
    /// The read-only fields of a batch.
    pub(super) read_only: ReadOnlyFields,
}

/// The fields of an object or the entries of a list that the service sets, at any depth.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadOnlyFields {
    /// Set if the service sets the whole value.
    pub(super) is_read_only: bool,
    /// The members that are read-only, or contain read-only fields. A list, because most names differ in length, so that the
    /// comparisons cost less than a search.
    members: Vec<(String, Self)>,
    /// Those of every other member of the object, and of every entry of the list.
    entries: Option<Box<Self>>,
    /// Those of the data of an event, by event type.
    payloads: BTreeMap<String, Self>,
}

/// The fields of the document that this crate was built from.
pub(super) static OF_DOCUMENT: LazyLock<KnownFields> = LazyLock::new(|| {
    let read_only = READ_ONLY_FIELDS.iter().map(|(name, paths)| (*name, *paths));
    KnownFields::new(TIME_FIELDS.iter().copied().map(String::from).collect(), read_only)
});

impl KnownFields {
    /// Creates the list from the names of times, and the paths of read-only fields by event type, those of the batch by the empty
    /// name. A path has the names joined by `/`, and `*` for each entry of a list or a map.
    pub(crate) fn new<'a, P: AsRef<str> + 'a>(
        times: BTreeSet<String>,
        read_only: impl IntoIterator<Item = (&'a str, &'a [P])>,
    ) -> Self {
        let with_paths = |paths: &[P]| {
            let mut fields = ReadOnlyFields::default();
            for path in paths {
                fields.insert(&path.as_ref().split('/').collect::<Vec<_>>());
            }
            fields
        };
        let mut payloads: BTreeMap<_, _> =
            read_only.into_iter().map(|(name, paths)| (name.to_owned(), with_paths(paths))).collect();
        let mut read_only = payloads.remove("").unwrap_or_default();
        let data = ReadOnlyFields { payloads, ..ReadOnlyFields::default() };
        let event = ReadOnlyFields { members: vec![("data".into(), data)], ..ReadOnlyFields::default() };
        let events = ReadOnlyFields { entries: Some(event.into()), ..ReadOnlyFields::default() };
        read_only.members.push(("events".into(), events));
        Self { times, read_only }
    }
}

impl ReadOnlyFields {
    fn insert(&mut self, path: &[&str]) {
        match path {
            [] => self.is_read_only = true,
            ["*", rest @ ..] => {
                self.members.iter_mut().for_each(|(_, member)| member.insert(rest));
                self.entries.get_or_insert_default().insert(rest);
            }
            [name, rest @ ..] => {
                let index = self.members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                    self.members.push(((*name).to_owned(), self.entries.as_deref().cloned().unwrap_or_default()));
                    self.members.len() - 1
                });
                self.members[index].1.insert(rest);
            }
        }
    }

    /// Returns the fields of the member of this name of an object.
    pub(super) fn member(&self, object: &Map<String, Value>, name: &str) -> Option<&Self> {
        let member = self.members.iter().find(|(known, _)| known == name);
        let member = member.map(|(_, member)| member).or(self.entry())?;
        if member.payloads.is_empty() {
            return Some(member);
        }
        member.payloads.get(object.get("event_type")?.as_str()?)
    }

    /// Returns the fields of each entry of a list.
    pub(super) fn entry(&self) -> Option<&Self> {
        self.entries.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;

    use super::*;
    use crate::diagnostics::{Code, rules};

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
        let found = rules::check(&batch, Utc::now(), &fields).into_iter().filter(|found| found.code == Code::ReadOnly);
        let mut found: Vec<_> = found.map(|found| found.pointer).collect();
        found.sort();
        let data = ["/events/0/data/$a/id", "/events/0/data/id"];
        let rest = ["/list/0/id", "/map/$a", "/map/a", "/map/a/b", "/part", "/part/inner"];
        assert_eq!(found, [&data[..], &rest].concat());
    }
}
