//! What a test expects to come, and how it is told what came instead.

use std::fmt;
use std::ops::{RangeFrom, RangeInclusive, RangeToInclusive};
use std::sync::Arc;

use serde_json::Value;

use super::received::Received;

/// What is looked for among what came in: requests, batches or events, with conditions that all have to hold.
///
/// It starts with [`requests`], [`batches`], [`events`] or [`event_named`]. Batches and events are those that were taken and
/// kept: not refused, no duplicates, not ignored.
#[derive(Clone)]
pub struct Matcher {
    what: What,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Requests,
    Batches,
    Events,
}

#[derive(Clone)]
struct Condition {
    said: String,
    holds: Arc<dyn Fn(&One<'_>) -> bool + Send + Sync>,
}

/// A request and its batches.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) request: &'a Received,
    pub(super) batches: &'a [Value],
}

/// One request, batch or event, with what it came in: the batches of a request, or the one batch, and the event if it is one.
#[derive(Clone, Copy)]
struct One<'a> {
    request: &'a Received,
    batches: &'a [Value],
    event: Option<&'a Value>,
}

/// Every request that comes in, whatever is answered.
#[must_use]
pub fn requests() -> Matcher {
    Matcher::new(What::Requests)
}

/// Every batch that is taken and kept.
#[must_use]
pub fn batches() -> Matcher {
    Matcher::new(What::Batches)
}

/// Every event within the batches that are taken and kept.
#[must_use]
pub fn events() -> Matcher {
    Matcher::new(What::Events)
}

/// Events with this `event_name`.
#[must_use]
pub fn event_named(name: impl Into<String>) -> Matcher {
    events().named(name)
}

impl Matcher {
    fn new(what: What) -> Self {
        Self { what, conditions: Vec::new() }
    }

    fn and(mut self, said: String, holds: impl Fn(&One<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Condition { said, holds: Arc::new(holds) });
        self
    }

    /// Only to this path, as `/bulkevents`.
    #[must_use]
    pub fn to(self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.and(format!("to {path}"), move |one| one.request.path == path)
    }

    /// Only with this status in answer.
    #[must_use]
    pub fn answered(self, status: u16) -> Self {
        self.and(format!("answered {status}"), move |one| one.request.status == Some(status))
    }

    /// Only events of this `event_type`, or batches that hold one.
    #[must_use]
    pub fn of_type(self, event_type: impl Into<String>) -> Self {
        let event_type = event_type.into();
        self.and(format!("of type {event_type}"), move |one| one.any_event(|event| event["event_type"] == *event_type))
    }

    /// Only events with this `event_name`, or a screen view with it as its `screen_name`; or batches that hold one.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.and(format!("named {name:?}"), move |one| {
            one.any_event(|event| NAMES.iter().any(|field| event["data"][field] == *name))
        })
    }

    /// Only events with this custom attribute, or batches that hold one.
    #[must_use]
    pub fn attribute(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.and(format!("with the attribute {name:?} {value}"), move |one| {
            one.any_event(|event| event["data"]["custom_attributes"].get(&name) == Some(&value))
        })
    }

    /// Only of a user with this identity, as `("customer_id", "123456")`.
    #[must_use]
    pub fn identity(self, kind: impl Into<String>, identity: impl Into<String>) -> Self {
        let (kind, identity) = (kind.into(), identity.into());
        self.and(format!("of {kind} {identity:?}"), move |one| {
            one.any_batch(|batch| batch["user_identities"][&kind] == *identity)
        })
    }

    /// Only of a user with this attribute.
    #[must_use]
    pub fn user_attribute(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.and(format!("with the user attribute {name:?} {value}"), move |one| {
            one.any_batch(|batch| batch["user_attributes"].get(&name) == Some(&value))
        })
    }

    /// Only if this holds for the JSON of the event, the batch or the request's body, whichever is looked for. The words say
    /// what is asked for, after "that": `"has two products"`.
    #[must_use]
    pub fn that(self, words: impl fmt::Display, holds: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        let what = self.what;
        self.and(format!("that {words}"), move |one| match what {
            What::Requests => serde_json::from_slice(&one.request.body).is_ok_and(|body| holds(&body)),
            What::Batches => one.any_batch(&holds),
            What::Events => one.any_event(&holds),
        })
    }

    /// How many there are in one request.
    pub(super) fn count(&self, seen: &Seen<'_>) -> u64 {
        let mut count = 0;
        self.each(seen, |one| count += u64::from(self.unmet(one).is_none()));
        count
    }

    fn each<'a>(&self, seen: &Seen<'a>, mut look: impl FnMut(&One<'a>)) {
        let Seen { request, batches } = *seen;
        if self.what == What::Requests {
            return look(&One { request, batches, event: None });
        }
        let kept = batches.chunks(1).enumerate().filter(|(index, _)| request.is_kept(*index));
        for (_, batch) in kept {
            match self.what {
                What::Events => {
                    events_of(batch).for_each(|event| look(&One { request, batches: batch, event: Some(event) }));
                }
                _ => look(&One { request, batches: batch, event: None }),
            }
        }
    }

    /// The first condition that does not hold.
    fn unmet(&self, one: &One<'_>) -> Option<&Condition> {
        self.conditions.iter().find(|condition| !(condition.holds)(one))
    }

    /// What came and is not what is looked for, each in a line, with the first condition that it misses.
    fn others(&self, seen: &Seen<'_>, lines: &mut Vec<String>) {
        self.each(seen, |one| {
            if let Some(missed) = self.unmet(one) {
                lines.push(format!("{}, not {}", self.described(one), missed.said));
            }
        });
    }

    fn described(&self, one: &One<'_>) -> String {
        let identities = || one.batches.first().map_or(&Value::Null, |batch| &batch["user_identities"]);
        match one.event {
            Some(event) => {
                let event_type = event["event_type"].as_str().unwrap_or("an event");
                let name = NAMES.iter().find_map(|field| event["data"][field].as_str());
                let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
                format!("{event_type}{name} of {}", identities())
            }
            None if self.what == What::Batches => {
                format!("a batch with {} events of {}", events_of(one.batches).count(), identities())
            }
            None => {
                let status = one.request.status.map_or("nothing".into(), |status| status.to_string());
                format!("{} {}, answered {status}", one.request.method, one.request.path)
            }
        }
    }
}

/// Where events have their names.
const NAMES: [&str; 2] = ["event_name", "screen_name"];

fn events_of(batches: &[Value]) -> impl Iterator<Item = &Value> {
    batches.iter().flat_map(|batch| batch["events"].as_array().into_iter().flatten())
}

impl One<'_> {
    /// Whether it holds for the event, or for one of those within.
    fn any_event(&self, holds: impl Fn(&Value) -> bool) -> bool {
        self.event.map_or_else(|| events_of(self.batches).any(&holds), &holds)
    }

    fn any_batch(&self, holds: impl Fn(&Value) -> bool) -> bool {
        self.batches.iter().any(holds)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.what {
            What::Requests => "requests",
            What::Batches => "batches",
            What::Events => "events",
        })?;
        self.conditions.iter().try_for_each(|condition| write!(f, " {}", condition.said))
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matcher({self})")
    }
}

/// How often something is expected: a number, or a range such as `1..=3`, `2..` or `..=5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    least: u64,
    most: u64,
}

impl From<u64> for Times {
    fn from(times: u64) -> Self {
        Self { least: times, most: times }
    }
}

impl From<RangeInclusive<u64>> for Times {
    fn from(times: RangeInclusive<u64>) -> Self {
        Self { least: *times.start(), most: *times.end() }
    }
}

impl From<RangeFrom<u64>> for Times {
    fn from(times: RangeFrom<u64>) -> Self {
        Self { least: times.start, most: u64::MAX }
    }
}

impl From<RangeToInclusive<u64>> for Times {
    fn from(times: RangeToInclusive<u64>) -> Self {
        Self { least: 0, most: times.end }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "exactly {least}"),
            (least, u64::MAX) => write!(f, "at least {least}"),
            (0, most) => write!(f, "at most {most}"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// What is expected, and how often it came so far. It counts as requests come, so that forgetting them loses nothing.
pub(super) struct Expectation {
    matcher: Matcher,
    pub(super) times: Times,
    came: u64,
}

impl Expectation {
    pub(super) fn new(matcher: Matcher) -> Self {
        Self { matcher, times: Times::from(1..), came: 0 }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        self.came += self.matcher.count(seen);
    }

    pub(super) fn is_met(&self) -> bool {
        (self.times.least..=self.times.most).contains(&self.came)
    }
}

/// Expectations that were not met, in words: what was expected, how often it came, and what came instead.
#[derive(Clone, PartialEq, Eq)]
pub struct Unmet(String);

impl Unmet {
    /// `None` if all are met. What came instead is looked for in the requests that are still kept.
    pub(super) fn of<'a, I: Iterator<Item = &'a Received>>(
        expectations: &[Expectation],
        kept: impl Fn() -> I,
    ) -> Option<Self> {
        const MOST_LINES: usize = 10;
        let mut text = String::new();
        for Expectation { matcher, times, came } in expectations.iter().filter(|expectation| !expectation.is_met()) {
            text.push_str(&format!("\nexpected {times} {matcher}, came {came}"));
            let mut lines = Vec::new();
            for request in kept() {
                matcher.others(&Seen { request, batches: &request.all_batches() }, &mut lines);
            }
            let more = lines.len().saturating_sub(MOST_LINES);
            lines.truncate(MOST_LINES);
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            for line in &lines {
                text += &format!("\n  {line}");
            }
        }
        (!text.is_empty()).then(|| Self(text.trim_start().to_owned()))
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unmet {}
