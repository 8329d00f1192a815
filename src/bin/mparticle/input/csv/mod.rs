//! CSV as batches: `rows` → `convert` (as a `map` says) → `check` → `window`.
//!
//! Each row is examined on its own, as a batch of one event, so that one which is wrong takes no other with it. What is
//! then gathered of right rows is right.

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
use convert::{convert, with_events};
use map::ColumnMap;
use rows::{CsvRow, RowError, RowReader};
use window::Window;

/// A map is written by hand; one that is larger is another file.
const MAX_MAP_BYTES: u64 = 1 << 20;

/// A map that was read from a file.
pub struct MapFile {
    name: String,
    text: String,
    map: ColumnMap,
    environment: Environment,
}

impl MapFile {
    /// Without an environment of its own, that one counts which is asked for.
    pub fn read(path: &Path, environment: Option<Environment>) -> exit::Result<Self> {
        let name = printable(&path.to_string_lossy());
        let file = std::fs::File::open(path).map_err(|error| CliError::file("read", path, &error))?;
        let mut bytes = Vec::new();
        file.take(MAX_MAP_BYTES + 1).read_to_end(&mut bytes).map_err(|error| CliError::file("read", path, &error))?;
        if bytes.len() as u64 > MAX_MAP_BYTES {
            return Err(CliError::usage(format!("{name}: is larger than 1 MiB, which no map is")));
        }
        let text = String::from_utf8(bytes).map_err(|_| CliError::usage(format!("{name}: is not UTF-8")))?;
        let map = ColumnMap::parse(&text).map_err(|wrong| described(&name, &text, &wrong))?;
        let environment = match (map.environment, environment) {
            (Some(own), Some(other)) if own != other => {
                return Err(CliError::usage(format!("{name}: {other} is asked for, not {own}")));
            }
            (own, other) => own.or(other).ok_or_else(|| {
                CliError::usage(format!("{name}: it has no environment, and --environment is not given"))
            })?,
        };
        Ok(Self { name, text, map, environment })
    }

    /// The same for the same map.
    pub fn fingerprint(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.text.as_bytes())
    }

    /// Reads the header of a file, and finds the columns in it.
    pub fn open<R: Read>(&self, path: &Path, source: R) -> exit::Result<CsvBatchReader<R>> {
        let cannot_read = |error: io::Error| CliError::file("read", path, &error);
        let no_header = |message: String| cannot_read(io::Error::new(io::ErrorKind::InvalidData, message));
        let mut rows = RowReader::new(source, self.map.dialect).map_err(cannot_read)?;
        let header = match rows.next().map_err(cannot_read)? {
            None => return Err(no_header("it is empty, without the header of its columns".into())),
            Some(Err(RowError { at, message, .. })) => {
                return Err(no_header(format!("the header, at {at}: {message}")));
            }
            Some(Ok(header)) => header,
        };
        let mut map = self.map.clone();
        map.bind(&header).map_err(|wrong| described(&self.name, &self.text, &wrong))?;
        let (columns, position) = (header.len(), rows.current_position());
        Ok(CsvBatchReader { rows, map, environment: self.environment, columns, position, ready: VecDeque::new() })
    }
}

fn described(name: &str, text: &str, wrong: &toml::Wrong) -> CliError {
    let position =
        LineIndex::new(text.as_bytes(), FilePosition { offset: 0, line: 1, column: 1 }).position(wrong.span.start);
    CliError::usage(format!("{name}:{position}  {}", printable(&wrong.message)))
}

/// The batches of the rows of a file.
pub struct CsvBatchReader<R> {
    rows: RowReader<R>,
    map: ColumnMap,
    environment: Environment,
    columns: usize,
    /// Behind the last window that was read to its end.
    position: FilePosition,
    ready: VecDeque<InputBatch>,
}

impl<R: Read> CsvBatchReader<R> {
    pub fn source(&self) -> &R {
        self.rows.source()
    }

    /// How far the file was read.
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

    /// A window that cannot be read to its end gives nothing: once that is mended, its batches will be others.
    fn read_window(&mut self, validator: &Validator) -> io::Result<()> {
        let mut window = Window::default();
        while window.has_room()
            && let Some(row) = self.rows.next()?
        {
            match row {
                Ok(row) => self.add(&mut window, row, validator),
                Err(RowError { position, text, at, message }) => {
                    window.reject(CheckedText { position, text, value: None, diagnostics: vec![fault(at, message)] });
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

    fn add(&self, window: &mut Window, row: CsvRow, validator: &Validator) {
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
        let mut seen = validator.check(Frame::Text { position: row.position, text });
        for fault in &mut seen.diagnostics {
            let column = self.map.column_for(&fault.diagnostic.pointer);
            fault.position = column.map_or(row.position, |column| row.position_of(column.at));
        }
        if seen.has_errors() {
            seen.value = None;
            window.reject(seen);
        } else {
            window.add(row.position, converted, seen.diagnostics);
        }
    }

    /// What the row is made into, or all that is wrong with its cells.
    fn convert(&self, row: &CsvRow) -> Result<convert::ConvertedRow, Vec<LocatedDiagnostic>> {
        if row.len() != self.columns {
            let (fields, columns) = (row.len(), self.columns);
            let message = format!("{}, and the header has {columns}", count(fields, "field"));
            return Err(vec![fault(row.position, message)]);
        }
        convert(&self.map, self.environment, row).map_err(|wrong| {
            let fault = |wrong: convert::Wrong| {
                fault(wrong.field.map_or(row.position, |field| row.position_of(field)), wrong.message)
            };
            wrong.into_iter().map(fault).collect()
        })
    }
}

fn fault(position: FilePosition, message: String) -> LocatedDiagnostic {
    LocatedDiagnostic::new(position, Code::Csv, message)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
