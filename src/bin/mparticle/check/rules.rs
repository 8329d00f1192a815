//! What can be wrong, for those who want to read about it first: every rule by its name.

use mparticle::contract::Severity;

pub struct Rule {
    /// As in [`Fault::rule`](crate::input::Fault).
    pub id: &'static str,
    pub severity: Severity,
    pub short: &'static str,
    pub help: &'static str,
}

const fn error(id: &'static str, short: &'static str, help: &'static str) -> Rule {
    Rule { id, severity: Severity::Error, short, help }
}

const fn warning(id: &'static str, short: &'static str, help: &'static str) -> Rule {
    Rule { id, severity: Severity::Warning, short, help }
}

pub const RULES: [Rule; 27] = [
    error("json", "Not JSON", "A batch is one JSON value in UTF-8, in which no name stands twice in one object."),
    error("text-bytes", "Too long to be a batch", "Put each batch on a line of its own, or the batches into one list."),
    error(
        "layout",
        "The list of batches is broken",
        "A file that begins with [ is one list: values, and commas between.",
    ),
    error("missing-field", "A required field is missing", "Give the field a value. A null counts as absent."),
    error(
        "unknown-field",
        "A field that the API does not know",
        "Use the name of the API's document; nothing else is read.",
    ),
    error(
        "type",
        "A value of another type",
        "Use the type of the API's document, as \"1\" for text and 1 for a number.",
    ),
    error(
        "value",
        "A value that is not allowed",
        "Use one of the values, or the range or form, that the message names.",
    ),
    error(
        "commerce-kind",
        "A commerce event about no one thing",
        "Give it one of the three kinds of action, and only one.",
    ),
    error("limit", "Too much in one request", "Send less at once."),
    error("rule", "Not treated as hoped", "See the message."),
    warning("more", "More is wrong than is listed", "Mend what is listed, and check again."),
    error("environment", "Another environment than was asked for", "Keep production and development data apart."),
    error("batch-bytes", "A batch that is too large", "Give its events to several batches of the same user."),
    warning("event-name", "A long name of an event", "The service truncates names of more than 256 characters."),
    warning("attributes", "Too many attributes", "Keep to 100 attributes of a user, and 100 of an event."),
    warning(
        "attribute-name",
        "A long name of an attribute",
        "The service truncates names of more than 256 characters.",
    ),
    warning("attribute-value", "A long value of an attribute", "Keep values to 4096 characters."),
    warning("list-entries", "A long list", "Keep a user attribute that is a list to 1000 entries."),
    warning("list-entry", "A long entry of a list", "Keep the entries of a list to 512 characters."),
    warning("action-identifier", "A long action identifier", "Keep it to 100 characters."),
    warning(
        "seconds",
        "A time in seconds",
        "Times are milliseconds since 1970. `mparticle check --fix` multiplies by 1000.",
    ),
    warning("microseconds", "A time in microseconds or less", "Times are milliseconds since 1970: divide."),
    warning(
        "future",
        "A time in the future",
        "Look whether clock and time zone are right: it is more than 24 hours ahead.",
    ),
    warning("no-identity", "Nobody's batch", "Name a user by an identity or an mpid, or a device by one of its ids."),
    error("historical-without-events", "A historical batch without events", "The service does not process it."),
    error("historical-without-time", "A historical event without a time", "The service does not process its batch."),
    error(
        "historical-too-young",
        "A historical event of the last 72 hours",
        "Send it as it happens, or send it later.",
    ),
];

/// Where a rule stands in the list.
pub fn index(id: &str) -> Option<usize> {
    RULES.iter().position(|rule| rule.id == id)
}
