//! Partial responses: a 202 whose body names the refused batches of the request.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fault::{Fault, FaultKind, Naming};
use super::protocol::{MAX_ERRORS, raw_batches};
use crate::contract;
use crate::diagnostics::{Code, Diagnostic};
use crate::endpoint::Endpoint;

/// The maximum sizes in bytes, as JSON, of the text before the path of a message and of the path itself: clients read only the
/// beginning of a body, and the name of the batch must be in it.
const MAX_MESSAGE_BYTES: usize = 300;
const MAX_PATH_BYTES: usize = 150;

/// The refused batches of a request by index, each with its messages.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<usize, Vec<String>>);

impl Refusals {
    /// Returns the batches that a fault refuses. Ignores indices outside of the request.
    pub(super) fn from_fault(fault: Option<&Fault>, endpoint: Endpoint, bytes: &[u8]) -> Self {
        let Some(Fault(FaultKind::Partial { batches, naming })) = fault else { return Self::default() };
        let ends = end_positions(endpoint, bytes);
        let named = batches
            .iter()
            .filter_map(|index| Some((*index, fault_message(*naming, endpoint, *index, *ends.get(*index)?))));
        Self(named.map(|(index, message)| (index, vec![message])).collect())
    }

    /// Adds the batches with violations that `is_refused` selects, unless they are refused already. Returns `None` if one of these
    /// violations concerns the request as a whole.
    pub(super) fn add_violations(
        &mut self,
        endpoint: Endpoint,
        body: &Value,
        bytes: &[u8],
        violations: &[Diagnostic],
        is_refused: impl Fn(&Diagnostic) -> bool,
    ) -> Option<()> {
        let ends = end_positions(endpoint, bytes);
        let message = |index: usize, violation: &Diagnostic, pointer: &str| {
            let text = violation.to_string();
            let text = json_prefix(&text, MAX_MESSAGE_BYTES);
            let path = json_net_path(body, pointer);
            let path = if json_prefix(&path, MAX_PATH_BYTES) == path { path } else { format!("[{index}]") };
            // A question has its own end.
            let stop = if text.ends_with('?') { "" } else { "." };
            format!("{text}{stop} Path '{path}', line 1, position {}.", ends.get(index).copied().unwrap_or_default())
        };
        let mut found = BTreeMap::<usize, Vec<String>>::new();
        let mut are_all_listed = true;
        for violation in violations.iter().filter(|violation| is_refused(violation)) {
            if violation.code == Code::Omitted {
                are_all_listed = false;
                continue;
            }
            let index = batch_index(endpoint, &violation.pointer)?;
            found.entry(index).or_default().push(message(index, violation, &violation.pointer));
        }
        if !are_all_listed {
            // The list is cut off, so batches without a listed violation can be invalid as well.
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

    /// Returns the indices of the refused batches in ascending order.
    pub(super) fn indices(&self) -> Vec<usize> {
        self.0.keys().copied().collect()
    }

    /// Returns the messages in the order of the batches: all of them, or the first of each batch if there are more than
    /// [`MAX_ERRORS`].
    pub(super) fn into_messages(self) -> Vec<String> {
        let count: usize = self.0.values().map(Vec::len).sum();
        let max = if count > MAX_ERRORS { 1 } else { usize::MAX };
        self.0.into_values().flat_map(|messages| messages.into_iter().take(max)).collect()
    }
}

/// Returns the longest prefix of a text that takes at most `max` bytes in JSON.
fn json_prefix(text: &str, max: usize) -> &str {
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, character)| {
        bytes += match character {
            '"' | '\\' => 2,
            '\0'..'\x20' => 6,
            _ => character.len_utf8(),
        };
        bytes > max
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// Returns the message of a fault, with the wording and the character references of the service.
fn fault_message(naming: Naming, endpoint: Endpoint, index: usize, position: usize) -> String {
    let reason = "Error converting value &quot;injected fault&quot; to type 'System.Guid'.";
    match naming {
        Naming::None => "Invalid event batch.".to_owned(),
        // The body of `/events` is the batch, so paths into it do not begin with an index.
        Naming::Index if endpoint != Endpoint::Events => {
            format!("{reason} Path '[{index}].mp_deviceid', line 1, position {position}.")
        }
        Naming::Index | Naming::Position => format!("{reason} Path 'mp_deviceid', line 1, position {position}."),
    }
}

/// Returns the position of the last character of each batch, as Json.NET reports it: in UTF-16 code units of the body, from 1.
fn end_positions(endpoint: Endpoint, bytes: &[u8]) -> Vec<usize> {
    let (mut seen, mut units) = (0, 0);
    let end = |batch: &[u8]| {
        // Each batch is a slice of the body, in order.
        let end = batch.as_ptr().addr() - bytes.as_ptr().addr() + batch.len();
        units += str::from_utf8(&bytes[seen..end]).map_or(0, |text| text.encode_utf16().count());
        seen = end;
        units
    };
    raw_batches(endpoint, bytes).into_iter().map(end).collect()
}

/// Returns the index of the batch that contains the value at a JSON pointer, or `None` for the body as a whole.
fn batch_index(endpoint: Endpoint, pointer: &str) -> Option<usize> {
    match endpoint {
        Endpoint::Events => Some(0),
        Endpoint::BulkEvents | Endpoint::HistoricalEvents => pointer.split('/').nth(1)?.parse().ok(),
    }
}

/// Converts a JSON pointer to a path as Json.NET writes it: `[1].events[0].data['a name']`.
fn json_net_path(body: &Value, pointer: &str) -> String {
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
    fn pointers_become_json_net_paths() {
        let body = json!([{}, { "events": [{ "data": { "a b": { "it's": 1, "x.y/z~": 2, "0": 3 } } }] }]);
        for (pointer, expected) in [
            ("/1", "[1]"),
            ("/1/environment", "[1].environment"),
            ("/1/events/0/data", "[1].events[0].data"),
            ("/1/events/0/data/a b/it's", r"[1].events[0].data['a b']['it\'s']"),
            ("/1/events/0/data/a b/x.y~1z~0", "[1].events[0].data['a b']['x.y/z~']"),
            ("/1/events/0/data/a b/0", "[1].events[0].data['a b'].0"),
        ] {
            assert_eq!(json_net_path(&body, pointer), expected, "{pointer}");
        }
        assert_eq!(json_net_path(&body[1], "/events/0/data"), "events[0].data");
    }

    #[test]
    fn json_prefix_measures_escaped_text() {
        for text in ["", "plain", "\u{1}\u{2}\u{1f}", "\"\\\"", "é€\u{1F600}é"] {
            for max in 0..30 {
                let prefix = json_prefix(text, max);
                assert!(text.starts_with(prefix));
                assert!(json!(prefix).to_string().len() - 2 <= max, "{prefix:?} of {max}");
                let longer = text.chars().take(prefix.chars().count() + 1).collect::<String>();
                assert!(longer == prefix || json!(longer).to_string().len() - 2 > max, "{prefix:?} of {max}");
            }
        }
    }

    #[test]
    fn positions_count_utf16_units_up_to_the_end_of_a_batch() {
        let body = " [ {\"a\":\"ä€\u{1f600}\"} ,\n{} ]";
        let units: Vec<u16> = body.encode_utf16().collect();
        let ends = end_positions(Endpoint::BulkEvents, body.as_bytes());
        let braces: Vec<_> = (1..=units.len()).filter(|position| units[position - 1] == u16::from(b'}')).collect();
        assert_eq!(ends, braces);
        assert_eq!(super::end_positions(Endpoint::Events, "  {\"ä\":1}\n".as_bytes()), [9]);
    }
}
