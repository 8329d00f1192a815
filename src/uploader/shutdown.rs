//! The end of a dispatcher: batches that are in memory only are written to the disk, each user's in their order.

use std::collections::HashSet;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::dispatcher::{Dispatcher, wait_for_write};
use super::durable_queue::DurableQueue;
use super::entry::{Entry, SubmissionToken};
use super::error::TrySendError;
use super::journal::JournalRecord;
use super::pending_write::WriteContent;
use super::report::{DeliveryReport, DeliveryStatus};
use super::shared::Shared;
use crate::delivery::Transport;
use crate::error::Error;
use crate::seal::{SealedBatch, UserKey};
use crate::time::saturating_add;

/// The size of the records that are written again before waiting for the disk to confirm them, in bytes.
const REWRITE_BYTES: usize = 1 << 20;

impl<T: Transport + Clone + 'static> Dispatcher<T> {
    /// Ends the dispatcher when the time is over or everything is delivered. Requests are aborted, and their batches are
    /// kept.
    pub(super) async fn end(&mut self) {
        self.requests.abort_all();
        {
            let mut state = self.shared.lock();
            for (_, entries) in self.in_flight.drain() {
                state.queue.unblock(entries.iter().map(|entry| entry.batch.user()));
                state.queue.requeue(entries);
            }
            state.queue.stop_sending();
        }
        if self.journal.is_durable() {
            self.spool_remaining().await;
        }
        let snapshot = self.shared.lock().snapshot();
        self.reporter.finish(snapshot);
        self.shared.losses.flush();
        if snapshot.stats.pending > 0 {
            tracing::warn!(
                target: "mparticle::uploader",
                pending = snapshot.stats.pending,
                "the uploader has shut down before everything was delivered: take_unsent() returns what is left"
            );
        }
    }

    async fn spool_remaining(&self) {
        // Writes that the disk has not confirmed by then count as pending.
        let deadline = saturating_add(Instant::now(), self.shared.lock().grace);
        let journal = self.journal.clone();
        // On a thread of its own, so that a hanging disk is not waited for.
        let _ = timeout_at(deadline, spawn_blocking(move || journal.find_vanished())).await;
        self.drop_evicted();
        if self.shared.lock().queue.holds_unspooled() {
            // Pending writes may be newer than the remaining batches, and must be complete before those are written.
            let _ = timeout_at(deadline, wait_for_all_writes(&self.shared)).await;
        }
        let limit = self.journal.last_number().map_or(0, |last| last + 1);
        loop {
            self.spool_in_order(limit, deadline).await;
            let is_confirmed = timeout_at(deadline, wait_for_all_writes(&self.shared)).await.is_ok();
            // A full spool may have evicted other records for these.
            self.drop_evicted();
            if !is_confirmed || !self.shared.lock().queue.has_evicted() {
                break;
            }
        }
        self.shared.lock().queue.finish_spooling();
        // The program may exit without dropping the uploader.
        let _ = timeout_at(deadline, self.journal.checkpoint()).await;
    }

    /// Appends the batches that are in memory only. Newer records of the same users, below the limit, are written again
    /// behind them, until the deadline.
    async fn spool_in_order(&self, limit: u64, deadline: Instant) {
        let mut users = self.shared.lock().queue.spool_queued();
        while self.shared.lock().queue.has_deferred() || !users.is_empty() {
            // Without the lock: this reads from the disk.
            let record = self.journal.next_record(limit);
            let unconfirmed_bytes = {
                let queue = &mut self.shared.lock().queue;
                let is_late = Instant::now() >= deadline;
                match record {
                    Ok(Some(record)) if !is_late => queue.spool_read(&record, &mut users),
                    Ok(None) => break,
                    _ => {
                        queue.rewriting_failed = true;
                        break;
                    }
                }
                queue.unconfirmed_bytes()
            };
            if unconfirmed_bytes > REWRITE_BYTES {
                let _ = timeout_at(deadline, wait_for_all_writes(&self.shared)).await;
            }
        }
        self.shared.lock().queue.spool_deferred(u64::MAX, &mut users);
    }
}

/// Waits until the journal has confirmed or failed all pending writes.
async fn wait_for_all_writes(shared: &Shared) {
    while !shared.lock().queue.pending_writes.is_empty() {
        wait_for_write(shared).await;
    }
}

impl DurableQueue {
    /// Returns whether batches that are in memory only may be older than records in the journal.
    fn holds_unspooled(&self) -> bool {
        self.has_deferred() || self.held().batches > 0 || self.has_evicted()
    }

    fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Returns whether the journal has evicted records after they were taken.
    fn has_evicted(&self) -> bool {
        self.ready.iter().any(|entry| entry.record.is_some_and(|record| !self.is_stored(record.number)))
    }

    /// Returns whether the next process will find a taken record.
    fn is_stored(&self, number: u64) -> bool {
        self.journal.contains(number) || self.rewritten.contains(&number)
    }

    /// Appends the queued batches that are in memory only, and returns their users.
    fn spool_queued(&mut self) -> HashSet<UserKey> {
        self.release_all();
        let (mut users, mut stored) = (HashSet::new(), Vec::new());
        for entry in self.ready.take_all(&mut self.accounting) {
            let user = entry.batch.user();
            if let Some(id) = entry.record.filter(|record| self.is_stored(record.number)) {
                if users.contains(&user) {
                    self.rewrite(&JournalRecord { id, endpoint: entry.endpoint, batch: entry.batch.clone() });
                }
                stored.push(entry);
            } else {
                users.insert(user);
                self.append(entry);
            }
        }
        self.requeue(stored);
        users
    }

    /// Appends the deferred batches that are older than this record, and writes the record again if a batch of its user was
    /// appended here.
    fn spool_read(&mut self, record: &JournalRecord, users: &mut HashSet<UserKey>) {
        self.spool_deferred(record.id.number, users);
        if users.contains(&record.batch.user()) {
            self.rewrite(record);
        }
    }

    fn spool_deferred(&mut self, before: u64, users: &mut HashSet<UserKey>) {
        while let Some(entry) = self.pop_deferred(before) {
            users.insert(entry.batch.user());
            self.append(entry);
        }
    }

    /// Writes a record again, behind an older batch of its user. It stays counted as spooled.
    fn rewrite(&mut self, record: &JournalRecord) {
        // No other record may be lost for the order of this one.
        self.rewriting_failed |= !self.journal.has_room(&record.batch);
        if !self.rewriting_failed {
            self.append_copy(record);
        }
    }

    /// Acknowledges the originals of the records that were written again, but only if all of them were: otherwise a part of
    /// them would be out of order, while the service drops duplicates. Batches that the journal evicted, and that could not
    /// be appended again, are in memory only.
    fn finish_spooling(&mut self) {
        let entries = self.ready.take_all(&mut self.accounting).into_iter().map(|mut entry| {
            entry.record = entry.record.filter(|record| self.is_stored(record.number));
            entry
        });
        let entries = entries.collect();
        self.requeue(entries);
        let is_complete = !self.rewriting_failed && !self.is_rewriting();
        for number in self.rewritten.drain().filter(|_| is_complete) {
            self.journal.acknowledge(number);
        }
    }

    /// Leaves batches that the journal confirms from now on to the next process.
    pub(super) fn stop_sending(&mut self) {
        self.sends_confirmed = false;
    }

    /// Returns the entries that are in memory after the end.
    pub(super) fn remaining_entries(&self) -> impl Iterator<Item = &Entry> {
        let writing = self.pending_writes.iter().filter_map(|writing| match &writing.content {
            WriteContent::Batch(entry) => Some(entry),
            WriteContent::Rewrite(..) | WriteContent::Evicted => None,
        });
        self.ready.iter().chain(self.deferred.iter().map(|(_, entry)| entry)).chain(writing)
    }

    /// Removes and returns the batches that are in memory only, after the end. Pending writes may be on the disk as well;
    /// sending them twice is safe because their ids are fixed.
    pub(super) fn take_unsent(&mut self) -> Vec<SealedBatch> {
        let unsent =
            self.remaining_entries().filter(|entry| entry.record.is_none()).map(|entry| entry.batch.clone()).collect();
        self.ready.take_all(&mut self.accounting);
        self.deferred.clear();
        self.pending_writes.clear();
        unsent
    }

    /// Reports everything that has not ended, after the end. For batches that are on the disk only, returns one report for
    /// each token, with the number of batches that it stands for.
    pub(super) fn report_remaining(&mut self) -> Vec<(DeliveryReport, u64)> {
        let report = |batch, token: SubmissionToken, status| {
            DeliveryReport::new(batch, token.submissions, self.accounting.tag(token), status)
        };
        let left = self.remaining_entries().map(|entry| {
            let status = if entry.record.is_some() { DeliveryStatus::Spooled } else { DeliveryStatus::Pending };
            report(Some(entry.batch.clone()), entry.token, status)
        });
        let left: Vec<_> = left.collect();
        let stored =
            self.backlog.tokens().map(|(token, batches)| (report(None, token, DeliveryStatus::Spooled), batches));
        let stored = stored.collect();
        self.effects.reports.extend(left);
        for acceptance in self.pending_writes.iter_mut().filter_map(|writing| writing.accepted.take()) {
            let error = Error::spool("the disk did not confirm the batch before the end of the shutdown");
            self.effects.acceptances.push((acceptance, Err(TrySendError::NotSpooled(error))));
        }
        self.accounting.close();
        stored
    }
}
