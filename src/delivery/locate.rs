//! Finds the batch of a bulk request that an error message of the service is about.
//!
//! The service names a batch by an index at the start of a path (`Path '[1].device_info.…`), by a position in the body
//! (`line 1, position 648`), or not at all. A wrong match would reject a good batch, so an ambiguous message names no batch:
//! delivery then bisects the request.

use std::collections::BTreeMap;

use super::body;
use crate::generated::types::ApiError;
use crate::seal::SealedBatch;

/// An offset in a body, in bytes and in UTF-16 code units.
#[derive(Clone, Copy, Debug, Default)]
struct Offset {
    bytes: usize,
    units: usize,
}

impl Offset {
    fn advance(&mut self, text: &[u8]) {
        self.bytes += text.len();
        // Each character has one byte that is not a continuation byte. One of four bytes has two UTF-16 units.
        self.units +=
            text.iter().map(|byte| usize::from(byte & 0xC0 != 0x80) + usize::from(*byte >= 0xF0)).sum::<usize>();
    }
}

/// The range of each batch in the body of a bulk request.
pub(super) struct Layout {
    /// The start and the end of each batch.
    batches: Vec<(Offset, Offset)>,
    /// The start of each line. Batches that were given as JSON may contain line breaks.
    lines: Vec<Offset>,
}

impl Layout {
    /// Returns the layout of the body with these batches.
    pub(super) fn new(batches: &[&SealedBatch]) -> Self {
        let mut offset = Offset::default();
        let mut lines = vec![offset];
        offset.advance(body::OPEN);
        let mut places = Vec::with_capacity(batches.len());
        for (separator, json) in body::parts(batches) {
            offset.advance(separator);
            let start = offset;
            let mut rest: &[u8] = json;
            while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                let length = if rest[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
                offset.advance(&rest[..length]);
                lines.push(offset);
                rest = &rest[length..];
            }
            offset.advance(rest);
            places.push((start, offset));
        }
        Self { batches: places, lines }
    }

    /// Returns the index of the batch that a message names.
    pub(super) fn find_batch(&self, message: &str) -> Option<usize> {
        match common_value(path_indexes(message)) {
            Some(Some(index)) => Some(index).filter(|index| *index < self.batches.len()),
            // Text that is quoted from a batch can look like a path.
            None if path_indexes(message).next().is_some() => None,
            _ => common_value(positions(message).map(|(line, position)| self.batch_at(line, position))).flatten(),
        }
    }

    /// Returns the batch with the character before this position, if counts in bytes and in UTF-16 units agree on it.
    fn batch_at(&self, line: usize, position: usize) -> Option<usize> {
        let start = self.lines.get(line.checked_sub(1)?)?;
        let before = position.checked_sub(1)?;
        let by_units = self.find(start.units.checked_add(before)?, |offset| offset.units);
        let by_bytes = self.find(start.bytes.checked_add(before)?, |offset| offset.bytes);
        by_units.filter(|_| by_units == by_bytes)
    }

    fn find(&self, place: usize, unit: impl Fn(&Offset) -> usize) -> Option<usize> {
        let index = self.batches.partition_point(|(_, end)| unit(end) <= place);
        self.batches.get(index).filter(|(start, _)| unit(start) <= place)?;
        Some(index)
    }
}

/// Returns the index at the start of each path in a message; `None` for a path without one.
fn path_indexes(message: &str) -> impl Iterator<Item = Option<usize>> {
    message.match_indices("Path").filter_map(|(place, word)| {
        if message[..place].ends_with(char::is_alphanumeric) {
            return None;
        }
        let rest = message[place + word.len()..].trim_start_matches([':', ' ']);
        let path = rest.strip_prefix(['\'', '"']).unwrap_or(rest);
        let path = path.strip_prefix('$').unwrap_or(path);
        match path.strip_prefix('[').map(parse_number) {
            Some(Some((index, after))) if after.starts_with(']') => Some(Some(index)),
            // Without a quote, `Path` is an ordinary word.
            _ => (path.len() < rest.len()).then_some(None),
        }
    })
}

/// Returns each line and position in a message, counted from 1. Ignores a position without a line: a product of an event has
/// a position too.
fn positions(message: &str) -> impl Iterator<Item = (usize, usize)> {
    message.match_indices("position ").filter_map(|(place, word)| {
        let (position, _) = parse_number(&message[place + word.len()..])?;
        let before = message[..place].trim_end_matches([',', ' ']);
        let words = before.trim_end_matches(|c: char| c.is_ascii_digit());
        let (line, _) = parse_number(&before[words.len()..])?;
        let is_line = !words.strip_suffix("line ")?.ends_with(char::is_alphanumeric);
        is_line.then_some((line, position))
    })
}

/// Parses the number at the start of a text, and returns it with the rest of the text. Saturates at `usize::MAX`.
fn parse_number(text: &str) -> Option<(usize, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (parse_number, rest) = text.split_at(digits);
    (digits > 0).then(|| (parse_number.parse().unwrap_or(usize::MAX), rest))
}

/// Returns the first value if all others are equal to it.
fn common_value<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Returns the errors by the batch that they name, and whether all of them name one. Errors of a request with one batch are
/// about that batch.
pub(super) fn assign(errors: Vec<ApiError>, sent: &[&SealedBatch]) -> (BTreeMap<usize, Vec<ApiError>>, bool) {
    let mut named: BTreeMap<usize, Vec<ApiError>> = BTreeMap::new();
    if errors.is_empty() {
        return (named, true);
    }
    if sent.len() == 1 {
        named.insert(0, errors);
        return (named, false);
    }
    let layout = Layout::new(sent);
    let mut all_located = true;
    for error in errors {
        match layout.find_batch(&error.message) {
            Some(index) => named.entry(index).or_default().push(error),
            None => all_located = false,
        }
    }
    (named, all_located)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(texts: &[&str]) -> Vec<SealedBatch> {
        let batch = |text: &&str| {
            let json = format!(r#"{{"source_request_id":"a","user_attributes":{{"name":"{text}"}}}}"#);
            SealedBatch::from_json(json).expect("a batch")
        };
        texts.iter().map(batch).collect()
    }

    #[test]
    fn finds_a_batch_by_the_index_at_the_start_of_a_path() {
        let batches = batches(&["a", "b", "c"]);
        let layout = Layout::new(&batches.iter().collect::<Vec<_>>());
        let table = [
            ("Error converting value \"x\". Path '[1].device_info.ios_advertising_id', line 1, position 5.", Some(1)),
            ("Path '[0]', line 1, position 90.", Some(0)),
            ("Path '[2].events[1].data', line 1, position 3", Some(2)),
            ("Path \"[2].events\"", Some(2)),
            (
                "The JSON value could not be converted. Path: $[1].mpid | LineNumber: 0 | BytePositionInLine: 152.",
                Some(1),
            ),
            ("Path [1].events", Some(1)),
            // An index beyond the request names no batch, and its position is ignored.
            ("Path '[3].events', line 1, position 5.", None),
            ("Path '[99999999999999999999999].events', line 1, position 5.", None),
            // Text that is quoted from a batch.
            ("Error converting value \"Path '[0]'\". Path '[1].mpid', line 1, position 5.", None),
            ("Error converting value \"Path '[1]'\". Path '[1].mpid', line 1, position 5.", Some(1)),
            ("Error converting value \"Path '[0]'\". Path 'mpid', line 1, position 5.", None),
            ("Path is required", None),
            ("XPath '[1]'", None),
            ("Path '[1", None),
            ("Path 'events[1].data'", None),
            ("events[1] is wrong", None),
            ("Invalid event batch.", None),
            ("", None),
        ];
        for (message, named) in table {
            assert_eq!(layout.find_batch(message), named, "{message}");
        }
    }

    #[test]
    fn finds_a_batch_by_the_character_before_a_position() {
        let batches = batches(&["", "", ""]);
        let layout = Layout::new(&batches.iter().collect::<Vec<_>>());
        let length = batches[0].len();
        let table = [
            (0, None),
            // The bracket, the first batch, the comma, the second batch.
            (1, None),
            (2, Some(0)),
            (length + 1, Some(0)),
            (length + 2, None),
            (length + 3, Some(1)),
            (2 * length + 2, Some(1)),
            (3 * length + 3, Some(2)),
            (3 * length + 4, None),
            (usize::MAX, None),
        ];
        for (position, named) in table {
            let message = format!("Unexpected token. Path 'data.custom_attributes', line 1, position {position}.");
            assert_eq!(layout.find_batch(&message), named, "{message}");
            assert_eq!(layout.find_batch(&format!("Unexpected token (line 1, position {position})")), named);
            assert_eq!(layout.find_batch(&format!("the product at position {position} lacks an id")), None);
        }
        assert_eq!(layout.find_batch("the pipeline 1, position 5"), None);
        assert_eq!(layout.find_batch("line 2, position 5"), None);
        assert_eq!(layout.find_batch("line 0, position 5"), None);
        assert_eq!(layout.find_batch(&format!("line 1, position 5, and line 1, position {}", length + 5)), None);
        assert_eq!(layout.find_batch("line 1, position 5, and line 1, position 6"), Some(0));
    }

    #[test]
    fn finds_no_batch_if_bytes_and_utf_16_units_disagree() {
        let texts = ["é".repeat(30), "😀".repeat(30), "a".repeat(200)];
        let batches = batches(&texts.each_ref().map(String::as_str));
        let layout = Layout::new(&batches.iter().collect::<Vec<_>>());
        // The batch of each byte, and of each UTF-16 unit.
        let (mut bytes, mut units) = (vec![None], vec![None]);
        for (index, batch) in batches.iter().enumerate() {
            for character in std::str::from_utf8(batch.json()).expect("text").chars() {
                bytes.extend([Some(index)].repeat(character.len_utf8()));
                units.extend([Some(index)].repeat(character.len_utf16()));
            }
            bytes.push(None);
            units.push(None);
        }
        let mut named = [0; 3];
        for (position, unit) in (1..).zip(&units) {
            let expected = unit.filter(|_| *unit == bytes[position - 1]);
            assert_eq!(layout.find_batch(&format!("line 1, position {position}")), expected, "{position}");
            if let Some(index) = expected {
                named[index] += 1;
            }
        }
        assert!(named.iter().all(|count| *count > 0) && named.iter().sum::<usize>() < units.len() - 4, "{named:?}");
    }

    #[test]
    fn counts_lines_in_a_batch_with_line_breaks() {
        let json = "{\n\"source_request_id\": \"a\",\r\n\"mpid\": 1}";
        let batch = SealedBatch::from_json(json).expect("a batch");
        let batches = [&batch, &batch];
        let layout = Layout::new(&batches);
        for (line, position, named) in [
            (1, 2, Some(0)),
            (2, 1, Some(0)),
            (3, 10, Some(0)),
            (3, 11, None),
            (3, 12, Some(1)),
            (4, 3, Some(1)),
            (5, 10, Some(1)),
            (6, 1, None),
        ] {
            assert_eq!(layout.find_batch(&format!("line {line}, position {position}")), named, "{line}:{position}");
        }
    }
}
