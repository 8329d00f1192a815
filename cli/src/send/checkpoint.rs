//! The checkpoint file next to an input file, from which `--resume` continues.
//!
//! It records a position up to which every batch is finished, and the hash of the bytes before it: a file with other bytes there
//! is another file. Batches after the position may have been sent too. When they are sent again they have the same IDs, and the
//! service drops them as duplicates.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha1_smol::Digest;

use crate::files::{LockFile, Replacement, with_suffix};
use crate::input::{FilePosition, ReadPosition};

/// The suffix of the lock file of a checkpoint file.
pub const LOCK_SUFFIX: &str = ".lock";

/// The maximum size that is read. A checkpoint file has a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// A position up to which every batch is finished, with the totals up to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub offset: u64,
    pub line: u64,
    pub column: u64,
    /// Set if this position is between the elements of a list.
    pub in_list: bool,
    /// The hash of the decompressed bytes before this position.
    pub hash: Digest,
    /// The size of the rejects file at this position, in bytes; `None` if nothing was rejected so far.
    pub rejects_bytes: Option<u64>,
    /// The hash of these bytes of the rejects file.
    pub rejects_hash: Digest,
    /// The number of batches in the rejects file at this position.
    pub rejects_in_file: u64,
    /// The number of rejected texts that were too long to be kept.
    pub rejects_omitted: u64,
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
    pub fn position(&self) -> ReadPosition {
        let position = FilePosition { offset: self.offset, line: self.line, column: self.column };
        ReadPosition { position, in_list: self.in_list }
    }

    pub fn set_position(&mut self, ResumePoint { position: ReadPosition { position, in_list }, hash }: ResumePoint) {
        (self.offset, self.line, self.column) = (position.offset, position.line, position.column);
        (self.in_list, self.hash) = (in_list, hash);
    }
}

/// A position from which a later run can resume, with the hash of the bytes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    pub position: ReadPosition,
    pub hash: Digest,
}

#[derive(Serialize, Deserialize)]
struct CheckpointContent {
    version: u32,
    /// The endpoint, the address, a hash of the key, and the options: `events to https://...`.
    destination: String,
    /// The absolute path of the rejects file.
    rejects_path: String,
    checkpoint: Checkpoint,
}

/// The version of the file format.
const VERSION: u32 = 4;

/// The part of the file that all versions have in common.
#[derive(Deserialize)]
struct FormatVersion {
    version: u32,
}

/// The checkpoint file, which belongs to one run at a time.
pub struct CheckpointFile {
    path: PathBuf,
    destination: String,
    last_written: Option<Checkpoint>,
    _lock: LockFile,
}

impl CheckpointFile {
    /// Locks the checkpoint file of an upload to this destination; `None` if another run has locked it.
    pub fn lock(path: PathBuf, destination: String) -> io::Result<Option<Self>> {
        let lock = LockFile::acquire(&with_suffix(&path, LOCK_SUFFIX))?;
        Ok(lock.map(|lock| Self { path, destination, last_written: None, _lock: lock }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the checkpoint of an earlier run; `None` if there is none. Its `rejects_bytes` is `None` if the rejects went to
    /// another file than this one.
    pub fn read(&self, rejects: &Path) -> io::Result<Option<Checkpoint>> {
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
        if content.destination != self.destination {
            return Err(invalid(
                "the file was sent to another destination or with other options; send without --resume to start over",
            ));
        }
        let mut checkpoint = content.checkpoint;
        if content.rejects_path != absolute(rejects)? {
            checkpoint = Checkpoint { rejects_bytes: None, rejects_in_file: 0, rejects_omitted: 0, ..checkpoint };
        }
        Ok(Some(checkpoint))
    }

    /// Writes the checkpoint if it has changed, with the path of the rejects file. The file is replaced atomically.
    pub fn write(&mut self, checkpoint: Checkpoint, rejects: &Path) -> io::Result<()> {
        if self.last_written == Some(checkpoint) {
            return Ok(());
        }
        let (destination, rejects_path) = (self.destination.clone(), absolute(rejects)?);
        let content = CheckpointContent { version: VERSION, destination, rejects_path, checkpoint };
        let new = Replacement::create(&self.path, ".new")?;
        new.file().write_all(&serde_json::to_vec(&content)?)?;
        new.finish()?;
        self.last_written = Some(checkpoint);
        Ok(())
    }
}

fn absolute(path: &Path) -> io::Result<String> {
    Ok(path::absolute(path)?.to_string_lossy().into_owned())
}
