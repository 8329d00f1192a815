//! The rejects file: one JSON object per line for each rejected batch, with its diagnostics and its position.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mparticle::Error;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::exit;
use crate::files::{owner_only_options, with_suffix};
use crate::input::{FilePosition, LocatedDiagnostic, is_dash};

/// Returns the path of the rejects file: the requested one, or next to the input. The rejects of an input that is not a regular
/// file go to the working directory.
pub fn rejects_path(file: &Path, requested: Option<&Path>) -> PathBuf {
    let base = match file.file_name() {
        _ if is_dash(file) => Path::new("stdin"),
        Some(name) if !file.is_file() => Path::new(name),
        _ => file,
    };
    requested.map_or_else(|| with_suffix(base, ".rejects.ndjson"), Path::to_owned)
}

/// A line of the rejects file.
#[derive(Serialize)]
struct RejectLine<'a> {
    line: u64,
    column: u64,
    diagnostics: Vec<RejectDiagnostic<'a>>,
    /// The original batch if it is JSON. Otherwise `text` has the input, unless it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct RejectDiagnostic<'a> {
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pointer: &'a str,
    message: String,
}

/// Formats the line of a batch that is invalid.
pub fn format_invalid(start: FilePosition, text: &[u8], diagnostics: &[LocatedDiagnostic]) -> Vec<u8> {
    let reasons = diagnostics.iter().map(|located| RejectDiagnostic {
        rule: located.diagnostic.code.id(),
        line: Some(located.position.line),
        column: Some(located.position.column),
        pointer: &located.diagnostic.pointer,
        message: located.diagnostic.message.clone(),
    });
    format_line(start, text, reasons.collect())
}

/// Formats the line of a batch that the service refused.
pub fn format_refused(start: FilePosition, json: &[u8], error: &Error) -> Vec<u8> {
    let message = exit::service_message(error);
    format_line(start, json, vec![RejectDiagnostic { rule: "service", line: None, column: None, pointer: "", message }])
}

fn format_line(start: FilePosition, text: &[u8], diagnostics: Vec<RejectDiagnostic<'_>>) -> Vec<u8> {
    let text = str::from_utf8(text).ok();
    // In JSON, line breaks occur only as white space.
    let one_line = text.map(|text| text.replace(['\n', '\r'], " "));
    let batch = one_line.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let text = if batch.is_some() { None } else { text };
    let line = RejectLine { line: start.line, column: start.column, diagnostics, batch, text };
    let mut line = serde_json::to_vec(&line).expect("strings and numbers always serialize");
    line.push(b'\n');
    line
}

/// The rejects file, created with the first reject. It contains user data, so that only its owner can read it.
///
/// An existing file is kept: a resumed run appends to it, and any other run renames it.
pub struct RejectsFile {
    path: PathBuf,
    /// The size up to which a resumed run keeps the file; `None` if the run does not append.
    resume_bytes: Option<u64>,
    bytes: u64,
    file: Option<File>,
    /// Called with the new path of an existing file that was renamed.
    on_renamed: Box<dyn Fn(&Path) + Send>,
}

impl RejectsFile {
    /// Creates the rejects file; `resume_bytes` is its size at the checkpoint of a resumed run.
    pub fn new(path: PathBuf, resume_bytes: Option<u64>, on_renamed: impl Fn(&Path) + Send + 'static) -> Self {
        Self { path, resume_bytes, bytes: resume_bytes.unwrap_or(0), file: None, on_renamed: Box::new(on_renamed) }
    }

    /// Returns the size of the file, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Truncates the file of a resumed run to its checkpoint, since the later batches are processed again.
    pub fn resume(&mut self) -> io::Result<()> {
        if self.resume_bytes.is_some() && self.path.is_file() {
            self.file = Some(self.open()?);
        }
        Ok(())
    }

    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(line)?;
        self.file = Some(file);
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Syncs the file to the disk. Must precede writing a checkpoint that refers to it.
    pub fn sync(&self) -> io::Result<()> {
        // A pipe or a device cannot be synced.
        self.file.as_ref().filter(|_| self.path.is_file()).map_or(Ok(()), File::sync_data)
    }

    fn open(&mut self) -> io::Result<File> {
        if self.resume_bytes.is_none() && self.path.metadata().is_ok_and(|found| found.is_file() && found.len() > 0) {
            let kept = unused_name(&self.path);
            fs::rename(&self.path, &kept)?;
            (self.on_renamed)(&kept);
        }
        let file = owner_only_options().create(true).append(true).open(&self.path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            // A user may have shortened the file, for example after fixing batches.
            self.bytes = self.bytes.min(metadata.len());
            file.set_len(self.bytes)?;
        }
        Ok(file)
    }
}

/// Returns the first unused name of `FILE.1`, `FILE.2`, and so on.
fn unused_name(path: &Path) -> PathBuf {
    let names = (1_u64..).map(|number| with_suffix(path, &format!(".{number}")));
    names.into_iter().find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| with_suffix(path, ".0"))
}
