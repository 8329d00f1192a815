//! The limits that the service documents: those that stop a request here, and those that a batch can be asked for.
//!
//! The service breaks most limits in silence: it truncates, or drops. [`Batch::check`] says so before.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::pointer::escaped;
use crate::types::Batch;

/// At most this many bytes in one batch, written as JSON: the service says that a batch should not exceed 128 KB.
pub const MAX_BATCH_BYTES: usize = 128_000;

/// At most this many bytes in the body of one request: the service documents "under 256 KB", and one kB is taken as
/// 1,000 bytes here, to be on the safe side of both readings.
pub const MAX_REQUEST_BYTES: usize = 256_000;

/// At most this many batches in one bulk request.
pub const MAX_BATCHES_PER_REQUEST: usize = 100;

/// At most this many characters in the name of an event; the service truncates longer ones.
pub const MAX_EVENT_NAME_CHARACTERS: usize = 256;

/// At most this many attributes of a user, and as many of an event.
pub const MAX_ATTRIBUTES: usize = 100;

/// At most this many characters in the name of an attribute; the service truncates longer ones.
pub const MAX_ATTRIBUTE_NAME_CHARACTERS: usize = 256;

/// At most this many characters in the value of an attribute.
pub const MAX_ATTRIBUTE_VALUE_CHARACTERS: usize = 4096;

/// At most this many entries in a user attribute that is a list.
pub const MAX_LIST_ENTRIES: usize = 1000;

/// At most this many characters in an entry of such a list.
pub const MAX_LIST_ENTRY_CHARACTERS: usize = 512;

/// At most this many characters in the `action_identifier` of a push message.
pub const MAX_ACTION_IDENTIFIER_CHARACTERS: usize = 100;

/// Data that is sent as historical has to be at least this old, in hours.
pub const MIN_HISTORICAL_AGE_HOURS: i64 = 72;

/// Something that the service would take, and then not treat as its sender hopes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it is, as a JSON pointer into the batch. Empty for the batch as a whole.
    pub pointer: String,
    /// What it is about.
    pub rule: Rule,
    /// The limit, where the rule has one.
    pub limit: Option<usize>,
    /// What there is instead: bytes, characters or entries, as the rule counts.
    pub actual: Option<usize>,
}

/// What a [`Finding`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The bytes of the batch as it would be sealed: [`MAX_BATCH_BYTES`].
    BatchBytes,
    /// The characters of an event's name: [`MAX_EVENT_NAME_CHARACTERS`].
    EventName,
    /// How many attributes there are: [`MAX_ATTRIBUTES`].
    Attributes,
    /// The characters of an attribute's name: [`MAX_ATTRIBUTE_NAME_CHARACTERS`].
    AttributeName,
    /// The characters of an attribute's value: [`MAX_ATTRIBUTE_VALUE_CHARACTERS`].
    AttributeValue,
    /// The entries of a list: [`MAX_LIST_ENTRIES`].
    ListEntries,
    /// The characters of a list's entry: [`MAX_LIST_ENTRY_CHARACTERS`].
    ListEntry,
    /// The characters of an `action_identifier`: [`MAX_ACTION_IDENTIFIER_CHARACTERS`].
    ActionIdentifier,
    /// A time between 1970 and 1973 if it is milliseconds, and in our days if it is seconds.
    LooksLikeSeconds,
    /// No identity of a user or a device, and no `mpid`.
    NoIdentity,
    /// A historical batch without events.
    HistoricalWithoutEvents,
    /// An event of a historical batch without `timestamp_unixtime_ms`.
    HistoricalWithoutTime,
    /// An event of a historical batch that is younger than [`MIN_HISTORICAL_AGE_HOURS`].
    HistoricalTooYoung,
}

impl Rule {
    /// What the service documents to happen.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::BatchBytes => "what happens is not documented; this crate does not send it",
            Self::EventName | Self::AttributeName => "the service truncates it",
            Self::Attributes | Self::AttributeValue | Self::ListEntries | Self::ListEntry => {
                "client SDKs drop them; for servers it is not documented"
            }
            Self::ActionIdentifier => "what happens is not documented",
            Self::LooksLikeSeconds => "the service takes it as milliseconds, in the early seventies",
            Self::NoIdentity => "the service accepts it and cannot make use of it",
            Self::HistoricalWithoutEvents | Self::HistoricalWithoutTime | Self::HistoricalTooYoung => {
                "the service accepts the batch and silently does not process it"
            }
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::BatchBytes => "bytes in a batch",
            Self::EventName => "characters in the name of an event",
            Self::Attributes => "attributes",
            Self::AttributeName => "characters in the name of an attribute",
            Self::AttributeValue => "characters in the value of an attribute",
            Self::ListEntries => "entries in a list",
            Self::ListEntry => "characters in an entry of a list",
            Self::ActionIdentifier => "characters in an action identifier",
            Self::LooksLikeSeconds => "looks like seconds, milliseconds are expected",
            Self::NoIdentity => "no identity of a user or a device",
            Self::HistoricalWithoutEvents => "no events",
            Self::HistoricalWithoutTime => "an event without a time",
            Self::HistoricalTooYoung => "an event younger than 72 hours",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: ")?;
        if let (Some(actual), Some(limit)) = (self.actual, self.limit) {
            write!(f, "{actual} {}, at most {limit}", self.rule.words())?;
        } else {
            f.write_str(self.rule.words())?;
        }
        write!(f, "; {}", self.rule.consequence())
    }
}

impl Batch {
    /// Everything about this batch that the service would take in silence and not treat as hoped: every documented limit
    /// that it breaks, names that would be truncated, times that look like seconds, no identity. Empty if all is well.
    ///
    /// It writes the batch as JSON to look at it, so it costs more than sealing: for tests, tools and doubtful data.
    ///
    /// ```
    /// use mparticle::limits::Rule;
    /// use mparticle::{Batch, CustomEvent, CustomEventType, Environment};
    ///
    /// let batch = Batch::new(Environment::Development).event(CustomEvent::new("x".repeat(300), CustomEventType::Other));
    /// let findings = batch.check();
    /// assert_eq!(findings[0].rule, Rule::NoIdentity);
    /// assert_eq!(
    ///     findings[1].to_string(),
    ///     "/events/0/data/event_name: 300 characters in the name of an event, at most 256; the service truncates it"
    /// );
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Findings(Vec::new());
        // A batch that has no JSON form is refused by sealing, with its place; here the rest of it is still looked at.
        let sealed = self.clone().seal_with(Uuid::nil);
        let json = match &sealed {
            Ok(sealed) => serde_json::from_slice(sealed.json()),
            Err(_) => serde_json::to_value(self),
        }
        .unwrap_or_default();
        if let Ok(sealed) = &sealed {
            findings.over("", Rule::BatchBytes, sealed.len(), MAX_BATCH_BYTES);
        }
        if !has_identity(&json) {
            findings.add("", Rule::NoIdentity);
        }
        findings.attributes("/user_attributes", &json["user_attributes"]);
        for (index, event) in json["events"].as_array().into_iter().flatten().enumerate() {
            findings.event(&format!("/events/{index}/data"), &event["data"]);
        }
        findings.times("", &json);
        findings.0
    }

    /// As [`check`](Self::check), and what makes the service ignore a batch that is sent as historical at this time.
    #[must_use]
    pub fn check_historical(&self, now: DateTime<Utc>) -> Vec<Finding> {
        let mut findings = Findings(self.check());
        let youngest = (now - TimeDelta::hours(MIN_HISTORICAL_AGE_HOURS)).timestamp_millis();
        if self.events.is_empty() {
            findings.add("/events", Rule::HistoricalWithoutEvents);
        }
        for (index, event) in self.events.iter().enumerate() {
            let at = format!("/events/{index}/data/timestamp_unixtime_ms");
            match event.timestamp_unixtime_ms() {
                None => findings.add(&at, Rule::HistoricalWithoutTime),
                Some(time) if time > youngest => findings.add(&at, Rule::HistoricalTooYoung),
                Some(_) => {}
            }
        }
        findings.0
    }
}

/// The fields of `device_info` that name one device.
const DEVICE_IDENTITIES: [&str; 10] = [
    "amp_id",
    "android_advertising_id",
    "android_uuid",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_idfv",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_advertising_id",
    "roku_publisher_id",
];

fn has_identity(batch: &Value) -> bool {
    let any = |field: &str| batch[field].as_object().is_some_and(|map| !map.is_empty());
    any("user_identities")
        || any("partner_identities")
        || ["mpid", "mp_deviceid", "partner_identity"].iter().any(|field| !batch[field].is_null())
        || DEVICE_IDENTITIES.iter().any(|field| !batch["device_info"][field].is_null())
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, pointer: &str, rule: Rule) {
        self.0.push(Finding { pointer: pointer.to_owned(), rule, limit: None, actual: None });
    }

    fn over(&mut self, pointer: &str, rule: Rule, actual: usize, limit: usize) {
        if actual > limit {
            self.0.push(Finding { pointer: pointer.to_owned(), rule, limit: Some(limit), actual: Some(actual) });
        }
    }

    fn text(&mut self, pointer: &str, rule: Rule, text: &Value, limit: usize) {
        self.over(pointer, rule, text.as_str().map_or(0, |text| text.chars().count()), limit);
    }

    fn event(&mut self, at: &str, data: &Value) {
        self.text(&format!("{at}/event_name"), Rule::EventName, &data["event_name"], MAX_EVENT_NAME_CHARACTERS);
        let action = &data["action_identifier"];
        let limit = MAX_ACTION_IDENTIFIER_CHARACTERS;
        self.text(&format!("{at}/action_identifier"), Rule::ActionIdentifier, action, limit);
        self.attributes(&format!("{at}/custom_attributes"), &data["custom_attributes"]);
        let changed = &data["user_attribute_name"];
        self.text(&format!("{at}/user_attribute_name"), Rule::AttributeName, changed, MAX_ATTRIBUTE_NAME_CHARACTERS);
        if changed.is_string() {
            self.value(&format!("{at}/new"), &data["new"]);
            self.value(&format!("{at}/old"), &data["old"]);
        }
        for (index, breadcrumb) in data["breadcrumbs"].as_array().into_iter().flatten().enumerate() {
            self.event(&format!("{at}/breadcrumbs/{index}/data"), &breadcrumb["data"]);
        }
    }

    fn attributes(&mut self, at: &str, attributes: &Value) {
        let Some(attributes) = attributes.as_object() else { return };
        self.over(at, Rule::Attributes, attributes.len(), MAX_ATTRIBUTES);
        for (name, value) in attributes {
            let at = format!("{at}/{}", escaped(name));
            self.over(&at, Rule::AttributeName, name.chars().count(), MAX_ATTRIBUTE_NAME_CHARACTERS);
            self.value(&at, value);
        }
    }

    fn value(&mut self, at: &str, value: &Value) {
        self.text(at, Rule::AttributeValue, value, MAX_ATTRIBUTE_VALUE_CHARACTERS);
        let Some(list) = value.as_array() else { return };
        self.over(at, Rule::ListEntries, list.len(), MAX_LIST_ENTRIES);
        for (index, entry) in list.iter().enumerate() {
            self.text(&format!("{at}/{index}"), Rule::ListEntry, entry, MAX_LIST_ENTRY_CHARACTERS);
        }
    }

    /// Wherever a time stands: the service names them all alike.
    fn times(&mut self, at: &str, value: &Value) {
        const SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let at = format!("{at}/{}", escaped(name));
                    let is_time = name.ends_with("_unixtime_ms") || name == "added_to_cart_time_ms";
                    if is_time && value.as_i64().is_some_and(|time| SECONDS.contains(&time)) {
                        self.add(&at, Rule::LooksLikeSeconds);
                    }
                    // What users name as they like is not looked into.
                    if !matches!(name.as_str(), "user_attributes" | "custom_attributes" | "custom_flags") {
                        self.times(&at, value);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.times(&format!("{at}/{index}"), item);
                }
            }
            _ => {}
        }
    }
}
