//! Cuts CSV into rows and fields, as RFC 4180 has them: a quoted field can hold delimiters, line breaks and doubled quotes.
//!
//! It is stricter than most readers, since a row that is read otherwise than it was meant would go to the wrong user: what
//! follows a closing quote, and a quote that is never closed, are told. A quote within a field that does not begin with one
//! is a character as any other. One row is in memory at a time, and of that no more than [`MAX_TEXT_BYTES`].

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use crate::input::frames::{BYTE_ORDER_MARK, MAX_TEXT_BYTES, fill};
use crate::input::place::{Lines, Place};

/// What parts the fields, and what can stand around one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// `None` if quotes are characters as all others.
    pub quote: Option<u8>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"') }
    }
}

/// One row that can be read.
#[derive(Debug)]
pub struct Row {
    pub place: Place,
    /// As it was read, without the end of its line.
    pub text: String,
    fields: Vec<Field>,
    quote: Option<u8>,
}

/// One that cannot.
#[derive(Debug)]
pub struct Flawed {
    pub place: Place,
    pub text: Vec<u8>,
    /// Where the flaw is.
    pub at: Place,
    pub words: String,
}

#[derive(Clone, Debug)]
struct Field {
    /// Where it begins, with its quote.
    start: usize,
    /// What it holds.
    content: Range<usize>,
    /// Some quotes in it are doubled.
    doubled: bool,
}

impl Row {
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn field(&self, index: usize) -> Cow<'_, str> {
        let Field { content, doubled, .. } = &self.fields[index];
        let text = &self.text[content.clone()];
        match self.quote {
            Some(quote) if *doubled => {
                let quote = char::from(quote).to_string();
                text.replace(&quote.repeat(2), &quote).into()
            }
            _ => text.into(),
        }
    }

    /// Where a field begins.
    pub fn place_of(&self, index: usize) -> Place {
        Lines::new(self.text.as_bytes(), self.place).place(self.fields[index].start)
    }
}

/// The rows of a file, in their order; empty lines are none.
pub struct Rows<R> {
    reader: BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>,
    dialect: Dialect,
    /// Of the next row.
    place: Place,
}

impl<R: Read> Rows<R> {
    pub fn new(mut source: R, dialect: Dialect) -> io::Result<Self> {
        let mut head = Vec::new();
        source.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut head)?;
        if head == BYTE_ORDER_MARK {
            head.clear();
        }
        let reader = BufReader::with_capacity(64 * 1024, io::Cursor::new(head).chain(source));
        Ok(Self { reader, dialect, place: Place { offset: 0, line: 1, column: 1 } })
    }

    /// What is read.
    pub fn source(&self) -> &R {
        self.reader.get_ref().get_ref().1
    }

    /// Where the next row begins, or the file ended.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Goes on from a place where a row begins.
    pub fn skip_to(&mut self, place: Place) -> io::Result<()> {
        let bytes = place.offset.checked_sub(self.place.offset).ok_or(io::ErrorKind::InvalidInput)?;
        if io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink())? < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.place = place;
        Ok(())
    }

    /// The next row; `None` at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Result<Row, Flawed>>> {
        loop {
            let (mut scan, mut text) = (Scan::new(self.dialect), Vec::new());
            let (mut bytes, mut breaks, mut ended) = (0, 0, false);
            while !ended {
                let chunk = fill(&mut self.reader)?;
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
                self.reader.consume(taken);
            }
            if bytes == 0 {
                return Ok(None);
            }
            let place = self.place;
            self.place.offset += bytes;
            self.place.line += breaks;
            if !ended {
                scan.end_of_file();
                self.place.column = Lines::new(&text, place).place(text.len()).column;
            }
            if let Some(row) = scan.row(place, text, bytes) {
                return Ok(Some(row));
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the first byte of a field.
    Start,
    Plain,
    Quoted,
    /// After a quote that closes a field, or is the first of two.
    Closed,
    /// After the first byte of CRLF, behind a closed field.
    Return,
    /// Behind a flaw: the row ends where its line does.
    Broken,
}

/// Finds the end of one row and of its fields, in pieces of any size.
struct Scan {
    dialect: Dialect,
    state: State,
    fields: Vec<Field>,
    /// The field that is read.
    field: Field,
    read: usize,
    flaw: Option<(usize, &'static str)>,
}

impl Scan {
    fn new(dialect: Dialect) -> Self {
        let field = Field { start: 0, content: 0..0, doubled: false };
        Self { dialect, state: State::Start, fields: Vec::new(), field, read: 0, flaw: None }
    }

    /// How many of these bytes belong to the row, if it ends in them.
    fn advance(&mut self, chunk: &[u8]) -> Option<usize> {
        let Dialect { delimiter, quote } = self.dialect;
        let mut at = 0;
        while at < chunk.len() {
            // To the next byte that matters.
            let skipped = match (self.state, quote) {
                (State::Plain, _) => memchr::memchr2(delimiter, b'\n', &chunk[at..]),
                (State::Quoted, Some(quote)) => memchr::memchr(quote, &chunk[at..]),
                (State::Broken, _) => memchr::memchr(b'\n', &chunk[at..]),
                _ => Some(0),
            };
            let Some(skipped) = skipped else { break };
            at += skipped;
            let (byte, offset) = (chunk[at], self.read + at);
            at += 1;
            match self.state {
                State::Start if Some(byte) == quote => {
                    self.field.content.start = offset + 1;
                    self.state = State::Quoted;
                }
                State::Quoted => {
                    self.field.content.end = offset;
                    self.state = State::Closed;
                }
                State::Closed if Some(byte) == quote => {
                    self.field.doubled = true;
                    self.state = State::Quoted;
                }
                State::Closed if byte == b'\r' => self.state = State::Return,
                State::Start | State::Plain if byte == delimiter || byte == b'\n' => {
                    self.field.content.end = offset;
                    self.end_field(offset + 1);
                }
                State::Closed if byte == delimiter || byte == b'\n' => self.end_field(offset + 1),
                State::Return if byte == b'\n' => {}
                State::Start => self.state = State::Plain,
                State::Closed | State::Return => {
                    self.flaw = Some((offset, "something follows the closing quote"));
                    self.state = State::Broken;
                }
                State::Plain | State::Broken => {}
            }
            if byte == b'\n' && self.state != State::Quoted {
                if self.state == State::Return {
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
        // A row that is longer is not looked at.
        if self.read <= MAX_TEXT_BYTES {
            self.fields.push(self.field.clone());
        }
        self.field = Field { start: next, content: next..next, doubled: false };
        self.state = State::Start;
    }

    /// The last line has no end of its own.
    fn end_of_file(&mut self) {
        match self.state {
            State::Quoted => self.flaw = Some((self.field.start, "the quote that opens here is never closed")),
            State::Broken => {}
            State::Closed | State::Return => self.end_field(self.read),
            State::Start | State::Plain => {
                self.field.content.end = self.read;
                self.end_field(self.read);
            }
        }
    }

    /// What was found in the text that was scanned; `None` for an empty line.
    fn row(mut self, place: Place, mut text: Vec<u8>, bytes: u64) -> Option<Result<Row, Flawed>> {
        let whole = bytes == text.len() as u64;
        let flawed = |mut text: Vec<u8>, offset: usize, words: String| {
            let at = Lines::new(&text, place).place(offset);
            if !whole {
                text.clear();
            }
            Some(Err(Flawed { place, text, at, words }))
        };
        let line_end = text.len() - without_line_end(&text).len();
        if let Some((offset, words)) = self.flaw {
            text.truncate(text.len() - line_end);
            return flawed(text, offset, words.into());
        }
        if !whole {
            let words = format!("{bytes} bytes; a row of more than {MAX_TEXT_BYTES} is not looked at");
            return flawed(text, 0, words);
        }
        let mut text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let mut text = error.into_bytes();
                text.truncate(text.len() - line_end);
                return flawed(text, offset, "this is not UTF-8".into());
            }
        };
        text.truncate(text.len() - line_end);
        if text.is_empty() {
            return None;
        }
        // The first byte of CRLF was taken for one of the last field.
        if let Some(last) = self.fields.last_mut() {
            last.content.end = last.content.end.min(text.len());
        }
        Some(Ok(Row { place, text, fields: self.fields, quote: self.dialect.quote }))
    }
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}
