//! The spool: an on-disk log that keeps sealed batches until they are delivered, and survives `kill -9`.
//!
//! An [`Uploader`](crate::Uploader) uses it through [`UploaderBuilder::spool`](crate::UploaderBuilder::spool). [`SpoolOptions`]
//! configures it, [`Inspector`] looks into it, and [`Spool`] has the functions for its dead letters and damaged segments. The
//! functions that append and read records are public for the benchmarks, tests and fuzz targets of this crate, and hidden in
//! these docs: they may change in any version.
//!
//! # Constraints
//!
//! - A record is one sealed batch, as the bytes that will be sent, with its endpoint and the time at which it was appended. It
//!   never contains a credential.
//! - A record is confirmed after fdatasync, unless [`Fsync`] says otherwise. A confirmed record is read again after a crash until
//!   it is acknowledged, and may be read again after that. Sending it twice is safe: the service drops the duplicate by its
//!   `source_request_id`, for 30 to 60 days.
//! - A record has its number from the moment it is appended, before it is written. No two readable records ever share a number.
//! - Records are read in the order of appending. A record that its appender still has in memory can be *taken* instead, in any
//!   order, and is then not read. Records are acknowledged in any order.
//! - One process writes. Others may inspect the spool; see [`Inspector`]. Files that belong to another user, or that every user
//!   can write to, are refused.
//! - Everything is bounded: a record (1 MiB), the segments, the write queue, the dead-letter files, and the age of what is sent.
//!   Memory holds ranges of numbers, and nothing that grows with the number of records on the disk.
//! - Errors of the file system are returned and never panic. The next append retries.
//!
//! # On-disk format
//!
//! One directory with mode 0700, whose files have mode 0600. All integers are little-endian. CRC is CRC-32 (IEEE).
//!
//! | file | contents |
//! | --- | --- |
//! | `lock` | empty; locked while a process has the spool open |
//! | `00000000000000000042.log` | a segment, named after the number of its first record |
//! | `00000000000000000042.log.damaged` | a segment whose records are done, kept because a part of it is damaged |
//! | `cursor` | the records of the segments that are done |
//! | `cursor.new` | the new cursor, until it is renamed |
//! | `owner.tmp` | empty, while the spool is being opened: shows which user owns new files |
//! | `dead-letters.ndjson` | batches that will not be sent, one JSON object per line: `time`, `reason`, `endpoint`, `batch` |
//! | `dead-letters.1.ndjson` | older dead letters; 2 is older than 1, and so on |
//! | `dead-letters.new` | the lines that stay when dead letters are redriven, until it is renamed |
//!
//! ```text
//! segment:  "mpspool\n"   8 bytes
//!           version       u32      1
//!           first number  u64
//!           CRC           u32      of the 20 bytes before; this head is the same in all versions
//!           records
//!
//! record:   FF "mpr"      4 bytes  does not occur in UTF-8, so not in a batch
//!           length        u32      of the batch, at most 1,048,576
//!           number        u64      increasing; gaps are allowed
//!           appended      i64      milliseconds since the Unix epoch
//!           endpoint      u32      1 events, 2 historical
//!           batch CRC     u32
//!           head CRC      u32      of the 32 bytes before
//!           batch         the JSON
//!
//! cursor:   "mpcursor"    8 bytes
//!           version       u32      1
//!           next number   u64      above all that are done
//!           ranges        first u64, last u64, both done; increasing
//!           CRC           u32      of all bytes before
//! ```
//!
//! The head of a record has its own checksum, so that its length can be trusted to skip a damaged batch. After a damaged head,
//! reading continues at the next `FF "mpr"`. Only records with valid checksums are returned. A damaged segment is renamed
//! instead of removed when its records are done. A partial record or zeros at the end of a segment are what a crash leaves, and
//! are not damage.
//!
//! # Operation
//!
//! **Append.** A batch gets the next number, under the lock that orders the appends, and is queued in memory for the one thread
//! that writes. That thread takes the whole queue as a group, writes it, makes it durable with one fdatasync, and
//! confirms its records together: the slower the disk, the larger the groups. The numbers of a failed group become a gap and
//! are not reused, because parts of the group may be on the disk. The name of a new segment is made durable with an fsync of
//! the directory before its first records are confirmed. After a failed write or fsync, a segment is sealed and never written
//! again, because the system may then consider pages clean that never reached the disk. A segment from before a restart
//! is never written either, so a partial record in it is harmless.
//!
//! **Read.** The reader returns the oldest committed record that is not taken. A record that is older than
//! [`SpoolOptions::max_age`] becomes a dead letter instead.
//!
//! **Take.** The uploader sends a confirmed batch from memory and marks its record as taken, without reading it
//! (write-through). Older records stay unread and are read later: the reader skips those that are taken. Records that were
//! found when the spool was opened can only be read.
//!
//! **Acknowledge.** A record is marked as done in memory. Within a second a new cursor is written, synced and renamed over the
//! old one, and the directory is synced. A segment is unlinked when all of its records are done, and removed from the index
//! once the directory is synced after that.
//!
//! **Open.** The directory is locked, access to its files is checked, and it is synced. Then the cursor is read (a damaged one
//! counts no record as done), and each segment from end to end. New numbers are above all numbers in the segments and
//! the cursor. A file with a newer version is an error that names the version.
//!
//! **Full.** Above [`SpoolOptions::max_bytes`], the oldest segments that are kept because of damage are removed. If there are
//! none, [`SpoolFullPolicy`] decides whether the append is refused or the oldest segment is evicted.
//!
//! **Dead letters.** They are written in portions, and durably with any [`Fsync`]. When the file reaches an eighth of
//! [`SpoolOptions::max_dead_letter_bytes`], it becomes generation 1, the generations of older files increase by one, and the
//! oldest are removed if the total is too large. A failed write is retried every second.

mod append;
mod cursor;
mod dead_letters;
mod directory;
mod file_system;
mod format;
mod index;
mod inspect;
mod open;
mod options;
mod range_set;
mod reader;
mod receipt;
mod records;
mod recovery;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod vanished;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

pub use dead_letters::{DeadLetter, RedriveStats};
#[doc(hidden)]
pub use format::MAX_RECORD_BYTES;
pub use format::Record;
pub use inspect::Inspector;
pub use options::{EvictionReason, Fsync, SpoolFullPolicy, SpoolOptions};
#[doc(hidden)]
pub use receipt::Receipt;
pub use records::Damage;
#[doc(hidden)]
pub use records::Records;

pub use crate::endpoint::Endpoint;

use crate::completion::Completion;
use crate::error::Error;
use directory::Directory;
use reader::SpoolReader;
use receipt::confirmation_pair;
use shared::{PendingDeadLetter, SpoolShared, too_large_error};

/// An open spool; see the [module](self).
///
/// An [`Uploader`](crate::Uploader) opens its own. This handle is for the administration of a spool that no program has open:
///
/// ```
/// use mparticle::spool::{Spool, SpoolOptions};
///
/// # let dir = std::env::temp_dir().join(format!("mparticle-spool-{}", std::process::id()));
/// let redriven = Spool::redrive_dead_letters(&dir, SpoolOptions::new())?;
/// println!("{} dead letters will be sent again, {} lines are not dead letters", redriven.records, redriven.skipped);
///
/// let stats = Spool::open(&dir, SpoolOptions::new())?.stats();
/// assert_eq!(stats.unread, redriven.records);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), mparticle::Error>(())
/// ```
///
/// All methods can be called from any thread. Appending, acknowledging and [`stats`](Self::stats) do no I/O and wait for none.
/// Dropping the handle writes the queued appends and ends the spool's thread.
pub struct Spool {
    shared: Arc<SpoolShared>,
    settings: SpoolOptions,
    directory: Directory,
    reader: Mutex<SpoolReader>,
    damage: Damage,
    thread: Option<JoinHandle<()>>,
}

/// The statistics of a spool, all of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SpoolStats {
    /// The number of batches that are appended and not written yet.
    pub waiting: u64,
    /// The number of records that are written, and neither read nor taken by this process.
    pub unread: u64,
    /// The number of records that are read or taken, and neither acknowledged nor rejected.
    pub outstanding: u64,
    /// The size of all segments, in bytes, including those that are kept because they are damaged.
    pub bytes: u64,
    /// The number of unread records that this process evicted because the spool was full.
    pub dropped: u64,
    /// The number of records that this process found too old, and wrote to the dead-letter file.
    pub expired: u64,
    /// The number of dead letters that this process removed, the oldest first, because their files were too large; see
    /// [`SpoolOptions::max_dead_letter_bytes`].
    pub dead_letters_dropped: u64,
    /// The number of records that vanished from the disk while this process had the spool open, because another program
    /// removed, truncated or damaged their segment.
    pub lost: u64,
    /// The size of the damaged parts when the spool was opened, in bytes; see [`Damage`].
    pub damaged_bytes: u64,
    /// The number of damaged parts when the spool was opened.
    pub damaged_places: u64,
}

impl Spool {
    /// Returns the next record, in the order of appending, beginning with those of earlier processes. Each record is
    /// returned once in a process. It must be [acknowledged](Self::acknowledge) or [rejected](Self::reject), or the next
    /// process reads it again.
    ///
    /// This reads from the disk, usually from the page cache.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file operation fails. The next call retries.
    #[doc(hidden)]
    pub fn next_record(&self) -> Result<Option<Record>, Error> {
        self.next_record_before(None)
    }

    /// Returns the next record if its number is below the limit. Otherwise it stays unread.
    pub(crate) fn next_record_before(&self, limit: Option<u64>) -> Result<Option<Record>, Error> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let next = reader.next(limit, &self.shared, &self.settings);
        next.map_err(|error| Error::spool("failed to read the spool").with_source(error))
    }

    /// Marks a record that the caller has in memory as taken, so that it is not read. This process must have appended it,
    /// and it must be confirmed. Older records stay unread. Returns false, and changes nothing, if the record was read or
    /// taken before, is done, or its segment is gone.
    pub(crate) fn take_committed(&self, number: u64) -> bool {
        self.shared.lock().index.take_committed(number)
    }

    /// Returns the number of records that are written, and neither read nor taken by this process.
    pub(crate) fn unread(&self) -> u64 {
        self.shared.lock().index.unread()
    }

    /// Waits until there is a record to read. One task at a time can wait.
    #[doc(hidden)]
    pub async fn readable(&self) {
        poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.index.unread() > 0 {
                return Poll::Ready(());
            }
            state.reader = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Acknowledges a delivered record. Returns whether it was outstanding.
    ///
    /// This is on the disk within a second. After a crash before that, the record is read again.
    #[doc(hidden)]
    pub fn acknowledge(&self, number: u64) -> bool {
        let mut state = self.shared.lock();
        let known = state.acknowledge(number);
        if known {
            self.shared.wake(state);
        }
        known
    }

    /// Returns the number of the newest record on the disk, if there is any.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.shared.lock().index.last()
    }

    /// Returns whether an outstanding record is still on the disk. A full spool may have evicted its segment.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.shared.lock().index.contains(number)
    }

    /// Writes a record to the dead-letter file, and marks it as done when that is durable.
    ///
    /// # Errors
    /// Those of [`dead_letter`](Self::dead_letter). The record then stays outstanding.
    #[doc(hidden)]
    pub fn reject(&self, record: &Record, reason: impl Into<String>) -> Result<Completion<Result<(), Error>>, Error> {
        self.enqueue_dead_letter(record.endpoint, record.batch.clone(), &reason.into(), Some(record.number))
    }

    /// Writes a batch that is not in the spool to the dead-letter file. The completion completes when that is durable,
    /// whatever [`SpoolOptions::fsync`] is.
    ///
    /// A failed write is retried every second: five times before the completion returns the error, or without limit if the
    /// completion was dropped. A batch that is not written when the spool is closed is lost, unless it is a record of the
    /// spool, which stays there.
    ///
    /// The reason is a text for a person. It is truncated to 4,096 characters.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool), immediately, if the spool is closed, if too many dead letters are
    /// queued already, or if the batch is larger than [`MAX_RECORD_BYTES`].
    #[doc(hidden)]
    pub fn dead_letter(
        &self,
        endpoint: Endpoint,
        batch: impl Into<Bytes>,
        reason: impl Into<String>,
    ) -> Result<Completion<Result<(), Error>>, Error> {
        self.enqueue_dead_letter(endpoint, batch.into(), &reason.into(), None)
    }

    /// Queues a batch for the dead-letter file. `number` is that of its record, if it has one.
    pub(crate) fn enqueue_dead_letter(
        &self,
        endpoint: Endpoint,
        batch: Bytes,
        reason: &str,
        number: Option<u64>,
    ) -> Result<Completion<Result<(), Error>>, Error> {
        // The size of a segment does not matter: a record of an earlier process may be larger than one is now.
        if batch.len() > MAX_RECORD_BYTES {
            return Err(too_large_error());
        }
        // Truncated now, because the queue is bounded by its size.
        let reason = dead_letters::cut_reason(reason).to_owned();
        let (confirmation, written) = confirmation_pair();
        let letter = PendingDeadLetter { endpoint, batch, reason, number, failures: 0, confirmation };
        let mut state = self.shared.lock();
        if state.closing {
            return Err(Error::spool("the spool is closed"));
        }
        if state.dead_letter_bytes + letter.size() > self.settings.max_waiting_bytes {
            return Err(Error::spool("the dead-letter queue of the spool is full"));
        }
        state.dead_letter_bytes += letter.size();
        state.dead_letters.push_back(letter);
        self.shared.wake(state);
        Ok(written)
    }

    /// Saves the cursor immediately. The completion completes when it is on the disk.
    pub(crate) fn checkpoint(&self) -> Completion<Result<(), Error>> {
        let (confirmation, saved) = confirmation_pair();
        let mut state = self.shared.lock();
        if !state.closing {
            state.checkpoints.push(confirmation);
            state.compact_within(Duration::ZERO);
            self.shared.wake(state);
        }
        saved
    }

    /// Closes the spool, and waits for its thread up to `timeout`. Dropping it then waits no longer.
    pub(crate) fn close(&self, timeout: Duration) {
        self.shared.close(timeout);
    }

    /// Returns the statistics of the spool, all of one moment.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        let state = self.shared.lock();
        SpoolStats {
            waiting: state.waiting,
            unread: state.index.unread(),
            outstanding: state.index.outstanding(),
            bytes: state.index.bytes(),
            dropped: state.dropped,
            expired: state.expired,
            dead_letters_dropped: state.dead_letters_dropped,
            lost: state.lost,
            damaged_bytes: self.damage.bytes,
            damaged_places: self.damage.places,
        }
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("settings", &self.settings).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Converts the error of a file operation without which the spool cannot do what it was asked for.
fn file_error(action: &str, error: std::io::Error) -> Error {
    Error::spool(format!("failed to {action}: {error}")).with_source(error)
}
