//! The codes of diagnostics, with their texts.

use std::fmt;

use serde::{Serialize, Serializer};

use super::severity::Severity::{self, Error, Warning};

/// Declares the codes with their texts, so that a code without texts does not compile.
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

            /// Returns the machine-readable identifier, such as `unknown-field` or `batch-bytes`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$code => $id,)*
                }
            }

            /// Returns the default severity of diagnostics with this code.
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
    /// Text that is not valid JSON: not UTF-8, malformed, nested too deeply, or with a duplicate name in an object.
    NotJson = "json", Error, "Invalid JSON",
        "A batch must be one JSON value in UTF-8 without duplicate names in an object.";
    /// Text that is too long to be checked.
    TextBytes = "text-bytes", Error, "Text too long for a batch",
        "Split the events over several batches. A text that is not closed may have made a batch so long.";
    /// A list that does not end, or a comma or a bracket between batches that is missing or unexpected.
    Layout = "layout", Error, "Malformed list of batches",
        "Separate the batches of a list by commas, and end the list with ].";
    /// A batch in the form in which mParticle exports it to a bucket.
    ExportForm = "export-form", Error, "Batch in the form of an export",
        "`mparticle check --fix` and `mparticle send --export-form` convert it to the form of the API.";
    /// A required field that is absent or null.
    MissingField = "missing-field", Error, "Missing required field",
        "Set the field. Null counts as absent.";
    /// A field that the API's document does not define.
    UnknownField = "unknown-field", Error, "Field not defined by the API",
        "Use a field name from the API's document; the service ignores all others.";
    /// A field of another event type, in the data of an event.
    OtherEventType = "other-event-type", Error, "Field of another event type",
        "Use the field of this event type, or send an event of the type in the message.";
    /// A field that belongs to another part of the batch, such as events in the attributes of the user.
    MisplacedField = "misplaced-field", Error, "Field in the wrong part of the batch",
        "Move the field to the part in the message.";
    /// A field that the service sets.
    ReadOnly = "read-only", Warning, "Field set by the service",
        "Leave the field out. The time of an event is `timestamp_unixtime_ms` in its data.";
    /// A value of the wrong JSON type.
    Type = "type", Error, "Value of the wrong type",
        "Use the type from the API's document: \"1\" is text, 1 is a number.";
    /// A value of the right type that is not allowed, out of range, or malformed.
    Value = "value", Error, "Value not allowed",
        "Use one of the values, or the range or format, in the message.";
    /// A number with a fraction or an exponent where a whole number is required.
    WholeNumber = "whole-number", Error, "Number with a fraction or an exponent instead of a whole number",
        "Write the number without a fraction and without an exponent: many programs turn numbers of a column with gaps into floats.";
    /// A number of more than 2^53 with a fraction or an exponent where a whole number is required.
    LostDigits = "lost-digits", Error, "Number that has lost digits",
        "Export the number as text or as a whole number: a float is exact up to 9007199254740991 only.";
    /// A commerce event without a kind of action, or with more than one.
    CommerceKind = "commerce-kind", Error, "Commerce event without exactly one kind of action",
        "Set exactly one of the three kinds of action.";
    /// A request or a value that exceeds a size limit.
    Limit = "limit", Error, "Size limit exceeded",
        "Send less data in one request.";
    /// The number of diagnostics that are not listed, with the highest severity among the listed ones.
    Omitted = "omitted", Warning, "Diagnostics omitted from the list",
        "Fix the listed problems and check again.";
    /// An environment other than the requested one.
    OtherEnvironment = "environment", Error, "Environment other than the requested one",
        "Keep production and development data apart.";
    /// More bytes in the sealed batch than [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES).
    BatchBytes = "batch-bytes", Warning, "Batch too large",
        "Distribute the events over several batches of the same user.";
    /// More characters in the name of an event than
    /// [`MAX_EVENT_NAME_CHARACTERS`](crate::limits::MAX_EVENT_NAME_CHARACTERS).
    EventName = "event-name", Warning, "Event name too long",
        "The service truncates names of more than 256 characters.";
    /// More attributes than [`MAX_ATTRIBUTES`](crate::limits::MAX_ATTRIBUTES).
    Attributes = "attributes", Warning, "Too many attributes",
        "Set at most 100 attributes for a user, and 100 for an event.";
    /// More characters in the name of an attribute than
    /// [`MAX_ATTRIBUTE_NAME_CHARACTERS`](crate::limits::MAX_ATTRIBUTE_NAME_CHARACTERS).
    AttributeName = "attribute-name", Warning, "Attribute name too long",
        "The service truncates names of more than 256 characters.";
    /// More characters in the value of an attribute than
    /// [`MAX_ATTRIBUTE_VALUE_CHARACTERS`](crate::limits::MAX_ATTRIBUTE_VALUE_CHARACTERS).
    AttributeValue = "attribute-value", Warning, "Attribute value too long",
        "Shorten the value to 4096 characters.";
    /// More entries in a list than [`MAX_LIST_ENTRIES`](crate::limits::MAX_LIST_ENTRIES).
    ListEntries = "list-entries", Warning, "List too long",
        "Shorten the list to 1000 entries.";
    /// More characters in an entry of a list than
    /// [`MAX_LIST_ENTRY_CHARACTERS`](crate::limits::MAX_LIST_ENTRY_CHARACTERS).
    ListEntry = "list-entry", Warning, "List entry too long",
        "Shorten the entry to 512 characters.";
    /// More characters in an `action_identifier` than
    /// [`MAX_ACTION_IDENTIFIER_CHARACTERS`](crate::limits::MAX_ACTION_IDENTIFIER_CHARACTERS).
    ActionIdentifier = "action-identifier", Warning, "Action identifier too long",
        "Shorten it to 100 characters.";
    /// A time between 1973 and 5138 if it is read as seconds, and in the early 1970s if it is read as milliseconds.
    LooksLikeSeconds = "seconds", Warning, "Time in seconds",
        "Times are milliseconds since 1970. `mparticle check --fix` multiplies by 1000.";
    /// A time after the year 5138 if it is read as milliseconds, as present times in microseconds or nanoseconds are.
    LooksLikeMicroseconds = "microseconds", Warning, "Time in microseconds or nanoseconds",
        "Times are milliseconds since 1970: divide the value.";
    /// A time more than [`MAX_HOURS_AHEAD`](crate::limits::MAX_HOURS_AHEAD) hours in the future.
    InTheFuture = "future", Warning, "Time in the future",
        "Check the clock and the time zone: the time is more than 24 hours ahead.";
    /// A time of an event before the year 2000 that cannot be a time in seconds.
    TooEarly = "before-2000", Warning, "Time of an event before the year 2000",
        "Check the source of the time: an empty date becomes 0, or 1899 in a spreadsheet, and 20261231 is read as milliseconds.";
    /// No identity of a user or a device, and no `mpid`.
    NoIdentity = "no-identity", Warning, "No identity of a user or a device",
        "Set an identity of the user, an mpid, or an id of the device.";
    /// A text or a number in the place of an identity that many users or devices have: empty, `null`, `undefined`, an `mpid` of
    /// 0, or a UUID of zeros. It does not count as an identity.
    PlaceholderIdentity = "placeholder-identity", Warning, "Placeholder instead of an identity",
        "Leave the identity out if it is not known: the service makes one user of all who have the same.";
    /// White space around an identity, which is part of it for the service.
    IdentityBlanks = "identity-blanks", Warning, "White space around an identity",
        "Remove the white space, unless the service already knows the user by this identity.";
    /// A NUL character in a text or a name.
    Nul = "nul", Warning, "NUL character in a text",
        "Remove the character: many databases refuse or cut a text that contains it.";
    /// An event without `timestamp_unixtime_ms`.
    WithoutTime = "without-time", Warning, "Event without a time",
        "Set `timestamp_unixtime_ms` in the data of each event, unless it happens when it is sent.";
    /// A `source_request_id` that a batch with other content has.
    RepeatedId = "repeated-id", Warning, "One id for different batches",
        "Give each batch an id of its own, or none: the service drops all but the first for 30 to 60 days.";
    /// A batch without an id and with an event without a time, at the same place of two files.
    RepeatedBatch = "repeated-batch", Warning, "Same batch without times in two files",
        "Set the times of the events, or a `source_request_id`: the id of a batch without one depends on its bytes and its place.";
    /// A historical batch without events.
    HistoricalWithoutEvents = "historical-without-events", Warning, "Historical batch without events",
        "The service does not process the batch.";
    /// An event of a historical batch without `timestamp_unixtime_ms`.
    HistoricalWithoutTime = "historical-without-time", Warning, "Historical event without a time",
        "The service does not process the batch.";
    /// An event of a historical batch that is younger than
    /// [`MIN_HISTORICAL_AGE_HOURS`](crate::limits::MIN_HISTORICAL_AGE_HOURS) hours.
    HistoricalTooYoung = "historical-too-young", Warning, "Historical event of the last 72 hours",
        "Send it as current data, or send it later.";
    /// A row or a cell of a CSV file that cannot be converted to a batch.
    Csv = "csv", Error, "CSV row that cannot be converted to a batch",
        "Correct the row, or the map from columns to fields.";
    /// A batch that passes every other check but cannot be sealed.
    Unsealable = "batch", Error, "Batch that cannot be sealed",
        "Correct the field in the message.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// Serializes the code as its [`id`](Code::id).
impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that other programs read contain the ids.
    #[test]
    fn ids_are_stable() {
        let ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
        let expected = "json text-bytes layout export-form missing-field unknown-field other-event-type misplaced-field read-only type value \
            whole-number lost-digits commerce-kind limit omitted environment \
            batch-bytes event-name attributes attribute-name attribute-value list-entries list-entry action-identifier \
            seconds microseconds future before-2000 no-identity placeholder-identity identity-blanks nul without-time repeated-id \
            repeated-batch historical-without-events historical-without-time historical-too-young \
            csv batch";
        assert_eq!(ids, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn help_is_a_sentence_and_summary_is_not() {
        for code in Code::ALL {
            assert!(code.help().ends_with('.'), "{code}");
            assert!(!code.summary().is_empty() && !code.summary().ends_with('.'), "{code}");
        }
    }
}
