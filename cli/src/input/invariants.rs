//! The invariants of the frames of any file, for the tests and the fuzz target.

use super::frames::{BYTE_ORDER_MARK, Frame, FrameReader, MAX_TEXT_BYTES};
use super::position::{FilePosition, LineIndex};

const START: FilePosition = FilePosition { offset: 0, line: 1, column: 1 };

/// Checks that the frames are exactly the bytes at their positions, and that nothing but separators is between them.
pub fn check(file: &[u8]) {
    let bytes = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let mut end = 0;
    for frame in FrameReader::new(file).expect("memory") {
        let (position, length) = match frame.expect("memory") {
            Frame::Value { position, text, .. } | Frame::Text { position, text } => {
                let start = index(position.offset);
                assert_eq!(text, bytes[start..start + text.len()], "{position}");
                assert!(!text.is_empty() && text.len() <= MAX_TEXT_BYTES, "{position}");
                (position, text.len())
            }
            Frame::TooLong { position, bytes } => (position, index(bytes)),
            Frame::Misplaced { position, .. } | Frame::Broken { position, .. } => {
                assert!(index(position.offset) <= bytes.len(), "{position}");
                continue;
            }
        };
        let start = index(position.offset);
        assert_eq!(LineIndex::new(bytes, START).position(start), position);
        assert!(start >= end && is_separator(&bytes[end..start]), "{position}");
        end = start + length;
    }
    assert!(is_separator(&bytes[end..]), "after {end}");
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an index")
}

/// Returns whether these bytes hold no data.
fn is_separator(bytes: &[u8]) -> bool {
    let without_marks = String::from_utf8_lossy(bytes).replace('\u{feff}', "");
    without_marks.bytes().all(|byte| byte.is_ascii_whitespace() || b",[]\x1e".contains(&byte))
}
