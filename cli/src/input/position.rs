//! Positions in a file, as editors show them.

use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A position in the decompressed bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilePosition {
    /// The offset in bytes, from 0, without a byte-order mark.
    pub offset: u64,
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

/// A position between two values, from which a later run can read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    pub position: FilePosition,
    /// Set between the elements of a list.
    pub in_list: bool,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Converts offsets in a text to positions in its file.
#[derive(Clone, Copy)]
pub struct LineIndex<'a> {
    text: &'a [u8],
    start: FilePosition,
}

impl<'a> LineIndex<'a> {
    /// Creates an index of a text that starts at this position of its file.
    pub fn new(text: &'a [u8], start: FilePosition) -> Self {
        Self { text, start }
    }

    /// Returns the position of a byte of the text.
    pub fn position(&self, offset: usize) -> FilePosition {
        let before = &self.text[..offset.min(self.text.len())];
        let line_start = memchr::memrchr(b'\n', before).map(|at| at + 1);
        let column = count_characters(&before[line_start.unwrap_or(0)..]);
        FilePosition {
            offset: self.start.offset + before.len() as u64,
            line: self.start.line + memchr::memchr_iter(b'\n', before).count() as u64,
            column: if line_start.is_some() { 1 + column } else { self.start.column + column },
        }
    }

    /// Returns the offset of a line and a column, both from 1 and relative to the text, the column in bytes.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let line_start = match line.saturating_sub(2) {
            _ if line <= 1 => 0,
            skipped => memchr::memchr_iter(b'\n', self.text).nth(skipped).map_or(0, |at| at + 1),
        };
        (line_start + column.saturating_sub(1)).min(self.text.len())
    }
}

/// Returns the number of characters that start in these bytes. Outside of UTF-8 the number is approximate.
pub fn count_characters(bytes: &[u8]) -> u64 {
    let is_start = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
    // Most text is ASCII, which is recognized faster than counted.
    let count = |piece: &[u8]| if piece.is_ascii() { piece.len() } else { piece.iter().filter(is_start).count() };
    bytes.chunks(4096).map(count).sum::<usize>() as u64
}

/// The ranges of a member of an object or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name with its quotes; `None` for an element of an array.
    pub key: Option<Range<usize>>,
    pub value: Range<usize>,
}

/// Returns the ranges of the value that a JSON pointer refers to, or of its nearest existing parent. The text must be valid
/// JSON.
pub fn locate(text: &str, pointer: &str) -> Member {
    let trimmed = text.trim_ascii();
    let start = trimmed.as_ptr() as usize - text.as_ptr() as usize;
    let mut found = Member { key: None, value: start..start + trimmed.len() };
    for token in tokens(pointer) {
        match step(&text[found.value.clone()], &token) {
            Some(Member { key, value }) => {
                let base = found.value.start;
                let at = |range: Range<usize>| base + range.start..base + range.end;
                found = Member { key: key.map(at), value: at(value) };
            }
            None => break,
        }
    }
    found
}

/// Returns the unescaped reference tokens of a JSON pointer.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// Finds a member by its token. Names are compared unescaped.
fn step(text: &str, token: &str) -> Option<Member> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Step { text, token }.deserialize(&mut deserializer).ok().flatten()
}

struct Step<'a> {
    text: &'a str,
    token: &'a str,
}

impl Step<'_> {
    fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + raw.get().len()
    }
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<Member>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // Other values have no members.
        match self.text.as_bytes().first() {
            Some(b'{') => deserializer.deserialize_map(self),
            Some(b'[') => deserializer.deserialize_seq(self),
            _ => Ok(None),
        }
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        // Most parsers use the last of several members with the same name.
        let mut found = None;
        while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            if serde_json::from_str::<String>(key.get()).is_ok_and(|name| name == self.token) {
                found = Some(Member { key: Some(self.range(key)), value: self.range(value) });
            }
        }
        Ok(found)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut found = None;
        let wanted: Option<usize> = self.token.parse().ok();
        let mut index = 0;
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            if Some(index) == wanted {
                found = Some(Member { key: None, value: self.range(value) });
            }
            index += 1;
        }
        Ok(found)
    }
}
