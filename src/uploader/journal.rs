//! The journal: the queue's interface to a spool. A trait, so that tests in virtual time can use one in memory, and an
//! uploader without a spool one that stores nothing.

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

/// Resolves when data is written, as durably as the spool is configured.
pub(crate) type WriteFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A record of the journal.
#[derive(Clone)]
pub(crate) struct JournalRecord {
    pub(crate) id: RecordId,
    pub(crate) endpoint: Endpoint,
    pub(crate) batch: SealedBatch,
}

/// A batch that was appended to the journal.
pub(crate) struct Append {
    pub(crate) id: RecordId,
    pub(crate) written: WriteFuture,
}

impl Append {
    /// Creates one that failed because the journal refused the batch. The number is that of an older record.
    pub(super) fn from_error(number: u64, error: Error) -> Self {
        let id = RecordId { number, appended: DateTime::UNIX_EPOCH };
        Self { id, written: Box::pin(ready(Err(error))) }
    }
}

/// A record that will not be sent, and the reason.
pub(crate) struct EvictedRecord {
    /// `None` for a damaged record of an earlier process.
    pub(crate) number: Option<u64>,
    /// `None` if it can no longer be read.
    pub(crate) batch: Option<SealedBatch>,
    pub(crate) error: Error,
}

/// Stores batches across restarts. No method waits for the disk, except `next_record` and `find_vanished`, which read. The
/// default implementations store nothing.
pub(crate) trait Journal: Send + Sync {
    /// Returns whether the journal stores anything.
    fn is_durable(&self) -> bool {
        false
    }

    /// Appends a batch. The numbers of records increase.
    fn append(&self, _endpoint: Endpoint, _batch: &SealedBatch) -> Result<Append, Error> {
        Err(Error::spool("there is no spool"))
    }

    /// Appends a record once more, and keeps its time.
    fn append_again(&self, record: &JournalRecord) -> Result<Append, Error> {
        self.append(record.endpoint, &record.batch)
    }

    /// Returns whether there is room for a batch without evicting another.
    fn has_room(&self, _batch: &SealedBatch) -> bool {
        false
    }

    /// Marks a written record as taken. Returns false if it is gone.
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

    /// Returns the number of unread records.
    fn unread(&self) -> u64 {
        0
    }

    /// Acknowledges a delivered record, which is no longer needed.
    fn acknowledge(&self, _number: u64) {}

    /// Dead-letters a rejected batch. Its record, if it has one, is acknowledged when that is written.
    fn dead_letter(
        &self,
        _endpoint: Endpoint,
        _batch: &SealedBatch,
        _reason: &str,
        _number: Option<u64>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Returns whether a taken record would still be found after a restart.
    fn contains(&self, _number: u64) -> bool {
        false
    }

    /// Looks for records that vanished, which [`take_evicted`](Self::take_evicted) and [`contains`](Self::contains) then
    /// report.
    fn find_vanished(&self) {}

    /// Saves immediately which records are acknowledged.
    fn checkpoint(&self) -> WriteFuture {
        Box::pin(ready(Ok(())))
    }

    /// Closes the journal. Waits for the disk up to `timeout`.
    fn close(&self, _timeout: Duration) {}

    /// Returns the unread records that were evicted since the last call.
    fn take_evicted(&self) -> Vec<EvictedRecord> {
        Vec::new()
    }

    /// Sets the notification for evicted records.
    fn set_eviction_notify(&self, _evicted: Arc<Notify>) {}
}

/// The journal of an uploader without a spool.
pub(super) struct NoJournal;

impl Journal for NoJournal {}
