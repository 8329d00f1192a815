//! The spool on the disk as the uploader's store.

use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::store::{GivenUp, Gone, Record, Store, Written};
use crate::delivery::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;
use crate::spool::{self, EvictionReason, Spool};

pub(super) struct OnDisk {
    spool: Spool,
    lost: Arc<Lost>,
}

/// What the spool gave up and nobody has taken account of yet.
#[derive(Default)]
struct Lost {
    given_up: Mutex<Vec<GivenUp>>,
    watcher: OnceLock<Arc<Notify>>,
}

impl Lost {
    fn push(&self, gone: impl IntoIterator<Item = GivenUp>) {
        self.lock().extend(gone);
        if let Some(watcher) = self.watcher.get() {
            watcher.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<GivenUp>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnDisk {
    pub(super) fn open(dir: PathBuf, settings: spool::Settings) -> Result<Self, Error> {
        let lost = Arc::<Lost>::default();
        let told = Arc::clone(&lost);
        let settings = settings.also_on_evict(move |record, reason| {
            let why = match reason {
                EvictionReason::Capacity => "the spool was full, and this was among the oldest",
                EvictionReason::Expired => "it was too old to be sent, and is in the dead-letter file",
            };
            let gone = record.sealed().map_or(Gone::Found, Gone::Batch);
            told.push([(gone, Error::spool(why))]);
        });
        let told = Arc::clone(&lost);
        let settings = settings.on_lost(move |lost| {
            let numbers = lost.numbers.into_iter().map(Gone::Number);
            let gone = numbers.chain((0..lost.others).map(|_| Gone::Found));
            let error =
                || Error::spool("the record vanished: its segment was removed, shortened or damaged from outside");
            told.push(gone.map(|gone| (gone, error())));
        });
        Ok(Self { spool: Spool::open(dir, settings)?, lost })
    }

    /// Nothing waits for a dead letter: until it is written its record stays, and the next process finds that.
    fn dead_letter(&self, endpoint: spool::Endpoint, batch: Bytes, reason: &str, number: Option<u64>) {
        match self.spool.enqueue_dead_letter(endpoint, batch, reason, number) {
            Ok(receipt) => drop(receipt),
            Err(error) => tracing::warn!(%error, "a rejected batch could not be written to the dead-letter file"),
        }
    }
}

impl Store for OnDisk {
    fn append(&self, endpoint: Endpoint, batch: &SealedBatch) -> Result<Written, Error> {
        let receipt = self.spool.append(road(endpoint), batch.json().clone())?;
        Ok(numbered(receipt))
    }

    fn append_again(&self, record: &Record) -> Result<Written, Error> {
        let (batch, appended) = (record.batch.json().clone(), Some(record.appended));
        let receipt = self.spool.append_at(road(record.endpoint), batch, appended)?;
        Ok(numbered(receipt))
    }

    fn has_room(&self, batch: &SealedBatch) -> bool {
        self.spool.has_room(batch.json())
    }

    fn find_vanished(&self) {
        self.spool.find_vanished();
    }

    fn next(&self) -> Result<Option<Record>, Error> {
        while let Some(record) = self.spool.next_record()? {
            match record.sealed() {
                Ok(batch) => {
                    let endpoint = match record.endpoint {
                        spool::Endpoint::Events => Endpoint::BulkEvents,
                        spool::Endpoint::Historical => Endpoint::HistoricalEvents,
                    };
                    let (number, appended) = (record.number, record.appended);
                    return Ok(Some(Record { number, appended, endpoint, batch }));
                }
                // Its checksum is right, so somebody else than an uploader wrote it.
                Err(error) => {
                    self.dead_letter(record.endpoint, record.batch, &error.to_string(), Some(record.number));
                    self.lost.push([(Gone::Found, error)]);
                }
            }
        }
        Ok(None)
    }

    fn last(&self) -> Option<u64> {
        self.spool.last_number()
    }

    fn unread(&self) -> u64 {
        self.spool.unread()
    }

    fn acknowledge(&self, number: u64) {
        self.spool.acknowledge(number);
    }

    fn bury(&self, endpoint: Endpoint, batch: &SealedBatch, reason: &str, number: Option<u64>) {
        self.dead_letter(road(endpoint), batch.json().clone(), reason, number);
    }

    fn keeps(&self, number: u64) -> bool {
        self.spool.contains(number)
    }

    fn checkpoint(&self) -> Option<Written> {
        let saved = self.spool.checkpoint();
        Some(Box::pin(async move { saved.await.map(|()| 0) }))
    }

    fn close(&self, timeout: Duration) {
        self.spool.close(timeout);
    }

    fn given_up(&self) -> Vec<GivenUp> {
        mem::take(&mut self.lost.lock())
    }

    fn watch(&self, watcher: Arc<Notify>) {
        // There is one uploader to a spool.
        let _ = self.lost.watcher.set(watcher);
    }
}

fn numbered(receipt: spool::Receipt) -> Written {
    let number = receipt.record_number();
    Box::pin(async move { receipt.await.map(|()| number) })
}

fn road(endpoint: Endpoint) -> spool::Endpoint {
    match endpoint {
        Endpoint::Events | Endpoint::BulkEvents => spool::Endpoint::Events,
        Endpoint::HistoricalEvents => spool::Endpoint::Historical,
    }
}
