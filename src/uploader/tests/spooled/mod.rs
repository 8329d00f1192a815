//! With a spool, one in memory that can be slow or broken: what is confirmed survives, the order holds, everything adds up.

mod delivery;
mod failures;
mod order;
mod shutdown;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::store::{GivenUp, Gone, Record, Store, Written};
use super::*;
use crate::delivery::Endpoint;

/// The disk of a spool.
#[derive(Default)]
pub(super) struct Disk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(super) struct Inner {
    /// What is written and not done, with its number.
    records: Vec<(u64, SealedBatch)>,
    unread: VecDeque<u64>,
    next_number: u64,
    dead: Vec<(SealedBatch, String)>,
    given_up: Vec<GivenUp>,
    /// How long a write takes, and whether it fails.
    pub(super) takes: Duration,
    pub(super) fails: bool,
    /// Whether what is written comes back before the confirmation does: to be read, or given up.
    comes_back: Option<Back>,
    /// Nothing is even taken.
    full: bool,
    /// The writes, counted from 0 from now on, that fail.
    breaks: Vec<u64>,
    writes: u64,
    /// So often reading fails.
    unreadable: u32,
    watcher: Option<Arc<Notify>>,
    /// What was appended once more.
    again: Vec<(Endpoint, DateTime<Utc>)>,
    /// Another record would cost one that is there.
    no_room: bool,
    /// Records that are found to be gone when somebody looks.
    vanishes: Vec<u64>,
    /// The endpoint of all records, if it is not that of the uploader.
    endpoint: Option<Endpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Back {
    Read,
    GivenUp,
}

impl Inner {
    fn write(&mut self, batch: SealedBatch) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.records.push((number, batch));
        self.unread.push_back(number);
        number
    }
}

impl Disk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("the disk")
    }

    /// The same disk after a restart.
    fn restarted(&self) -> Arc<Self> {
        let mut inner = self.lock();
        inner.unread = inner.records.iter().map(|(number, _)| *number).collect();
        drop(inner);
        Arc::new(Self { inner: Arc::clone(&self.inner) })
    }

    fn ids(&self) -> BTreeSet<String> {
        self.lock().records.iter().map(|(_, batch)| batch.source_request_id().to_owned()).collect()
    }
}

impl Store for Disk {
    fn append(&self, _: Endpoint, batch: &SealedBatch) -> Result<Written, Error> {
        let (inner, batch) = (Arc::clone(&self.inner), batch.clone());
        if self.lock().full {
            return Err(Error::config("the disk is full"));
        }
        let due = Instant::now() + self.lock().takes;
        let breaks = {
            let mut inner = self.lock();
            inner.writes += 1;
            inner.breaks.contains(&(inner.writes - 1))
        };
        let comes_back = self.lock().comes_back;
        let early = match comes_back {
            None => None,
            Some(Back::Read) => Some(self.lock().write(batch.clone())),
            Some(Back::GivenUp) => {
                self.lock().given_up.push((Gone::Batch(batch.clone()), Error::config("the disk is full")));
                Some(0)
            }
        };
        Ok(Box::pin(async move {
            sleep_until(due).await;
            let mut inner = inner.lock().expect("the disk");
            if inner.fails || breaks {
                return Err(Error::config("the disk is broken"));
            }
            Ok(early.unwrap_or_else(|| inner.write(batch)))
        }))
    }

    fn append_again(&self, record: &Record) -> Result<Written, Error> {
        self.lock().again.push((record.endpoint, record.appended));
        self.append(record.endpoint, &record.batch)
    }

    fn has_room(&self, _: &SealedBatch) -> bool {
        !self.lock().no_room
    }

    fn find_vanished(&self) {
        let mut inner = self.lock();
        let vanishes = std::mem::take(&mut inner.vanishes);
        inner.records.retain(|(number, _)| !vanishes.contains(number));
    }

    fn next(&self) -> Result<Option<Record>, Error> {
        let mut inner = self.lock();
        if inner.unreadable > 0 {
            inner.unreadable -= 1;
            return Err(Error::config("the disk is unreadable"));
        }
        let Some(number) = inner.unread.pop_front() else { return Ok(None) };
        let record = inner.records.iter().find(|(of, _)| *of == number).map(|(_, batch)| batch.clone());
        let endpoint = inner.endpoint.unwrap_or(Endpoint::BulkEvents);
        Ok(record.map(|batch| Record { number, appended: DateTime::UNIX_EPOCH, endpoint, batch }))
    }

    fn last(&self) -> Option<u64> {
        self.lock().next_number.checked_sub(1)
    }

    fn unread(&self) -> u64 {
        self.lock().unread.len() as u64
    }

    fn acknowledge(&self, number: u64) {
        self.lock().records.retain(|(of, _)| *of != number);
    }

    fn bury(&self, _: Endpoint, batch: &SealedBatch, reason: &str, number: Option<u64>) {
        self.lock().dead.push((batch.clone(), reason.to_owned()));
        if let Some(number) = number {
            self.acknowledge(number);
        }
    }

    fn keeps(&self, number: u64) -> bool {
        self.lock().records.iter().any(|(of, _)| *of == number)
    }

    fn given_up(&self) -> Vec<GivenUp> {
        std::mem::take(&mut self.lock().given_up)
    }

    fn watch(&self, watcher: Arc<Notify>) {
        self.lock().watcher = Some(watcher);
    }
}

pub(super) fn on_disk(road: Memory, settings: Settings) -> (Rig, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    (rig_on(road, settings, Some(Arc::clone(&disk) as Arc<dyn Store>)), disk)
}

/// Sends these batches of one user, of which the disk fails to write those that are named, and waits until it has settled all.
async fn send_with_failures(rig: &Rig, disk: &Disk, ids: std::ops::Range<usize>, failing: &[usize]) {
    {
        let mut inner = disk.lock();
        inner.writes = 0;
        inner.breaks = failing.iter().map(|id| (id - ids.start) as u64).collect();
    }
    for id in ids {
        assert_eq!(rig.send(batch(0, id)).await.is_err(), failing.contains(&id), "{id}");
    }
}
