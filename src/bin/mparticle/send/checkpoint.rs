//! How far a file was sent, on the disk beside it: what `--resume` goes on from.
//!
//! It names a place up to which every batch has its end. Batches behind it may have been sent too; sent again, they have
//! the same ids, and the service drops them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::files::{Replacement, with_suffix};
use crate::input::FilePosition;

/// So much of the file's beginning tells whether it is still the same file.
const HEAD_BYTES: u64 = 4096;

/// A journal has a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Up to here everything has its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub offset: u64,
    pub line: u64,
    pub column: u64,
    /// How many bytes of the rejects file belong to it; `None` as long as nothing was rejected.
    pub rejects_bytes: Option<u64>,
    pub delivered: BatchCount,
    pub rejected: BatchCount,
    /// The file was read to its end.
    pub complete: bool,
}

/// Batches, and the events in them.
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

/// What has to be the same for a mark to mean anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    head: String,
    head_bytes: u64,
    /// How the file is sent, where to and with whose key: `events to https://...`.
    destination: String,
}

#[derive(Serialize, Deserialize)]
struct CheckpointContent {
    version: u32,
    identity: FileIdentity,
    /// Where the rejects of the mark are.
    rejects: String,
    checkpoint: Checkpoint,
}

const VERSION: u32 = 2;

pub struct CheckpointFile {
    path: PathBuf,
    identity: FileIdentity,
    rejects: String,
    written: Option<Checkpoint>,
}

impl CheckpointFile {
    /// The journal of a file that is sent by this road, and whose rejects go there.
    pub fn new(file: &Path, destination: &str, rejects: &Path) -> io::Result<Self> {
        let identity = FileIdentity::of(file, HEAD_BYTES, destination)?;
        let rejects = path::absolute(rejects)?.to_string_lossy().into_owned();
        Ok(Self { path: with_suffix(file, ".sent.json"), identity, rejects, written: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where an earlier run came to; `None` if there was none. Rejects that went elsewhere do not count.
    pub fn read(&self, file: &Path) -> io::Result<Option<Checkpoint>> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MAX_BYTES).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message);
        let content: CheckpointContent =
            serde_json::from_slice(&text).map_err(|_| invalid("it is not a journal of this program"))?;
        if content.version != VERSION {
            return Err(invalid("it is of another version of this program"));
        }
        // A file that has grown since is the same file; its head is compared as far as it went then.
        let then = FileIdentity::of(file, content.identity.head_bytes, &self.identity.destination)?;
        if then != content.identity {
            return Err(invalid(
                "the file is not the one that was sent then, or was sent elsewhere or with other options; \
                 without --resume it is sent from the start",
            ));
        }
        let rejects_bytes = content.checkpoint.rejects_bytes.filter(|_| content.rejects == self.rejects);
        Ok(Some(Checkpoint { rejects_bytes, ..content.checkpoint }))
    }

    /// Writes where it is now, if that has changed. It is whole on the disk or as before, whenever the program is stopped.
    pub fn write(&mut self, checkpoint: Checkpoint) -> io::Result<()> {
        if self.written == Some(checkpoint) {
            return Ok(());
        }
        let (identity, rejects) = (self.identity.clone(), self.rejects.clone());
        let content = CheckpointContent { version: VERSION, identity, rejects, checkpoint };
        let new = Replacement::create(&self.path, ".new")?;
        new.file().write_all(&serde_json::to_vec(&content)?)?;
        new.finish()?;
        self.written = Some(checkpoint);
        Ok(())
    }
}

impl FileIdentity {
    fn of(file: &Path, head_bytes: u64, destination: &str) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(file)?.take(head_bytes).read_to_end(&mut head)?;
        let (head, head_bytes) = (Uuid::new_v5(&Uuid::NAMESPACE_OID, &head).to_string(), head.len() as u64);
        Ok(Self { head, head_bytes, destination: destination.to_owned() })
    }
}
