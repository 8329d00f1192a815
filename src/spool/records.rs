//! Reads the records of a segment in order, and skips damaged parts.

use std::io::{self, Read};
use std::ops::AddAssign;

use bytes::Bytes;

use super::format::{RECORD_HEAD_BYTES, RECORD_MAGIC, Record, RecordHead, SEGMENT_HEAD_BYTES, check_segment_head};

/// The number of bytes that are read at once, unless a record needs more.
const CHUNK_BYTES: usize = 64 * 1024;

/// The damaged parts of a spool, which cannot be read. A partial record that a crash left at the end of a segment was never
/// confirmed, and does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The size of the damaged parts, in bytes.
    pub bytes: u64,
    /// The number of damaged parts. Adjacent damaged records are one part.
    pub places: u64,
}

impl AddAssign for Damage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.places += other.places;
    }
}

/// An iterator over the records of one segment, from any source of its bytes.
///
/// It returns only records with valid checksums, in ascending order of their numbers. Damaged parts are skipped and counted,
/// and a partial record at the end is ignored. An error of the source, or a newer format version, is the last item. Memory
/// holds at most one record and the 64 KiB that follow it.
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
    /// The number of bytes that may still be read from the source: those behind them may be incomplete.
    remaining: u64,
    bytes: u64,
    buffer: Vec<u8>,
    /// The index in the buffer of the first unread byte.
    start: usize,
    /// The next number must be above this one.
    last: Option<u64>,
    in_head: bool,
    at_end: bool,
    failed: bool,
    skipped: Damage,
    /// The damage before the last record.
    before_last: Damage,
    /// The last byte that was skipped, if no record was read since.
    skipped_byte: Option<u8>,
}

impl<R: Read> Records<R> {
    /// Creates an iterator that reads a segment to the end of its source.
    pub fn new(source: R) -> Self {
        Self::with_limits(source, None, u64::MAX)
    }

    /// Creates an iterator over the first `limit` bytes of a segment whose record numbers are above `last`.
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

    /// Allows this many more bytes to be read from the source.
    pub(super) fn extend(&mut self, bytes: u64) {
        self.remaining = self.remaining.saturating_add(bytes);
    }

    /// Returns the number of bytes so far that belong to no readable record. At the end of the segment this includes a
    /// partial record, which a crash can leave.
    #[must_use]
    pub fn damaged_bytes(&self) -> u64 {
        self.skipped.bytes + if self.at_end { self.unread().len() as u64 } else { 0 }
    }

    /// Returns the damage so far. Bytes after the last record of the segment are damage unless they are a partial record or
    /// end with zeros, which is what a crash leaves.
    #[must_use]
    pub fn damage(&self) -> Damage {
        let last_byte = self.unread().last().copied().or(self.skipped_byte);
        if self.at_end && self.skipped.bytes > self.before_last.bytes && last_byte != Some(0) {
            return Damage { bytes: self.damaged_bytes(), ..self.skipped };
        }
        self.before_last
    }

    /// Returns the number of bytes that were read from the source so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads until this many unread bytes are in the buffer. Returns whether there are as many.
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
            // A damaged head of the segment does not hide the records after it: each has its own checksums.
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

/// Returns the distance to the next possible record. The end of the bytes may be the start of one.
fn next_magic(bytes: &[u8]) -> usize {
    let found = bytes[1..].windows(RECORD_MAGIC.len()).position(|window| window == RECORD_MAGIC);
    found.map_or(bytes.len() - (RECORD_MAGIC.len() - 1), |found| found + 1)
}

impl<R: Read> Iterator for Records<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        // A source that failed once may fail forever.
        if self.failed {
            return None;
        }
        let record = self.read();
        self.at_end = matches!(record, Ok(None));
        self.failed = record.is_err();
        record.transpose()
    }
}
