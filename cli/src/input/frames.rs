//! Splits a file into the texts of batches: one per line, the elements of a JSON array, or values that span several lines.
//!
//! Looks only at brackets and quotes. The texts are parsed later, so that an invalid text does not affect the others.

use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use serde::de::IgnoredAny;

use super::position::{FilePosition, count_characters};

/// The maximum size of a text kept in memory: more than eight times the maximum size of a batch.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// The byte-order mark that some programs put at the beginning of a file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The maximum number of bytes examined to detect the layout.
const PEEK_BYTES: usize = 64 * 1024;

/// An item of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text that should be one JSON value, without surrounding white space.
    Text { position: FilePosition, text: Vec<u8> },
    /// A text of more than [`MAX_TEXT_BYTES`] bytes, which was skipped.
    TooLong { position: FilePosition, bytes: u64 },
    /// An error in the layout itself, after which no further text can be found.
    Broken { position: FilePosition, message: &'static str },
}

impl Frame {
    /// Creates a frame from a line without surrounding white space; `None` for an empty line.
    fn trimmed(start: FilePosition, mut text: Vec<u8>) -> Option<Self> {
        text.truncate(text.trim_ascii_end().len());
        let before = text.len() - text.trim_ascii_start().len();
        if before > 0 {
            text.drain(..before);
        }
        let before = before as u64;
        let position = FilePosition { offset: start.offset + before, column: start.column + before, ..start };
        (!text.is_empty()).then_some(Self::Text { position, text })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileLayout {
    /// One value per line.
    Lines,
    /// Values separated by white space.
    Values,
    Array,
}

/// Reads the frames of a file in order. It ends after the first I/O error.
pub struct FrameReader<R> {
    reader: BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>,
    layout: FileLayout,
    /// The position of the next byte.
    position: FilePosition,
    first: bool,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Creates a reader, and detects the layout from the beginning of the file.
    pub fn new(mut source: R) -> io::Result<Self> {
        let mut head = Vec::new();
        let layout = detect_layout(&mut source, &mut head, BYTE_ORDER_MARK)?;
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let reader = BufReader::with_capacity(PEEK_BYTES, io::Cursor::new(head).chain(source));
        Ok(Self { reader, layout, position: FilePosition { offset: 0, line: 1, column: 1 }, first: true, ended: false })
    }

    /// Returns the source.
    pub fn source(&self) -> &R {
        self.reader.get_ref().get_ref().1
    }

    /// Returns whether the file is one JSON array.
    pub fn is_array(&self) -> bool {
        self.layout == FileLayout::Array
    }

    /// Returns the position of the next byte.
    pub fn current_position(&self) -> FilePosition {
        self.position
    }

    /// Continues from a [`current_position`](Self::current_position) between two frames of the same file.
    pub fn skip_to(&mut self, position: FilePosition) -> io::Result<()> {
        let skipped = io::copy(&mut self.reader.by_ref().take(position.offset), &mut io::sink())?;
        if skipped < position.offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.first &= position.offset == 0;
        self.position = position;
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<Frame>> {
        match self.layout {
            FileLayout::Lines => self.read_line(),
            FileLayout::Values => match self.skip_space()? {
                None => Ok(None),
                Some(_) => self.read_value().map(Some),
            },
            FileLayout::Array => self.read_element(),
        }
    }

    /// Reads the next line that is not empty.
    fn read_line(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let mut bounded = BoundedText::at(self.position);
            let ended = loop {
                let chunk = fill(&mut self.reader)?;
                if chunk.is_empty() {
                    break true;
                }
                let end = memchr::memchr(b'\n', chunk);
                let taken = end.map_or(chunk.len(), |end| end + 1);
                bounded.push(&chunk[..taken]);
                self.reader.consume(taken);
                if end.is_some() {
                    break false;
                }
            };
            let BoundedText { start, text, bytes } = bounded;
            self.position.offset += bytes;
            if ended {
                self.position.column += count_characters(&text);
            } else {
                self.position.line += 1;
            }
            if bytes > text.len() as u64 {
                return Ok(Some(Frame::TooLong { position: start, bytes }));
            }
            if let Some(frame) = Frame::trimmed(start, text) {
                return Ok(Some(frame));
            }
            if ended {
                return Ok(None);
            }
        }
    }

    /// Reads the next element of the array.
    fn read_element(&mut self) -> io::Result<Option<Frame>> {
        let next = self.skip_space()?;
        if mem::take(&mut self.first) {
            // Skips the opening bracket.
            self.consume(1);
            if self.skip_space()? != Some(b']') {
                return self.read_value().map(Some);
            }
        } else if next == Some(b',') {
            self.consume(1);
            self.skip_space()?;
            return self.read_value().map(Some);
        } else if next != Some(b']') {
            return Ok(Some(self.broken_frame("expected a comma or the end of the array")));
        }
        self.consume(1);
        match self.skip_space()? {
            None => Ok(None),
            Some(_) => Ok(Some(self.broken_frame("unexpected data after the end of the array"))),
        }
    }

    /// Reads one JSON value from its first byte, delimited by brackets and quotes.
    fn read_value(&mut self) -> io::Result<Frame> {
        let mut bounded = BoundedText::at(self.position);
        let mut scan = ValueScanner::default();
        loop {
            let chunk = fill(&mut self.reader)?;
            let (taken, ended) = scan.advance(chunk);
            bounded.push(&chunk[..taken]);
            self.position = position_after(self.position, &chunk[..taken]);
            self.reader.consume(taken);
            // The value is complete, the file has ended, or no value starts here.
            if ended || taken == 0 {
                break;
            }
        }
        let BoundedText { start, text, bytes } = bounded;
        if bytes > text.len() as u64 {
            return Ok(Frame::TooLong { position: start, bytes });
        }
        if text.is_empty() {
            return Ok(self.broken_frame("expected a value"));
        }
        Ok(Frame::Text { position: start, text: text.trim_ascii_end().to_vec() })
    }

    fn broken_frame(&mut self, message: &'static str) -> Frame {
        self.ended = true;
        Frame::Broken { position: self.position, message }
    }

    /// Skips white space and returns the next byte without consuming it.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = fill(&mut self.reader)?;
            let Some(last) = chunk.len().checked_sub(1) else { return Ok(None) };
            let found = chunk.iter().position(|byte| !byte.is_ascii_whitespace());
            let skipped = found.unwrap_or(last + 1);
            let next = found.map(|at| chunk[at]);
            self.position = position_after(self.position, &chunk[..skipped]);
            self.reader.consume(skipped);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Consumes buffered bytes that contain no line break.
    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.position.offset += bytes as u64;
        self.position.column += bytes as u64;
    }
}

impl<R: Read> Iterator for FrameReader<R> {
    type Item = io::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.read();
        self.ended |= !matches!(frame, Ok(Some(_)));
        frame.transpose()
    }
}

/// The bytes of one text, discarded once they exceed [`MAX_TEXT_BYTES`].
struct BoundedText {
    start: FilePosition,
    text: Vec<u8>,
    bytes: u64,
}

impl BoundedText {
    fn at(start: FilePosition) -> Self {
        Self { start, text: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.bytes <= MAX_TEXT_BYTES as u64 {
            self.text.extend_from_slice(bytes);
        } else {
            self.text = Vec::new();
        }
    }
}

/// Finds the end of a JSON value.
#[derive(Default)]
struct ValueScanner {
    depth: u64,
    state: ScanState,
    begun: bool,
}

#[derive(Default)]
enum ScanState {
    #[default]
    Brackets,
    Text,
    /// After the backslash of an escape.
    Escape,
}

impl ValueScanner {
    /// Returns the number of these bytes that belong to the value, and whether it ends with them.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                ScanState::Escape => {
                    self.state = ScanState::Text;
                    at += 1;
                }
                ScanState::Text => {
                    let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else { return (bytes.len(), false) };
                    at += found + 1;
                    self.state = if bytes[at - 1] == b'"' { ScanState::Brackets } else { ScanState::Escape };
                    if self.depth == 0 && matches!(self.state, ScanState::Brackets) {
                        return (at, true);
                    }
                }
                ScanState::Brackets => {
                    let alone = self.depth == 0;
                    match byte {
                        b'"' | b'{' | b'[' if alone && self.begun => return (at, true),
                        b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if alone => return (at, true),
                        b'"' => self.state = ScanState::Text,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' => self.depth -= 1,
                        _ => {}
                    }
                    self.begun = true;
                    at += 1;
                    if !alone && self.depth == 0 {
                        return (at, true);
                    }
                }
            }
        }
        (at, false)
    }
}

/// Returns the position after these bytes.
fn position_after(position: FilePosition, bytes: &[u8]) -> FilePosition {
    super::position::LineIndex::new(bytes, position).position(bytes.len())
}

/// Calls `fill_buf`, and retries when it is interrupted.
pub fn fill(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    reader.fill_buf()
}

/// Detects the layout of a file. Appends the bytes that it reads to `head`.
///
/// A file that begins with `[` is an array. Otherwise it has one value per line, unless the first value continues on a second
/// line that does not begin a value itself, as in pretty-printed JSON.
fn detect_layout(source: &mut impl Read, head: &mut Vec<u8>, mark: &[u8]) -> io::Result<FileLayout> {
    loop {
        let text = head.strip_prefix(mark).unwrap_or(head).trim_ascii_start();
        if text.starts_with(b"[") {
            return Ok(FileLayout::Array);
        }
        if let Some(end) = memchr::memchr(b'\n', text) {
            let is_incomplete = serde_json::from_slice::<IgnoredAny>(&text[..end]).is_err_and(|error| error.is_eof());
            match text[end..].trim_ascii_start().first() {
                _ if !is_incomplete => return Ok(FileLayout::Lines),
                Some(b'{') => return Ok(FileLayout::Lines),
                Some(_) => return Ok(FileLayout::Values),
                None => {}
            }
        }
        let mut buffer = [0; 4096];
        let read = match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        head.extend_from_slice(&buffer[..read]);
        if read == 0 || head.len() > PEEK_BYTES {
            return Ok(FileLayout::Lines);
        }
    }
}
