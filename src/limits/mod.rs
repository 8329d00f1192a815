//! The limits that the service documents: those that stop a request here, and those that a batch can be asked for.
//!
//! The service breaks most limits in silence: it truncates, or drops. [`Batch::check`] says so before.

pub(crate) mod walk;

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::types::Batch;
#[cfg(feature = "mock")]
pub(crate) use walk::{findings, historical};

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

/// A time that is further ahead than this, in hours, is taken for a slip: clocks and time zones do not differ so much.
pub const MAX_HOURS_AHEAD: i64 = 24;

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
    /// A time after the year 5138 if it is milliseconds, and in our days if it is microseconds or nanoseconds.
    LooksLikeMicroseconds,
    /// A time that is more than [`MAX_HOURS_AHEAD`] ahead.
    InTheFuture,
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
            Self::BatchBytes => {
                "what happens is not documented; this crate splits it by its events, or refuses it if it cannot"
            }
            Self::EventName | Self::AttributeName => "the service truncates it",
            Self::Attributes | Self::AttributeValue | Self::ListEntries | Self::ListEntry => {
                "client SDKs drop them; for servers it is not documented"
            }
            Self::ActionIdentifier | Self::InTheFuture => "what happens is not documented",
            Self::LooksLikeSeconds => "the service takes it as milliseconds, in the early seventies",
            Self::LooksLikeMicroseconds => "the service takes it as milliseconds, thousands of years ahead",
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
            Self::LooksLikeMicroseconds => "looks like microseconds or less, milliseconds are expected",
            Self::InTheFuture => "a time more than 24 hours ahead",
            Self::NoIdentity => "no identity of a user or a device",
            Self::HistoricalWithoutEvents => "no events",
            Self::HistoricalWithoutTime => "an event without a time",
            Self::HistoricalTooYoung => "an event younger than 72 hours",
        }
    }
}

impl Finding {
    /// What it is and what the service does about it, without the place.
    #[must_use]
    pub fn message(&self) -> String {
        let (words, consequence) = (self.rule.words(), self.rule.consequence());
        match (self.actual, self.limit) {
            (Some(actual), Some(limit)) => format!("{actual} {words}, at most {limit}; {consequence}"),
            _ => format!("{words}; {consequence}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message())
    }
}

impl Batch {
    /// Everything about this batch that the service would take in silence and not treat as hoped: every documented limit
    /// that it breaks, names that would be truncated, times that look like seconds or microseconds or are ahead of today, no
    /// identity. Empty if all is well.
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
        self.looked_at(|batch| walk::findings(batch, Utc::now()))
    }

    /// As [`check`](Self::check), and what makes the service ignore a batch that is sent as historical at this time.
    #[must_use]
    pub fn check_historical(&self, now: DateTime<Utc>) -> Vec<Finding> {
        self.looked_at(|batch| {
            let mut findings = walk::findings(batch, now);
            findings.extend(walk::historical(batch, now));
            findings
        })
    }

    fn looked_at(&self, rules: impl Fn(&Value) -> Vec<Finding>) -> Vec<Finding> {
        // A batch that has no JSON form is refused by sealing, with its place; here the rest of it is still looked at.
        let sealed = self.clone().seal_with(Uuid::nil);
        let json = match &sealed {
            Ok(sealed) => serde_json::from_slice(sealed.json()),
            Err(_) => serde_json::to_value(self),
        }
        .unwrap_or_default();
        let mut findings = Vec::new();
        if let Some(actual) = sealed.ok().map(|sealed| sealed.len()).filter(|size| *size > MAX_BATCH_BYTES) {
            let (limit, actual) = (Some(MAX_BATCH_BYTES), Some(actual));
            findings.push(Finding { pointer: String::new(), rule: Rule::BatchBytes, limit, actual });
        }
        findings.extend(rules(&json));
        findings
    }
}
