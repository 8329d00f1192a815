//! Proposes a map for a CSV file, from its header and a sample of its rows.

mod columns;
mod roles;
mod write;

use std::io::{self, Read};
use std::path::Path;

use super::map_file::CsvFormat;
use super::rows::{CsvRow, Dialect, RowReader};
use crate::exit::{self, CliError};
use crate::input::decode::describe_invalid;
use crate::input::frames::BYTE_ORDER_MARK;
use crate::text::{path_string, printable};
use columns::SampledColumn;
use roles::Proposal;

/// The size of the sample.
const MAX_SAMPLE_BYTES: u64 = 1 << 20;

/// The number of rows in which a delimiter is sought.
const ROWS_FOR_DELIMITER: usize = 20;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Returns a map as commented TOML. What is uncertain is a comment.
///
/// # Errors
/// If the file has no header, is JSON or no UTF-8, or needs no map.
pub fn propose_map(path: &Path, source: impl Read) -> exit::Result<String> {
    let cannot_read = |error| CliError::file("read", path, &error);
    let mut sample = Vec::new();
    source.take(MAX_SAMPLE_BYTES).read_to_end(&mut sample).map_err(cannot_read)?;
    if sample.len() as u64 == MAX_SAMPLE_BYTES {
        // The last row may be cut off.
        sample.truncate(memchr::memrchr(b'\n', &sample).map_or(sample.len(), |at| at + 1));
    }
    check_encoding(&sample).map_err(cannot_read)?;
    let name = printable(&path_string(path));
    let text = sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&sample).trim_ascii_start();
    if matches!(text.first(), Some(b'{' | b'[')) {
        return Err(CliError::usage(format!("{name} is JSON, which needs no map; `mparticle check {name}` checks it")));
    }
    if CsvFormat::detect(&sample).is_some() {
        return Err(CliError::usage(format!("{name} needs no map: its columns are named as the fields of a batch")));
    }
    let dialect = guess_dialect(&sample);
    let mut rows = rows(&sample, dialect);
    let Some(header) = rows.next() else {
        return Err(CliError::usage(format!("{name} has no header that could be read as CSV")));
    };
    let rows: Vec<_> = rows.filter(|row| row.len() == header.len()).collect();
    let columns = (0..header.len()).map(|index| SampledColumn::new(&header, index, &rows)).collect();
    Ok(write::write_map(&name, dialect, &Proposal::new(columns), rows.len()))
}

/// Returns the valid rows of a sample.
fn rows(sample: &[u8], dialect: Dialect) -> impl Iterator<Item = CsvRow> {
    let mut reader = RowReader::new(sample, dialect).ok();
    std::iter::from_fn(move || reader.as_mut()?.next().ok()?).filter_map(Result::ok).filter(|row| !row.is_blank())
}

/// Returns the dialect with the delimiter that the file names, or else the one that splits most rows into as many fields as the
/// header.
fn guess_dialect(sample: &[u8]) -> Dialect {
    let named = RowReader::new(sample, Dialect::default()).map(|reader| reader.dialect()).unwrap_or_default();
    if named != Dialect::default() {
        return named;
    }
    let score = |dialect: &Dialect| {
        let lengths: Vec<_> = rows(sample, *dialect).take(ROWS_FOR_DELIMITER).map(|row| row.len()).collect();
        let columns = lengths.first().copied().unwrap_or_default();
        let fitting = lengths.iter().filter(|length| **length == columns).count();
        (columns > 1, fitting, columns)
    };
    let dialects = DELIMITERS.map(|delimiter| Dialect { delimiter, ..Dialect::default() });
    // The comma is first, and wins if no other is better.
    let quoted = dialects.into_iter().rev().max_by_key(score).unwrap_or_default();
    let unquoted = dialects.map(|dialect| Dialect { quote: None, ..dialect });
    let unquoted = unquoted.into_iter().rev().max_by_key(score).unwrap_or_default();
    // Quotes inside cells break rows only if they are taken for those around cells.
    if has_broken_rows(sample, quoted) && score(&unquoted) > score(&quoted) { unquoted } else { quoted }
}

/// Returns whether the sample has rows with syntax errors.
fn has_broken_rows(sample: &[u8], dialect: Dialect) -> bool {
    let mut reader = RowReader::new(sample, dialect).ok();
    let mut rows = std::iter::from_fn(|| reader.as_mut()?.next().ok()?);
    rows.any(|row| row.is_err())
}

/// Checks that the sample is UTF-8, of which the last character may be cut off.
fn check_encoding(sample: &[u8]) -> io::Result<()> {
    match str::from_utf8(sample) {
        Err(error) if error.error_len().is_some() => {
            let (before, invalid) = sample.split_at(error.valid_up_to());
            let line = memchr::memchr_iter(b'\n', before).count() + 1;
            let message = format!("line {line}: {}", describe_invalid(invalid));
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
        _ => Ok(()),
    }
}
