//! A finding about a batch, and the rules that findings are about.

use std::fmt;

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
    /// The bytes of the batch as it would be sealed: [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES).
    BatchBytes,
    /// The characters of an event's name: [`MAX_EVENT_NAME_CHARACTERS`](crate::limits::MAX_EVENT_NAME_CHARACTERS).
    EventName,
    /// How many attributes there are: [`MAX_ATTRIBUTES`](crate::limits::MAX_ATTRIBUTES).
    Attributes,
    /// The characters of an attribute's name: [`MAX_ATTRIBUTE_NAME_CHARACTERS`](crate::limits::MAX_ATTRIBUTE_NAME_CHARACTERS).
    AttributeName,
    /// The characters of an attribute's value: [`MAX_ATTRIBUTE_VALUE_CHARACTERS`](crate::limits::MAX_ATTRIBUTE_VALUE_CHARACTERS).
    AttributeValue,
    /// The entries of a list: [`MAX_LIST_ENTRIES`](crate::limits::MAX_LIST_ENTRIES).
    ListEntries,
    /// The characters of a list's entry: [`MAX_LIST_ENTRY_CHARACTERS`](crate::limits::MAX_LIST_ENTRY_CHARACTERS).
    ListEntry,
    /// The characters of an `action_identifier`: [`MAX_ACTION_IDENTIFIER_CHARACTERS`](crate::limits::MAX_ACTION_IDENTIFIER_CHARACTERS).
    ActionIdentifier,
    /// A time between 1970 and 1973 if it is milliseconds, and in our days if it is seconds.
    LooksLikeSeconds,
    /// A time after the year 5138 if it is milliseconds, and in our days if it is microseconds or nanoseconds.
    LooksLikeMicroseconds,
    /// A time that is more than [`MAX_HOURS_AHEAD`](crate::limits::MAX_HOURS_AHEAD) ahead.
    InTheFuture,
    /// No identity of a user or a device, and no `mpid`.
    NoIdentity,
    /// A historical batch without events.
    HistoricalWithoutEvents,
    /// An event of a historical batch without `timestamp_unixtime_ms`.
    HistoricalWithoutTime,
    /// An event of a historical batch that is younger than [`MIN_HISTORICAL_AGE_HOURS`](crate::limits::MIN_HISTORICAL_AGE_HOURS).
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
