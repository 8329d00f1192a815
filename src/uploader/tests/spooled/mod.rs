//! The uploader with a journal in memory that can be slow or broken.

mod delivery;
mod failures;
mod hazards;
mod hot_cold;
mod order;
mod shutdown;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::entry::RecordId;
use super::super::journal::{Append, EvictedRecord, Journal, JournalRecord};
use super::*;
use crate::endpoint::Endpoint;
use crate::seal::UserKey;

/// The disk of a journal.
#[derive(Default)]
pub(super) struct Disk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(super) struct Inner {
    /// Records that are written and not done, with their numbers.
    records: Vec<(u64, SealedBatch)>,
    unread: VecDeque<u64>,
    next_number: u64,
    dead: Vec<(SealedBatch, String)>,
    evicted: Vec<EvictedRecord>,
    /// The duration of a write, and whether it fails.
    pub(super) takes: Duration,
    pub(super) fails: bool,
    /// The effect that a write has before its confirmation.
    comes_back: Option<EarlyEffect>,
    /// Set if appends are refused.
    full: bool,
    /// The writes that fail, counted from 0 since this was set.
    breaks: Vec<u64>,
    writes: u64,
    /// The number of reads that fail.
    pub(super) unreadable: u32,
    watcher: Option<Arc<Notify>>,
    /// Records that were appended once more.
    again: Vec<(Endpoint, DateTime<Utc>)>,
    /// Set if another record would evict one.
    no_room: bool,
    /// Records that have vanished when `find_vanished` is called.
    vanishes: Vec<u64>,
    /// The endpoint of all records, if it is not that of the uploader.
    endpoint: Option<Endpoint>,
    /// The number of records that were read, and of those that were sent from memory while others were unread.
    reads: u64,
    hot_beside_cold: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum EarlyEffect {
    Read,
    Evicted,
}

impl Inner {
    /// Sets the duration of writes, and the writes that fail, counted from 0.
    pub(super) fn break_writes(&mut self, takes: Duration, breaks: Vec<u64>) {
        (self.takes, self.breaks, self.writes) = (takes, breaks, 0);
    }

    /// Writes a record of an earlier process.
    pub(super) fn write(&mut self, batch: SealedBatch) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.commit(number, batch);
        number
    }

    fn commit(&mut self, number: u64, batch: SealedBatch) {
        self.records.push((number, batch));
        self.unread.push_back(number);
    }
}

impl Disk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("the disk")
    }

    /// Returns the same disk after a restart.
    pub(super) fn restart(&self) -> Arc<Self> {
        let mut inner = self.lock();
        inner.unread = inner.records.iter().map(|(number, _)| *number).collect();
        drop(inner);
        Arc::new(Self { inner: Arc::clone(&self.inner) })
    }

    fn ids(&self) -> BTreeSet<String> {
        self.lock().records.iter().map(|(_, batch)| batch.source_request_id().to_owned()).collect()
    }
}

impl Journal for Disk {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, _: Endpoint, batch: &SealedBatch) -> Result<Append, Error> {
        let (inner, batch) = (Arc::clone(&self.inner), batch.clone());
        let mut state = self.lock();
        if state.full {
            return Err(Error::config("the disk is full"));
        }
        let due = Instant::now() + state.takes;
        state.writes += 1;
        let breaks = state.breaks.contains(&(state.writes - 1));
        let number = state.next_number;
        state.next_number += 1;
        let committed_early = state.comes_back.is_some();
        match state.comes_back {
            None => {}
            Some(EarlyEffect::Read) => state.commit(number, batch.clone()),
            Some(EarlyEffect::Evicted) => {
                let error = Error::config("the disk is full");
                state.evicted.push(EvictedRecord { number: Some(number), batch: Some(batch.clone()), error });
            }
        }
        let written = Box::pin(async move {
            sleep_until(due).await;
            let mut inner = inner.lock().expect("the disk");
            if inner.fails || breaks {
                return Err(Error::config("the disk is broken"));
            }
            if !committed_early {
                inner.commit(number, batch);
            }
            Ok(())
        });
        Ok(Append { id: RecordId { number, appended: DateTime::UNIX_EPOCH }, written })
    }

    fn append_again(&self, record: &JournalRecord) -> Result<Append, Error> {
        self.lock().again.push((record.endpoint, record.id.appended));
        self.append(record.endpoint, &record.batch)
    }

    fn has_room(&self, _: &SealedBatch) -> bool {
        !self.lock().no_room
    }

    fn take_committed(&self, number: u64) -> bool {
        let mut inner = self.lock();
        let index = inner.unread.iter().position(|unread| *unread == number);
        let is_there = index.and_then(|index| inner.unread.remove(index)).is_some();
        inner.hot_beside_cold += u64::from(is_there && !inner.unread.is_empty());
        is_there
    }

    fn find_vanished(&self) {
        let mut inner = self.lock();
        let vanishes = std::mem::take(&mut inner.vanishes);
        inner.records.retain(|(number, _)| !vanishes.contains(number));
    }

    fn next_record(&self, limit: u64) -> Result<Option<JournalRecord>, Error> {
        let mut inner = self.lock();
        if inner.unreadable > 0 {
            inner.unreadable -= 1;
            return Err(Error::config("the disk is unreadable"));
        }
        if inner.unread.front().is_none_or(|number| *number >= limit) {
            return Ok(None);
        }
        let Some(number) = inner.unread.pop_front() else { return Ok(None) };
        inner.reads += 1;
        let record = inner.records.iter().find(|(of, _)| *of == number).map(|(_, batch)| batch.clone());
        let endpoint = inner.endpoint.unwrap_or(Endpoint::BulkEvents);
        let id = RecordId { number, appended: DateTime::UNIX_EPOCH };
        Ok(record.map(|batch| JournalRecord { id, endpoint, batch }))
    }

    fn last_number(&self) -> Option<u64> {
        self.lock().records.iter().map(|(number, _)| *number).max()
    }

    fn unread(&self) -> u64 {
        self.lock().unread.len() as u64
    }

    fn acknowledge(&self, number: u64) {
        self.lock().records.retain(|(of, _)| *of != number);
    }

    fn dead_letter(&self, _: Endpoint, batch: &SealedBatch, reason: &str, number: Option<u64>) -> Result<(), Error> {
        self.lock().dead.push((batch.clone(), reason.to_owned()));
        if let Some(number) = number {
            self.acknowledge(number);
        }
        Ok(())
    }

    fn contains(&self, number: u64) -> bool {
        self.lock().records.iter().any(|(of, _)| *of == number)
    }

    fn take_evicted(&self) -> Vec<EvictedRecord> {
        std::mem::take(&mut self.lock().evicted)
    }

    fn set_eviction_notify(&self, evicted: Arc<Notify>) {
        self.lock().watcher = Some(evicted);
    }
}

pub(super) fn rig_on_disk(transport: MemoryTransport, settings: Config) -> (Rig, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    (rig_with_journal(transport, settings, Some(Arc::clone(&disk) as Arc<dyn Journal>)), disk)
}

/// Sends batches of one user with these ids, and waits for their writes. The disk fails to write the `failing` ones.
async fn send_with_failures(rig: &Rig, disk: &Disk, ids: std::ops::Range<usize>, failing: &[usize]) {
    {
        let mut inner = disk.lock();
        inner.writes = 0;
        inner.breaks = failing.iter().map(|id| (id - ids.start) as u64).collect();
    }
    for id in ids {
        assert_eq!(rig.send(batch(0, id)).accepted().await.is_err(), failing.contains(&id), "{id}");
    }
}
