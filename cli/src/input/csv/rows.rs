//! Splits CSV into rows and fields according to RFC 4180: a quoted field can contain delimiters, line breaks and doubled quotes.
//!
//! It is stricter than most readers, since a misread row would go to the wrong user: data after a closing quote and an unclosed
//! quote are errors. The lines that an unclosed quote contains are skipped and counted, at most [`MAX_QUOTED_BYTES`] of them. A
//! quote inside an unquoted field is an ordinary character. Only one row is in memory at a time, and no more than
//! [`MAX_TEXT_BYTES`] of it.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use super::first_line::{LineEnds, separator_line};
use crate::input::decode::describe_invalid;
use crate::input::frames::{BYTE_ORDER_MARK, MAX_TEXT_BYTES, fill};
use crate::input::position::{FilePosition, LineIndex};

/// The maximum size of a quoted field, larger than any batch that the service accepts. Reading goes on after the next line break.
pub const MAX_QUOTED_BYTES: usize = 128 * 1024;

/// The delimiter and the quote character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// The quote; `None` if no field is quoted.
    pub quote: Option<u8>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"') }
    }
}

/// A valid row.
#[derive(Debug)]
pub struct CsvRow {
    pub position: FilePosition,
    /// The original text without the line break.
    pub text: String,
    fields: Vec<FieldSpan>,
    quote: Option<u8>,
}

/// A row with a syntax error.
#[derive(Debug)]
pub struct RowError {
    pub position: FilePosition,
    pub text: Vec<u8>,
    /// The position of the error.
    pub at: FilePosition,
    pub message: String,
    /// The number of lines that were skipped with it.
    pub lines: u64,
}

#[derive(Clone, Debug)]
struct FieldSpan {
    /// The start of the field, including its quote.
    start: usize,
    /// The content, without quotes.
    content: Range<usize>,
    /// Set if the content has doubled quotes.
    doubled: bool,
}

impl CsvRow {
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether all fields are blank, as in the rows that spreadsheets write below a table.
    pub fn is_blank(&self) -> bool {
        (0..self.len()).all(|index| self.field(index).trim().is_empty())
    }

    pub fn field(&self, index: usize) -> Cow<'_, str> {
        let FieldSpan { content, doubled, .. } = &self.fields[index];
        let text = &self.text[content.clone()];
        match self.quote {
            Some(quote) if *doubled => {
                let quote = char::from(quote).to_string();
                text.replace(&quote.repeat(2), &quote).into()
            }
            _ => text.into(),
        }
    }

    /// Returns the position of a field.
    pub fn position_of(&self, index: usize) -> FilePosition {
        LineIndex::new(self.text.as_bytes(), self.position).position(self.fields[index].start)
    }
}

/// Reads the rows of a file in order, without empty lines.
pub struct RowReader<R> {
    reader: BufReader<io::Chain<io::Cursor<Vec<u8>>, LineEnds<R>>>,
    dialect: Dialect,
    /// The position of the next row.
    position: FilePosition,
    /// The offset that is read as the end of the file.
    limit: u64,
}

impl<R: Read> RowReader<R> {
    /// Creates a reader. A first line `sep=;` determines the delimiter, and is not a row.
    pub fn new(source: R, mut dialect: Dialect) -> io::Result<Self> {
        let (mut head, source) = LineEnds::read_head(source, dialect.quote)?;
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let mut position = FilePosition { offset: 0, line: 1, column: 1 };
        if let Some((delimiter, bytes)) =
            separator_line(&head).filter(|(delimiter, _)| dialect.quote != Some(*delimiter))
        {
            dialect.delimiter = delimiter;
            head.drain(..bytes);
            position = FilePosition { offset: bytes as u64, line: 2, column: 1 };
        }
        let reader = BufReader::with_capacity(64 * 1024, io::Cursor::new(head).chain(source));
        Ok(Self { reader, dialect, position, limit: u64::MAX })
    }

    /// Returns the dialect, with the delimiter that the file names.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the source.
    pub fn source(&self) -> &R {
        &self.reader.get_ref().get_ref().1.source
    }

    /// Returns the position of the next row, or of the end of the file.
    pub fn current_position(&self) -> FilePosition {
        self.position
    }

    /// Continues from the start of a row.
    pub fn skip_to(&mut self, position: FilePosition) -> io::Result<()> {
        let bytes = position.offset.checked_sub(self.position.offset).ok_or(io::ErrorKind::InvalidInput)?;
        if io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink())? < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_complete = position.column == 1 || matches!(fill(&mut self.reader)?.first(), None | Some(b'\n' | b'\r'));
        if !is_complete {
            let message =
                format!("line {} was incomplete when it was sent; send without --resume to start over", position.line);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.position = position;
        Ok(())
    }

    /// Continues from the start of a row, after all valid rows before it were visited.
    pub fn visit_until(&mut self, position: FilePosition, mut visit: impl FnMut(&CsvRow)) -> io::Result<()> {
        self.limit = position.offset;
        while let Some(row) = self.next()? {
            row.iter().for_each(&mut visit);
        }
        self.limit = u64::MAX;
        self.skip_to(position)
    }

    /// Reads the next row; `None` at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Result<CsvRow, RowError>>> {
        loop {
            let (mut scan, mut text) = (RowScanner::new(self.dialect), Vec::new());
            let (mut bytes, mut breaks, mut ended, mut last) = (0, 0, false, None);
            while !ended {
                let rest = self.limit.saturating_sub(self.position.offset + bytes);
                let chunk = fill(&mut self.reader)?;
                let chunk = &chunk[..chunk.len().min(usize::try_from(rest).unwrap_or(usize::MAX))];
                if chunk.is_empty() {
                    break;
                }
                let end = scan.advance(chunk);
                let taken = end.unwrap_or(chunk.len());
                let room = MAX_TEXT_BYTES - text.len();
                text.extend_from_slice(&chunk[..taken.min(room)]);
                bytes += taken as u64;
                breaks += memchr::memchr_iter(b'\n', &chunk[..taken]).count() as u64;
                ended = end.is_some();
                last = chunk[..taken].last().copied();
                self.reader.consume(taken);
            }
            if bytes == 0 {
                return Ok(None);
            }
            let position = self.position;
            self.position.offset += bytes;
            self.position.line += breaks;
            if !ended {
                scan.end_of_file();
                self.position.column = LineIndex::new(&text, position).position(text.len()).column;
            }
            let lines = breaks + u64::from(last != Some(b'\n'));
            if let Some(row) = scan.finish(position, text, bytes, lines) {
                return Ok(Some(row));
            }
        }
    }
}

const UNCLOSED_QUOTE: &str = "unclosed quote";
const LONG_FIELD: &str = "unclosed quote, or a field longer than 128 KiB";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowState {
    /// At the first byte of a field.
    Start,
    Plain,
    Quoted,
    /// After a quote that closes a field or is the first of a doubled quote.
    Closed,
    /// After the first byte of CRLF after a closed field.
    Return,
    /// After an error: the row ends at the next line break.
    Broken,
}

/// Finds the end of a row and of its fields, in chunks of any size.
struct RowScanner {
    dialect: Dialect,
    state: RowState,
    fields: Vec<FieldSpan>,
    /// The current field.
    field: FieldSpan,
    read: usize,
    error: Option<(usize, &'static str)>,
}

impl RowScanner {
    fn new(dialect: Dialect) -> Self {
        let field = FieldSpan { start: 0, content: 0..0, doubled: false };
        Self { dialect, state: RowState::Start, fields: Vec::new(), field, read: 0, error: None }
    }

    /// Returns the number of these bytes that belong to the row, if it ends in them.
    fn advance(&mut self, chunk: &[u8]) -> Option<usize> {
        let Dialect { delimiter, quote } = self.dialect;
        let mut at = 0;
        while at < chunk.len() {
            // Skips to the next significant byte.
            let skipped = match (self.state, quote) {
                (RowState::Plain, _) => memchr::memchr2(delimiter, b'\n', &chunk[at..]),
                (RowState::Quoted, Some(quote)) => {
                    let room = (self.field.start + MAX_QUOTED_BYTES).saturating_sub(self.read + at);
                    let rest = &chunk[at..];
                    let found = memchr::memchr(quote, &rest[..rest.len().min(room)]);
                    if found.is_none() && rest.len() >= room {
                        self.error = Some((self.field.start, LONG_FIELD));
                        self.state = RowState::Broken;
                        at += room;
                        continue;
                    }
                    found
                }
                (RowState::Broken, _) => memchr::memchr(b'\n', &chunk[at..]),
                _ => Some(0),
            };
            let Some(skipped) = skipped else { break };
            at += skipped;
            let (byte, offset) = (chunk[at], self.read + at);
            at += 1;
            match self.state {
                RowState::Start if Some(byte) == quote => {
                    self.field.content.start = offset + 1;
                    self.state = RowState::Quoted;
                }
                RowState::Quoted => {
                    self.field.content.end = offset;
                    self.state = RowState::Closed;
                }
                RowState::Closed if Some(byte) == quote => {
                    self.field.doubled = true;
                    self.state = RowState::Quoted;
                }
                RowState::Closed if byte == b'\r' => self.state = RowState::Return,
                RowState::Start | RowState::Plain if byte == delimiter || byte == b'\n' => {
                    self.field.content.end = offset;
                    self.end_field(offset + 1);
                }
                RowState::Closed if byte == delimiter || byte == b'\n' => self.end_field(offset + 1),
                RowState::Return if byte == b'\n' => {}
                RowState::Start => self.state = RowState::Plain,
                RowState::Closed | RowState::Return => {
                    self.error = Some((offset, "unexpected data after the closing quote"));
                    self.state = RowState::Broken;
                }
                RowState::Plain | RowState::Broken => {}
            }
            if byte == b'\n' && self.state != RowState::Quoted {
                if self.state == RowState::Return {
                    self.end_field(offset + 1);
                }
                self.read += at;
                return Some(at);
            }
        }
        self.read += chunk.len();
        None
    }

    fn end_field(&mut self, next: usize) {
        // The fields of a longer row are not used.
        if self.read <= MAX_TEXT_BYTES {
            self.fields.push(self.field.clone());
        }
        self.field = FieldSpan { start: next, content: next..next, doubled: false };
        self.state = RowState::Start;
    }

    /// Handles the end of the file, where the last line may have no line break.
    fn end_of_file(&mut self) {
        match self.state {
            RowState::Quoted => self.error = Some((self.field.start, UNCLOSED_QUOTE)),
            RowState::Broken => {}
            RowState::Closed | RowState::Return => self.end_field(self.read),
            RowState::Start | RowState::Plain => {
                self.field.content.end = self.read;
                self.end_field(self.read);
            }
        }
    }

    /// Returns the scanned row; `None` for an empty line.
    fn finish(
        mut self,
        position: FilePosition,
        mut text: Vec<u8>,
        bytes: u64,
        lines: u64,
    ) -> Option<Result<CsvRow, RowError>> {
        let whole = bytes == text.len() as u64;
        // After an error the current field is the one whose quote caused it.
        let opened = self.error.map(|_| self.field.start);
        let row_error = |mut text: Vec<u8>, offset: usize, mut message: String| {
            let index = LineIndex::new(&text, position);
            let at = index.position(offset);
            if let Some(opened) = opened.map(|opened| index.position(opened)).filter(|opened| opened.line != at.line) {
                message += &format!("; the quote opens at {opened}");
            }
            if lines > 1 {
                message += &format!("; {lines} lines are skipped");
            }
            if !whole {
                text.clear();
            }
            Some(Err(RowError { position, text, at, message, lines }))
        };
        let line_end = text.len() - without_line_end(&text).len();
        if let Some((offset, message)) = self.error {
            text.truncate(text.len() - line_end);
            return row_error(text, offset, message.into());
        }
        if !whole {
            let message = format!("{bytes} bytes, too large for a row; rows over {MAX_TEXT_BYTES} bytes are skipped");
            return row_error(text, 0, message);
        }
        let mut text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let mut text = error.into_bytes();
                text.truncate(text.len() - line_end);
                let message = describe_invalid(&text[offset..]).into();
                return row_error(text, offset, message);
            }
        };
        text.truncate(text.len() - line_end);
        if text.is_empty() {
            return None;
        }
        // Removes the first byte of CRLF from the last field.
        if let Some(last) = self.fields.last_mut() {
            last.content.end = last.content.end.min(text.len());
        }
        Some(Ok(CsvRow { position, text, fields: self.fields, quote: self.dialect.quote }))
    }
}

pub fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}
