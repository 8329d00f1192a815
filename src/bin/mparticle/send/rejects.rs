//! The rejects file: each batch that was not accepted, with what is wrong and where it stands, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use mparticle::Error;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::exit;
use crate::input::{Fault, Place};

/// A line of the file.
#[derive(Serialize)]
struct Reject<'a> {
    line: u64,
    column: u64,
    faults: Vec<Reason<'a>>,
    /// As it was read; what is no JSON is text, and what is no text is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct Reason<'a> {
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
pub fn found(start: Place, text: &[u8], faults: &[Fault]) -> Vec<u8> {
    let reasons = faults.iter().map(|fault| Reason {
        rule: fault.rule,
        line: Some(fault.place.line),
        column: Some(fault.place.column),
        pointer: &fault.pointer,
        message: fault.message.clone(),
    });
    written(start, text, reasons.collect())
}

/// What the service refused.
pub fn refused(start: Place, json: &[u8], error: &Error) -> Vec<u8> {
    let message = exit::said(error);
    written(start, json, vec![Reason { rule: "service", line: None, column: None, pointer: "", message }])
}

fn written(start: Place, text: &[u8], faults: Vec<Reason<'_>>) -> Vec<u8> {
    let text = str::from_utf8(text).ok();
    // A line break can only stand between the tokens of JSON.
    let one_line = text.map(|text| text.replace(['\n', '\r'], " "));
    let batch = one_line.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let text = if batch.is_some() { None } else { text };
    let line = Reject { line: start.line, column: start.column, faults, batch, text };
    let mut line = serde_json::to_vec(&line).expect("texts and numbers have a JSON form");
    line.push(b'\n');
    line
}

/// The file, which is made with the first reject. It holds user data: only its owner can read it.
pub struct Rejects {
    path: PathBuf,
    bytes: u64,
    file: Option<File>,
}

impl Rejects {
    /// Goes on after so many bytes that an earlier run wrote.
    pub fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes, file: None }
    }

    /// How many bytes the file has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What an earlier run left and this one does not go on with is taken away.
    pub fn begin(&mut self) -> io::Result<()> {
        match self.path.metadata() {
            // A pipe or a device is somebody else's.
            Ok(metadata) if metadata.is_file() && self.bytes == 0 => std::fs::remove_file(&self.path),
            Ok(_) => self.open().map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.bytes = 0;
                Ok(())
            }
            Err(error) => Err(error),
        }
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
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn open(&self) -> io::Result<File> {
        let file = private().create(true).append(true).open(&self.path)?;
        if file.metadata()?.is_file() {
            file.set_len(self.bytes)?;
        }
        Ok(file)
    }
}

/// Options for a file that only its owner can read.
pub fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the mode is of unix"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
