//! The codes of diagnostics, each with its words.

use std::fmt;

use serde::{Serialize, Serializer};

use super::severity::Severity::{self, Error, Warning};

/// Declares the codes and all that is said of each, so that a code without words does not compile.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $id:literal, $severity:ident, $summary:literal, $help:literal;)*) => {
        /// The kind of a [`Diagnostic`](super::Diagnostic).
        ///
        /// Every code exists whatever features are enabled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All codes, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// Returns the identifier for machines, in kebab case: `unknown-field`, `batch-bytes`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$code => $id,)*
                }
            }

            /// Returns the severity that a diagnostic of this code has, unless whoever reports it knows better.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$code => $severity,)*
                }
            }

            /// Returns a short description, without a full stop.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$code => $summary,)*
                }
            }

            /// Returns a sentence about the cause or the way to fix it.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$code => $help,)*
                }
            }
        }
    };
}

codes! {
    /// Text that is not JSON: not UTF-8, malformed, nested too deeply, or with a name twice in one object.
    NotJson = "json", Error, "Not JSON",
        "A batch is one JSON value in UTF-8, in which no name occurs twice in one object.";
    /// Text that is too long to be looked at.
    TextBytes = "text-bytes", Error, "Too long to be a batch",
        "Put each batch on a line of its own, or the batches into one list.";
    /// A file that begins as a list and does not go on as one.
    Layout = "layout", Error, "The list of batches is broken",
        "A file that begins with [ is one list: values, separated by commas.";
    /// A required field that is absent or null.
    MissingField = "missing-field", Error, "A required field is missing",
        "Give the field a value. A null counts as absent.";
    /// A field that the API's document does not define.
    UnknownField = "unknown-field", Error, "A field that the API does not define",
        "Use the name of the API's document; nothing else is read.";
    /// A value of another JSON type.
    Type = "type", Error, "A value of another type",
        "Use the type of the API's document, as \"1\" for text and 1 for a number.";
    /// A value of the right type that is not one of the allowed ones, is out of range, or is not of its format.
    Value = "value", Error, "A value that is not allowed",
        "Use one of the values, or the range or format, that the message names.";
    /// A commerce event that has none of its three kinds of action, or more than one.
    CommerceKind = "commerce-kind", Error, "A commerce event that does not have exactly one kind of action",
        "Give it one of the three kinds of action, and only one.";
    /// Too much of something in one request or component.
    Limit = "limit", Error, "Too much in one request",
        "Send less at once.";
    /// Counts the diagnostics that are not listed. It takes the severity of the gravest listed one.
    More = "more", Warning, "More was found than is listed",
        "Fix what is listed, and check again.";
    /// An environment other than the requested one.
    OtherEnvironment = "environment", Error, "Another environment than the requested one",
        "Keep production and development data apart.";
    /// More bytes in the batch as it would be sealed than
    /// [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES).
    BatchBytes = "batch-bytes", Warning, "A batch that is too large",
        "Give its events to several batches of the same user.";
    /// More characters in the name of an event than
    /// [`MAX_EVENT_NAME_CHARACTERS`](crate::limits::MAX_EVENT_NAME_CHARACTERS).
    EventName = "event-name", Warning, "A long event name",
        "The service truncates names of more than 256 characters.";
    /// More attributes than [`MAX_ATTRIBUTES`](crate::limits::MAX_ATTRIBUTES).
    Attributes = "attributes", Warning, "Too many attributes",
        "Keep to 100 attributes of a user, and 100 of an event.";
    /// More characters in the name of an attribute than
    /// [`MAX_ATTRIBUTE_NAME_CHARACTERS`](crate::limits::MAX_ATTRIBUTE_NAME_CHARACTERS).
    AttributeName = "attribute-name", Warning, "A long attribute name",
        "The service truncates names of more than 256 characters.";
    /// More characters in the value of an attribute than
    /// [`MAX_ATTRIBUTE_VALUE_CHARACTERS`](crate::limits::MAX_ATTRIBUTE_VALUE_CHARACTERS).
    AttributeValue = "attribute-value", Warning, "A long attribute value",
        "Keep values to 4096 characters.";
    /// More entries in a list than [`MAX_LIST_ENTRIES`](crate::limits::MAX_LIST_ENTRIES).
    ListEntries = "list-entries", Warning, "A long list",
        "Keep a user attribute that is a list to 1000 entries.";
    /// More characters in an entry of a list than
    /// [`MAX_LIST_ENTRY_CHARACTERS`](crate::limits::MAX_LIST_ENTRY_CHARACTERS).
    ListEntry = "list-entry", Warning, "A long list entry",
        "Keep the entries of a list to 512 characters.";
    /// More characters in an `action_identifier` than
    /// [`MAX_ACTION_IDENTIFIER_CHARACTERS`](crate::limits::MAX_ACTION_IDENTIFIER_CHARACTERS).
    ActionIdentifier = "action-identifier", Warning, "A long action identifier",
        "Keep it to 100 characters.";
    /// A time between 1973 and 5138 if it is read as seconds, and in the early seventies if it is read as milliseconds.
    LooksLikeSeconds = "seconds", Warning, "A time in seconds",
        "Times are milliseconds since 1970. `mparticle check --fix` multiplies by 1000.";
    /// A time after the year 5138 if it is read as milliseconds, and of today if it is read as microseconds or nanoseconds.
    LooksLikeMicroseconds = "microseconds", Warning, "A time in microseconds or less",
        "Times are milliseconds since 1970: divide.";
    /// A time that is more than [`MAX_HOURS_AHEAD`](crate::limits::MAX_HOURS_AHEAD) hours ahead.
    InTheFuture = "future", Warning, "A time in the future",
        "Check the clock and the time zone: it is more than 24 hours ahead.";
    /// No identity of a user or a device, and no `mpid`.
    NoIdentity = "no-identity", Warning, "No identity of a user or a device",
        "Name a user by an identity or an mpid, or a device by one of its ids.";
    /// A historical batch without events.
    HistoricalWithoutEvents = "historical-without-events", Warning, "A historical batch without events",
        "The service does not process it.";
    /// An event of a historical batch without `timestamp_unixtime_ms`.
    HistoricalWithoutTime = "historical-without-time", Warning, "A historical event without a time",
        "The service does not process its batch.";
    /// An event of a historical batch that is younger than
    /// [`MIN_HISTORICAL_AGE_HOURS`](crate::limits::MIN_HISTORICAL_AGE_HOURS) hours.
    HistoricalTooYoung = "historical-too-young", Warning, "A historical event of the last 72 hours",
        "Send it as it happens, or send it later.";
    /// A row or a cell of a CSV file from which no batch can be made.
    Csv = "csv", Error, "A CSV row that cannot be made into a batch",
        "Correct the row, or the map from columns to fields.";
    /// A batch that passed every other check and cannot be sealed.
    Unsealable = "batch", Error, "A batch that cannot be sealed",
        "The message names the field that prevents it.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// As its [`id`](Code::id).
impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They are written to files that others read.
    #[test]
    fn ids_stay_what_they_are() {
        let ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
        let expected = "json text-bytes layout missing-field unknown-field type value commerce-kind limit more environment \
            batch-bytes event-name attributes attribute-name attribute-value list-entries list-entry action-identifier \
            seconds microseconds future no-identity historical-without-events historical-without-time historical-too-young \
            csv batch";
        assert_eq!(ids, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn helps_are_sentences_and_summaries_are_not() {
        for code in Code::ALL {
            assert!(code.help().ends_with('.'), "{code}");
            assert!(!code.summary().is_empty() && !code.summary().ends_with('.'), "{code}");
        }
    }
}
