//! Splits a file into JSON values in any arrangement: one per line, touching, separated by commas, blanks or record separators,
//! pretty-printed, in lists, and all of these in one file.
//!
//! A line that is one valid value is taken as it is. Everything else is scanned for the end of its first value. A value that is
//! cut or malformed ends where the next value begins, so that it does not affect the others.

use std::io::{self, BufRead, Read};

use super::frame::BoundedText;
pub use super::frame::{Frame, MAX_TEXT_BYTES};
use super::parse::{begins_with_batch, parse_valid};
use super::position::{FilePosition, LineIndex, ReadPosition, count_characters};
use super::read_buffer::ReadBuffer;
use super::recover::{end_of_block, end_of_line};
use super::scan::{RECORD_SEPARATOR, ScanEnd, ValueScanner};

/// The byte-order mark that some programs put at the beginning of a file, and that stays in the middle if files are joined.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The maximum size of a line that is read as a whole before its first value is looked for.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The maximum size of a number or a word.
const MAX_WORD_BYTES: usize = 4096;

/// The token that is expected next in a list.
#[derive(Clone, Copy, Debug)]
enum Expected {
    First,
    CommaOrEnd,
    /// A value, after the comma at this position.
    Value(FilePosition),
    /// Anything, after a text whose end is uncertain, or after resuming.
    Anything,
}

/// Reads the frames of a file in order. It ends after the first I/O error.
pub struct FrameReader<R> {
    buffer: ReadBuffer<R>,
    /// The position of the next byte.
    position: FilePosition,
    /// Set if something other than blanks precedes the next byte on its line.
    line_has_content: bool,
    /// Set in a list whose elements are the values.
    list: Option<Expected>,
    /// The offset up to which the current line is known not to be one value.
    scan_until: u64,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Creates a reader.
    pub fn new(source: R) -> io::Result<Self> {
        let mut buffer = ReadBuffer::new(source);
        buffer.read_at_least(BYTE_ORDER_MARK.len())?;
        if buffer.bytes().starts_with(BYTE_ORDER_MARK) {
            buffer.consume(BYTE_ORDER_MARK.len());
        }
        let position = FilePosition { offset: 0, line: 1, column: 1 };
        Ok(Self { buffer, position, line_has_content: false, list: None, scan_until: 0, ended: false })
    }

    /// Returns the source.
    pub fn source(&self) -> &R {
        self.buffer.source()
    }

    /// Returns the position of the next byte.
    pub fn current_position(&self) -> FilePosition {
        self.position
    }

    /// Returns the position between two frames from which [`skip_to`](Self::skip_to) continues.
    pub fn read_position(&self) -> ReadPosition {
        ReadPosition { position: self.position, in_list: self.list.is_some() }
    }

    /// Returns whether the last frame ended at the end of the file, so that its text may be incomplete.
    pub fn is_at_end(&self) -> bool {
        self.buffer.is_at_end() && self.buffer.bytes().is_empty()
    }

    /// Continues from a [`read_position`](Self::read_position) of the same file.
    pub fn skip_to(&mut self, ReadPosition { position, in_list }: ReadPosition) -> io::Result<()> {
        while self.position.offset < position.offset {
            let missing = position.offset - self.position.offset;
            let skipped = usize::try_from(missing).map_or(usize::MAX, |missing| missing.min(self.buffer.bytes().len()));
            self.buffer.consume(skipped);
            self.position.offset += skipped as u64;
            if skipped == 0 && !self.buffer.read_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.position = position;
        self.list = in_list.then_some(Expected::Anything);
        self.line_has_content = position.column > 1;
        Ok(())
    }

    /// Reads the next frame, or what is between two values.
    fn read(&mut self) -> io::Result<Option<Frame>> {
        while let Some(next) = self.skip_space()? {
            let misplaced = match (next, self.list) {
                (b',', _) => self.read_comma(),
                (b'[', None) => {
                    self.list = Some(Expected::First);
                    self.consume(1);
                    None
                }
                (b']', _) => self.read_list_end(),
                (_, Some(Expected::CommaOrEnd)) => {
                    self.expect(Expected::Value(self.position));
                    Some(self.misplaced("expected a comma between the values of the list"))
                }
                _ => return self.read_value().map(Some),
            };
            if misplaced.is_some() {
                return Ok(misplaced);
            }
        }
        self.ended = true;
        let message = "the file ends inside of a list; values may be missing";
        Ok(self.list.is_some().then_some(Frame::Broken { position: self.position, message }))
    }

    fn read_comma(&mut self) -> Option<Frame> {
        let misplaced = match self.list {
            Some(Expected::First | Expected::Value(_)) => Some(self.misplaced("expected a value before the comma")),
            _ => None,
        };
        self.expect(Expected::Value(self.position));
        self.consume(1);
        misplaced
    }

    fn read_list_end(&mut self) -> Option<Frame> {
        let misplaced = match self.list.take() {
            None => Some(self.misplaced("unexpected ], which closes no list")),
            Some(Expected::Value(comma)) => {
                Some(Frame::Misplaced { position: comma, message: "trailing comma in the list" })
            }
            Some(_) => None,
        };
        self.consume(1);
        misplaced
    }

    fn misplaced(&self, message: &'static str) -> Frame {
        Frame::Misplaced { position: self.position, message }
    }

    fn expect(&mut self, expected: Expected) {
        if let Some(list) = &mut self.list {
            *list = expected;
        }
    }

    /// Reads a value from its first byte.
    fn read_value(&mut self) -> io::Result<Frame> {
        self.expect(Expected::CommaOrEnd);
        if self.position.offset >= self.scan_until
            && let Some(frame) = self.read_line()?
        {
            return Ok(frame);
        }
        let indent = if self.line_has_content { 0 } else { usize::try_from(self.position.column - 1).unwrap_or(0) };
        let scanner = ValueScanner::new(indent);
        match self.buffer.bytes().first() {
            Some(b'{' | b'[' | b'"') => self.scan_value(scanner),
            _ => self.read_word(&scanner),
        }
    }

    /// Reads the rest of a line if it is one valid object, perhaps with a comma after it.
    fn read_line(&mut self) -> io::Result<Option<Frame>> {
        if self.buffer.bytes().first() != Some(&b'{') {
            return Ok(None);
        }
        let end = loop {
            let bytes = self.buffer.bytes();
            match memchr::memchr(b'\n', bytes) {
                Some(end) => break end,
                None if bytes.len() > MAX_LINE_BYTES => return Ok(None),
                None if !self.buffer.read_more()? => break self.buffer.bytes().len(),
                None => {}
            }
        };
        let line = self.buffer.bytes()[..end].trim_ascii_end();
        let text = line.strip_suffix(b",").unwrap_or(line).trim_ascii_end();
        let Some(value) = parse_valid(text) else {
            self.scan_until = self.position.offset + end as u64;
            return Ok(None);
        };
        let (position, text) = (self.position, text.to_vec());
        self.buffer.consume(text.len());
        self.position.offset += text.len() as u64;
        self.position.column += count_characters(&text);
        self.line_has_content = true;
        Ok(Some(Frame::Value { position, text, value }))
    }

    /// Reads an object, a list or a text.
    fn scan_value(&mut self, mut scanner: ValueScanner) -> io::Result<Frame> {
        let mut text = BoundedText::at(self.position);
        loop {
            let bytes = self.buffer.bytes();
            match scanner.advance(bytes) {
                Some(ScanEnd::Complete(end)) => {
                    self.take(&mut text, end);
                    return Ok(text.into_frame());
                }
                Some(ScanEnd::Fault(at)) => return self.recover(text, &scanner, at),
                None => {}
            }
            if bytes.len() > MAX_TEXT_BYTES {
                let next = scanner.line_start().filter(|&start| begins_with_batch(&bytes[start..]));
                let taken = next.unwrap_or(bytes.len());
                self.take(&mut text, taken);
                if next.is_some() {
                    self.expect(Expected::Anything);
                    return Ok(text.into_frame());
                }
                scanner.forget_scanned();
            }
            if !self.buffer.read_more()? {
                let end = self.buffer.bytes().len();
                return self.recover(text, &scanner, end);
            }
        }
    }

    /// Reads a number, a literal, or a text that is no value.
    fn read_word(&mut self, scanner: &ValueScanner) -> io::Result<Frame> {
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"{}[],\"\x1e".contains(byte);
        let end = loop {
            let bytes = self.buffer.bytes();
            match bytes.iter().position(is_end) {
                Some(end) => break end,
                None if bytes.len() > MAX_WORD_BYTES || !self.buffer.read_more()? => break self.buffer.bytes().len(),
                None => {}
            }
        };
        let mut text = BoundedText::at(self.position);
        if parse_valid(&self.buffer.bytes()[..end]).is_none() {
            return self.recover(text, scanner, 0);
        }
        self.take(&mut text, end);
        Ok(text.into_frame())
    }

    /// Reads a text that is no value up to the start of the next value.
    fn recover(&mut self, mut text: BoundedText, scanner: &ValueScanner, fault: usize) -> io::Result<Frame> {
        let line_of_fault = memchr::memrchr(b'\n', &self.buffer.bytes()[..fault]).filter(|_| scanner.is_multi_line());
        let mut from = line_of_fault.unwrap_or(fault.max(1).min(self.buffer.bytes().len()));
        let mut next = scanner.line_start();
        loop {
            let (bytes, is_at_end) = (self.buffer.bytes(), self.buffer.is_at_end());
            let is_too_long = bytes.len() > MAX_TEXT_BYTES;
            next = next.or_else(|| {
                if scanner.is_multi_line() {
                    end_of_block(bytes, from, scanner.indent())
                } else {
                    end_of_line(bytes, from, is_at_end, is_too_long, self.list.is_some())
                }
            });
            if next.is_some() || is_at_end {
                let end = next.unwrap_or(bytes.len());
                self.take(&mut text, end);
                self.expect(Expected::Anything);
                return Ok(text.into_frame());
            }
            if is_too_long {
                // The last line is kept, since the next value may begin with it.
                let line = memchr::memrchr(b'\n', bytes).filter(|&at| at > 0 && scanner.is_multi_line());
                let taken = line.unwrap_or(bytes.len());
                self.take(&mut text, taken);
                from = 0;
            }
            self.buffer.read_more()?;
        }
    }

    /// Moves buffered bytes to a text.
    fn take(&mut self, text: &mut BoundedText, count: usize) {
        let bytes = &self.buffer.bytes()[..count];
        text.push(bytes);
        self.position = position_after(self.position, bytes);
        self.line_has_content = true;
        self.buffer.consume(count);
    }

    /// Skips everything that can separate values, and returns the next byte without consuming it.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.buffer.bytes();
            let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == RECORD_SEPARATOR;
            let skipped = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
            if skipped > 0 {
                let line_break = memchr::memchr(b'\n', &bytes[..skipped]);
                self.line_has_content &= line_break.is_none();
                self.position = position_after(self.position, &bytes[..skipped]);
                self.buffer.consume(skipped);
            } else if BYTE_ORDER_MARK.starts_with(bytes) && self.buffer.read_more()? {
                // The buffer is empty, or has a part of a mark.
            } else if self.buffer.bytes().starts_with(BYTE_ORDER_MARK) {
                self.buffer.consume(BYTE_ORDER_MARK.len());
                self.position.offset += BYTE_ORDER_MARK.len() as u64;
                self.position.column += 1;
            } else {
                return Ok(self.buffer.bytes().first().copied());
            }
        }
    }

    /// Consumes buffered bytes that contain no line break.
    fn consume(&mut self, bytes: usize) {
        self.buffer.consume(bytes);
        self.position.offset += bytes as u64;
        self.position.column += bytes as u64;
        self.line_has_content = true;
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

/// Returns the position after these bytes.
fn position_after(position: FilePosition, bytes: &[u8]) -> FilePosition {
    LineIndex::new(bytes, position).position(bytes.len())
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
