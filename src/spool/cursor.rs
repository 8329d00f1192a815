//! The cursor: the set of done records among those that are still in a segment. Losing it loses no data: the records are
//! sent again, and the service drops the duplicates.

use std::io::{self, ErrorKind, Read, Write};

use super::directory::Directory;
use super::format::{NUMBERS, VERSION, check_version, u32_at, u64_at};
use super::range_set::RangeSet;

const MAGIC: &[u8; 8] = b"mpcursor";
const HEAD_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;
const RANGE_BYTES: usize = 16;

/// A million ranges. A larger file was not written by this crate.
const MAX_BYTES: u64 = 16 << 20;

/// The state that survives a restart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The number of the next record, unless the segments contain a higher one. It is above every number in `done`, so that
    /// no two records share a number.
    pub(super) next: u64,
    pub(super) done: RangeSet,
}

impl Cursor {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.next.to_le_bytes());
        for (first, last) in self.done.ranges() {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&last.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Parses a cursor. Returns `None` if it is damaged, and an error if its version is newer.
    pub(super) fn from_bytes(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|end| *end >= HEAD_BYTES) else {
            return Ok(None);
        };
        if !bytes.starts_with(MAGIC) || u32_at(bytes, end) != crc32fast::hash(&bytes[..end]) {
            return Ok(None);
        }
        check_version("the cursor", u32_at(bytes, 8))?;
        let ranges = bytes[HEAD_BYTES..end].chunks_exact(RANGE_BYTES);
        if !ranges.remainder().is_empty() {
            return Ok(None);
        }
        let done = RangeSet::from_ranges(ranges.map(|range| (u64_at(range, 0), u64_at(range, 8))));
        let next = Some(u64_at(bytes, 12)).filter(|next| *next <= NUMBERS);
        Ok(next.zip(done).map(|(next, done)| Self { next, done }))
    }

    /// Loads the saved cursor. A missing or damaged one counts no record as done.
    pub(super) fn load(directory: &Directory) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match directory.files.open(&directory.cursor()) {
            Ok(file) => file.take(MAX_BYTES).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let cursor = Self::from_bytes(&bytes)?;
        if cursor.is_none() {
            tracing::warn!("the cursor of the spool is damaged: records that were delivered already may be sent again");
        }
        Ok(cursor.unwrap_or_default())
    }

    /// Replaces the saved cursor atomically.
    pub(super) fn save(&self, directory: &Directory, durably: bool) -> io::Result<()> {
        let new = directory.new_cursor();
        directory.remove(&new)?;
        let mut file = directory.files.create(&new)?;
        file.write_all(&self.to_bytes())?;
        if durably {
            file.sync()?;
        }
        drop(file);
        directory.files.rename(&new, &directory.cursor())?;
        if durably { directory.sync() } else { Ok(()) }
    }
}
