//! Finds out how a file is to be read: as CSV with a map, as CSV that needs none, or as JSON.

use std::path::Path;

use mparticle::Environment;

use super::csv::{CsvBatchReader, CsvFormat, MapFile};
use super::frames::FrameReader;
use super::source::Source;
use crate::exit::{self, CliError};
use crate::text::{path_string, printable};

pub enum OpenInput {
    Json(FrameReader<Source>),
    Csv(Box<CsvBatchReader<Source>>),
}

/// Opens a file for reading its batches. Without a map, columns that are named as the fields of a batch make it CSV.
pub fn open_source(
    path: &Path,
    mut source: Source,
    map: Option<&MapFile>,
    environment: Option<Environment>,
) -> exit::Result<OpenInput> {
    if let Some(map) = map {
        return Ok(OpenInput::Csv(Box::new(map.open(path, source)?)));
    }
    let head = source.peek().map_err(|error| CliError::file("read", path, &error))?;
    if let Some(format) = CsvFormat::detect(&head) {
        return Ok(OpenInput::Csv(Box::new(format.open(path, source, environment)?)));
    }
    let is_json = head.trim_ascii_start().first().is_none_or(|first| b"{[".contains(first));
    if is_named_csv(path) && !is_json {
        let name = printable(&path_string(path));
        return Err(CliError::usage(format!(
            "{name}: CSV needs a map of its columns, with --csv MAP; `mparticle map {name}` proposes one"
        )));
    }
    let frames = FrameReader::new(source).map_err(|error| CliError::file("read", path, &error))?;
    Ok(OpenInput::Json(frames))
}

/// Returns whether the name of a file, without the ending of a compressed one, is that of CSV.
fn is_named_csv(path: &Path) -> bool {
    let is = |path: &Path, endings: &[&str]| {
        path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
    };
    let plain = if is(path, &["gz", "zst"]) { path.with_extension("") } else { path.to_owned() };
    is(&plain, &["csv", "tsv"])
}
