//! The interface of the queue to a spool. A trait, so that tests under virtual time use one in memory, and an uploader without
//! a spool has one that holds nothing.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use tokio::sync::Notify;

use super::entry::RecordId;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;

/// Resolves when something is written, as durably as the spool is set to.
pub(crate) type WriteFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A batch of the journal.
#[derive(Clone)]
pub(crate) struct JournalRecord {
    pub(crate) id: RecordId,
    pub(crate) endpoint: Endpoint,
    pub(crate) batch: SealedBatch,
}

/// A batch that was handed to the journal.
pub(crate) struct Append {
    pub(crate) id: RecordId,
    pub(crate) written: WriteFuture,
}

impl Append {
    /// Creates one that the journal did not take, as if it had failed to write it. The number is that of an older record.
    pub(super) fn from_error(number: u64, error: Error) -> Self {
        let id = RecordId { number, appended: DateTime::UNIX_EPOCH };
        Self { id, written: Box::pin(ready(Err(error))) }
    }
}

/// A record that will not be sent, and why.
pub(crate) struct EvictedRecord {
    /// `None` for a damaged record of an earlier process.
    pub(crate) number: Option<u64>,
    /// `None` if it cannot be read any more.
    pub(crate) batch: Option<SealedBatch>,
    pub(crate) error: Error,
}

/// Holds batches through restarts. Nothing here waits for the disk, but for `next` and `find_vanished`, which read. Whatever is
/// not implemented holds nothing.
pub(crate) trait Journal: Send + Sync {
    /// Returns whether it holds anything at all.
    fn is_durable(&self) -> bool {
        false
    }

    /// Hands over a batch. The numbers of the records rise.
    fn append(&self, _endpoint: Endpoint, _batch: &SealedBatch) -> Result<Append, Error> {
        Err(Error::spool("there is no spool"))
    }

    /// Appends a record once more, with the time that it has.
    fn append_again(&self, record: &JournalRecord) -> Result<Append, Error> {
        self.append(record.endpoint, &record.batch)
    }

    /// Returns whether there is room for a batch without evicting another.
    fn has_room(&self, _batch: &SealedBatch) -> bool {
        false
    }

    /// Counts a record that is written as read. Returns false if it is gone.
    fn take_committed(&self, _number: u64) -> bool {
        false
    }

    /// Returns the next unread record whose number is below `limit`.
    fn next_record(&self, _limit: u64) -> Result<Option<JournalRecord>, Error> {
        Ok(None)
    }

    /// Returns the number of the newest record, if there is any.
    fn last_number(&self) -> Option<u64> {
        None
    }

    /// Returns the number of records that were not read.
    fn unread(&self) -> u64 {
        0
    }

    /// Notes that a record that was read is not needed any more.
    fn acknowledge(&self, _number: u64) {}

    /// Keeps a rejected batch for a person. Its record, if it has one, is acknowledged when that is written.
    fn dead_letter(
        &self,
        _endpoint: Endpoint,
        _batch: &SealedBatch,
        _reason: &str,
        _number: Option<u64>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Returns whether a record that was read is still there, to be found after a restart.
    fn contains(&self, _number: u64) -> bool {
        false
    }

    /// Looks for records that vanished: [`take_evicted`](Self::take_evicted) and [`contains`](Self::contains) tell them then.
    fn find_vanished(&self) {}

    /// Saves at once which records are acknowledged.
    fn checkpoint(&self) -> WriteFuture {
        Box::pin(ready(Ok(())))
    }

    /// Closes it, and waits for the disk no longer than this.
    fn close(&self, _timeout: Duration) {}

    /// Takes the unread records that were evicted since the last call.
    fn take_evicted(&self) -> Vec<EvictedRecord> {
        Vec::new()
    }

    /// Sets what to notify when a record is evicted.
    fn set_eviction_notify(&self, _evicted: Arc<Notify>) {}
}

/// The journal of an uploader without a spool.
pub(super) struct NoJournal;

impl Journal for NoJournal {}
