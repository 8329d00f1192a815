//! Finds the start of the next value after a value that is cut or malformed.

use super::parse::begins_with_batch;
use super::scan::RECORD_SEPARATOR;

/// The maximum number of braces at which a batch is looked for after a fault.
const MAX_CANDIDATES: usize = 1000;

/// Returns the index at which the line of a fault ends, or at which another batch begins in it; `None` if the line continues.
pub fn end_of_line(bytes: &[u8], from: usize, is_at_end: bool, is_too_long: bool, is_in_list: bool) -> Option<usize> {
    let line_end = memchr::memchr2(b'\n', RECORD_SEPARATOR, &bytes[from..]).map(|end| from + end);
    let line_end = line_end.or(is_at_end.then_some(bytes.len()));
    if line_end.is_none() && !is_too_long {
        return None;
    }
    let line = &bytes[..line_end.unwrap_or(bytes.len())];
    // The next batch may begin before the fault: the value may have seemed to go on with it.
    let braces = memchr::memchr_iter(b'{', line).filter(|&at| at > 0).take(MAX_CANDIDATES);
    let batch = braces.into_iter().find(|&at| begins_with_batch(&line[at..]));
    // The comma between the two does not belong to the text either.
    let batch =
        batch.map(|at| line[..at].trim_ascii_end()).map(|text| text.strip_suffix(b",").unwrap_or(text).len().max(1));
    let trimmed = line.trim_ascii_end();
    // The bracket that closes the list does not belong to the text.
    let list_end = trimmed.strip_suffix(b"]").filter(|text| is_in_list && line_end.is_some() && text.len() >= from);
    batch.or(list_end.map(<[u8]>::len)).or(line_end)
}

/// Returns the index at which a value of several lines ends after a fault, as its indentation shows, or the next value begins.
pub fn end_of_block(bytes: &[u8], from: usize, indent: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| {
        let line = from + at + 1;
        let blanks = bytes[line..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let start = line + blanks;
        match bytes.get(start)? {
            b'{' | b'[' if blanks <= indent => Some(start),
            b'}' if blanks == indent => Some(start + 1),
            b']' if blanks < indent => Some(start),
            &RECORD_SEPARATOR => Some(start),
            _ => None,
        }
    })
}
