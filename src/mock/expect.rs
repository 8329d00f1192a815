//! Expectations of a test, and the report of what was received instead.

use std::fmt;
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::sync::Arc;

use serde_json::Value;

use super::received::ReceivedRequest;
use crate::diagnostics::Severity;

/// A set of conditions on requests, batches or events, all of which must hold; see [`MockServer::expect`](super::MockServer::expect).
///
/// Start with [`requests`], [`batches`], [`events`] or [`event_named`]. Batches and events are those that the mock stored:
/// neither refused, nor duplicates, nor ignored.
#[derive(Clone)]
pub struct Matcher {
    subject: Subject,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Requests,
    Batches,
    Events,
}

#[derive(Clone)]
struct Condition {
    description: String,
    predicate: Arc<dyn Fn(&Candidate<'_>) -> bool + Send + Sync>,
}

/// A request and its batches.
#[derive(Clone, Copy)]
pub(super) struct RecordedRequest<'a> {
    pub(super) request: &'a ReceivedRequest,
    pub(super) batches: &'a [Value],
}

/// A request with its batches, one of its batches, or one event of a batch.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    request: &'a ReceivedRequest,
    batches: &'a [Value],
    event: Option<&'a Value>,
}

/// Matches every request, whatever its response.
#[must_use]
pub fn requests() -> Matcher {
    Matcher::new(Subject::Requests)
}

/// Matches every stored batch.
#[must_use]
pub fn batches() -> Matcher {
    Matcher::new(Subject::Batches)
}

/// Matches every event of the stored batches.
#[must_use]
pub fn events() -> Matcher {
    Matcher::new(Subject::Events)
}

/// Matches events with this `event_name` or `screen_name`: short for `events().name(..)`.
#[must_use]
pub fn event_named(name: impl Into<String>) -> Matcher {
    events().name(name)
}

impl Matcher {
    fn new(subject: Subject) -> Self {
        Self { subject, conditions: Vec::new() }
    }

    fn condition(
        mut self,
        description: String,
        predicate: impl Fn(&Candidate<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.conditions.push(Condition { description, predicate: Arc::new(predicate) });
        self
    }

    /// Requires that the path of the request is this one, such as `/bulkevents`.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.condition(format!("to {path}"), move |candidate| candidate.request.path == path)
    }

    /// Requires that the response has this status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.condition(format!("with status {status}"), move |candidate| candidate.request.status == Some(status))
    }

    /// Requires that the event has this `event_type`, or that a request or a batch contains such an event.
    #[must_use]
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        let event_type = event_type.into();
        self.condition(format!("of type {event_type}"), move |candidate| {
            candidate.any_event(|event| event["event_type"] == *event_type)
        })
    }

    /// Requires that the event has this `event_name` or `screen_name`, or that a request or a batch contains such an event.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.condition(format!("named {name:?}"), move |candidate| {
            candidate.any_event(|event| NAMES.iter().any(|field| event["data"][field] == *name))
        })
    }

    /// Requires that the event has this custom attribute, or that a request or a batch contains such an event.
    #[must_use]
    pub fn attribute(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.condition(format!("with the attribute {name:?} {value}"), move |candidate| {
            candidate.any_event(|event| event["data"]["custom_attributes"].get(&name) == Some(&value))
        })
    }

    /// Requires that the user has this identity, such as `("customer_id", "123456")`.
    #[must_use]
    pub fn identity(self, kind: impl Into<String>, identity: impl Into<String>) -> Self {
        let (kind, identity) = (kind.into(), identity.into());
        self.condition(format!("of {kind} {identity:?}"), move |candidate| {
            candidate.any_batch(|batch| batch["user_identities"][&kind] == *identity)
        })
    }

    /// Requires that the batch sets this user attribute.
    #[must_use]
    pub fn user_attribute(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.condition(format!("with the user attribute {name:?} {value}"), move |candidate| {
            candidate.any_batch(|batch| batch["user_attributes"].get(&name) == Some(&value))
        })
    }

    /// Requires that a predicate holds for the JSON of the event, the batch, or the body of the request.
    ///
    /// In failure messages `description` follows the word "that": `"has two products"`.
    #[must_use]
    pub fn satisfies(
        self,
        description: impl fmt::Display,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let subject = self.subject;
        self.condition(format!("that {description}"), move |candidate| match subject {
            Subject::Requests => serde_json::from_slice(&candidate.request.body).is_ok_and(|body| predicate(&body)),
            Subject::Batches => candidate.any_batch(&predicate),
            Subject::Events => candidate.any_event(&predicate),
        })
    }

    /// Returns the number of matches in one request.
    pub(super) fn count(&self, recorded: &RecordedRequest<'_>) -> u64 {
        let mut count = 0;
        self.for_each_candidate(recorded, |candidate| count += u64::from(self.first_unmet(candidate).is_none()));
        count
    }

    fn for_each_candidate<'a>(&self, recorded: &RecordedRequest<'a>, mut visit: impl FnMut(&Candidate<'a>)) {
        let RecordedRequest { request, batches } = *recorded;
        if self.subject == Subject::Requests {
            return visit(&Candidate { request, batches, event: None });
        }
        let stored = batches.chunks(1).enumerate().filter(|(index, _)| request.is_stored(*index));
        for (_, batch) in stored {
            match self.subject {
                Subject::Events => {
                    events_of(batch)
                        .for_each(|event| visit(&Candidate { request, batches: batch, event: Some(event) }));
                }
                _ => visit(&Candidate { request, batches: batch, event: None }),
            }
        }
    }

    /// Returns the first condition that does not hold.
    fn first_unmet(&self, candidate: &Candidate<'_>) -> Option<&Condition> {
        self.conditions.iter().find(|condition| !(condition.predicate)(candidate))
    }

    /// Adds a line for each candidate that does not match, with the first condition that it fails.
    fn near_misses(&self, recorded: &RecordedRequest<'_>, lines: &mut Vec<String>) {
        self.for_each_candidate(recorded, |candidate| {
            if let Some(condition) = self.first_unmet(candidate) {
                lines.push(format!("{}, not {}", self.describe(candidate), condition.description));
            }
        });
    }

    fn describe(&self, candidate: &Candidate<'_>) -> String {
        let identities = || candidate.batches.first().map_or(&Value::Null, |batch| &batch["user_identities"]);
        match candidate.event {
            Some(event) => {
                let event_type = event["event_type"].as_str().unwrap_or("an event");
                let name = NAMES.iter().find_map(|field| event["data"][field].as_str());
                let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
                format!("{event_type}{name} of {}", identities())
            }
            None if self.subject == Subject::Batches => {
                format!("a batch with {} events of {}", events_of(candidate.batches).count(), identities())
            }
            None => {
                let ReceivedRequest { method, path, .. } = candidate.request;
                match candidate.request.status {
                    Some(status) => format!("{method} {path} with status {status}"),
                    None => format!("{method} {path} without a response"),
                }
            }
        }
    }
}

/// The fields that hold the name of an event.
const NAMES: [&str; 2] = ["event_name", "screen_name"];

fn events_of(batches: &[Value]) -> impl Iterator<Item = &Value> {
    batches.iter().flat_map(|batch| batch["events"].as_array().into_iter().flatten())
}

impl Candidate<'_> {
    /// Returns whether the predicate holds for the event, or for one of the events of the batches.
    fn any_event(&self, predicate: impl Fn(&Value) -> bool) -> bool {
        self.event.map_or_else(|| events_of(self.batches).any(&predicate), &predicate)
    }

    fn any_batch(&self, predicate: impl Fn(&Value) -> bool) -> bool {
        self.batches.iter().any(predicate)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.subject {
            Subject::Requests => "requests",
            Subject::Batches => "batches",
            Subject::Events => "events",
        })?;
        self.conditions.iter().try_for_each(|condition| write!(f, " {}", condition.description))
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matcher({self})")
    }
}

/// The expected number of matches: a number, or any range of numbers such as `1..3`, `1..=3`, `2..`, `..5`, `..=5` or `..`.
///
/// An expectation with an empty range, such as `3..3`, is never met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times(RangeInclusive<u64>);

impl From<u64> for Times {
    fn from(times: u64) -> Self {
        Self(times..=times)
    }
}

impl From<RangeInclusive<u64>> for Times {
    fn from(times: RangeInclusive<u64>) -> Self {
        Self(times)
    }
}

impl From<Range<u64>> for Times {
    fn from(times: Range<u64>) -> Self {
        // Without a number before it, the end is that of an empty range.
        let empty = RangeInclusive::new(1, 0);
        Self(times.end.checked_sub(1).map_or(empty, |end| times.start..=end))
    }
}

impl From<RangeFrom<u64>> for Times {
    fn from(times: RangeFrom<u64>) -> Self {
        Self(times.start..=u64::MAX)
    }
}

impl From<RangeTo<u64>> for Times {
    fn from(times: RangeTo<u64>) -> Self {
        Self::from(0..times.end)
    }
}

impl From<RangeToInclusive<u64>> for Times {
    fn from(times: RangeToInclusive<u64>) -> Self {
        Self(0..=times.end)
    }
}

impl From<RangeFull> for Times {
    fn from(_: RangeFull) -> Self {
        Self(0..=u64::MAX)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self.0.start(), *self.0.end()) {
            (min, max) if min > max => f.write_str("an impossible number of"),
            (min, max) if min == max => write!(f, "exactly {min}"),
            (0, u64::MAX) => f.write_str("any number of"),
            (min, u64::MAX) => write!(f, "at least {min}"),
            (0, max) => write!(f, "at most {max}"),
            (min, max) => write!(f, "{min} to {max}"),
        }
    }
}

/// A matcher and the number of its matches so far. Matches are counted as requests arrive, because the store forgets old requests.
pub(super) struct Expectation {
    matcher: Matcher,
    pub(super) times: Times,
    count: u64,
}

impl Expectation {
    pub(super) fn new(matcher: Matcher) -> Self {
        Self { matcher, times: Times::from(1..), count: 0 }
    }

    pub(super) fn record(&mut self, recorded: &RecordedRequest<'_>) {
        self.count += self.matcher.count(recorded);
    }

    pub(super) fn is_met(&self) -> bool {
        self.times.0.contains(&self.count)
    }
}

/// The error returned by [`MockServer::verify`](super::MockServer::verify): the unmet expectations, how often each matched, and
/// what was received instead; or the warnings of a mock that [denies](super::MockServerBuilder::deny_warnings) them.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationError(String);

impl VerificationError {
    /// Verifies the expectations and, if they are denied, the number of warnings. The details come from the requests that are
    /// still kept.
    pub(super) fn check<'a, I: Iterator<Item = &'a ReceivedRequest>>(
        expectations: &[Expectation],
        denied_warnings: u64,
        kept: impl Fn() -> I,
    ) -> Result<(), Self> {
        let mut text = String::new();
        for Expectation { matcher, times, count } in expectations.iter().filter(|expectation| !expectation.is_met()) {
            let mut lines = Vec::new();
            for request in kept() {
                matcher.near_misses(&RecordedRequest { request, batches: &request.all_batches() }, &mut lines);
            }
            add_paragraph(&mut text, &format!("expected {times} {matcher}, received {count}"), lines);
        }
        if denied_warnings > 0 {
            let lines = kept().flat_map(|request| {
                let warnings = request.violations.iter().filter(|found| found.severity == Severity::Warning);
                warnings.map(|warning| format!("{} {}: {warning}", request.method, request.path))
            });
            add_paragraph(&mut text, &format!("expected no warnings, received {denied_warnings}"), lines.collect());
        }
        if text.is_empty() { Ok(()) } else { Err(Self(text)) }
    }
}

/// Adds a line, and below it at most ten detail lines.
fn add_paragraph(text: &mut String, first: &str, mut details: Vec<String>) {
    const MAX_LINES: usize = 10;
    let omitted = details.len().saturating_sub(MAX_LINES);
    details.truncate(MAX_LINES);
    if omitted > 0 {
        details.push(format!("and {omitted} more"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(first);
    for line in &details {
        text.push_str(&format!("\n  {line}"));
    }
}

impl fmt::Display for VerificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VerificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VerificationError {}
