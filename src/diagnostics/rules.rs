//! The rules over plain JSON, from whomever it comes: this file knows no type of this crate.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::finding::{Finding, Rule};
use crate::limits::{
    MAX_ACTION_IDENTIFIER_CHARACTERS, MAX_ATTRIBUTE_NAME_CHARACTERS, MAX_ATTRIBUTE_VALUE_CHARACTERS, MAX_ATTRIBUTES,
    MAX_EVENT_NAME_CHARACTERS, MAX_HOURS_AHEAD, MAX_LIST_ENTRIES, MAX_LIST_ENTRY_CHARACTERS, MIN_HISTORICAL_AGE_HOURS,
};
use crate::pointer::Place;

/// Whatever the service would take in silence and not treat as hoped, at this time. A null counts as absent, as it does
/// there.
pub(crate) fn findings(batch: &Value, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let root = Place::Root("");
    if !has_identity(batch) {
        findings.add(&root, Rule::NoIdentity);
    }
    findings.attributes(&root.name("user_attributes"), &batch["user_attributes"]);
    let events = root.name("events");
    for (index, event) in batch["events"].as_array().into_iter().flatten().enumerate() {
        findings.event(&events.index(index).name("data"), &event["data"]);
    }
    let latest = now + TimeDelta::hours(MAX_HOURS_AHEAD);
    findings.times(&root, batch, latest.timestamp_millis());
    findings.0
}

/// What makes the service ignore a batch that is sent as historical at this time.
pub(crate) fn historical(batch: &Value, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let youngest = (now - TimeDelta::hours(MIN_HISTORICAL_AGE_HOURS)).timestamp_millis();
    let root = Place::Root("");
    let at = root.name("events");
    let events = batch["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        findings.add(&at, Rule::HistoricalWithoutEvents);
    }
    for (index, event) in events.iter().enumerate() {
        let event_at = at.index(index);
        let at = event_at.name("data");
        let at = at.name("timestamp_unixtime_ms");
        match event["data"]["timestamp_unixtime_ms"].as_i64() {
            None => findings.add(&at, Rule::HistoricalWithoutTime),
            Some(time) if time > youngest => findings.add(&at, Rule::HistoricalTooYoung),
            Some(_) => {}
        }
    }
    findings.0
}

/// The fields of `device_info` that name one device.
pub(crate) const DEVICE_IDENTITIES: [&str; 10] = [
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

pub(crate) fn has_identity(batch: &Value) -> bool {
    let any = |field: &str| batch[field].as_object().is_some_and(|map| map.values().any(|value| !value.is_null()));
    any("user_identities")
        || any("partner_identities")
        || ["mpid", "mp_deviceid", "partner_identity"].iter().any(|field| !batch[field].is_null())
        || DEVICE_IDENTITIES.iter().any(|field| !batch["device_info"][field].is_null())
}

/// What a time tells that cannot be one of now in milliseconds.
fn out_of_our_days(time: i64, latest: i64) -> Option<Rule> {
    /// From 1973 to 5138, as seconds; in microseconds these years begin here.
    const SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;
    const MICROSECONDS: i64 = 100_000_000_000_000;
    match time {
        time if SECONDS.contains(&time) => Some(Rule::LooksLikeSeconds),
        MICROSECONDS.. => Some(Rule::LooksLikeMicroseconds),
        time if time > latest => Some(Rule::InTheFuture),
        _ => None,
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, at: &Place<'_>, rule: Rule) {
        self.0.push(Finding { pointer: at.to_string(), rule, limit: None, actual: None });
    }

    fn over(&mut self, at: &Place<'_>, rule: Rule, actual: usize, limit: usize) {
        if actual > limit {
            self.0.push(Finding { pointer: at.to_string(), rule, limit: Some(limit), actual: Some(actual) });
        }
    }

    fn text(&mut self, at: &Place<'_>, rule: Rule, text: &Value, limit: usize) {
        // A text has at most as many characters as bytes, and most are not even near the limit.
        let Some(text) = text.as_str().filter(|text| text.len() > limit) else { return };
        self.over(at, rule, text.chars().count(), limit);
    }

    fn event(&mut self, at: &Place<'_>, data: &Value) {
        self.text(&at.name("event_name"), Rule::EventName, &data["event_name"], MAX_EVENT_NAME_CHARACTERS);
        let action = &data["action_identifier"];
        let limit = MAX_ACTION_IDENTIFIER_CHARACTERS;
        self.text(&at.name("action_identifier"), Rule::ActionIdentifier, action, limit);
        self.attributes(&at.name("custom_attributes"), &data["custom_attributes"]);
        let changed = &data["user_attribute_name"];
        self.text(&at.name("user_attribute_name"), Rule::AttributeName, changed, MAX_ATTRIBUTE_NAME_CHARACTERS);
        if changed.is_string() {
            self.value(&at.name("new"), &data["new"]);
            self.value(&at.name("old"), &data["old"]);
        }
        let breadcrumbs = at.name("breadcrumbs");
        for (index, breadcrumb) in data["breadcrumbs"].as_array().into_iter().flatten().enumerate() {
            self.event(&breadcrumbs.index(index).name("data"), &breadcrumb["data"]);
        }
    }

    fn attributes(&mut self, at: &Place<'_>, attributes: &Value) {
        let Some(attributes) = attributes.as_object() else { return };
        self.over(at, Rule::Attributes, attributes.len(), MAX_ATTRIBUTES);
        for (name, value) in attributes {
            let at = at.name(name);
            if name.len() > MAX_ATTRIBUTE_NAME_CHARACTERS {
                self.over(&at, Rule::AttributeName, name.chars().count(), MAX_ATTRIBUTE_NAME_CHARACTERS);
            }
            self.value(&at, value);
        }
    }

    fn value(&mut self, at: &Place<'_>, value: &Value) {
        self.text(at, Rule::AttributeValue, value, MAX_ATTRIBUTE_VALUE_CHARACTERS);
        let Some(list) = value.as_array() else { return };
        self.over(at, Rule::ListEntries, list.len(), MAX_LIST_ENTRIES);
        for (index, entry) in list.iter().enumerate() {
            self.text(&at.index(index), Rule::ListEntry, entry, MAX_LIST_ENTRY_CHARACTERS);
        }
    }

    /// Wherever a time stands: the service names them all alike.
    fn times(&mut self, at: &Place<'_>, value: &Value, latest: i64) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let at = at.name(name);
                    let is_time = name.ends_with("_unixtime_ms") || name == "added_to_cart_time_ms";
                    if let Some(rule) =
                        value.as_i64().filter(|_| is_time).and_then(|time| out_of_our_days(time, latest))
                    {
                        self.add(&at, rule);
                    }
                    // What users name as they like is not looked into.
                    if !matches!(name.as_str(), "user_attributes" | "custom_attributes" | "custom_flags") {
                        self.times(&at, value, latest);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.times(&at.index(index), item, latest);
                }
            }
            _ => {}
        }
    }
}
