//! The properties of the reader of rows for arbitrary bytes, shared by the fuzz target and the replay of its corpus.

use std::io::Read;

use crate::input::csv::rows::{CsvRow, Dialect, RowError, RowReader};
use crate::input::frames::MAX_TEXT_BYTES;

/// Checks that rows have positions in order, bounded texts and all of their fields, and that they do not depend on the size of the
/// chunks that are read.
pub fn check(bytes: &[u8]) {
    for dialect in [
        Dialect::default(),
        Dialect { delimiter: b'\t', quote: None },
        Dialect { delimiter: b';', ..Dialect::default() },
    ] {
        let rows = read_all(bytes, dialect);
        assert_eq!(rows, read_all(OneByOne(bytes), dialect), "the same rows in chunks of one byte");
    }
}

/// Returns each row as text, and last the end position of the file.
fn read_all(source: impl Read, dialect: Dialect) -> Vec<String> {
    let mut reader = RowReader::new(source, dialect).expect("bytes");
    let mut rows = Vec::new();
    loop {
        let before = reader.current_position();
        let Some(row) = reader.next().expect("bytes") else { break };
        let after = reader.current_position();
        let position = match &row {
            Ok(row) => row.position,
            Err(error) => error.position,
        };
        assert!(before.offset <= position.offset && position.offset < after.offset, "{before} {position} {after}");
        rows.push(match row {
            Ok(row) => describe(&row),
            Err(RowError { text, at, message, lines, .. }) => {
                assert!(text.len() <= MAX_TEXT_BYTES && at.offset >= position.offset && at.offset <= after.offset);
                assert!(lines >= 1 && lines <= after.line - position.line + 1, "{lines} lines");
                format!("{position} {at} {message}")
            }
        });
    }
    rows.push(reader.current_position().to_string());
    rows
}

fn describe(row: &CsvRow) -> String {
    assert!(row.len() > 0 && row.text.len() <= MAX_TEXT_BYTES);
    let fields: Vec<_> =
        (0..row.len()).map(|index| format!("{} {:?}", row.position_of(index), row.field(index))).collect();
    format!("{} {fields:?} {}", row.position, row.is_blank())
}

struct OneByOne<'b>(&'b [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}
