//! An item of a file of JSON values.

use serde_json::Value;

use super::parse::parse_valid;
use super::position::FilePosition;

/// The maximum size of a text kept in memory: more than eight times the maximum size of a batch.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// An item of a file.
#[derive(Debug, PartialEq)]
pub enum Frame {
    /// A valid value with its text.
    Value { position: FilePosition, text: Vec<u8>, value: Value },
    /// A text that should be a value and is not, or was not parsed. It has no surrounding white space.
    Text { position: FilePosition, text: Vec<u8> },
    /// A text of more than [`MAX_TEXT_BYTES`] bytes, which was skipped.
    TooLong { position: FilePosition, bytes: u64 },
    /// A comma or a bracket between values that is missing or unexpected. No value is affected.
    Misplaced { position: FilePosition, message: &'static str },
    /// The file ends inside of a list, so that values may be missing.
    Broken { position: FilePosition, message: &'static str },
}

/// The bytes of one text, discarded once they exceed [`MAX_TEXT_BYTES`].
pub struct BoundedText {
    start: FilePosition,
    text: Vec<u8>,
    bytes: u64,
}

impl BoundedText {
    /// Creates an empty text at this position.
    pub fn at(start: FilePosition) -> Self {
        Self { start, text: Vec::new(), bytes: 0 }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.bytes <= MAX_TEXT_BYTES as u64 {
            self.text.extend_from_slice(bytes);
        } else {
            self.text = Vec::new();
        }
    }

    /// Returns the frame of the text, without white space at its end.
    pub fn into_frame(self) -> Frame {
        let Self { start: position, mut text, bytes } = self;
        if bytes > text.len() as u64 {
            return Frame::TooLong { position, bytes };
        }
        text.truncate(text.trim_ascii_end().len());
        match parse_valid(&text) {
            Some(value) => Frame::Value { position, text, value },
            None => Frame::Text { position, text },
        }
    }
}
