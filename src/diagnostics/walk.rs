//! The rules on the members of a batch at any depth, in one walk.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::code::Code;
use super::diagnostic::{Diagnostic, Fix};
use super::identities::{check_identity, identifies_device};
use super::known_fields::{KnownFields, ReadOnlyFields};
use super::rules::{ACTION_IDENTIFIER, ATTRIBUTE_NAME, EVENT_NAME, LimitDiagnostics};
use crate::pointer::JsonPointer;

const READ_ONLY: &str = "set by the service, and not part of a batch to send";
const READ_ONLY_TIME: &str =
    "set by the service, and not part of a batch to send; the time of an event is in the data of the event";
const NUL: &str = "a NUL character; the effect is not documented, and many databases refuse or cut such a text";

/// The years 1973 to 5138 in seconds.
pub(crate) const SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;

/// The beginning of the year 2000, in milliseconds.
const YEAR_2000: i64 = 946_684_800_000;

/// The diagnostics of a batch, by rule.
#[derive(Default)]
pub(super) struct BatchDiagnostics {
    /// Set if the batch has an identity that is no placeholder.
    pub(super) is_identified: bool,
    /// Placeholders, and blanks around identities.
    pub(super) identities: Vec<Diagnostic>,
    /// Fields that the service sets.
    pub(super) read_only: Vec<Diagnostic>,
    pub(super) user_attributes: LimitDiagnostics,
    pub(super) events: LimitDiagnostics,
    /// Times and NUL characters.
    pub(super) values: Vec<Diagnostic>,
}

/// Checks a batch. Times after `latest`, in milliseconds, are in the future.
pub(super) fn check(batch: &Value, latest: i64, known: &KnownFields) -> BatchDiagnostics {
    let mut walk = Walk { known, latest, found: BatchDiagnostics::default() };
    let context = Context { part: Part::Batch, has_times: true, read_only: Some(&known.read_only) };
    walk.check_value(&JsonPointer::Root(""), batch, context);
    walk.found
}

/// The part of a batch that a value is, which decides the rules on its members.
#[derive(Clone, Copy)]
enum Part {
    Batch,
    /// The identities of the user, or at partners.
    Identities,
    DeviceInfo,
    /// The events of a batch, or the breadcrumbs of an event.
    Events,
    Event,
    EventData,
    Other,
}

#[derive(Clone, Copy)]
struct Context<'a> {
    part: Part,
    /// Set unless users choose the names, so that the name of a time says nothing.
    has_times: bool,
    read_only: Option<&'a ReadOnlyFields>,
}

struct Walk<'a> {
    known: &'a KnownFields,
    latest: i64,
    found: BatchDiagnostics,
}

impl Walk<'_> {
    fn check_value(&mut self, at: &JsonPointer<'_>, value: &Value, context: Context<'_>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let at = at.name(name);
                    let part = self.check_member(&at, name, value, context.part, members);
                    let read_only = context.read_only.and_then(|fields| fields.member(members, name));
                    self.check_read_only(&at, value, read_only);
                    if context.has_times
                        && let Some(time) = value.as_i64()
                    {
                        self.check_time(&at, name, time, context.part);
                    }
                    self.check_nul(&at, name);
                    let is_map = matches!(name.as_str(), "user_attributes" | "custom_attributes" | "custom_flags");
                    let has_times = context.has_times && !is_map;
                    self.check_value(&at, value, Context { part, has_times, read_only });
                }
            }
            Value::Array(items) => {
                let part = if matches!(context.part, Part::Events) { Part::Event } else { Part::Other };
                let read_only = context.read_only.and_then(ReadOnlyFields::entry);
                for (index, item) in items.iter().enumerate() {
                    let at = at.index(index);
                    self.check_read_only(&at, item, read_only);
                    self.check_value(&at, item, Context { part, read_only, ..context });
                }
            }
            Value::String(text) => self.check_nul(at, text),
            _ => {}
        }
    }

    /// Applies the rules on this member of a part, and returns the part that the member is.
    fn check_member(
        &mut self,
        at: &JsonPointer<'_>,
        name: &str,
        value: &Value,
        part: Part,
        members: &Map<String, Value>,
    ) -> Part {
        let events = &mut self.found.events;
        match (part, name) {
            (Part::Batch, "events") | (Part::EventData, "breadcrumbs") => return Part::Events,
            (Part::Event, "data") => return Part::EventData,
            (Part::Batch, "user_identities" | "partner_identities") => return Part::Identities,
            (Part::Batch, "device_info") => return Part::DeviceInfo,
            (Part::Batch, "mpid" | "mp_deviceid" | "partner_identity") | (Part::Identities, _) => {
                self.check_identity(at, value);
            }
            (Part::DeviceInfo, name) if identifies_device(name) => self.check_identity(at, value),
            (Part::Batch, "user_attributes") => self.found.user_attributes.check_attributes(at, value),
            (Part::EventData, "custom_attributes") => events.check_attributes(at, value),
            (Part::EventData, "event_name") => events.check_text(at, &EVENT_NAME, value),
            (Part::EventData, "action_identifier") => events.check_text(at, &ACTION_IDENTIFIER, value),
            (Part::EventData, "user_attribute_name") => events.check_text(at, &ATTRIBUTE_NAME, value),
            (Part::EventData, "new" | "old") => {
                if members.get("user_attribute_name").is_some_and(Value::is_string) {
                    events.check_value(at, value);
                }
                if let Some(identity) = value.get("identity") {
                    check_identity(&at.name("identity"), identity, &mut events.0);
                }
            }
            _ => {}
        }
        Part::Other
    }

    fn check_identity(&mut self, at: &JsonPointer<'_>, value: &Value) {
        self.found.is_identified |= check_identity(at, value, &mut self.found.identities);
    }

    /// Reports a field that the service sets. Null counts as absent.
    fn check_read_only(&mut self, at: &JsonPointer<'_>, value: &Value, fields: Option<&ReadOnlyFields>) {
        if fields.is_some_and(|fields| fields.is_read_only) && !value.is_null() {
            let times = &self.known.times;
            let is_time = matches!(at, JsonPointer::Name(JsonPointer::Root(_), name) if times.contains(*name));
            let message = if is_time { READ_ONLY_TIME } else { READ_ONLY };
            self.found.read_only.push(Diagnostic::new(Code::ReadOnly, at.to_string(), message));
        }
    }

    fn check_time(&mut self, at: &JsonPointer<'_>, name: &str, time: i64, part: Part) {
        let Some(code) = implausible_time(time, self.latest).filter(|_| self.known.times.contains(name)) else {
            return;
        };
        let message = match code {
            Code::LooksLikeSeconds => {
                "looks like seconds instead of milliseconds; the service reads it as milliseconds, a time in the early 1970s".into()
            }
            Code::LooksLikeMicroseconds => {
                "looks like microseconds or nanoseconds instead of milliseconds; the service reads it as milliseconds, a time \
                 thousands of years ahead"
                    .into()
            }
            // Only the time of an event: zeros are common in other times, also in the service's own samples.
            Code::TooEarly if !matches!((part, name), (Part::EventData, "timestamp_unixtime_ms")) => return,
            Code::TooEarly => {
                let date = DateTime::from_timestamp_millis(time).map(|time| format!(" ({})", time.date_naive()));
                let date = date.unwrap_or_default();
                format!("a time before the year 2000{date}; an empty date, or a date in another form, gives such a time")
            }
            _ => "a time more than 24 hours ahead; the effect is not documented".into(),
        };
        let fix = (code == Code::LooksLikeSeconds).then_some(Fix::Milliseconds);
        self.found.values.push(Diagnostic { fix, ..Diagnostic::new(code, at.to_string(), message) });
    }

    fn check_nul(&mut self, at: &JsonPointer<'_>, text: &str) {
        if has_nul(text) {
            self.found.values.push(Diagnostic::new(Code::Nul, at.to_string(), NUL));
        }
    }
}

/// Returns whether a text has a NUL character. Most texts are short, for which words are faster than a search for a byte.
fn has_nul(text: &str) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The subtraction sets the high bit of a byte that is zero, and of no other byte below the first one.
    let has_zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH != 0;
    let bytes = text.as_bytes();
    match bytes.last_chunk() {
        // The last word overlaps the one before it.
        Some(last) => bytes.as_chunks().0.iter().chain([last]).any(|word| has_zero(u64::from_ne_bytes(*word))),
        None => bytes.contains(&0),
    }
}

/// Returns the code of a time that is not a plausible number of milliseconds.
fn implausible_time(time: i64, latest: i64) -> Option<Code> {
    /// The beginning of the range of [`SECONDS`] in microseconds.
    const MICROSECONDS: i64 = 100_000_000_000_000;
    match time {
        time if SECONDS.contains(&time) => Some(Code::LooksLikeSeconds),
        ..YEAR_2000 => Some(Code::TooEarly),
        MICROSECONDS.. => Some(Code::LooksLikeMicroseconds),
        time if time > latest => Some(Code::InTheFuture),
        _ => None,
    }
}
