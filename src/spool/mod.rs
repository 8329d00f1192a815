//! The spool: a log on the disk that holds sealed batches until they are delivered, also through `kill -9`.
//!
//! # What an application needs
//!
//! [`SpoolOptions`] with [`Fsync`] and [`WhenFull`], for
//! [`UploaderBuilder::spool_with`](crate::UploaderBuilder::spool_with); [`Inspector`] and [`DeadLetter`] to look into a spool; and the
//! functions of [`Spool`] that redrive and purge dead letters. Appending, reading and acknowledging records is what the uploader
//! and the command line are built of. It is public for tools, and may change in any release before 1.0.
//!
//! # Constraints
//!
//! - A record is one sealed batch, as the bytes that will be sent, with its endpoint and the time of appending. It never
//!   holds a credential.
//! - A record is confirmed by a [`Receipt`], after fdatasync unless [`Fsync`] says otherwise. A confirmed record is
//!   read again after a crash until it is acknowledged; one that is acknowledged may be. Sending it twice does no harm:
//!   the service drops the repeat by its `source_request_id`, for 30 to 60 days.
//! - A record has its number from the moment of appending, before it is written. No number ever stands for two records
//!   that can be read.
//! - Records are read in the order of appending. One that its appender still has in memory can be taken instead, in any
//!   order, and is then not read. Records are acknowledged in any order.
//! - One process writes. Others may look, see [`Inspector`]. Files of the spool that another user owns, or that every user can
//!   write to, are refused.
//! - Everything is bounded: a record (1 MiB), the segments, the appends that wait for the disk, the dead-letter files, the
//!   age of what is sent. Memory holds ranges of numbers, and nothing that grows with the records on the disk.
//! - Errors of the file system are returned and never panic; the next append retries.
//!
//! # On-disk format
//!
//! One directory, of mode 0700, with files of mode 0600. All integers are little-endian; CRC is CRC-32 (IEEE).
//!
//! | file | contents |
//! | --- | --- |
//! | `lock` | empty; locked while a process has the spool open |
//! | `00000000000000000042.log` | a segment, named after the number of its first record |
//! | `00000000000000000042.log.damaged` | a segment whose records are done, kept because a part of it cannot be read |
//! | `cursor` | which records of the segments are done |
//! | `cursor.new` | the next cursor, until it is renamed |
//! | `owner.tmp` | empty, while a spool is opened: shows which user owns new files |
//! | `dead-letters.ndjson` | what will not be sent, one JSON object a line: `time`, `reason`, `endpoint`, `batch` |
//! | `dead-letters.1.ndjson` | the same, from before that file grew too large; 2 is older than 1, and so on |
//!
//! ```text
//! segment:  "mpspool\n"   8 bytes
//!           version       u32      1
//!           first number  u64
//!           CRC           u32      of the 20 bytes before: this head stays the same in all versions
//!           records
//!
//! record:   FF "mpr"      4 bytes  never in UTF-8, so never in a batch
//!           length        u32      of the batch, at most 1,048,576
//!           number        u64      rises; gaps are allowed
//!           appended      i64      milliseconds since the epoch
//!           endpoint      u32      1 events, 2 historical
//!           batch CRC     u32
//!           head CRC      u32      of the 32 bytes before
//!           batch         the JSON
//!
//! cursor:   "mpcursor"    8 bytes
//!           version       u32      1
//!           next number   u64      above all that are done
//!           ranges        first u64, last u64, both done; rising
//!           CRC           u32      of all before
//! ```
//!
//! The head of a record has its own checksum, so the length can be trusted to skip a damaged batch. A damaged head is
//! skipped to the next `FF "mpr"`. Nothing without a right checksum is ever given out. A segment with damage is renamed and
//! not removed when its records are done; one that ends with a record that a crash cut off, or with zeros, is not damaged.
//!
//! # Operation
//!
//! **Append.** A batch gets the next number, under the lock that orders the appends, and waits in memory for the one thread
//! that writes. It takes all that wait as a group, writes them with one write, makes them durable with one fdatasync, and
//! confirms them together: the slower the disk, the larger the groups. The numbers of a group that failed become a gap:
//! parts of it may be on the disk, so they are never drawn again. A new segment's name is made durable with an fsync of the directory before its first records are confirmed.
//! After a failed write or fsync a segment is sealed and never written again, since the system may then call clean what
//! never came to the disk. A segment from before a restart is not written to either, so a record that a crash cut off
//! is harmless where it is.
//!
//! **Read.** [`Spool::next_record`] gives the oldest committed record that was neither read nor taken. One that is older
//! than [`SpoolOptions::max_age`] goes to the dead-letter file instead.
//!
//! **Take.** The uploader sends a confirmed batch from memory and has its record counted as outstanding, without a read
//! (write-through). Older records stay unread, and are read later: the reader passes over those that were taken. What was
//! found at opening can only be read.
//!
//! **Acknowledge.** [`Spool::acknowledge`] notes it in memory. Within a second the cursor is written beside the last
//! one, synced and renamed over it, and the directory synced. A segment is unlinked when all its records are done, and
//! forgotten when the directory is synced after that.
//!
//! **Open.** The directory is locked, its files are checked for who can write to them, and it is synced. Then the cursor is read (a damaged one says that nothing is done), and each
//! segment from end to end. Numbers go on above all that the segments and the cursor show. A newer version is refused by
//! name.
//!
//! **Full.** Above [`SpoolOptions::max_bytes`] the oldest segments that are kept because of damage are removed. When there are
//! none, an append is refused, or the oldest segment is given up, as [`SpoolFullPolicy`] says.
//!
//! **Dead letters.** They are written in portions, durably whatever [`Fsync`] says. A file that grew to an eighth of
//! [`SpoolOptions::max_dead_letter_bytes`] becomes the first of the older ones, whose numbers rise by one, and the oldest is removed
//! when there are too many. What cannot be written is tried again each second.

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
pub use format::{MAX_RECORD_BYTES, Record};
pub use inspect::Inspector;
pub use options::{EvictionReason, Fsync, SpoolFullPolicy, SpoolOptions};
pub use receipt::Receipt;
pub use records::{Damage, Records};

pub use crate::endpoint::Endpoint;

use crate::completion::Completion;
use crate::error::Error;
use directory::Directory;
use reader::SpoolReader;
use receipt::confirmation_pair;
use shared::{PendingDeadLetter, SpoolShared, too_large_error};

/// Batches on the disk, from appending to acknowledging; see the [module](self).
///
/// All calls can come from any thread. [`append`](Self::append), [`acknowledge`](Self::acknowledge) and
/// [`stats`](Self::stats) touch no file and wait for none. Dropping it writes what was appended, and ends its thread.
///
/// ```
/// use mparticle::spool::{Endpoint, SpoolOptions, Spool};
///
/// # let dir = std::env::temp_dir().join(format!("mparticle-spool-{}", std::process::id()));
/// let spool = Spool::open(&dir, SpoolOptions::new())?;
/// spool.append(Endpoint::BulkEvents, r#"{"environment":"development"}"#)?.wait()?; // now it is on the disk
///
/// while let Some(record) = spool.next_record()? {
///     // ... send record.batch, and when it was accepted:
///     spool.acknowledge(record.number);
/// }
/// # drop(spool);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), mparticle::Error>(())
/// ```
pub struct Spool {
    shared: Arc<SpoolShared>,
    settings: SpoolOptions,
    directory: Directory,
    reader: Mutex<SpoolReader>,
    damage: Damage,
    thread: Option<JoinHandle<()>>,
}

/// The state of a spool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Batches that were appended and are not written yet.
    pub waiting: u64,
    /// Records that are written and were neither read nor taken in this process.
    pub unread: u64,
    /// Records that were read or taken and are neither acknowledged nor rejected.
    pub outstanding: u64,
    /// The size of all segments, in bytes, with those that are kept because they are damaged.
    pub bytes: u64,
    /// Records that this process gave up unread because the spool was full.
    pub dropped: u64,
    /// Records that this process found too old, and put into the dead-letter file.
    pub expired: u64,
    /// Dead letters that this process removed, the oldest first, because there were too many; see
    /// [`SpoolOptions::max_dead_letter_bytes`].
    pub dead_letters_dropped: u64,
    /// Records that vanished from the disk while this process had the spool open: somebody removed, shortened or damaged
    /// their segment.
    pub lost: u64,
    /// The size of what was damaged when the spool was opened, in bytes; see [`Damage`].
    pub damaged_bytes: u64,
    /// The number of parts that were damaged when the spool was opened.
    pub damaged_places: u64,
}

impl Spool {
    /// Returns the next record, in the order of appending: those of earlier processes first. Each is given once in a process,
    /// and has to be [acknowledged](Self::acknowledge) or [rejected](Self::reject), or the next process gets it again.
    ///
    /// It reads from the disk, as a rule from what the system still holds in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the file system fails. The next call tries again.
    pub fn next_record(&self) -> Result<Option<Record>, Error> {
        self.next_record_before(None)
    }

    /// Returns the next record as [`next_record`](Self::next_record) does, but none whose number is the limit or above it: that
    /// one stays unread.
    pub(crate) fn next_record_before(&self, limit: Option<u64>) -> Result<Option<Record>, Error> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let next = reader.next(limit, &self.shared, &self.settings);
        next.map_err(|error| Error::spool("the spool could not be read").with_source(error))
    }

    /// Counts a record as outstanding that the caller has in memory, so that it is not read: one that this process appended,
    /// that is confirmed, and that was not read. Older records stay unread. Returns false, and changes nothing, for any other
    /// record: one that was read or taken before, that is done, or whose segment is gone.
    pub(crate) fn take_committed(&self, number: u64) -> bool {
        self.shared.lock().index.take_committed(number)
    }

    /// Returns the number of records that are written and were neither read nor taken in this process.
    pub(crate) fn unread(&self) -> u64 {
        self.shared.lock().index.unread()
    }

    /// Waits until [`next_record`](Self::next_record) has something to read. One task at a time can wait.
    ///
    /// # Cancel safety
    /// Cancel safe: it takes nothing.
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
    /// Within a second this is on the disk. After a crash before that the record is read again.
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

    /// Returns whether a record that is outstanding is still on the disk. A spool that was full may have given it up with
    /// its segment.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.shared.lock().index.contains(number)
    }

    /// Puts a record into the dead-letter file, and counts it as done when that is durable.
    ///
    /// # Errors
    /// As [`dead_letter`](Self::dead_letter); the record stays outstanding then.
    pub fn reject(&self, record: &Record, reason: impl Into<String>) -> Result<Completion<Result<(), Error>>, Error> {
        self.enqueue_dead_letter(record.endpoint, record.batch.clone(), &reason.into(), Some(record.number))
    }

    /// Puts a batch that is not in the spool into the dead-letter file. The completion is complete when it is durable, whatever
    /// [`SpoolOptions::fsync`] says.
    ///
    /// A dead letter that cannot be written is tried again each second: five times, and then the completion is an error; without
    /// end if the completion was dropped. What is not written when the spool is closed is lost, unless it is a record, which stays.
    ///
    /// The reason is for a person; 4096 characters of it are kept.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool), at once, if too much waits for the disk already, or if the batch
    /// is larger than [`MAX_RECORD_BYTES`].
    pub fn dead_letter(
        &self,
        endpoint: Endpoint,
        batch: impl Into<Bytes>,
        reason: impl Into<String>,
    ) -> Result<Completion<Result<(), Error>>, Error> {
        self.enqueue_dead_letter(endpoint, batch.into(), &reason.into(), None)
    }

    /// Queues a batch for the dead-letter file: a record of the spool, by its number, or any other.
    pub(crate) fn enqueue_dead_letter(
        &self,
        endpoint: Endpoint,
        batch: Bytes,
        reason: &str,
        number: Option<u64>,
    ) -> Result<Completion<Result<(), Error>>, Error> {
        // It goes into no segment. A record of an earlier process may be larger than one is now.
        if batch.len() > MAX_RECORD_BYTES {
            return Err(too_large_error());
        }
        // What waits is bounded by its size, so the words are cut off now.
        let reason = dead_letters::cut_reason(reason).to_owned();
        let (confirmation, written) = confirmation_pair();
        let letter = PendingDeadLetter { endpoint, batch, reason, number, failures: 0, confirmation };
        let mut state = self.shared.lock();
        if state.closing {
            return Err(Error::spool("the spool is closed"));
        }
        if state.dead_letter_bytes + letter.size() > self.settings.max_waiting_bytes {
            return Err(Error::spool("too many dead letters wait for the disk of the spool"));
        }
        state.dead_letter_bytes += letter.size();
        state.dead_letters.push_back(letter);
        self.shared.wake(state);
        Ok(written)
    }

    /// Saves at once what was acknowledged. The completion is complete when that is on the disk.
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

    /// Closes the spool, and waits for its thread as long as the timeout says. Dropping it then waits no more.
    pub(crate) fn close(&self, timeout: Duration) {
        self.shared.close(timeout);
    }

    /// Returns the state of the spool.
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
