//! Fields in the wrong event type, or in the wrong part of a batch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::describe::quote;
use super::payload;
use super::reference::resolve;
use super::schemas::BatchSchemas;
use crate::diagnostics::{Code, Diagnostic};

/// The maximum number of event types in a message.
const MAX_NAMED_TYPES: usize = 3;

/// The parts of a batch that have each field.
pub(super) struct FieldOwners {
    /// The event types whose data has the field.
    event_types: BTreeMap<String, BTreeSet<String>>,
    /// The field that holds the name of an event, such as `screen_name`, by event type. Only fields that are called a name.
    names: BTreeMap<String, String>,
    batch: BTreeSet<String>,
    identities: BTreeSet<String>,
}

impl FieldOwners {
    pub(super) fn new(strict: &Value, schemas: &BatchSchemas) -> Self {
        let fields = |schema: &Value| -> BTreeSet<String> {
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let mut event_types = BTreeMap::<_, BTreeSet<_>>::new();
        for (event_type, schema) in &schemas.payloads {
            for field in fields(schema) {
                event_types.entry(field).or_default().insert(event_type.clone());
            }
        }
        let mut names = payload::name_fields(strict);
        names.retain(|_, field| field.ends_with("_name"));
        let identities = resolve(strict, &strict["components"]["schemas"]["UserIdentities"]);
        Self { event_types, names, batch: fields(&schemas.batch), identities: fields(identities) }
    }

    /// Names the part of the batch to which the unknown fields belong, if there is one.
    pub(super) fn explain_unknown(&self, batch: &Value, found: &mut [Diagnostic]) {
        for diagnostic in found.iter_mut().filter(|found| found.code == Code::UnknownField) {
            // A field that is certainly a misspelt one of its own part belongs there, and a null can be removed.
            if diagnostic.fix.is_none() {
                self.explain(batch, diagnostic);
            }
        }
    }

    fn explain(&self, batch: &Value, diagnostic: &mut Diagnostic) {
        let pointer = diagnostic.pointer.clone();
        let Some((parent, name)) = pointer.rsplit_once('/') else { return };
        let steps: Vec<_> = parent.split('/').skip(1).collect();
        match steps[..] {
            ["events", index, "data"] if self.event_types.contains_key(name) => {
                let event = index.parse().ok().and_then(|index: usize| batch["events"].get(index));
                self.explain_other_type(event.unwrap_or(&Value::Null), name, diagnostic);
            }
            ["events", _] | [] if self.event_types.contains_key(name) => {
                misplace(diagnostic, "belongs to the `data` of an event");
            }
            _ if self.identities.contains(name) => misplace(diagnostic, "belongs to `user_identities`"),
            _ if self.batch.contains(name) => misplace(diagnostic, "belongs to the batch"),
            _ => {}
        }
    }

    fn explain_other_type(&self, event: &Value, name: &str, diagnostic: &mut Diagnostic) {
        let Some(event_type) = event["event_type"].as_str() else { return };
        let others: Vec<_> = self.event_types[name].iter().map(String::as_str).collect();
        let listed = match &others[..] {
            [only] => (*only).to_owned(),
            [first, last] => format!("{first} and {last}"),
            [listed @ .., last] if listed.len() < MAX_NAMED_TYPES => format!("{} and {last}", listed.join(", ")),
            all => {
                format!("{} and {} other event types", all[..MAX_NAMED_TYPES].join(", "), all.len() - MAX_NAMED_TYPES)
            }
        };
        reclassify(diagnostic, Code::OtherEventType, format!("is a field of {listed}, not of {event_type}"));
        let own = self.names.get(event_type).filter(|own| event["data"][own.as_str()].is_null());
        let is_name = others.iter().any(|other| self.names.get(*other).is_some_and(|field| field == name));
        diagnostic.suggestion = own.filter(|_| is_name).cloned();
        if let Some(own) = &diagnostic.suggestion {
            diagnostic.message += &format!(", did you mean {}?", quote(own));
        }
    }

    /// Replaces the errors within an attribute by one, if the attribute is no scalar and has the name of a part of the batch.
    pub(super) fn explain_attributes(&self, batch: &Value, found: &mut Vec<Diagnostic>) {
        let mut misplaced = BTreeSet::new();
        found.retain_mut(|diagnostic| {
            let Some(at) = self.misplaced_attribute(batch, &diagnostic.pointer) else { return true };
            if !misplaced.insert(at.clone()) {
                return false;
            }
            *diagnostic = Diagnostic::new(Code::MisplacedField, at, "belongs to the batch, not to the attributes");
            true
        });
    }

    /// Returns the pointer of the attribute that contains the value at `pointer`, if it is a part of the batch in its form.
    fn misplaced_attribute(&self, batch: &Value, pointer: &str) -> Option<String> {
        let at = pointer.find("_attributes/")? + "_attributes/".len();
        let end = pointer[at..].find('/').map_or(pointer.len(), |length| at + length);
        let is_attribute = pointer.starts_with("/user_attributes/") || pointer[..at].ends_with("/custom_attributes/");
        let value = batch.pointer(&pointer[..end])?;
        let has_objects = value.is_object() || value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
        (is_attribute && has_objects && self.batch.contains(&pointer[at..end])).then(|| pointer[..end].to_owned())
    }
}

fn misplace(diagnostic: &mut Diagnostic, owner: &str) {
    reclassify(diagnostic, Code::MisplacedField, owner.to_owned());
}

/// Turns the diagnostic of an unknown field into one of another kind at the same place.
fn reclassify(diagnostic: &mut Diagnostic, code: Code, message: String) {
    diagnostic.code = code;
    diagnostic.severity = code.severity();
    diagnostic.message = message;
    diagnostic.suggestion = None;
}
