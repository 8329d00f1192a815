//! Reads the lines of a rejects file as the batches in them, so that they can be checked and sent again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::frames::Frame;
use super::parse::parse_valid;
use super::position::{FilePosition, LineIndex};

/// A line as `send` writes it.
#[derive(Deserialize)]
struct KeptReject<'a> {
    #[serde(rename = "line")]
    _line: u64,
    #[serde(rename = "column")]
    _column: u64,
    #[serde(rename = "diagnostics")]
    _diagnostics: Vec<IgnoredAny>,
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
    text: Option<String>,
    base64: Option<String>,
    omitted_at: Option<u64>,
}

/// Returns the batch in a line of a rejects file, at its position in that file, or the text that is not a batch. Any other frame
/// stays as it is: no batch has the fields of such a line.
pub fn unwrap_reject(frame: Frame) -> Frame {
    let unwrapped = match &frame {
        Frame::Value { position, text, .. } | Frame::Text { position, text } => unwrap_text(*position, text),
        _ => None,
    };
    unwrapped.unwrap_or(frame)
}

/// Returns `None` if the text is not a line of a rejects file.
fn unwrap_text(position: FilePosition, text: &[u8]) -> Option<Frame> {
    if !begins_like_a_reject(text) {
        return None;
    }
    let line: KeptReject<'_> = serde_json::from_slice(text).ok()?;
    if let Some(batch) = line.batch {
        let start = batch.get().as_ptr() as usize - text.as_ptr() as usize;
        let position = LineIndex::new(text, position).position(start);
        return Some(to_frame(position, batch.get().as_bytes().to_vec()));
    }
    let decoded = line.base64.and_then(|base64| STANDARD.decode(base64).ok());
    // A text that was too long to be kept is empty, as that of a frame is.
    let omitted = line.omitted_at.map(|_| Vec::new());
    let text = line.text.map(String::into_bytes).or(decoded).or(omitted)?;
    Some(to_frame(position, text))
}

fn to_frame(position: FilePosition, text: Vec<u8>) -> Frame {
    match parse_valid(&text) {
        Some(value) => Frame::Value { position, text, value },
        None => Frame::Text { position, text },
    }
}

/// Looks at the first name only, since every batch passes through here. An editor may have sorted the names.
fn begins_like_a_reject(text: &[u8]) -> bool {
    const NAMES: [&str; 6] = ["line", "base64", "batch", "column", "diagnostics", "text"];
    let name = text.strip_prefix(b"{").and_then(|rest| rest.trim_ascii_start().strip_prefix(b"\""));
    name.and_then(|rest| rest.split(|byte| *byte == b'"').next())
        .is_some_and(|name| NAMES.iter().any(|known| known.as_bytes() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrap(line: &str) -> (u64, String) {
        let position = FilePosition { offset: 10, line: 3, column: 1 };
        let frame = unwrap_reject(Frame::Text { position, text: line.into() });
        let (Frame::Value { position, text, .. } | Frame::Text { position, text }) = frame else { panic!("no text") };
        (position.offset, String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn returns_the_batch_byte_for_byte_or_the_text() {
        let head = r#"{"line":2,"column":3,"diagnostics":[{"rule":"x","message":"m"}]"#;
        let batch = r#"{ "mpid" : 9007199254740993, "a":1.50 }"#;
        assert_eq!(unwrap(&format!("{head},\"batch\":{batch}}}")), (10 + head.len() as u64 + 9, batch.to_owned()));
        assert_eq!(unwrap(&format!("{head},\"text\":\"a\\n\\u001b\"}}")), (10, "a\n\u{1b}".to_owned()));
        assert_eq!(unwrap(&format!("{head},\"base64\":\"/2E=\"}}")), (10, "\u{fffd}a".to_owned()));
        let sorted = format!(r#"{{ "batch":{batch},"column":1,"diagnostics":[],"line":2}}"#);
        assert_eq!(unwrap(&sorted), (20, batch.to_owned()));
        for other in [batch, "{\"line\":1}", &format!("{head}}}"), "{\"line\":1,\"batch\":{}}"] {
            assert_eq!(unwrap(other), (10, other.to_owned()));
        }
    }
}
