//! What the uploader needs of a spool. Kept apart from the one on the disk, so that tests under virtual time can bring one
//! in memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;

use super::ledger::{Ledger, Ticket};
use crate::delivery::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;

/// Resolves when a batch is written, as durably as the spool is set to.
pub(crate) type Written = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A batch of the spool.
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) endpoint: Endpoint,
    pub(crate) batch: SealedBatch,
}

/// Holds batches through restarts. Nothing here waits for the disk, but for `next`, which reads.
pub(crate) trait Store: Send + Sync {
    fn append(&self, endpoint: Endpoint, batch: &SealedBatch) -> Result<Written, Error>;

    /// The next record in the order of appending, each once.
    fn next(&self) -> Result<Option<Record>, Error>;

    /// How many records were not read.
    fn unread(&self) -> u64;

    /// A record is done.
    fn acknowledge(&self, number: u64);

    /// Keeps a rejected batch where a person finds it. Of a record it is done then.
    fn bury(&self, endpoint: Endpoint, batch: &SealedBatch, reason: &str, number: Option<u64>);

    /// Batches that were given up unread since the last call, and why.
    fn given_up(&self) -> Vec<(SealedBatch, Error)>;
}

/// The tickets of batches that are in the spool and not in memory.
///
/// They are kept by the hash of the batch's id. If two share one, each of them gets a ticket of the two: the sums stay right.
#[derive(Default)]
pub(super) struct Tickets {
    by_id: HashMap<u64, Ticket>,
    more: Vec<(u64, Ticket)>,
}

impl Tickets {
    pub(super) fn keep(&mut self, batch: &SealedBatch, ticket: Ticket) {
        let id = hash(batch);
        if let Some(before) = self.by_id.insert(id, ticket) {
            self.more.push((id, before));
        }
    }

    /// The ticket of a batch. One that nobody kept a ticket for was found in the spool.
    pub(super) fn take(&mut self, batch: &SealedBatch) -> Ticket {
        let id = hash(batch);
        let Some(ticket) = self.by_id.remove(&id) else {
            return Ledger::found();
        };
        if let Some(place) = self.more.iter().position(|(other, _)| *other == id) {
            self.by_id.insert(id, self.more.swap_remove(place).1);
        }
        ticket
    }
}

fn hash(batch: &SealedBatch) -> u64 {
    let mut hasher = DefaultHasher::new();
    batch.source_request_id().hash(&mut hasher);
    hasher.finish()
}
