//! Cuts what is read into the texts of batches: a line each, the elements of one JSON array, or values that go over
//! several lines.
//!
//! Only brackets and quotes are looked at; whether a text is JSON is seen later, so that one broken text costs only itself.

use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use serde::de::IgnoredAny;

use super::position::{FilePosition, count_characters};

/// A longer text is not kept in memory. It is eight times what a batch may have.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// What some programs begin a text with.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// So much is looked at, at most, to see how a file is laid out.
const PEEK_BYTES: usize = 64 * 1024;

/// What stands at one place of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// What should be one JSON value, without the white space around it.
    Text { position: FilePosition, text: Vec<u8> },
    /// A text of so many bytes, more than [`MAX_TEXT_BYTES`]: it was passed over.
    TooLong { position: FilePosition, bytes: u64 },
    /// The layout itself is broken, and no next text can be found in it.
    Broken { position: FilePosition, message: &'static str },
}

impl Frame {
    /// A line without the white space around it, if anything is left then.
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
    LineIndex,
    /// One value after the other, with white space between them.
    Values,
    Array,
}

/// The texts of a file, in their order. An error of the source is the last that it gives.
pub struct FrameReader<R> {
    reader: BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>,
    layout: FileLayout,
    /// Of the next byte.
    position: FilePosition,
    first: bool,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Looks at the beginning to see how the file is laid out.
    pub fn new(mut source: R) -> io::Result<Self> {
        let mut head = Vec::new();
        let layout = layout(&mut source, &mut head, BYTE_ORDER_MARK)?;
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let reader = BufReader::with_capacity(PEEK_BYTES, io::Cursor::new(head).chain(source));
        Ok(Self { reader, layout, position: FilePosition { offset: 0, line: 1, column: 1 }, first: true, ended: false })
    }

    /// What is read.
    pub fn source(&self) -> &R {
        self.reader.get_ref().get_ref().1
    }

    /// Whether they are the elements of one JSON array.
    pub fn is_list(&self) -> bool {
        self.layout == FileLayout::Array
    }

    /// Where the next byte stands: at the end, where the file ended or was cut off.
    pub fn current_position(&self) -> FilePosition {
        self.position
    }

    /// Goes on from a place that [`position`](Self::place) told between two texts of the same file.
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
            FileLayout::LineIndex => self.line(),
            FileLayout::Values => match self.skip_space()? {
                None => Ok(None),
                Some(_) => self.value().map(Some),
            },
            FileLayout::Array => self.element(),
        }
    }

    /// The next line that is not empty.
    fn line(&mut self) -> io::Result<Option<Frame>> {
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

    /// The next element of the array, or what is wrong before it.
    fn element(&mut self) -> io::Result<Option<Frame>> {
        let next = self.skip_space()?;
        if mem::take(&mut self.first) {
            // The bracket that told the layout.
            self.advance(1);
            if self.skip_space()? != Some(b']') {
                return self.value().map(Some);
            }
        } else if next == Some(b',') {
            self.advance(1);
            self.skip_space()?;
            return self.value().map(Some);
        } else if next != Some(b']') {
            return Ok(Some(self.broken("expected a comma or the end of the list")));
        }
        self.advance(1);
        match self.skip_space()? {
            None => Ok(None),
            Some(_) => Ok(Some(self.broken("nothing is expected after the end of the list"))),
        }
    }

    /// One JSON value, from its first byte, as far as brackets and quotes tell.
    fn value(&mut self) -> io::Result<Frame> {
        let mut bounded = BoundedText::at(self.position);
        let mut scan = Scanner::default();
        loop {
            let chunk = fill(&mut self.reader)?;
            let (taken, ended) = scan.advance(chunk);
            bounded.push(&chunk[..taken]);
            self.position = after(self.position, &chunk[..taken]);
            self.reader.consume(taken);
            // Nothing more comes, or it is no value at all.
            if ended || taken == 0 {
                break;
            }
        }
        let BoundedText { start, text, bytes } = bounded;
        if bytes > text.len() as u64 {
            return Ok(Frame::TooLong { position: start, bytes });
        }
        if text.is_empty() {
            return Ok(self.broken("expected a value"));
        }
        Ok(Frame::Text { position: start, text: text.trim_ascii_end().to_vec() })
    }

    fn broken(&mut self, message: &'static str) -> Frame {
        self.ended = true;
        Frame::Broken { position: self.position, message }
    }

    /// Passes over white space, and looks at what follows.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = fill(&mut self.reader)?;
            let Some(last) = chunk.len().checked_sub(1) else { return Ok(None) };
            let found = chunk.iter().position(|byte| !byte.is_ascii_whitespace());
            let skipped = found.unwrap_or(last + 1);
            let next = found.map(|at| chunk[at]);
            self.position = after(self.position, &chunk[..skipped]);
            self.reader.consume(skipped);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Passes over bytes that were looked at and are no line breaks.
    fn advance(&mut self, bytes: usize) {
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

/// The bytes of one text, as long as they are not too many.
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

/// How far a value reaches.
#[derive(Default)]
struct Scanner {
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

impl Scanner {
    /// How many of these bytes belong to the value, and whether it ends with them.
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

/// The place after these bytes.
fn after(position: FilePosition, bytes: &[u8]) -> FilePosition {
    super::position::LineIndex::new(bytes, position).position(bytes.len())
}

/// As `fill_buf`, but for interruptions.
pub fn fill(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    reader.fill_buf()
}

/// How a file is laid out. What had to be read for that is put into `head`.
///
/// A list is an array. Otherwise there is a value a line, unless the first one goes on in a second line which does not
/// begin a value itself: a batch that was written to be read by people.
fn layout(source: &mut impl Read, head: &mut Vec<u8>, mark: &[u8]) -> io::Result<FileLayout> {
    loop {
        let text = head.strip_prefix(mark).unwrap_or(head).trim_ascii_start();
        if text.starts_with(b"[") {
            return Ok(FileLayout::Array);
        }
        if let Some(end) = memchr::memchr(b'\n', text) {
            let goes_on = serde_json::from_slice::<IgnoredAny>(&text[..end]).is_err_and(|error| error.is_eof());
            match text[end..].trim_ascii_start().first() {
                _ if !goes_on => return Ok(FileLayout::LineIndex),
                Some(b'{') => return Ok(FileLayout::LineIndex),
                Some(_) => return Ok(FileLayout::Values),
                None => {}
            }
        }
        let mut more = [0; 4096];
        let read = match source.read(&mut more) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        head.extend_from_slice(&more[..read]);
        if read == 0 || head.len() > PEEK_BYTES {
            return Ok(FileLayout::LineIndex);
        }
    }
}
