//! The rejects file: one JSON object per line for each rejected batch, with its diagnostics and its position.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mparticle::Error;
use serde::Serialize;
use serde_json::value::RawValue;
use sha1_smol::{Digest, Sha1};

use super::checkpoint::Checkpoint;
use crate::exit;
use crate::files::{is_at, owner_only_options, with_suffix};
use crate::input::{FilePosition, LocatedDiagnostic};

/// A line of the rejects file.
#[derive(Serialize)]
struct RejectLine<'a> {
    line: u64,
    column: u64,
    diagnostics: Vec<RejectDiagnostic<'a>>,
    /// The original batch if it is JSON. Otherwise `text` has the input, or `base64` its bytes if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The offset of a text that was too long to be kept, in decompressed bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_at: Option<u64>,
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
pub fn format_invalid(start: FilePosition, text: &[u8], diagnostics: &[LocatedDiagnostic]) -> Reject {
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
pub fn format_refused(start: FilePosition, json: &[u8], error: &Error) -> Reject {
    let message = exit::service_message(error);
    format_line(start, json, vec![RejectDiagnostic { rule: "service", line: None, column: None, pointer: "", message }])
}

/// A line of the rejects file.
pub struct Reject {
    pub line: Vec<u8>,
    /// Set if the text was too long to be kept.
    pub is_omitted: bool,
}

fn format_line(start: FilePosition, bytes: &[u8], diagnostics: Vec<RejectDiagnostic<'_>>) -> Reject {
    // No frame is empty: the reader has dropped the text.
    let is_omitted = bytes.is_empty();
    let text = str::from_utf8(bytes).ok().filter(|_| !is_omitted);
    let base64 = if text.is_none() && !is_omitted { Some(STANDARD.encode(bytes)) } else { None };
    // In JSON, line breaks occur only as white space.
    let one_line = text.map(|text| text.replace(['\n', '\r'], " "));
    let batch = one_line.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let text = if batch.is_some() { None } else { text };
    let omitted_at = is_omitted.then_some(start.offset);
    let line = RejectLine { line: start.line, column: start.column, diagnostics, batch, text, base64, omitted_at };
    let mut line = serde_json::to_vec(&line).expect("strings and numbers always serialize");
    line.push(b'\n');
    Reject { line, is_omitted }
}

/// The rejects file, created with the first reject. It contains user data, so that only its owner can read it.
///
/// An existing file is kept: a resumed run appends to it if nobody has changed it, and any other run renames it, or takes another
/// name if the file belongs to a program that is still running.
pub struct RejectsFile {
    path: PathBuf,
    /// The hash of the part that a resumed run keeps; `None` if the run does not append.
    resumed: Option<Digest>,
    bytes: u64,
    hash: Sha1,
    /// The number of batches in the file.
    count: u64,
    file: Option<File>,
    /// Called with the new path of an existing file that was renamed.
    on_renamed: Box<dyn Fn(&Path) + Send>,
}

impl RejectsFile {
    /// Creates the rejects file; a resumed run continues the file of its checkpoint.
    pub fn new(path: PathBuf, checkpoint: &Checkpoint, on_renamed: impl Fn(&Path) + Send + 'static) -> Self {
        let (bytes, count) = (checkpoint.rejects_bytes.unwrap_or(0), checkpoint.rejects_in_file);
        let resumed = checkpoint.rejects_bytes.map(|_| checkpoint.rejects_hash);
        Self { path, resumed, bytes, hash: Sha1::new(), count, file: None, on_renamed: Box::new(on_renamed) }
    }

    /// Returns the path of the file, which is another one than requested if that one is in use.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the size of the file, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the hash of the file.
    pub fn hash(&self) -> Digest {
        self.hash.digest()
    }

    /// Returns the number of batches in the file; 0 if a user has changed the file meanwhile.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Fails if the file cannot be written, before anything is sent. A pipe or a device is left alone.
    pub fn check_writable(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => Ok(()),
            Ok(_) => owner_only_options().append(true).open(&self.path).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                drop(owner_only_options().write(true).create_new(true).open(&self.path)?);
                fs::remove_file(&self.path)
            }
            Err(error) => Err(error),
        }
    }

    /// Truncates the file of a resumed run to its checkpoint, since the later batches are processed again. A file that a user has
    /// changed, for example after correcting batches, is left as it is, and renamed once there is a reject.
    pub fn resume(&mut self) -> io::Result<()> {
        let Some(expected) = self.resumed else { return Ok(()) };
        self.hash = if self.path.is_file() { hash_of(&self.path, self.bytes)? } else { Sha1::new() };
        if self.hash.digest() == expected {
            self.file = Some(self.open()?);
        } else {
            self.start_over();
        }
        Ok(())
    }

    /// Forgets the part of an earlier run.
    fn start_over(&mut self) {
        (self.resumed, self.bytes, self.count) = (None, 0, 0);
        self.hash.reset();
    }

    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(line)?;
        self.file = Some(file);
        self.bytes += line.len() as u64;
        self.hash.update(line);
        self.count += 1;
        Ok(())
    }

    /// Syncs the file to the disk. Must precede writing a checkpoint that refers to it.
    pub fn sync(&self) -> io::Result<()> {
        // A pipe or a device cannot be synced.
        self.file.as_ref().filter(|_| self.path.is_file()).map_or(Ok(()), File::sync_data)
    }

    fn open(&mut self) -> io::Result<File> {
        loop {
            let file = owner_only_options().create(true).append(true).open(&self.path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Ok(file);
            }
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                self.path = unused_name(&self.path);
                self.start_over();
            } else if !is_at(&file, &self.path) {
                // Another program has renamed the file between the two calls.
            } else if self.resumed.is_none() && metadata.len() > 0 {
                let kept = unused_name(&self.path);
                fs::rename(&self.path, &kept)?;
                (self.on_renamed)(&kept);
            } else {
                file.set_len(self.bytes)?;
                return Ok(file);
            }
        }
    }
}

/// Hashes the first bytes of a file, or all if it has fewer.
fn hash_of(path: &Path, bytes: u64) -> io::Result<Sha1> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?.take(bytes), Sha1::new(), [0; 16 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Returns the first unused name of `FILE.1`, `FILE.2`, and so on.
fn unused_name(path: &Path) -> PathBuf {
    let names = (1_u64..).map(|number| with_suffix(path, &format!(".{number}")));
    names.into_iter().find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| with_suffix(path, ".0"))
}
