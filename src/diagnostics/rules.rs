//! The rules on plain JSON. They use no generated types, so that the mock can apply them independently.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::code::Code;
use super::diagnostic::{Diagnostic, Fix};
use super::identities;
use super::known_fields::KnownFields;
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
const READ_ONLY: &str = "set by the service, and not part of a batch to send";
const READ_ONLY_TIME: &str =
    "set by the service, and not part of a batch to send; the time of an event is in the data of the event";
const NUL: &str = "a NUL character; the effect is not documented, and many databases refuse or cut such a text";
const NOT_PROCESSED: &str = "the service accepts the batch and silently does not process it";

pub(super) const BATCH_BYTES: Limit = Limit {
    code: Code::BatchBytes,
    max: MAX_BATCH_BYTES,
    unit: "bytes in a batch",
    effect: "the effect is not documented; this crate splits the batch by its events, or refuses it if it cannot",
};
const EVENT_NAME: Limit = Limit {
    code: Code::EventName,
    max: MAX_EVENT_NAME_CHARACTERS,
    unit: "characters in the name of an event",
    effect: TRUNCATED,
};
const ATTRIBUTES: Limit = Limit { code: Code::Attributes, max: MAX_ATTRIBUTES, unit: "attributes", effect: DROPPED };
const ATTRIBUTE_NAME: Limit = Limit {
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
const ACTION_IDENTIFIER: Limit = Limit {
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
    let mut found = Diagnostics(Vec::new());
    let root = JsonPointer::Root("");
    if !identities::check(&root, batch, &mut found.0) {
        let message = "no identity of a user or a device; the service accepts the batch but cannot use it";
        found.add(&root, Code::NoIdentity, message);
    }
    fields.each_read_only(&root, batch, &mut |at| {
        let is_time = matches!(at, JsonPointer::Name(JsonPointer::Root(_), name) if fields.times.contains(*name));
        found.add(at, Code::ReadOnly, if is_time { READ_ONLY_TIME } else { READ_ONLY });
    });
    found.check_attributes(&root.name("user_attributes"), &batch["user_attributes"]);
    let events = root.name("events");
    for (index, event) in batch["events"].as_array().into_iter().flatten().enumerate() {
        found.check_event(&events.index(index).name("data"), &event["data"]);
    }
    let latest = now + TimeDelta::hours(MAX_HOURS_AHEAD);
    found.check_members(&root, batch, &Members { times: &fields.times, latest: latest.timestamp_millis() });
    found.0
}

/// Reports the reasons for which the service ignores a batch that is sent as historical at the time `now`.
pub(crate) fn check_historical(batch: &Value, now: DateTime<Utc>) -> Vec<Diagnostic> {
    let mut found = Diagnostics(Vec::new());
    let mut add = |at: &JsonPointer<'_>, code, reason| found.add(at, code, &format!("{reason}; {NOT_PROCESSED}"));
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
    found.0
}

/// The years 1973 to 5138 in seconds.
pub(crate) const SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;

/// The beginning of the year 2000, in milliseconds.
const YEAR_2000: i64 = 946_684_800_000;

/// Returns the code and the message for a time that is not a plausible number of milliseconds.
fn implausible_timestamp(time: i64, latest: i64) -> Option<(Code, &'static str)> {
    /// The beginning of the range of [`SECONDS`] in microseconds.
    const MICROSECONDS: i64 = 100_000_000_000_000;
    match time {
        time if SECONDS.contains(&time) => Some((
            Code::LooksLikeSeconds,
            "looks like seconds instead of milliseconds; the service reads it as milliseconds, a time in the early 1970s",
        )),
        MICROSECONDS.. => Some((
            Code::LooksLikeMicroseconds,
            "looks like microseconds or nanoseconds instead of milliseconds; the service reads it as milliseconds, a time \
             thousands of years ahead",
        )),
        time if time > latest => {
            Some((Code::InTheFuture, "a time more than 24 hours ahead; the effect is not documented"))
        }
        _ => None,
    }
}

struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    fn add(&mut self, at: &JsonPointer<'_>, code: Code, message: &str) {
        self.0.push(Diagnostic::new(code, at.to_string(), message));
    }

    fn check_size(&mut self, at: &JsonPointer<'_>, limit: &Limit, actual: usize) {
        self.0.extend(limit.check(at, actual));
    }

    fn check_text(&mut self, at: &JsonPointer<'_>, limit: &Limit, text: &Value) {
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

    fn check_event(&mut self, at: &JsonPointer<'_>, data: &Value) {
        for (name, value) in data.as_object().into_iter().flatten() {
            let at = at.name(name);
            match name.as_str() {
                "event_name" => self.check_text(&at, &EVENT_NAME, value),
                "timestamp_unixtime_ms" => self.check_not_early(&at, value),
                "action_identifier" => self.check_text(&at, &ACTION_IDENTIFIER, value),
                "custom_attributes" => self.check_attributes(&at, value),
                "user_attribute_name" => self.check_text(&at, &ATTRIBUTE_NAME, value),
                "new" | "old" => {
                    if data["user_attribute_name"].is_string() {
                        self.check_value(&at, value);
                    }
                    if let Some(identity) = value.get("identity") {
                        identities::check_identity(&at.name("identity"), identity, &mut self.0);
                    }
                }
                "breadcrumbs" => {
                    for (index, breadcrumb) in value.as_array().into_iter().flatten().enumerate() {
                        self.check_event(&at.index(index).name("data"), &breadcrumb["data"]);
                    }
                }
                _ => {}
            }
        }
    }

    /// Checks the time of an event. Other times are not checked, since zeros are common in the service's own samples.
    fn check_not_early(&mut self, at: &JsonPointer<'_>, time: &Value) {
        let Some(time) = time.as_i64().filter(|time| *time < YEAR_2000 && !SECONDS.contains(time)) else { return };
        let date = DateTime::from_timestamp_millis(time).map(|time| format!(" ({})", time.date_naive()));
        let date = date.unwrap_or_default();
        let reason = "an empty date, or a date in another form, gives such a time";
        self.add(at, Code::TooEarly, &format!("a time before the year 2000{date}; {reason}"));
    }

    fn check_attributes(&mut self, at: &JsonPointer<'_>, attributes: &Value) {
        let Some(attributes) = attributes.as_object() else { return };
        self.check_size(at, &ATTRIBUTES, attributes.len());
        for (name, value) in attributes {
            let at = at.name(name);
            self.check_characters(&at, &ATTRIBUTE_NAME, name);
            self.check_value(&at, value);
        }
    }

    fn check_value(&mut self, at: &JsonPointer<'_>, value: &Value) {
        self.check_text(at, &ATTRIBUTE_VALUE, value);
        let Some(list) = value.as_array() else { return };
        self.check_size(at, &LIST_ENTRIES, list.len());
        for (index, entry) in list.iter().enumerate() {
            self.check_text(&at.index(index), &LIST_ENTRY, entry);
        }
    }

    /// Checks the members at any depth: times, which are recognised by their names, and texts.
    fn check_members(&mut self, at: &JsonPointer<'_>, value: &Value, members: &Members<'_>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let at = at.name(name);
                    if let Some(time) = value.as_i64()
                        && let Some((code, message)) = members.implausible_time(name, time)
                    {
                        let fix = (code == Code::LooksLikeSeconds).then_some(Fix::Milliseconds);
                        self.0.push(Diagnostic { fix, ..Diagnostic::new(code, at.to_string(), message) });
                    }
                    if has_nul(name) {
                        self.add(&at, Code::Nul, NUL);
                    }
                    // In these maps users choose the names.
                    if matches!(name.as_str(), "user_attributes" | "custom_attributes" | "custom_flags") {
                        self.check_members(&at, value, &Members { times: &BTreeSet::new(), ..*members });
                    } else {
                        self.check_members(&at, value, members);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_members(&at.index(index), item, members);
                }
            }
            Value::String(text) if has_nul(text) => self.add(at, Code::Nul, NUL),
            _ => {}
        }
    }
}

/// Returns whether a text has a NUL character. Most texts are short, for which this is faster than a search for a character.
fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

/// The rules on members at any depth.
struct Members<'a> {
    /// The names of times.
    times: &'a BTreeSet<String>,
    /// The latest plausible time, in milliseconds.
    latest: i64,
}

impl Members<'_> {
    fn implausible_time(&self, name: &str, time: i64) -> Option<(Code, &'static str)> {
        implausible_timestamp(time, self.latest).filter(|_| self.times.contains(name))
    }
}
