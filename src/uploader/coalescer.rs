//! Coalesces the events of one user into one batch while it waits to be sent: the service counts batches.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::entry::{Amount, SubmissionToken};
use crate::seal::{EncodedEvent, PendingBatch, TemplateData, UserKey};

/// A batch that still accepts events.
pub(super) struct OpenBatch {
    pub(super) batch: PendingBatch,
    pub(super) token: SubmissionToken,
    pub(super) since: Instant,
    number: u64,
}

/// The open batches, at most one per user, in the order of their first events.
#[derive(Default)]
pub(super) struct Coalescer {
    open: HashMap<UserKey, OpenBatch>,
    /// Keys with the numbers of their batches. A batch that is taken out of order leaves its key behind.
    order: VecDeque<(UserKey, u64)>,
    next_number: u64,
    bytes: usize,
}

impl Coalescer {
    pub(super) fn amount(&self) -> Amount {
        Amount { batches: self.open.len(), bytes: self.bytes }
    }

    /// Returns whether the user's open batch accepts this event.
    pub(super) fn takes(&self, template: &TemplateData, event: &EncodedEvent) -> bool {
        self.open.get(&template.key()).is_some_and(|open| open.batch.takes(template, event))
    }

    /// Adds an event to the user's open batch, and returns the token of the batch.
    pub(super) fn add(&mut self, user: UserKey, event: &EncodedEvent) -> Option<&mut SubmissionToken> {
        let open = self.open.get_mut(&user)?;
        open.batch.add(event);
        self.bytes += PendingBatch::growth(event);
        Some(&mut open.token)
    }

    /// Opens a batch. The user must have no open batch.
    pub(super) fn open(&mut self, batch: PendingBatch, token: SubmissionToken) {
        let (user, number) = (batch.key(), self.next_number);
        self.next_number += 1;
        self.bytes += batch.len();
        self.order.push_back((user, number));
        self.open.insert(user, OpenBatch { batch, token, since: Instant::now(), number });
    }

    /// Removes and returns the open batch of a user.
    pub(super) fn take(&mut self, user: UserKey) -> Option<OpenBatch> {
        let open = self.open.remove(&user)?;
        self.bytes -= open.batch.len();
        // Without an open batch, all keys are left over.
        if self.open.is_empty() {
            self.order.clear();
        }
        Some(open)
    }

    /// Returns the time at which the oldest open batch was opened.
    pub(super) fn oldest(&mut self) -> Option<Instant> {
        while let Some((user, number)) = self.order.front() {
            match self.open.get(user).filter(|open| open.number == *number) {
                Some(open) => return Some(open.since),
                None => _ = self.order.pop_front(),
            }
        }
        None
    }

    /// Removes and returns the oldest open batch.
    pub(super) fn pop_oldest(&mut self) -> Option<OpenBatch> {
        self.oldest()?;
        let (user, _) = self.order.pop_front()?;
        self.take(user)
    }
}

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests;
