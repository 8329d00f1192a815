//! What is wrong with the text of a batch, and where: the JSON itself, then the contract, then what was asked for.

use std::cmp::Reverse;
use std::ops::Range;

use chrono::{DateTime, Utc};
use mparticle::Environment;
use mparticle::contract::{self, EventPlace, Problem, Remedy, Severity, Violation};
use mparticle::diagnostics::Rule;
use mparticle::limits::MAX_BATCH_BYTES;
use serde_json::Value;

use super::frames::{Frame, MAX_TEXT_BYTES};
use super::parse::parse;
use super::place::{Lines, Place, locate};

/// At most this many faults of one text are told; the last one then says that there are more.
pub const MAX_FAULTS: usize = 100;

/// What an id adds to a batch that has none: `"source_request_id":"…",`.
const ID_BYTES: usize = 59;

/// What batches are held to, besides the contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Examiner {
    /// The rules of historical data, at this time.
    pub historical: Option<DateTime<Utc>>,
    /// A batch without an environment is of this one, and one of another is wrong.
    pub environment: Option<Environment>,
}

/// What was seen at one place of a file.
#[derive(Debug)]
pub struct Examined {
    /// Where the text begins.
    pub place: Place,
    /// The text as it was read.
    pub text: Vec<u8>,
    /// The text as JSON, if it is that, with the environment that was asked for.
    pub value: Option<Value>,
    /// In the order of their places.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong, or that its sender would want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub severity: Severity,
    /// A short name for machines: `json`, `unknown-field`, `batch-bytes`.
    pub rule: &'static str,
    pub place: Place,
    /// The bytes of the text that it is about: a name, a value, or nothing at all where the text ends too early.
    pub range: Range<usize>,
    /// A JSON pointer into the batch; empty if it is about the whole, or if it is not JSON.
    pub pointer: String,
    pub message: String,
    /// The event that it belongs to, if it belongs to one.
    pub event: Option<EventPlace>,
    /// What would mend it.
    pub remedy: Option<Remedy>,
}

impl Examined {
    /// Whether it is not to be sent.
    pub fn is_wrong(&self) -> bool {
        self.faults.iter().any(|fault| fault.severity == Severity::Error)
    }

    /// How many events it has.
    pub fn events(&self) -> u64 {
        let events = self.value.as_ref().and_then(|batch| batch["events"].as_array());
        events.map_or(0, |events| events.len() as u64)
    }

    /// A place of a file where there is no text.
    pub fn unread(place: Place, rule: &'static str, message: String) -> Self {
        Self { place, text: Vec::new(), value: None, faults: vec![Fault::new(place, rule, message)] }
    }
}

impl Examiner {
    /// Everything about one text.
    pub fn examine(&self, frame: Frame) -> Examined {
        match frame {
            Frame::Text { place, text } => self.examine_text(place, text),
            Frame::TooLong { place, bytes } => {
                let message = format!("{bytes} bytes; more than {MAX_TEXT_BYTES} are no batch, and are not looked at");
                Examined::unread(place, "text-bytes", message)
            }
            Frame::Broken { place, words } => {
                let message = format!("{words}; what follows is not looked at");
                Examined::unread(place, "layout", message)
            }
        }
    }

    fn examine_text(&self, place: Place, text: Vec<u8>) -> Examined {
        let lines = Lines::new(&text, place);
        match parse(&text, &lines) {
            Ok((json, mut value)) => {
                self.put_environment(&mut value);
                let faults = self.faults(json, &value, &lines);
                Examined { faults, place, value: Some(value), text }
            }
            Err(error) => {
                let mut fault = Fault::new(lines.place(error.offset), "json", error.words);
                fault.range = error.offset..(error.offset + 1).min(text.len());
                Examined { faults: vec![fault], place, value: None, text }
            }
        }
    }

    /// What mends a text, each with the pointer to its place; `None` if it is not JSON.
    pub fn remedies(&self, text: &[u8]) -> Option<(Value, Vec<(String, Remedy)>)> {
        let (_, mut value) = parse(text, &Lines::new(text, Place::default())).ok()?;
        self.put_environment(&mut value);
        let violations = self.violations(&value).into_iter();
        let remedies = violations.filter_map(|violation| Some((violation.pointer, violation.remedy?))).collect();
        Some((value, remedies))
    }

    fn violations(&self, value: &Value) -> Vec<Violation> {
        match self.historical {
            None => contract::check_batch(value),
            Some(now) => contract::check_historical_batch(value, now),
        }
    }

    fn faults(&self, json: &str, value: &Value, lines: &Lines<'_>) -> Vec<Fault> {
        let violations = self.violations(value);
        let of_environment = self.environment_fault(value);
        let of_size = size_fault(json.len(), value);
        if violations.is_empty() && of_environment.is_none() && of_size.is_none() {
            return Vec::new();
        }
        let count = violations.len();
        let mut faults: Vec<_> = violations.into_iter().map(Fault::from).collect();
        // Of many the gravest are told: a batch is wrong for an error behind a hundred warnings too.
        if count > MAX_FAULTS {
            faults.sort_by_key(|fault| Reverse(fault.severity));
            faults.truncate(MAX_FAULTS);
        }
        faults.extend(of_environment.into_iter().chain(of_size));
        for fault in &mut faults {
            let member = locate(json, &fault.pointer);
            fault.range = match (&member.key, fault.rule) {
                (Some(key), "unknown-field" | "attribute-name") => key.clone(),
                _ => member.value,
            };
            fault.place = lines.place(fault.range.start);
        }
        faults.sort_by_key(|fault| fault.range.start);
        if count > MAX_FAULTS {
            let message = "there are more, which are not listed".into();
            faults.push(Fault { severity: Severity::Warning, ..Fault::new(lines.place(0), "more", message) });
        }
        faults
    }

    /// The text as it is to be sent: as it was read, but for the environment that was asked for and is not there.
    pub fn to_send(self, text: Vec<u8>) -> Vec<u8> {
        let Some((environment, text)) = self.environment.zip(str::from_utf8(&text).ok()) else { return text };
        let member = locate(text, "/environment");
        let written = format!("\"{environment}\"");
        match member.key {
            Some(_) if text[member.value.clone()] == *"null" => {
                [&text[..member.value.start], &written, &text[member.value.end..]].concat().into()
            }
            Some(_) => text.into(),
            None => {
                let rest = text.trim_ascii_start().strip_prefix('{').unwrap_or_default();
                let comma = if rest.trim_ascii_start().starts_with('}') { "" } else { "," };
                format!("{{\"environment\":{written}{comma}{rest}").into()
            }
        }
    }

    fn put_environment(&self, value: &mut Value) {
        if let (Some(environment), Some(batch)) = (self.environment, value.as_object_mut())
            && batch.get("environment").is_none_or(Value::is_null)
        {
            batch.insert("environment".into(), environment.to_string().into());
        }
    }

    fn environment_fault(&self, value: &Value) -> Option<Fault> {
        let (wanted, found) = (self.environment?.to_string(), value["environment"].as_str()?);
        (found != wanted && ["production", "development"].contains(&found)).then(|| {
            let mut fault = Fault::new(Place::default(), "environment", format!("{wanted} is asked for, not {found}"));
            fault.pointer = "/environment".into();
            fault
        })
    }
}

impl Fault {
    /// An error about a batch as a whole.
    pub fn new(place: Place, rule: &'static str, message: String) -> Self {
        let (pointer, range) = (String::new(), 0..0);
        Self { severity: Severity::Error, rule, place, range, pointer, message, event: None, remedy: None }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        let Violation { mut severity, problem, pointer, message, event, remedy, .. } = violation;
        let rule = rule(problem);
        // The service would take it, and then do nothing: for somebody who sends historical data it is lost.
        if rule.starts_with("historical-") {
            severity = Severity::Error;
        }
        Self { severity, pointer, event, remedy, ..Self::new(Place::default(), rule, message) }
    }
}

/// A batch has to leave room for its id.
fn size_fault(bytes: usize, value: &Value) -> Option<Fault> {
    let has_id = value["source_request_id"].as_str().is_some_and(|id| !id.is_empty());
    let sealed = bytes + if has_id { 0 } else { ID_BYTES };
    (sealed > MAX_BATCH_BYTES).then(|| {
        let message = format!(
            "{sealed} bytes with its id; at most {MAX_BATCH_BYTES} are sent. Give its events to several batches"
        );
        Fault::new(Place::default(), "batch-bytes", message)
    })
}

fn rule(problem: Problem) -> &'static str {
    match problem {
        Problem::Missing => "missing-field",
        Problem::Unknown => "unknown-field",
        Problem::Type => "type",
        Problem::Kind => "commerce-kind",
        Problem::Limit => "limit",
        Problem::More => "more",
        Problem::Rule(rule) => match rule {
            Rule::BatchBytes => "batch-bytes",
            Rule::EventName => "event-name",
            Rule::Attributes => "attributes",
            Rule::AttributeName => "attribute-name",
            Rule::AttributeValue => "attribute-value",
            Rule::ListEntries => "list-entries",
            Rule::ListEntry => "list-entry",
            Rule::ActionIdentifier => "action-identifier",
            Rule::LooksLikeSeconds => "seconds",
            Rule::LooksLikeMicroseconds => "microseconds",
            Rule::InTheFuture => "future",
            Rule::NoIdentity => "no-identity",
            Rule::HistoricalWithoutEvents => "historical-without-events",
            Rule::HistoricalWithoutTime => "historical-without-time",
            Rule::HistoricalTooYoung => "historical-too-young",
            _ => "rule",
        },
        _ => "value",
    }
}
