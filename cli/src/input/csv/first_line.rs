//! Finds out from the beginning of a file how its lines end, and which delimiter it names.

use std::io::{self, Read};

use super::rows::without_line_end;
use crate::input::read_buffer::read_head;

/// A reader that replaces carriage returns by line feeds, in a file whose lines end with a carriage return alone.
pub struct LineEnds<R> {
    pub source: R,
    replaces: bool,
}

impl<R: Read> LineEnds<R> {
    /// Reads the beginning of a file, at most until its first line feed, or a bit more.
    pub fn read_head(mut source: R, quote: Option<u8>) -> io::Result<(Vec<u8>, Self)> {
        let mut head = read_head(&mut source, |head| has_unquoted(b'\n', head, quote))?;
        let replaces = !has_unquoted(b'\n', &head, quote) && has_unquoted(b'\r', &head, quote);
        if replaces {
            replace(&mut head);
        }
        Ok((head, Self { source, replaces }))
    }
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if self.replaces {
            replace(&mut buffer[..read]);
        }
        Ok(read)
    }
}

fn replace(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
}

fn has_unquoted(wanted: u8, bytes: &[u8], quote: Option<u8>) -> bool {
    let mut is_quoted = false;
    bytes.iter().any(|byte| {
        is_quoted ^= Some(*byte) == quote;
        !is_quoted && *byte == wanted
    })
}

/// Returns the delimiter of a line `sep=;`, which spreadsheets write before the header, and the size of the line.
pub fn separator_line(head: &[u8]) -> Option<(u8, usize)> {
    let end = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    let line = without_line_end(&head[..end]);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, value) = line.split_at_checked(4)?;
    let delimiter = *value.first()?;
    // A program that read the line as a row wrote it again with the delimiters of the empty fields.
    let is_line =
        name.eq_ignore_ascii_case(b"sep=") && delimiter.is_ascii() && value.iter().all(|byte| *byte == delimiter);
    is_line.then_some((delimiter, end))
}
