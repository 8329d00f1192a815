//! The checkpoint file next to an input file, from which `--resume` continues.
//!
//! It records a position up to which every batch is finished. Batches after it may have been sent too. When they are sent again
//! they have the same IDs, and the service drops them as duplicates.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::files::{Replacement, with_suffix};
use crate::input::FilePosition;

/// The number of bytes at the beginning of the file whose hash identifies it.
const HEAD_BYTES: u64 = 4096;

/// The maximum size that is read. A checkpoint file has a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// A position up to which every batch is finished, with the totals up to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub offset: u64,
    pub line: u64,
    pub column: u64,
    /// The size of the rejects file at this position, in bytes; `None` if nothing was rejected so far.
    pub rejects_bytes: Option<u64>,
    pub delivered: BatchCount,
    pub rejected: BatchCount,
    /// Set once the whole file is finished.
    pub complete: bool,
}

/// A number of batches and of the events in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCount {
    pub batches: u64,
    pub events: u64,
}

impl BatchCount {
    pub fn add(&mut self, events: u64) {
        self.batches += 1;
        self.events += events;
    }
}

impl Checkpoint {
    pub fn position(&self) -> FilePosition {
        FilePosition { offset: self.offset, line: self.line, column: self.column }
    }

    pub fn set_position(&mut self, position: FilePosition) {
        (self.offset, self.line, self.column) = (position.offset, position.line, position.column);
    }
}

/// The properties that must be unchanged for a checkpoint to be valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// The hash of the first `head_bytes` bytes.
    head_hash: String,
    head_bytes: u64,
    /// The endpoint, the address, a hash of the key, and the options: `events to https://...`.
    destination: String,
}

#[derive(Serialize, Deserialize)]
struct CheckpointContent {
    version: u32,
    identity: FileIdentity,
    /// The absolute path of the rejects file.
    rejects_path: String,
    checkpoint: Checkpoint,
}

/// The version of the file format.
const VERSION: u32 = 3;

/// The part of the file that all versions have in common.
#[derive(Deserialize)]
struct FormatVersion {
    version: u32,
}

pub struct CheckpointFile {
    path: PathBuf,
    identity: FileIdentity,
    rejects_path: String,
    last_written: Option<Checkpoint>,
}

impl CheckpointFile {
    /// Creates the checkpoint file of an input file that is sent to this destination, with its rejects at this path.
    pub fn new(file: &Path, destination: &str, rejects: &Path) -> io::Result<Self> {
        let identity = FileIdentity::of_file(file, HEAD_BYTES, destination)?;
        let rejects_path = path::absolute(rejects)?.to_string_lossy().into_owned();
        Ok(Self { path: with_suffix(file, ".sent.json"), identity, rejects_path, last_written: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the checkpoint of an earlier run; `None` if there is none. Its `rejects_bytes` is `None` if the rejects went to
    /// another file.
    pub fn read(&self, file: &Path) -> io::Result<Option<Checkpoint>> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MAX_BYTES).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message);
        let not_a_checkpoint = |_| invalid("not a checkpoint file of mparticle");
        let FormatVersion { version } = serde_json::from_slice(&text).map_err(not_a_checkpoint)?;
        if version != VERSION {
            return Err(invalid(&format!(
                "version {version} of the checkpoint format is not supported, only version {VERSION}; send without --resume to \
                 start over"
            )));
        }
        let content: CheckpointContent = serde_json::from_slice(&text).map_err(not_a_checkpoint)?;
        // The file may have grown: compares the hash of as many bytes as the checkpoint has.
        let current = FileIdentity::of_file(file, content.identity.head_bytes, &self.identity.destination)?;
        if current != content.identity {
            return Err(invalid(
                "the file has changed, or was sent to another destination or with other options; send without --resume to \
                 start over",
            ));
        }
        let rejects_bytes = content.checkpoint.rejects_bytes.filter(|_| content.rejects_path == self.rejects_path);
        Ok(Some(Checkpoint { rejects_bytes, ..content.checkpoint }))
    }

    /// Writes the checkpoint if it has changed. The file is replaced atomically.
    pub fn write(&mut self, checkpoint: Checkpoint) -> io::Result<()> {
        if self.last_written == Some(checkpoint) {
            return Ok(());
        }
        let (identity, rejects_path) = (self.identity.clone(), self.rejects_path.clone());
        let content = CheckpointContent { version: VERSION, identity, rejects_path, checkpoint };
        let new = Replacement::create(&self.path, ".new")?;
        new.file().write_all(&serde_json::to_vec(&content)?)?;
        new.finish()?;
        self.last_written = Some(checkpoint);
        Ok(())
    }
}

impl FileIdentity {
    fn of_file(file: &Path, head_bytes: u64, destination: &str) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(file)?.take(head_bytes).read_to_end(&mut head)?;
        let (head_hash, head_bytes) = (Uuid::new_v5(&Uuid::NAMESPACE_OID, &head).to_string(), head.len() as u64);
        Ok(Self { head_hash, head_bytes, destination: destination.to_owned() })
    }
}
