//! Partial responses: the batches of one request that a 202 refuses, and the messages that name them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fault::{Fault, FaultKind, Naming};
use super::reply::{MOST_ERRORS, raw_batches};
use crate::contract;
use crate::diagnostics::{Code, Diagnostic};
use crate::endpoint::Endpoint;

/// The most bytes of the words of one message, and of the path within it, as JSON: what names a batch must not be cut off where
/// a client stops reading.
const MOST_WORDS: usize = 300;
const MOST_PATH: usize = 150;

/// The batches of a request that its response refuses, by index, each with the messages that name it.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<usize, Vec<String>>);

impl Refusals {
    /// Returns the batches that a fault refuses, whatever the document says of them. Indices outside of the request are skipped.
    pub(super) fn of_fault(fault: Option<&Fault>, endpoint: Endpoint, bytes: &[u8]) -> Self {
        let Some(Fault(FaultKind::Partial { batches, naming })) = fault else { return Self::default() };
        let ends = ends(endpoint, bytes);
        let named =
            batches.iter().filter_map(|index| Some((*index, words(*naming, endpoint, *index, *ends.get(*index)?))));
        Self(named.map(|(index, message)| (index, vec![message])).collect())
    }

    /// Adds the batches that break the document, unless they are refused already, by their violations that `is_refused`
    /// selects. Returns `None` if one of these is about the request as a whole.
    pub(super) fn add_violations(
        &mut self,
        endpoint: Endpoint,
        body: &Value,
        bytes: &[u8],
        violations: &[Diagnostic],
        is_refused: impl Fn(&Diagnostic) -> bool,
    ) -> Option<()> {
        let ends = ends(endpoint, bytes);
        let message = |index: usize, violation: &Diagnostic, pointer: &str| {
            let words = violation.to_string();
            let words = beginning(&words, MOST_WORDS);
            let path = path(body, pointer);
            let path = if beginning(&path, MOST_PATH) == path { path } else { format!("[{index}]") };
            // A question ends itself.
            let stop = if words.ends_with('?') { "" } else { "." };
            format!("{words}{stop} Path '{path}', line 1, position {}.", ends.get(index).copied().unwrap_or_default())
        };
        let mut found = BTreeMap::<usize, Vec<String>>::new();
        let mut are_all_listed = true;
        for violation in violations.iter().filter(|violation| is_refused(violation)) {
            if violation.code == Code::More {
                are_all_listed = false;
                continue;
            }
            let index = batch_of(endpoint, &violation.pointer)?;
            found.entry(index).or_default().push(message(index, violation, &violation.pointer));
        }
        if !are_all_listed {
            // A batch may be wrong though none of its violations is among the listed ones.
            for (index, batch) in body.as_array().into_iter().flatten().enumerate() {
                if !found.contains_key(&index)
                    && let Some(mut violation) = contract::check_batch(batch).into_iter().find(&is_refused)
                {
                    violation.pointer.insert_str(0, &format!("/{index}"));
                    found.insert(index, vec![message(index, &violation, &violation.pointer)]);
                }
            }
        }
        for (index, messages) in found {
            self.0.entry(index).or_insert(messages);
        }
        Some(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The indices of the refused batches, ascending.
    pub(super) fn indices(&self) -> Vec<usize> {
        self.0.keys().copied().collect()
    }

    /// The messages in the order of the batches: all of them, or the first of each batch if there are too many for one response.
    pub(super) fn into_messages(self) -> Vec<String> {
        let count: usize = self.0.values().map(Vec::len).sum();
        let most = if count > MOST_ERRORS { 1 } else { usize::MAX };
        self.0.into_values().flat_map(|messages| messages.into_iter().take(most)).collect()
    }
}

/// Returns as much of a text as takes at most this many bytes in JSON.
fn beginning(text: &str, most: usize) -> &str {
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, character)| {
        bytes += match character {
            '"' | '\\' => 2,
            '\0'..'\x20' => 6,
            _ => character.len_utf8(),
        };
        bytes > most
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// The message of a fault, in the words and with the character references of the service.
fn words(naming: Naming, endpoint: Endpoint, index: usize, position: usize) -> String {
    let words = "Error converting value &quot;a fault that was asked for&quot; to type 'System.Guid'.";
    match naming {
        Naming::None => "Invalid event batch.".to_owned(),
        // The body of `/events` is the batch: a path within it has no index to begin with.
        Naming::Index if endpoint != Endpoint::Events => {
            format!("{words} Path '[{index}].mp_deviceid', line 1, position {position}.")
        }
        Naming::Index | Naming::Position => format!("{words} Path 'mp_deviceid', line 1, position {position}."),
    }
}

/// Where each batch of a body ends, as Json.NET tells positions: in UTF-16 units of the body as it was sent, counted from 1. The
/// position of a batch's end is that of its last character.
fn ends(endpoint: Endpoint, bytes: &[u8]) -> Vec<usize> {
    let (mut seen, mut units) = (0, 0);
    let end = |batch: &[u8]| {
        // Each batch is a part of the body, and they come in order.
        let end = batch.as_ptr().addr() - bytes.as_ptr().addr() + batch.len();
        units += str::from_utf8(&bytes[seen..end]).map_or(0, |text| text.encode_utf16().count());
        seen = end;
        units
    };
    raw_batches(endpoint, bytes).into_iter().map(end).collect()
}

/// The batch that a JSON pointer into a body leads into. `None` for the body as a whole.
fn batch_of(endpoint: Endpoint, pointer: &str) -> Option<usize> {
    match endpoint {
        Endpoint::Events => Some(0),
        Endpoint::BulkEvents | Endpoint::HistoricalEvents => pointer.split('/').nth(1)?.parse().ok(),
    }
}

/// A JSON pointer as Json.NET writes the path: `[1].events[0].data['a name']`.
fn path(body: &Value, pointer: &str) -> String {
    let (mut path, mut value) = (String::new(), Some(body));
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if let Some(Value::Array(items)) = value {
            path.push_str(&format!("[{step}]"));
            value = step.parse().ok().and_then(|index: usize| items.get(index));
            continue;
        }
        value = value.and_then(|value| value.get(&step));
        if step.contains(|c: char| " .'/\"[]()\\".contains(c) || c.is_control()) {
            path.push_str(&format!("['{}']", step.replace('\\', "\\\\").replace('\'', "\\'")));
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            path.push_str(&format!("{dot}{step}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_written_as_json_net_writes_them() {
        let body = json!([{}, { "events": [{ "data": { "a b": { "it's": 1, "x.y/z~": 2, "0": 3 } } }] }]);
        for (pointer, expected) in [
            ("/1", "[1]"),
            ("/1/environment", "[1].environment"),
            ("/1/events/0/data", "[1].events[0].data"),
            ("/1/events/0/data/a b/it's", r"[1].events[0].data['a b']['it\'s']"),
            ("/1/events/0/data/a b/x.y~1z~0", "[1].events[0].data['a b']['x.y/z~']"),
            ("/1/events/0/data/a b/0", "[1].events[0].data['a b'].0"),
        ] {
            assert_eq!(path(&body, pointer), expected, "{pointer}");
        }
        assert_eq!(path(&body[1], "/events/0/data"), "events[0].data");
    }

    #[test]
    fn a_beginning_is_measured_as_json() {
        for text in ["", "plain", "\u{1}\u{2}\u{1f}", "\"\\\"", "é€\u{1F600}é"] {
            for most in 0..30 {
                let beginning = beginning(text, most);
                assert!(text.starts_with(beginning));
                assert!(json!(beginning).to_string().len() - 2 <= most, "{beginning:?} of {most}");
                let longer = text.chars().take(beginning.chars().count() + 1).collect::<String>();
                assert!(longer == beginning || json!(longer).to_string().len() - 2 > most, "{beginning:?} of {most}");
            }
        }
    }

    #[test]
    fn positions_count_utf16_units_up_to_the_last_character_of_a_batch() {
        let body = " [ {\"a\":\"ä€\u{1f600}\"} ,\n{} ]";
        let units: Vec<u16> = body.encode_utf16().collect();
        let ends = ends(Endpoint::BulkEvents, body.as_bytes());
        let braces: Vec<_> = (1..=units.len()).filter(|position| units[position - 1] == u16::from(b'}')).collect();
        assert_eq!(ends, braces);
        assert_eq!(super::ends(Endpoint::Events, "  {\"ä\":1}\n".as_bytes()), [9]);
    }
}
