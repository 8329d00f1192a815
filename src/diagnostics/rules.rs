//! The rules on plain JSON. They use no generated types, so that the mock can apply them independently.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::known_fields::KnownFields;
use super::walk;
use crate::limits::{
    MAX_ACTION_IDENTIFIER_CHARACTERS, MAX_ATTRIBUTE_NAME_CHARACTERS, MAX_ATTRIBUTE_VALUE_CHARACTERS, MAX_ATTRIBUTES,
    MAX_BATCH_BYTES, MAX_EVENT_NAME_CHARACTERS, MAX_HOURS_AHEAD, MAX_LIST_ENTRIES, MAX_LIST_ENTRY_CHARACTERS,
    MIN_HISTORICAL_AGE_HOURS,
};
use crate::pointer::JsonPointer;

/// A limit on a size.
pub(super) struct Limit {
    code: Code,
    max: usize,
    /// The unit and the counted thing.
    unit: &'static str,
    /// The documented effect of exceeding the limit.
    effect: &'static str,
}

const TRUNCATED: &str = "the service truncates it";
const DROPPED: &str = "client SDKs drop them; the effect for servers is not documented";
const NOT_PROCESSED: &str = "the service accepts the batch and silently does not process it";

pub(super) const BATCH_BYTES: Limit = Limit {
    code: Code::BatchBytes,
    max: MAX_BATCH_BYTES,
    unit: "bytes in a batch",
    effect: "the effect is not documented; this crate splits the batch by its events, or refuses it if it cannot",
};
pub(super) const EVENT_NAME: Limit = Limit {
    code: Code::EventName,
    max: MAX_EVENT_NAME_CHARACTERS,
    unit: "characters in the name of an event",
    effect: TRUNCATED,
};
const ATTRIBUTES: Limit = Limit { code: Code::Attributes, max: MAX_ATTRIBUTES, unit: "attributes", effect: DROPPED };
pub(super) const ATTRIBUTE_NAME: Limit = Limit {
    code: Code::AttributeName,
    max: MAX_ATTRIBUTE_NAME_CHARACTERS,
    unit: "characters in the name of an attribute",
    effect: TRUNCATED,
};
const ATTRIBUTE_VALUE: Limit = Limit {
    code: Code::AttributeValue,
    max: MAX_ATTRIBUTE_VALUE_CHARACTERS,
    unit: "characters in the value of an attribute",
    effect: DROPPED,
};
const LIST_ENTRIES: Limit =
    Limit { code: Code::ListEntries, max: MAX_LIST_ENTRIES, unit: "entries in a list", effect: DROPPED };
const LIST_ENTRY: Limit = Limit {
    code: Code::ListEntry,
    max: MAX_LIST_ENTRY_CHARACTERS,
    unit: "characters in an entry of a list",
    effect: DROPPED,
};
pub(super) const ACTION_IDENTIFIER: Limit = Limit {
    code: Code::ActionIdentifier,
    max: MAX_ACTION_IDENTIFIER_CHARACTERS,
    unit: "characters in an action identifier",
    effect: "the effect is not documented",
};

impl Limit {
    /// Returns a diagnostic if the limit is exceeded.
    pub(super) fn check(&self, at: &JsonPointer<'_>, actual: usize) -> Option<Diagnostic> {
        let Self { code, max, unit, effect } = *self;
        (actual > max).then(|| {
            let message = format!("{actual} {unit}, at most {max}; {effect}");
            Diagnostic {
                expected: Some(format!("at most {max}")),
                actual: Some(actual.to_string()),
                ..Diagnostic::new(code, at.to_string(), message)
            }
        })
    }
}

/// Reports everything that the service would accept and then truncate, drop or ignore at the time `now`. Null counts as absent, as
/// it does for the service.
pub(crate) fn check(batch: &Value, now: DateTime<Utc>, fields: &KnownFields) -> Vec<Diagnostic> {
    let latest = now.timestamp_millis() + TimeDelta::hours(MAX_HOURS_AHEAD).num_milliseconds();
    let mut found = walk::check(batch, latest, fields);
    if !found.is_identified {
        let message = "no identity of a user or a device; the service accepts the batch but cannot use it";
        found.identities.push(Diagnostic::new(Code::NoIdentity, "", message));
    }
    // Those of the batch are reported before those of its events.
    found.read_only.sort_by_key(|found| found.pointer.starts_with("/events/"));
    let rules = [found.identities, found.read_only, found.user_attributes.0, found.events.0, found.values];
    rules.into_iter().flatten().collect()
}

/// Reports the reasons for which the service ignores a batch that is sent as historical at the time `now`.
pub(crate) fn check_historical(batch: &Value, now: DateTime<Utc>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut add = |at: &JsonPointer<'_>, code, reason| {
        found.push(Diagnostic::new(code, at.to_string(), format!("{reason}; {NOT_PROCESSED}")));
    };
    let youngest = (now - TimeDelta::hours(MIN_HISTORICAL_AGE_HOURS)).timestamp_millis();
    let root = JsonPointer::Root("");
    let at = root.name("events");
    let events = batch["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        add(&at, Code::HistoricalWithoutEvents, "no events");
    }
    for (index, event) in events.iter().enumerate() {
        let event_at = at.index(index);
        let at = event_at.name("data");
        let at = at.name("timestamp_unixtime_ms");
        match event["data"]["timestamp_unixtime_ms"].as_i64() {
            None => add(&at, Code::HistoricalWithoutTime, "an event without a time"),
            Some(time) if time > youngest => add(&at, Code::HistoricalTooYoung, "an event younger than 72 hours"),
            Some(_) => {}
        }
    }
    found
}

/// The diagnostics of exceeded limits.
#[derive(Default)]
pub(super) struct LimitDiagnostics(pub(super) Vec<Diagnostic>);

impl LimitDiagnostics {
    fn check_size(&mut self, at: &JsonPointer<'_>, limit: &Limit, actual: usize) {
        self.0.extend(limit.check(at, actual));
    }

    pub(super) fn check_text(&mut self, at: &JsonPointer<'_>, limit: &Limit, text: &Value) {
        text.as_str().into_iter().for_each(|text| self.check_characters(at, limit, text));
    }

    fn check_characters(&mut self, at: &JsonPointer<'_>, limit: &Limit, text: &str) {
        // A text has no more characters than bytes, so most texts need no counting. The service runs on .NET, where a character
        // is a UTF-16 code unit: most emoji count as two.
        if text.len() > limit.max
            && let Some(mut found) = limit.check(at, text.encode_utf16().count())
        {
            if found.actual != Some(text.chars().count().to_string()) {
                found.message += "; most emoji count as two";
            }
            self.0.push(found);
        }
    }

    pub(super) fn check_attributes(&mut self, at: &JsonPointer<'_>, attributes: &Value) {
        let Some(attributes) = attributes.as_object() else { return };
        self.check_size(at, &ATTRIBUTES, attributes.len());
        for (name, value) in attributes {
            let at = at.name(name);
            self.check_characters(&at, &ATTRIBUTE_NAME, name);
            self.check_value(&at, value);
        }
    }

    pub(super) fn check_value(&mut self, at: &JsonPointer<'_>, value: &Value) {
        self.check_text(at, &ATTRIBUTE_VALUE, value);
        let Some(list) = value.as_array() else { return };
        self.check_size(at, &LIST_ENTRIES, list.len());
        for (index, entry) in list.iter().enumerate() {
            self.check_text(&at.index(index), &LIST_ENTRY, entry);
        }
    }
}
