//! CSV as batches: `rows` → `make` (as a `map` says) → `examine` → `window`.
//!
//! Each row is examined on its own, as a batch of one event, so that one which is wrong takes no other with it. What is
//! then gathered of right rows is right.

mod cells;
mod make;
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

use super::examine::{Examined, Examiner, Located};
use super::frames::Frame;
use super::place::{Lines, Place};
use super::reading::Reading;
use crate::exit::{self, Failure};
use crate::text::printable;
use make::{batch_with, make};
use map::Map;
use rows::{Flawed, Row, Rows};
use window::Window;

/// A map is written by hand; one that is larger is another file.
const MAX_MAP_BYTES: u64 = 1 << 20;

/// A map that was read from a file.
pub struct MapFile {
    name: String,
    text: String,
    map: Map,
    environment: Environment,
}

impl MapFile {
    /// Without an environment of its own, that one counts which is asked for.
    pub fn read(path: &Path, environment: Option<Environment>) -> exit::Result<Self> {
        let name = printable(&path.to_string_lossy());
        let file = std::fs::File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        let mut bytes = Vec::new();
        file.take(MAX_MAP_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Failure::file("read", path, &error))?;
        if bytes.len() as u64 > MAX_MAP_BYTES {
            return Err(Failure::usage(format!("{name}: is larger than 1 MiB, which no map is")));
        }
        let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name}: is not UTF-8")))?;
        let map = Map::parse(&text).map_err(|wrong| told(&name, &text, &wrong))?;
        let environment = match (map.environment, environment) {
            (Some(own), Some(other)) if own != other => {
                return Err(Failure::usage(format!("{name}: {other} is asked for, not {own}")));
            }
            (own, other) => own.or(other).ok_or_else(|| {
                Failure::usage(format!("{name}: it has no environment, and --environment is not given"))
            })?,
        };
        Ok(Self { name, text, map, environment })
    }

    /// The same for the same map.
    pub fn fingerprint(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.text.as_bytes())
    }

    /// Reads the header of a file, and finds the columns in it.
    pub fn open<R: Read>(&self, path: &Path, source: R) -> exit::Result<CsvBatches<R>> {
        let cannot_read = |error: io::Error| Failure::file("read", path, &error);
        let no_header = |words: String| cannot_read(io::Error::new(io::ErrorKind::InvalidData, words));
        let mut rows = Rows::new(source, self.map.dialect).map_err(cannot_read)?;
        let header = match rows.next().map_err(cannot_read)? {
            None => return Err(no_header("it is empty, without the header of its columns".into())),
            Some(Err(Flawed { at, words, .. })) => return Err(no_header(format!("the header, at {at}: {words}"))),
            Some(Ok(header)) => header,
        };
        let mut map = self.map.clone();
        map.bind(&header).map_err(|wrong| told(&self.name, &self.text, &wrong))?;
        let (columns, place) = (header.len(), rows.place());
        Ok(CsvBatches { rows, map, environment: self.environment, columns, place, ready: VecDeque::new() })
    }
}

fn told(name: &str, text: &str, wrong: &toml::Wrong) -> Failure {
    let place = Lines::new(text.as_bytes(), Place { offset: 0, line: 1, column: 1 }).place(wrong.span.start);
    Failure::usage(format!("{name}:{place}  {}", printable(&wrong.words)))
}

/// The batches of the rows of a file.
pub struct CsvBatches<R> {
    rows: Rows<R>,
    map: Map,
    environment: Environment,
    columns: usize,
    /// Behind the last window that was read to its end.
    place: Place,
    ready: VecDeque<Reading>,
}

impl<R: Read> CsvBatches<R> {
    pub fn source(&self) -> &R {
        self.rows.source()
    }

    /// How far the file was read.
    pub fn place(&self) -> Place {
        self.place
    }

    pub fn skip_to(&mut self, place: Place) -> io::Result<()> {
        self.rows.skip_to(place)?;
        self.place = place;
        Ok(())
    }

    pub fn next(&mut self, examiner: &Examiner) -> Option<io::Result<Reading>> {
        if self.ready.is_empty()
            && let Err(error) = self.read_window(examiner)
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }

    /// A window that cannot be read to its end gives nothing: once that is mended, its batches will be others.
    fn read_window(&mut self, examiner: &Examiner) -> io::Result<()> {
        let mut window = Window::default();
        while window.has_room()
            && let Some(row) = self.rows.next()?
        {
            match row {
                Ok(row) => self.add(&mut window, row, examiner),
                Err(Flawed { place, text, at, words }) => {
                    window.reject(Examined { place, text, value: None, faults: vec![fault(at, words)] });
                }
            }
        }
        self.place = self.rows.place();
        let batches = window.into_batches();
        let last = batches.len();
        self.ready.extend(batches.zip(1..).map(|((examined, events), number)| {
            let next = (number == last).then_some(self.place);
            Reading { examined, events, next }
        }));
        Ok(())
    }

    fn add(&self, window: &mut Window, row: Row, examiner: &Examiner) {
        let made = match self.make(&row) {
            Ok(made) => made,
            Err(faults) => {
                window.reject(Examined { place: row.place, text: row.text.into_bytes(), value: None, faults });
                return;
            }
        };
        let text = batch_with(&made.head, made.event.as_deref().unwrap_or_default()).into_bytes();
        let mut seen = examiner.examine(Frame::Text { place: row.place, text });
        for fault in &mut seen.faults {
            let column = self.map.column_of(&fault.diagnostic.pointer);
            fault.place = column.map_or(row.place, |column| row.place_of(column.at));
        }
        if seen.is_wrong() {
            seen.value = None;
            window.reject(seen);
        } else {
            window.add(row.place, made, seen.faults);
        }
    }

    /// What the row is made into, or all that is wrong with its cells.
    fn make(&self, row: &Row) -> Result<make::Made, Vec<Located>> {
        if row.len() != self.columns {
            let (fields, columns) = (row.len(), self.columns);
            let words = format!("{}, and the header has {columns}", count(fields, "field"));
            return Err(vec![fault(row.place, words)]);
        }
        make(&self.map, self.environment, row).map_err(|wrong| {
            let fault =
                |wrong: make::Wrong| fault(wrong.field.map_or(row.place, |field| row.place_of(field)), wrong.words);
            wrong.into_iter().map(fault).collect()
        })
    }
}

fn fault(place: Place, words: String) -> Located {
    Located::new(place, Code::Csv, words)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
