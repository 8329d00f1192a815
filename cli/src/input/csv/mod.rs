//! CSV as batches: `rows` → `convert` (with a `map`) → `validate` → `window`.
//!
//! Each row is checked on its own, as a batch of one event, so that an invalid row does not affect the others, and batches of
//! valid rows are valid.

mod cells;
mod convert;
mod map;
mod rows;
#[cfg(test)]
mod tests;
mod toml;
mod window;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;

use mparticle::Environment;
use mparticle::diagnostics::Code;
use uuid::Uuid;

use super::frames::Frame;
use super::input_batch::InputBatch;
use super::position::{FilePosition, LineIndex};
use super::validate::{CheckedText, LocatedDiagnostic, Validator};
use crate::exit::{self, CliError};
use crate::text::printable;
use convert::{CellError, ConvertedRow, convert_row, with_events};
use map::ColumnMap;
use rows::{CsvRow, RowError, RowReader};
use window::Window;

/// A larger file is not a map, which is written by hand.
const MAX_MAP_BYTES: u64 = 1 << 20;

/// A map and its file.
pub struct MapFile {
    name: String,
    text: String,
    map: ColumnMap,
    environment: Environment,
}

impl MapFile {
    /// Reads a map. A map without an environment gets the requested one.
    pub fn read(path: &Path, environment: Option<Environment>) -> exit::Result<Self> {
        let name = printable(&path.to_string_lossy());
        let file = std::fs::File::open(path).map_err(|error| CliError::file("read", path, &error))?;
        let mut bytes = Vec::new();
        file.take(MAX_MAP_BYTES + 1).read_to_end(&mut bytes).map_err(|error| CliError::file("read", path, &error))?;
        if bytes.len() as u64 > MAX_MAP_BYTES {
            return Err(CliError::usage(format!("{name}: larger than 1 MiB, too large for a map")));
        }
        let text = String::from_utf8(bytes).map_err(|_| CliError::usage(format!("{name}: not UTF-8")))?;
        let map = ColumnMap::parse(&text).map_err(|error| map_error(&name, &text, &error))?;
        let environment = match (map.environment, environment) {
            (Some(own), Some(requested)) if own != requested => {
                return Err(CliError::usage(format!("{name}: the map is for {own}, but --environment is {requested}")));
            }
            (own, requested) => own
                .or(requested)
                .ok_or_else(|| CliError::usage(format!("{name}: no environment in the map, and no --environment")))?,
        };
        Ok(Self { name, text, map, environment })
    }

    /// Returns a hash of the map.
    pub fn fingerprint(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.text.as_bytes())
    }

    /// Reads the header of a file and finds the columns.
    pub fn open<R: Read>(&self, path: &Path, source: R) -> exit::Result<CsvBatchReader<R>> {
        let cannot_read = |error: io::Error| CliError::file("read", path, &error);
        let no_header = |message: String| cannot_read(io::Error::new(io::ErrorKind::InvalidData, message));
        let mut rows = RowReader::new(source, self.map.dialect).map_err(cannot_read)?;
        let header = match rows.next().map_err(cannot_read)? {
            None => return Err(no_header("the file is empty, without a header".into())),
            Some(Err(RowError { at, message, .. })) => {
                return Err(no_header(format!("invalid header at {at}: {message}")));
            }
            Some(Ok(header)) => header,
        };
        let mut map = self.map.clone();
        map.bind(&header).map_err(|error| map_error(&self.name, &self.text, &error))?;
        let (columns, position) = (header.len(), rows.current_position());
        Ok(CsvBatchReader { rows, map, environment: self.environment, columns, position, ready: VecDeque::new() })
    }
}

fn map_error(name: &str, text: &str, error: &toml::MapError) -> CliError {
    let position =
        LineIndex::new(text.as_bytes(), FilePosition { offset: 0, line: 1, column: 1 }).position(error.span.start);
    CliError::usage(format!("{name}:{position}  {}", printable(&error.message)))
}

/// Reads the batches of a CSV file.
pub struct CsvBatchReader<R> {
    rows: RowReader<R>,
    map: ColumnMap,
    environment: Environment,
    columns: usize,
    /// The position after the last complete window.
    position: FilePosition,
    ready: VecDeque<InputBatch>,
}

impl<R: Read> CsvBatchReader<R> {
    pub fn source(&self) -> &R {
        self.rows.source()
    }

    /// Returns the position after the last complete window.
    pub fn current_position(&self) -> FilePosition {
        self.position
    }

    pub fn skip_to(&mut self, position: FilePosition) -> io::Result<()> {
        self.rows.skip_to(position)?;
        self.position = position;
        Ok(())
    }

    pub fn next(&mut self, validator: &Validator) -> Option<io::Result<InputBatch>> {
        if self.ready.is_empty()
            && let Err(error) = self.read_window(validator)
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }

    /// Reads the next window. After a read error an incomplete window is discarded, since its batches would differ from those of
    /// the repaired file.
    fn read_window(&mut self, validator: &Validator) -> io::Result<()> {
        let mut window = Window::default();
        while window.has_room()
            && let Some(row) = self.rows.next()?
        {
            match row {
                Ok(row) => self.add_row(&mut window, row, validator),
                Err(RowError { position, text, at, message }) => {
                    window.reject(CheckedText {
                        position,
                        text,
                        value: None,
                        diagnostics: vec![csv_diagnostic(at, message)],
                    });
                }
            }
        }
        self.position = self.rows.current_position();
        let batches = window.into_batches();
        let last = batches.len();
        self.ready.extend(batches.zip(1..).map(|((checked, events), number)| {
            let resume_at = (number == last).then_some(self.position);
            InputBatch { checked, events, resume_at }
        }));
        Ok(())
    }

    fn add_row(&self, window: &mut Window, row: CsvRow, validator: &Validator) {
        let converted = match self.convert(&row) {
            Ok(converted) => converted,
            Err(diagnostics) => {
                window.reject(CheckedText {
                    position: row.position,
                    text: row.text.into_bytes(),
                    value: None,
                    diagnostics,
                });
                return;
            }
        };
        let text = with_events(&converted.head, converted.event.as_deref().unwrap_or_default()).into_bytes();
        let mut checked = validator.check(Frame::Text { position: row.position, text });
        for located in &mut checked.diagnostics {
            let column = self.map.column_for(&located.diagnostic.pointer);
            located.position = column.map_or(row.position, |column| row.position_of(column.index));
        }
        if checked.has_errors() {
            checked.value = None;
            window.reject(checked);
        } else {
            window.add(row.position, converted, checked.diagnostics);
        }
    }

    /// Converts a row, or returns all errors of its cells.
    fn convert(&self, row: &CsvRow) -> Result<ConvertedRow, Vec<LocatedDiagnostic>> {
        if row.len() != self.columns {
            let (fields, columns) = (row.len(), self.columns);
            let message = format!("{}, but the header has {columns}", format_count(fields, "field"));
            return Err(vec![csv_diagnostic(row.position, message)]);
        }
        convert_row(&self.map, self.environment, row).map_err(|errors| {
            let locate = |error: CellError| {
                csv_diagnostic(error.field.map_or(row.position, |field| row.position_of(field)), error.message)
            };
            errors.into_iter().map(locate).collect()
        })
    }
}

fn csv_diagnostic(position: FilePosition, message: String) -> LocatedDiagnostic {
    LocatedDiagnostic::new(position, Code::Csv, message)
}

fn format_count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
