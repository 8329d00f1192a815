//! The format of a segment: encodes and decodes its head and its records.

use std::fmt;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;

/// The format version that this crate writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// The largest batch in a record, in bytes: four times the largest request body. A length is checked against it before
/// memory is allocated.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// The exclusive upper limit of record numbers, so that incrementing one that was read cannot overflow.
pub(super) const NUMBERS: u64 = 1 << 62;

pub(super) const SEGMENT_HEAD_BYTES: usize = 24;
pub(super) const RECORD_HEAD_BYTES: usize = 36;

const SEGMENT_MAGIC: &[u8; 8] = b"mpspool\n";

/// The first bytes of each record. The first one does not occur in UTF-8, so the content of a batch cannot be mistaken for a
/// record.
pub(super) const RECORD_MAGIC: [u8; 4] = [0xFF, b'm', b'p', b'r'];

/// Returns the number that stands for an endpoint in the head of a record. A single batch is sent like a list of one.
fn endpoint_tag(endpoint: Endpoint) -> u32 {
    match endpoint {
        Endpoint::Events | Endpoint::BulkEvents => 1,
        Endpoint::HistoricalEvents => 2,
    }
}

fn endpoint_from_tag(tag: u32) -> Option<Endpoint> {
    match tag {
        1 => Some(Endpoint::BulkEvents),
        2 => Some(Endpoint::HistoricalEvents),
        _ => None,
    }
}

/// Returns the name of an endpoint in the dead-letter file.
pub(super) fn endpoint_name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Events | Endpoint::BulkEvents => "events",
        Endpoint::HistoricalEvents => "historical",
    }
}

pub(super) fn endpoint_from_name(name: &str) -> Option<Endpoint> {
    match name {
        "events" => Some(Endpoint::BulkEvents),
        "historical" => Some(Endpoint::HistoricalEvents),
        _ => None,
    }
}

/// A record of a spool: a sealed batch as it was appended.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The number of the record. Numbers increase in the order of appending and are never reused; there can be gaps.
    pub number: u64,
    /// The time at which it was appended, to the millisecond.
    pub appended: DateTime<Utc>,
    /// The endpoint that the batch is for: [`Endpoint::BulkEvents`] or [`Endpoint::HistoricalEvents`].
    pub endpoint: Endpoint,
    /// The JSON of the sealed batch, byte for byte.
    pub batch: Bytes,
}

impl Record {
    /// Returns the batch as it is sent. A batch without a `source_request_id` is given one that is derived from its number
    /// and its bytes, so that it is the same each time the record is read.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the record is not a batch.
    pub fn to_sealed(&self) -> Result<SealedBatch, Error> {
        SealedBatch::from_json_with(self.batch.clone(), || {
            let name = [&self.number.to_le_bytes()[..], &self.batch].concat();
            Uuid::new_v5(&Uuid::NAMESPACE_OID, &name)
        })
    }
}

/// Omits the batch, which is user data.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("number", &self.number)
            .field("appended", &self.appended)
            .field("endpoint", &self.endpoint)
            .field("bytes", &self.batch.len())
            .finish_non_exhaustive()
    }
}

/// Writes the head of a segment.
pub(super) fn write_segment_head(out: &mut Vec<u8>, first: u64) {
    let start = out.len();
    out.extend_from_slice(SEGMENT_MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    let checksum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// Returns whether these bytes are the head of a segment. Fails if the version is newer; the layout of the head is the same
/// in all versions.
pub(super) fn check_segment_head(head: &[u8; SEGMENT_HEAD_BYTES]) -> io::Result<bool> {
    if !head.starts_with(SEGMENT_MAGIC) || u32_at(head, 20) != crc32fast::hash(&head[..20]) {
        return Ok(false);
    }
    check_version("a segment", u32_at(head, 8))?;
    Ok(true)
}

pub(super) fn check_version(file: &str, version: u32) -> io::Result<()> {
    if version > VERSION {
        let text = format!("{file} has format version {version}, and this program supports versions up to {VERSION}");
        return Err(io::Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}

/// Writes one record.
pub(super) fn write_record(out: &mut Vec<u8>, number: u64, appended: DateTime<Utc>, endpoint: Endpoint, batch: &[u8]) {
    let start = out.len();
    // Appends are limited to MAX_RECORD_BYTES.
    let length = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&RECORD_MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&appended.timestamp_millis().to_le_bytes());
    out.extend_from_slice(&endpoint_tag(endpoint).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(batch).to_le_bytes());
    let checksum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(batch);
}

/// The head of a record. It has its own checksum, so that the length can be trusted before the batch is read.
pub(super) struct RecordHead {
    pub(super) number: u64,
    pub(super) appended: DateTime<Utc>,
    pub(super) endpoint: Endpoint,
    pub(super) length: usize,
    pub(super) checksum: u32,
}

impl RecordHead {
    /// Parses a head. Returns `None` if the bytes are not a valid one.
    pub(super) fn read(head: &[u8; RECORD_HEAD_BYTES]) -> Option<Self> {
        if !head.starts_with(&RECORD_MAGIC) || u32_at(head, 32) != crc32fast::hash(&head[..32]) {
            return None;
        }
        let length = usize::try_from(u32_at(head, 4)).ok().filter(|length| *length <= MAX_RECORD_BYTES)?;
        let number = Some(u64_at(head, 8)).filter(|number| *number < NUMBERS)?;
        let appended = DateTime::from_timestamp_millis(u64_at(head, 16).cast_signed())?;
        let endpoint = endpoint_from_tag(u32_at(head, 24))?;
        Some(Self { number, appended, endpoint, length, checksum: u32_at(head, 28) })
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}
