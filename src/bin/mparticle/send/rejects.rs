//! The rejects file: each batch that was not accepted, with what is wrong and where it stands, one JSON object a line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mparticle::Error;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::exit;
use crate::files::{owner_only_options, with_suffix};
use crate::input::{FilePosition, LocatedDiagnostic, is_dash};

/// Where the rejects of a file go: where it was asked for, or beside the file. What is no regular file has no place beside
/// it, and they go to the working directory.
pub fn path(file: &Path, asked_for: Option<&Path>) -> PathBuf {
    let beside_it = match file.file_name() {
        _ if is_dash(file) => Path::new("stdin"),
        Some(name) if !file.is_file() => Path::new(name),
        _ => file,
    };
    asked_for.map_or_else(|| with_suffix(beside_it, ".rejects.ndjson"), Path::to_owned)
}

/// A line of the file.
#[derive(Serialize)]
struct RejectLine<'a> {
    line: u64,
    column: u64,
    diagnostics: Vec<RejectDiagnostic<'a>>,
    /// As it was read; what is no JSON is text, and what is no text is left out.
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

/// What was found wrong before it was sent.
pub fn found(start: FilePosition, text: &[u8], diagnostics: &[LocatedDiagnostic]) -> Vec<u8> {
    let reasons = diagnostics.iter().map(|fault| RejectDiagnostic {
        rule: fault.diagnostic.code.id(),
        line: Some(fault.position.line),
        column: Some(fault.position.column),
        pointer: &fault.diagnostic.pointer,
        message: fault.diagnostic.message.clone(),
    });
    written(start, text, reasons.collect())
}

/// What the service refused.
pub fn refused(start: FilePosition, json: &[u8], error: &Error) -> Vec<u8> {
    let message = exit::service_message(error);
    written(start, json, vec![RejectDiagnostic { rule: "service", line: None, column: None, pointer: "", message }])
}

fn written(start: FilePosition, text: &[u8], diagnostics: Vec<RejectDiagnostic<'_>>) -> Vec<u8> {
    let text = str::from_utf8(text).ok();
    // A line break can only stand between the tokens of JSON.
    let one_line = text.map(|text| text.replace(['\n', '\r'], " "));
    let batch = one_line.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let text = if batch.is_some() { None } else { text };
    let line = RejectLine { line: start.line, column: start.column, diagnostics, batch, text };
    let mut line = serde_json::to_vec(&line).expect("texts and numbers have a JSON form");
    line.push(b'\n');
    line
}

/// The file, which is made with the first reject. It holds user data: only its owner can read it.
///
/// What an earlier run left there is kept: this one goes on behind it, or gives it another name.
pub struct RejectsFile {
    path: PathBuf,
    /// How many bytes of the file this run goes on behind; `None` if what is there is none of its business.
    earlier: Option<u64>,
    bytes: u64,
    file: Option<File>,
    /// Told of the new name of what was there.
    on_renamed: Box<dyn Fn(&Path) + Send>,
}

impl RejectsFile {
    /// Goes on after so many bytes that an earlier run wrote, if it does so at all.
    pub fn new(path: PathBuf, earlier: Option<u64>, on_renamed: impl Fn(&Path) + Send + 'static) -> Self {
        Self { path, earlier, bytes: earlier.unwrap_or(0), file: None, on_renamed: Box::new(on_renamed) }
    }

    /// How many bytes the file has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What an earlier run wrote after its last mark is cut off: those batches come again.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.earlier.is_some() && self.path.is_file() {
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

    /// To the disk, before anything says that it is there.
    pub fn sync(&self) -> io::Result<()> {
        // A pipe or a device has no disk.
        self.file.as_ref().filter(|_| self.path.is_file()).map_or(Ok(()), File::sync_data)
    }

    fn open(&mut self) -> io::Result<File> {
        if self.earlier.is_none() && self.path.metadata().is_ok_and(|found| found.is_file() && found.len() > 0) {
            let kept = unused_name(&self.path);
            fs::rename(&self.path, &kept)?;
            (self.on_renamed)(&kept);
        }
        let file = owner_only_options().create(true).append(true).open(&self.path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            // It may be shorter by now, since somebody has mended what was in it.
            self.bytes = self.bytes.min(metadata.len());
            file.set_len(self.bytes)?;
        }
        Ok(file)
    }
}

/// The first of `FILE.1`, `FILE.2`, and so on that is not there.
fn unused_name(path: &Path) -> PathBuf {
    let names = (1_u64..).map(|number| with_suffix(path, &format!(".{number}")));
    names.into_iter().find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| with_suffix(path, ".0"))
}
