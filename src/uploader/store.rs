//! What the uploader needs of a spool. Kept apart from the one on the disk, so that tests under virtual time can bring one
//! in memory.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::ledger::{Ledger, Place, Ticket};
use crate::delivery::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;

/// Resolves to the number of the record when a batch is written, as durably as the spool is set to.
pub(crate) type Written = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// A batch of the spool.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) appended: DateTime<Utc>,
    pub(crate) endpoint: Endpoint,
    pub(crate) batch: SealedBatch,
}

/// Holds batches through restarts. Nothing here waits for the disk, but for `next`, which reads.
pub(crate) trait Store: Send + Sync {
    fn append(&self, endpoint: Endpoint, batch: &SealedBatch) -> Result<Written, Error>;

    /// Appends a record once more, with the time that it has.
    fn append_again(&self, record: &Record) -> Result<Written, Error>;

    /// Returns whether there is room for a batch without giving up another.
    fn has_room(&self, _batch: &SealedBatch) -> bool {
        true
    }

    /// The next record in the order of appending, each once.
    fn next(&self) -> Result<Option<Record>, Error>;

    /// Returns the number of the newest record, if there is any.
    fn last(&self) -> Option<u64>;

    /// How many records were not read.
    fn unread(&self) -> u64;

    /// A record is done.
    fn acknowledge(&self, number: u64);

    /// Keeps a rejected batch where a person finds it. Of a record it is done then.
    fn bury(&self, endpoint: Endpoint, batch: &SealedBatch, reason: &str, number: Option<u64>);

    /// Whether a record that was read is still there, to be found after a restart.
    fn keeps(&self, number: u64) -> bool;

    /// Looks for records that vanished: see [`given_up`](Self::given_up) and [`keeps`](Self::keeps) for what it finds.
    fn find_vanished(&self) {}

    /// Saves at once what is done, if there is anything to save.
    fn checkpoint(&self) -> Option<Written> {
        None
    }

    /// Ends, and waits for the disk no longer than this.
    fn close(&self, _timeout: Duration) {}

    /// What was given up unread since the last call.
    fn given_up(&self) -> Vec<GivenUp>;

    /// Whom to tell when something was given up.
    fn watch(&self, watcher: Arc<Notify>);
}

/// A record that will not be sent, and why.
pub(crate) type GivenUp = (Gone, Error);

/// What is known of a record that is gone.
pub(crate) enum Gone {
    Batch(SealedBatch),
    /// It was written by this process, under this number.
    Number(u64),
    /// It was found in the spool.
    Found,
}

/// The tickets of batches that were handed to the store and not read back, and where they count: in memory until the store
/// has confirmed them.
///
/// They are kept by the hash of the batch's id. If two share one, each of them gets a ticket of the two: the sums stay right.
#[derive(Default)]
pub(super) struct Tickets {
    by_id: HashMap<u64, Kept>,
    more: Vec<(u64, Kept)>,
}

#[derive(Clone, Copy)]
struct Kept {
    ticket: Ticket,
    place: Place,
    /// The number of the record, once it is confirmed.
    number: Option<u64>,
}

impl Tickets {
    /// A batch was handed over.
    pub(super) fn keep(&mut self, batch: &SealedBatch, ticket: Ticket) {
        self.insert(hash(batch), Kept { ticket, place: Place::Memory, number: None });
    }

    /// A batch is confirmed. Nothing comes back if it was taken before.
    pub(super) fn confirm(&mut self, batch: &SealedBatch, number: u64) -> Option<Ticket> {
        let ticket = self.withdraw(batch)?;
        self.insert(hash(batch), Kept { ticket, place: Place::Spool, number: Some(number) });
        Some(ticket)
    }

    /// Takes out the tickets of these records, and leaves the numbers that have none.
    pub(super) fn take_numbers(&mut self, numbers: &mut HashSet<u64>) -> Vec<Ticket> {
        let kept = self.by_id.iter().map(|(id, kept)| (*id, *kept)).chain(self.more.iter().copied());
        let taken: Vec<_> =
            kept.filter(|(_, kept)| kept.number.is_some_and(|number| numbers.remove(&number))).collect();
        let taken = taken.into_iter().filter_map(|(id, kept)| self.remove(id, kept.place));
        taken.collect()
    }

    /// A batch will not be confirmed. Nothing comes back if it was taken before.
    pub(super) fn withdraw(&mut self, batch: &SealedBatch) -> Option<Ticket> {
        self.remove(hash(batch), Place::Memory)
    }

    /// The ticket of a batch that comes back, and where it counted. One that nobody kept a ticket for was found in the
    /// spool. One may come back before its confirmation does.
    pub(super) fn take(&mut self, batch: &SealedBatch) -> (Ticket, Place) {
        let id = hash(batch);
        let kept = |place| move |ticket| (ticket, place);
        let confirmed = self.remove(id, Place::Spool).map(kept(Place::Spool));
        let taken = confirmed.or_else(|| self.remove(id, Place::Memory).map(kept(Place::Memory)));
        taken.unwrap_or((Ledger::found(), Place::Spool))
    }

    fn insert(&mut self, id: u64, kept: Kept) {
        if let Some(before) = self.by_id.insert(id, kept) {
            self.more.push((id, before));
        }
    }

    fn remove(&mut self, id: u64, from: Place) -> Option<Ticket> {
        let Kept { ticket, place, .. } = *self.by_id.get(&id)?;
        if place == from {
            self.by_id.remove(&id);
            if let Some(place) = self.more.iter().position(|(other, _)| *other == id) {
                self.by_id.insert(id, self.more.swap_remove(place).1);
            }
            return Some(ticket);
        }
        let place = self.more.iter().position(|(other, kept)| *other == id && kept.place == from)?;
        Some(self.more.swap_remove(place).1.ticket)
    }
}

fn hash(batch: &SealedBatch) -> u64 {
    let mut hasher = DefaultHasher::new();
    batch.source_request_id().hash(&mut hasher);
    hasher.finish()
}
