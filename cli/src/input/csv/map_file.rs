//! The map of a CSV file, or the form of the file that needs none.

use std::io::{self, Read};
use std::path::Path;

use mparticle::Environment;
use uuid::Uuid;

use super::map::ColumnMap;
use super::paths::PathMap;
use super::reader::CsvBatchReader;
use super::row_map::RowMap;
use super::rows::{CsvRow, Dialect, RowError, RowReader};
use super::toml::MapError;
use crate::exit::{self, CliError};
use crate::input::position::{FilePosition, LineIndex};
use crate::text::printable;

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
        let text = decode(bytes).ok_or_else(|| CliError::usage(format!("{name}: neither UTF-8 nor UTF-16")))?;
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

    /// Returns a line about times that the map leaves to a default.
    pub fn notice(&self) -> Option<String> {
        let (column, _) = self.map.event.as_ref()?.time.as_ref().filter(|(_, format)| format.assumes_utc())?;
        let position = position(&self.text, column.span.start);
        Some(format!(
            "{}:{position}  times of column \"{}\" are read as UTC; for local times set zone, for example zone = \"Europe/Berlin\"",
            self.name,
            printable(&column.name)
        ))
    }

    /// Reads the header of a file and finds the columns.
    pub fn open<R: Read>(&self, path: &Path, source: R) -> exit::Result<CsvBatchReader<R>> {
        let (rows, header) = read_header(path, source, self.map.dialect)?;
        let mut map = Box::new(self.map.clone());
        map.bind(&header, rows.dialect()).map_err(|error| map_error(&self.name, &self.text, &error))?;
        Ok(CsvBatchReader::new(rows, RowMap::Columns { map, environment: self.environment }, header.len()))
    }
}

/// The form of a CSV file that needs no map: columns that are named as the fields of a batch.
pub struct CsvFormat {
    dialect: Dialect,
}

impl CsvFormat {
    /// Detects the form from the beginning of a file.
    pub fn detect(head: &[u8]) -> Option<Self> {
        const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
        let dialects = DELIMITERS.map(|delimiter| Dialect { delimiter, ..Dialect::default() });
        dialects.into_iter().find_map(|dialect| {
            let mut rows = RowReader::new(head, dialect).ok()?;
            let header = rows.next().ok()??.ok()?;
            // A file of one column has no delimiter.
            let is_last = dialect.delimiter == b','
                && DELIMITERS[1..].iter().all(|other| !header.text.as_bytes().contains(other));
            ((header.len() > 1 || is_last) && PathMap::is_header(&header)).then_some(Self { dialect: rows.dialect() })
        })
    }

    /// Reads the header of a file and finds the fields of its columns.
    pub fn open<R: Read>(
        &self,
        path: &Path,
        source: R,
        environment: Option<Environment>,
    ) -> exit::Result<CsvBatchReader<R>> {
        let (rows, header) = read_header(path, source, self.dialect)?;
        let map = PathMap::new(path, &header, environment)
            .map_err(|message| CliError::usage(format!("{}:1:1  {message}", printable(&path.to_string_lossy()))))?;
        Ok(CsvBatchReader::new(rows, RowMap::Paths(map), header.len()))
    }
}

fn read_header<R: Read>(path: &Path, source: R, dialect: Dialect) -> exit::Result<(RowReader<R>, CsvRow)> {
    let cannot_read = |error: io::Error| CliError::file("read", path, &error);
    let no_header = |message: String| cannot_read(io::Error::new(io::ErrorKind::InvalidData, message));
    let mut rows = RowReader::new(source, dialect).map_err(cannot_read)?;
    loop {
        match rows.next().map_err(cannot_read)? {
            None => return Err(no_header("the file is empty, without a header".into())),
            Some(Err(RowError { at, message, .. })) => {
                return Err(no_header(format!("invalid header at {at}: {message}")));
            }
            Some(Ok(row)) if row.is_blank() => {}
            Some(Ok(header)) => return Ok((rows, header)),
        }
    }
}

/// Decodes a map. PowerShell redirects output to a file in UTF-16.
fn decode(bytes: Vec<u8>) -> Option<String> {
    let wide = |from: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes[2..].as_chunks();
        rest.is_empty().then(|| String::from_utf16(&units.iter().copied().map(from).collect::<Vec<_>>()).ok()).flatten()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

fn map_error(name: &str, text: &str, error: &MapError) -> CliError {
    CliError::usage(format!("{name}:{}  {}", position(text, error.span.start), printable(&error.message)))
}

fn position(text: &str, offset: usize) -> FilePosition {
    LineIndex::new(text.as_bytes(), FilePosition { offset: 0, line: 1, column: 1 }).position(offset)
}
