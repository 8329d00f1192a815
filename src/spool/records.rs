//! Reads the records of a segment one after the other, past whatever is damaged.

use std::io::{self, Read};
use std::ops::AddAssign;

use bytes::Bytes;

use super::format::{RECORD_HEAD_BYTES, RECORD_MAGIC, Record, RecordHead, SEGMENT_HEAD_BYTES, check_segment_head};

/// How much is read at once, if a record does not need more.
const CHUNK_BYTES: usize = 64 * 1024;

/// The parts of a spool that cannot be read. A record that a crash cut off at the end of a segment was never confirmed, and
/// is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The size of these parts, in bytes.
    pub bytes: u64,
    /// Their number. Records beside each other that are damaged are one part.
    pub places: u64,
}

impl AddAssign for Damage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.places += other.places;
    }
}

/// The records of one segment, from any source of its bytes.
///
/// It gives only records whose checksums are right, in rising order. What is damaged is skipped and counted; what is
/// cut off at the end is left alone. An error of the source, or a newer format version, is the last that it gives. It
/// holds at most one record and 64 KiB of what follows in memory.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let segment: &[u8] = b"";
/// for record in mparticle::spool::Records::new(segment) {
///     println!("{:?}", record?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Records<R> {
    source: R,
    /// How much of the source may still be read: what lies beyond is not written to its end yet.
    remaining: u64,
    bytes: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the unread part starts.
    start: usize,
    /// Numbers have to rise above this.
    last: Option<u64>,
    in_head: bool,
    at_end: bool,
    failed: bool,
    skipped: Damage,
    /// What was skipped before the last record.
    before_last: Damage,
    /// The last thing was skipped, and ended with this byte.
    skipped_byte: Option<u8>,
}

impl<R: Read> Records<R> {
    /// Reads a segment to the end of its source.
    pub fn new(source: R) -> Self {
        Self::with_limits(source, None, u64::MAX)
    }

    /// Reads the first `limit` bytes of a segment whose numbers lie above `last`.
    pub(super) fn with_limits(source: R, last: Option<u64>, limit: u64) -> Self {
        Self {
            source,
            remaining: limit,
            bytes: 0,
            buffer: Vec::new(),
            start: 0,
            last,
            in_head: true,
            at_end: false,
            failed: false,
            skipped: Damage::default(),
            before_last: Damage::default(),
            skipped_byte: None,
        }
    }

    /// Lets more of the source be read.
    pub(super) fn extend(&mut self, bytes: u64) {
        self.remaining = self.remaining.saturating_add(bytes);
    }

    /// How many bytes so far belong to no record that can be read. At the end of the segment this includes a record
    /// that is cut off, as the last one is after a crash.
    #[must_use]
    pub fn damaged_bytes(&self) -> u64 {
        self.skipped.bytes + if self.at_end { self.unread().len() as u64 } else { 0 }
    }

    /// Returns the damage so far. What follows the last record of the segment is damage only if it looks like none of what a
    /// crash leaves: a record that is cut off, or zeros.
    #[must_use]
    pub fn damage(&self) -> Damage {
        let last_byte = self.unread().last().copied().or(self.skipped_byte);
        if self.at_end && self.skipped.bytes > self.before_last.bytes && last_byte != Some(0) {
            return Damage { bytes: self.damaged_bytes(), ..self.skipped };
        }
        self.before_last
    }

    /// How many bytes the source gave so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Whether this many bytes could be had from where the reading stands.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if let Some(missing) = wanted.checked_sub(self.unread().len()).filter(|missing| *missing > 0) {
            self.buffer.drain(..self.start);
            self.start = 0;
            let limit = self.remaining.min(missing.max(CHUNK_BYTES) as u64);
            let before = self.buffer.len();
            let result = self.source.by_ref().take(limit).read_to_end(&mut self.buffer);
            let read = (self.buffer.len() - before) as u64;
            self.remaining -= read;
            self.bytes += read;
            result?;
        }
        Ok(self.unread().len() >= wanted)
    }

    fn skip_damaged(&mut self, bytes: usize) {
        self.skipped.places += u64::from(self.skipped_byte.is_none());
        self.skipped.bytes += bytes as u64;
        self.start += bytes;
        self.skipped_byte = Some(self.buffer[self.start - 1]);
    }

    fn read_head(&mut self) -> io::Result<()> {
        if self.in_head && self.fill(SEGMENT_HEAD_BYTES)? {
            // A damaged head does not hide the records after it: each proves itself.
            if let Some(head) = self.unread().first_chunk()
                && check_segment_head(head)?
            {
                self.start += SEGMENT_HEAD_BYTES;
            }
            self.in_head = false;
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        self.read_head()?;
        while self.fill(RECORD_HEAD_BYTES)? {
            let head = self.unread().first_chunk().and_then(RecordHead::read);
            let Some(head) = head.filter(|head| self.last.is_none_or(|last| head.number > last)) else {
                self.skip_damaged(next_magic(self.unread()));
                continue;
            };
            let size = RECORD_HEAD_BYTES + head.length;
            if !self.fill(size)? {
                return Ok(None);
            }
            let batch = &self.unread()[RECORD_HEAD_BYTES..size];
            if crc32fast::hash(batch) != head.checksum {
                self.skip_damaged(size);
                continue;
            }
            let batch = Bytes::copy_from_slice(batch);
            self.start += size;
            self.last = Some(head.number);
            self.before_last = self.skipped;
            self.skipped_byte = None;
            return Ok(Some(Record { number: head.number, appended: head.appended, endpoint: head.endpoint, batch }));
        }
        Ok(None)
    }
}

/// How far it is to what may be the next record; the end of the bytes may hold the start of one.
fn next_magic(bytes: &[u8]) -> usize {
    let found = bytes[1..].windows(RECORD_MAGIC.len()).position(|window| window == RECORD_MAGIC);
    found.map_or(bytes.len() - (RECORD_MAGIC.len() - 1), |found| found + 1)
}

impl<R: Read> Iterator for Records<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        // A source that failed once may fail for ever.
        if self.failed {
            return None;
        }
        let record = self.read();
        self.at_end = matches!(record, Ok(None));
        self.failed = record.is_err();
        record.transpose()
    }
}
