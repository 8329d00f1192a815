//! The journal of an uploader that has a spool.

use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::entry::RecordId;
use super::journal::{Append, EvictedRecord, Journal, JournalRecord, WriteFuture};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;
use crate::spool::{self, EvictionReason, Receipt, Spool};

pub(super) struct DiskJournal {
    spool: Spool,
    evictions: Arc<Evictions>,
}

/// The evicted records that are not accounted for yet.
#[derive(Default)]
struct Evictions {
    evicted: Mutex<Vec<EvictedRecord>>,
    notify: OnceLock<Arc<Notify>>,
}

impl Evictions {
    fn extend(&self, evicted: impl IntoIterator<Item = EvictedRecord>) {
        self.lock().extend(evicted);
        if let Some(notify) = self.notify.get() {
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<EvictedRecord>> {
        self.evicted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskJournal {
    pub(super) fn open(dir: PathBuf, settings: spool::SpoolOptions) -> Result<Self, Error> {
        let evictions = Arc::<Evictions>::default();
        let (evicting, losing) = (Arc::clone(&evictions), Arc::clone(&evictions));
        let settings = settings
            .chain_on_evict(move |record, reason| {
                let text = match reason {
                    EvictionReason::Capacity => "evicted from the spool, which was full",
                    EvictionReason::Expired => "expired in the spool, and was written to the dead-letter file",
                };
                let (number, batch) = (Some(record.number), record.to_sealed().ok());
                evicting.extend([EvictedRecord { number, batch, error: Error::spool(text) }]);
            })
            .on_lost(move |lost| {
                let others = (0..lost.others).map(|_| None);
                losing.extend(lost.numbers.into_iter().map(Some).chain(others).map(|number| {
                    let text =
                        "the record vanished from the disk: another program removed, truncated or damaged its segment";
                    EvictedRecord { number, batch: None, error: Error::spool(text) }
                }));
            });
        Ok(Self { spool: Spool::open(dir, settings)?, evictions })
    }
}

impl Journal for DiskJournal {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, endpoint: Endpoint, batch: &SealedBatch) -> Result<Append, Error> {
        self.spool.append(endpoint, batch.json().clone()).map(Append::from)
    }

    fn append_again(&self, JournalRecord { id, endpoint, batch }: &JournalRecord) -> Result<Append, Error> {
        self.spool.append_at(*endpoint, batch.json().clone(), Some(id.appended)).map(Append::from)
    }

    fn has_room(&self, batch: &SealedBatch) -> bool {
        self.spool.has_room(batch.json())
    }

    fn take_committed(&self, number: u64) -> bool {
        self.spool.take_committed(number)
    }

    fn next_record(&self, limit: u64) -> Result<Option<JournalRecord>, Error> {
        while let Some(record) = self.spool.next_record_before(Some(limit))? {
            let id = RecordId { number: record.number, appended: record.appended };
            match record.to_sealed() {
                Ok(batch) => return Ok(Some(JournalRecord { id, endpoint: record.endpoint, batch })),
                // Its checksum is valid, so something other than an uploader wrote it.
                Err(error) => {
                    let (reason, number) = (error.to_string(), Some(id.number));
                    let letter = self.spool.enqueue_dead_letter(record.endpoint, record.batch, &reason, number);
                    if let Err(error) = letter {
                        tracing::warn!(%error, "failed to write a dead letter for a record that is not a batch");
                    }
                    self.evictions.extend([EvictedRecord { number: Some(id.number), batch: None, error }]);
                }
            }
        }
        Ok(None)
    }

    fn last_number(&self) -> Option<u64> {
        self.spool.last_number()
    }

    fn unread(&self) -> u64 {
        self.spool.unread()
    }

    fn acknowledge(&self, number: u64) {
        self.spool.acknowledge(number);
    }

    fn dead_letter(
        &self,
        endpoint: Endpoint,
        batch: &SealedBatch,
        reason: &str,
        number: Option<u64>,
    ) -> Result<(), Error> {
        // The completion is dropped: until the dead letter is written its record stays, and the next process finds it.
        self.spool.enqueue_dead_letter(endpoint, batch.json().clone(), reason, number).map(drop)
    }

    fn contains(&self, number: u64) -> bool {
        self.spool.contains(number)
    }

    fn find_vanished(&self) {
        self.spool.find_vanished();
    }

    fn checkpoint(&self) -> WriteFuture {
        Box::pin(self.spool.checkpoint())
    }

    fn close(&self, timeout: Duration) {
        self.spool.close(timeout);
    }

    fn take_evicted(&self) -> Vec<EvictedRecord> {
        mem::take(&mut self.evictions.lock())
    }

    fn set_eviction_notify(&self, evicted: Arc<Notify>) {
        // A spool has one uploader.
        let _ = self.evictions.notify.set(evicted);
    }
}

impl From<Receipt> for Append {
    fn from(receipt: Receipt) -> Self {
        let id = RecordId { number: receipt.record_number(), appended: receipt.appended() };
        Self { id, written: Box::pin(receipt) }
    }
}
