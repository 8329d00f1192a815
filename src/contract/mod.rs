//! What `openapi/events.yaml` says of a request body, and nothing else: no type of this crate is used to check.
//!
//! A body is held against the document's strict view, in which every object is closed; see [`strict_document`]. Events are
//! looked at one by one, under the schema that their `event_type` calls for. Null at a declared property counts as absent, as
//! the service takes it. What breaks the document is an [error](Severity::Error); what the service takes, and then
//! truncates, drops or ignores in silence, is a [warning](Severity::Warning).
//!
//! ```
//! use mparticle::contract::{Severity, check_batch};
//! use serde_json::json;
//!
//! let body = json!({
//!     "environment": "development",
//!     "user_identities": { "customerid": "1" },
//!     "events": [{ "event_type": "opt_out", "data": { "is_opted_out": "yes" } }],
//! });
//! let violations = check_batch(&body);
//! let said: Vec<_> = violations.iter().filter(|v| v.severity == Severity::Error).map(ToString::to_string).collect();
//! assert_eq!(
//!     said,
//!     [
//!         r#"/user_identities/customerid: unknown field, did you mean "customer_id"?"#,
//!         r#"/events/0/data/is_opted_out: expected true or false, found "yes" (event 0, opt_out)"#,
//!     ]
//! );
//! ```

mod effort;
mod explain;
mod view;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::diagnostics::{Finding, Rule, rules};
use explain::Explained;

/// `openapi/events.yaml` as JSON, the whole of it, as it was when the crate was built.
pub const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/events.json"));

/// At most this many violations of one body are listed. The last one then tells how many more there are.
pub const MAX_VIOLATIONS: usize = 1000;

/// The strict view of the document, as JSON: payloads as one closed object each, exactly one kind of commerce event, integer
/// ranges written out. It is an OpenAPI document too, for tools that serve a document or draw requests from one.
#[must_use]
pub fn strict_document() -> String {
    view::STRICT.to_string()
}

/// One thing that is wrong with a body, or that its sender would want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Whether it breaks the document, or is taken by the service and not treated as hoped.
    pub severity: Severity,
    /// What kind of trouble it is.
    pub problem: Problem,
    /// Where it is, as a JSON pointer into the body. Empty for the body as a whole.
    pub pointer: String,
    /// What was expected and what came instead, for a person. It can quote up to 60 characters of the body.
    pub message: String,
    /// The event that it belongs to, if it belongs to one.
    pub event: Option<EventPlace>,
    /// What would mend it, if that can be told.
    pub remedy: Option<Remedy>,
}

/// What mends a [`Violation`] without guessing at what its sender meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// The field by this name: it differs by a slip of the pen, or by how its words are parted and capitalised.
    Rename(String),
    /// The number, true or false in quotes, where any text is taken.
    Quote,
    /// A thousand times as much: the time is in seconds.
    Milliseconds,
    /// Nothing at all, in the place of a null.
    Remove,
}

/// Whether a [`Violation`] breaks the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The service takes it, and then truncates, drops or ignores it in silence.
    Warning,
    /// It breaks the document.
    Error,
}

impl Severity {
    /// The word for it: `error` or `warning`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What kind of trouble a [`Violation`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// A required field is not there, or null.
    Missing,
    /// A field that the document does not know.
    Unknown,
    /// A value of another JSON type.
    Type,
    /// A value of the right type that is not one of the allowed ones, out of range, or not of its format.
    Value,
    /// A commerce event that is about nothing, or about more than one thing.
    Kind,
    /// Too much of something in one request.
    Limit,
    /// Not a trouble of its own: tells how many more there are than are listed.
    More,
    /// One of the rules that the service keeps in silence.
    Rule(Rule),
}

/// Which event of a batch a [`Violation`] belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventPlace {
    /// Its index within the batch, from 0.
    pub index: usize,
    /// Its `event_type`, if it has one that is text, shortened to 60 characters.
    pub event_type: Option<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)?;
        match &self.event {
            None => Ok(()),
            Some(EventPlace { index, event_type: None }) => write!(f, " (event {index})"),
            Some(EventPlace { index, event_type: Some(event_type) }) => write!(f, " (event {index}, {event_type})"),
        }
    }
}

/// The body of `/events`: everything that is wrong with it and everything to be warned of, at most [`MAX_VIOLATIONS`].
#[must_use]
pub fn check_batch(body: &Value) -> Vec<Violation> {
    let mut violations = Violations::default();
    CONTRACT.check_batch(body, "", None, &mut violations);
    violations.into_listed()
}

/// The body of `/bulkevents`: everything that is wrong with it and everything to be warned of, at most
/// [`MAX_VIOLATIONS`].
#[must_use]
pub fn check_batches(body: &Value) -> Vec<Violation> {
    CONTRACT.check_batches(body, None)
}

/// The body of `/bulkevents/historical` at a time: as [`check_batches`], and warnings of the batches that the service would
/// silently not process, since they have no events, or one without a time or younger than 72 hours.
#[must_use]
pub fn check_historical(body: &Value, now: DateTime<Utc>) -> Vec<Violation> {
    CONTRACT.check_batches(body, Some(now))
}

/// One batch of such a body: as [`check_batch`], with the warnings of [`check_historical`].
#[must_use]
pub fn check_historical_batch(body: &Value, now: DateTime<Utc>) -> Vec<Violation> {
    let mut violations = Violations::default();
    CONTRACT.check_batch(body, "", Some(now), &mut violations);
    violations.into_listed()
}

/// One component of the document, as it is published, with formats and limits held.
///
/// For a whole body [`check_batch`] and [`check_batches`] know more.
#[derive(Debug)]
pub struct Component(Explained);

impl Component {
    /// The component of this name, as `Product`. `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        view::inlined(&view::PUBLISHED, name).map(|schema| Self(Explained::new(schema)))
    }

    /// Everything that is wrong with this value, empty if it is right.
    #[must_use]
    pub fn check(&self, value: &Value) -> Vec<Violation> {
        self.0.check(value)
    }
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::new);

struct Contract {
    /// A batch, with events of any kind.
    batch: Explained,
    /// The payload of each event type.
    payloads: BTreeMap<String, Explained>,
    batches_per_request: usize,
}

impl Contract {
    fn new() -> Self {
        let parts = view::Parts::new();
        let bulk =
            &view::PUBLISHED["paths"]["/bulkevents"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        Self {
            batch: Explained::new(parts.batch),
            payloads: parts.payloads.into_iter().map(|(name, schema)| (name, Explained::new(schema))).collect(),
            batches_per_request: bulk["maxItems"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(usize::MAX),
        }
    }

    fn check_batches(&self, body: &Value, historical: Option<DateTime<Utc>>) -> Vec<Violation> {
        let mut violations = Violations::default();
        let whole = |problem, message| Violation::new(String::new(), problem, message);
        let Some(batches) = body.as_array() else {
            let message = format!("expected a list of batches, found {}", words::found(body));
            return vec![whole(Problem::Type, message)];
        };
        let (count, limit) = (batches.len(), self.batches_per_request);
        if count > limit {
            let message = format!("expected at most {limit} batches, found {count}");
            violations.extend("", None, [whole(Problem::Limit, message)]);
        }
        for (index, batch) in batches.iter().enumerate() {
            self.check_batch(batch, &format!("/{index}"), historical, &mut violations);
        }
        violations.into_listed()
    }

    fn check_batch(&self, batch: &Value, at: &str, historical: Option<DateTime<Utc>>, violations: &mut Violations) {
        if !effort::is_bounded(batch) {
            let message = "too much to look at: very many values, or long names over many values".into();
            violations.extend(at, None, [Violation::new(String::new(), Problem::Limit, message)]);
            return;
        }
        let events = || batch["events"].as_array().into_iter().flatten().enumerate();
        let mut of_batch = self.batch.check(batch);
        tolerate_schema_version(&mut of_batch);
        violations.extend(at, Some(batch), of_batch);
        for (index, event) in events() {
            // Without a known type and an object the batch's own schema has said so.
            let payload = event["event_type"].as_str().and_then(|name| self.payloads.get(name));
            if let (Some(payload), Some(data @ Value::Object(_))) = (payload, event.get("data")) {
                let found = payload.check(data);
                if !found.is_empty() {
                    let found = found.into_iter().map(|violation| Violation {
                        pointer: format!("/events/{index}/data{}", violation.pointer),
                        ..violation
                    });
                    violations.extend(at, Some(batch), found);
                }
            }
        }
        if batch.is_object() {
            let now = historical.unwrap_or_else(Utc::now);
            violations.extend(at, Some(batch), rules::findings(batch, now).into_iter().map(Violation::from));
            if historical.is_some() {
                violations.extend(at, Some(batch), rules::historical(batch, now).into_iter().map(Violation::from));
            }
        }
    }
}

/// The service's own samples carry a `schema_version`, which its schema does not know.
fn tolerate_schema_version(violations: &mut [Violation]) {
    for violation in violations {
        if violation.pointer == "/schema_version" && violation.problem == Problem::Unknown {
            violation.severity = Severity::Warning;
            violation.message = "set by the service in what it puts out, not part of a batch that is sent".into();
        }
    }
}

impl From<Finding> for Violation {
    fn from(finding: Finding) -> Self {
        Self {
            severity: Severity::Warning,
            problem: Problem::Rule(finding.rule),
            message: finding.message(),
            pointer: finding.pointer,
            event: None,
            remedy: (finding.rule == Rule::LooksLikeSeconds).then_some(Remedy::Milliseconds),
        }
    }
}

/// What was found so far, bounded: a small body can be wrong in a hundred thousand places.
#[derive(Default)]
struct Violations {
    listed: Vec<Violation>,
    more: usize,
}

impl Violations {
    /// Adds what was found in a batch at this place of the body.
    fn extend(&mut self, at: &str, batch: Option<&Value>, found: impl IntoIterator<Item = Violation>) {
        for mut violation in found {
            if self.listed.len() == MAX_VIOLATIONS {
                self.more += 1;
                continue;
            }
            violation.event = batch.and_then(|batch| event_place(batch, &violation.pointer));
            violation.pointer.insert_str(0, at);
            self.listed.push(violation);
        }
    }

    fn into_listed(mut self) -> Vec<Violation> {
        if self.more > 0 {
            self.listed.push(Violation {
                severity: self.listed.iter().map(|violation| violation.severity).max().unwrap_or(Severity::Warning),
                problem: Problem::More,
                pointer: String::new(),
                message: format!("{} more violations are not listed", self.more),
                event: None,
                remedy: None,
            });
        }
        self.listed
    }
}

/// The event of a batch that a pointer leads into.
fn event_place(batch: &Value, pointer: &str) -> Option<EventPlace> {
    let index = pointer.strip_prefix("/events/")?.split('/').next()?.parse().ok()?;
    let event_type = batch["events"][index]["event_type"].as_str();
    let event_type = event_type.map(|name| name.chars().take(60).collect());
    Some(EventPlace { index, event_type })
}
