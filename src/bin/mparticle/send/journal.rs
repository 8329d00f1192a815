//! How far a file was sent, on the disk beside it: what `--resume` goes on from.
//!
//! It names a place up to which every batch has its end. Batches behind it may have been sent too; sent again, they have
//! the same ids, and the service drops them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::files::{Replacement, beside};
use crate::input::Place;

/// So much of the file's beginning tells whether it is still the same file.
const HEAD_BYTES: u64 = 4096;

/// A journal has a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Up to here everything has its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub offset: u64,
    pub line: u64,
    pub column: u64,
    /// How many bytes of the rejects file belong to it; `None` as long as nothing was rejected.
    pub rejects_bytes: Option<u64>,
    pub delivered: Tally,
    pub rejected: Tally,
    /// The file was read to its end.
    pub complete: bool,
}

/// Batches, and the events in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub batches: u64,
    pub events: u64,
}

impl Tally {
    pub fn add(&mut self, events: u64) {
        self.batches += 1;
        self.events += events;
    }
}

impl Mark {
    pub fn place(&self) -> Place {
        Place { offset: self.offset, line: self.line, column: self.column }
    }

    pub fn set_place(&mut self, place: Place) {
        (self.offset, self.line, self.column) = (place.offset, place.line, place.column);
    }
}

/// What has to be the same for a mark to mean anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    head: String,
    head_bytes: u64,
    /// How the file is sent, where to and with whose key: `events to https://...`.
    road: String,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    identity: Identity,
    /// Where the rejects of the mark are.
    rejects: String,
    mark: Mark,
}

const VERSION: u32 = 2;

pub struct Journal {
    path: PathBuf,
    identity: Identity,
    rejects: String,
    written: Option<Mark>,
}

impl Journal {
    /// The journal of a file that is sent by this road, and whose rejects go there.
    pub fn new(file: &Path, road: &str, rejects: &Path) -> io::Result<Self> {
        let identity = Identity::of(file, HEAD_BYTES, road)?;
        let rejects = path::absolute(rejects)?.to_string_lossy().into_owned();
        Ok(Self { path: beside(file, ".sent.json"), identity, rejects, written: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where an earlier run came to; `None` if there was none. Rejects that went elsewhere do not count.
    pub fn read(&self, file: &Path) -> io::Result<Option<Mark>> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MAX_BYTES).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |words: &str| io::Error::new(io::ErrorKind::InvalidData, words);
        let content: Content =
            serde_json::from_slice(&text).map_err(|_| invalid("it is not a journal of this program"))?;
        if content.version != VERSION {
            return Err(invalid("it is of another version of this program"));
        }
        // A file that has grown since is the same file; its head is compared as far as it went then.
        let then = Identity::of(file, content.identity.head_bytes, &self.identity.road)?;
        if then != content.identity {
            return Err(invalid(
                "the file is not the one that was sent then, or was sent elsewhere or with other options; \
                 without --resume it is sent from the start",
            ));
        }
        let rejects_bytes = content.mark.rejects_bytes.filter(|_| content.rejects == self.rejects);
        Ok(Some(Mark { rejects_bytes, ..content.mark }))
    }

    /// Writes where it is now, if that has changed. It is whole on the disk or as before, whenever the program is stopped.
    pub fn write(&mut self, mark: Mark) -> io::Result<()> {
        if self.written == Some(mark) {
            return Ok(());
        }
        let (identity, rejects) = (self.identity.clone(), self.rejects.clone());
        let content = Content { version: VERSION, identity, rejects, mark };
        let new = Replacement::create(&self.path, ".new")?;
        new.file().write_all(&serde_json::to_vec(&content)?)?;
        new.finish()?;
        self.written = Some(mark);
        Ok(())
    }
}

impl Identity {
    fn of(file: &Path, head_bytes: u64, road: &str) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(file)?.take(head_bytes).read_to_end(&mut head)?;
        let (head, head_bytes) = (Uuid::new_v5(&Uuid::NAMESPACE_OID, &head).to_string(), head.len() as u64);
        Ok(Self { head, head_bytes, road: road.to_owned() })
    }
}
