//! The durable queue: every accepted batch that has not ended, whether it is coalescing, being written by the journal, ready
//! to be sent, in flight, or on the disk only. It is pure except for the journal, whose calls here do not block.
//!
//! A batch that the journal has confirmed is sent from memory. It is left on the disk, and read later, only if memory holds
//! enough batches already, or if an older batch of its user may be unread on the disk: each user's order is preserved.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::accounting::Accounting;
use super::backlog::Backlog;
use super::coalescer::{Coalescer, OpenBatch};
use super::config::{Config, WhenFull};
use super::delivery_error::DeliveryError;
use super::entry::{Amount, Entry, Stage, SubmissionState};
use super::error::TrySendError;
use super::journal::Journal;
use super::pending_write::{JournalHealth, PendingWrite};
use super::queue::{SendQueue, is_full_request};
use super::report::{DeliveryReport, DeliveryStatus};
use super::submission::{Acceptance, Submission};
use crate::error::Error;
use crate::limits::MAX_BATCH_BYTES;
use crate::seal::{EncodedEvent, PendingBatch, SealedBatch, TemplateData, UserKey};
use crate::time::saturating_add;

#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(super) struct DurableQueue {
    pub(super) accounting: Accounting,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) health: JournalHealth,
    pub(super) effects: Effects,
    pub(super) config: Arc<Config>,
    pub(super) coalescer: Coalescer,
    pub(super) ready: SendQueue,
    /// The writes that the journal has not confirmed, in ascending order of their numbers.
    pub(super) pending_writes: VecDeque<PendingWrite>,
    /// The reason why a part of the submission at the front of `pending_writes` was not written.
    pub(super) write_error: Option<Error>,
    /// Batches that the journal failed to write and that wait for older unread records, with the numbers of their records.
    pub(super) deferred: VecDeque<(u64, Entry)>,
    pub(super) backlog: Backlog,
    pub(super) is_reading: bool,
    /// The highest record number so far.
    pub(super) newest: Option<u64>,
    /// Set if every batch goes through the journal, and not only those that memory has no room for.
    pub(super) spools_all: bool,
    /// Set while confirmed batches may be sent from memory.
    pub(super) sends_confirmed: bool,
    /// Records that were evicted before they were taken: memory holds their batches, and their evictions are not reported
    /// yet.
    pub(super) untaken: HashSet<u64>,
    /// During the shutdown: records that were written again, behind older batches that followed them.
    pub(super) rewritten: HashSet<u64>,
    pub(super) rewriting_failed: bool,
}

/// Work that runs callers' code, and is done once no lock is held.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) reports: Vec<DeliveryReport>,
    pub(super) acceptances: Vec<(Acceptance, Result<(), TrySendError>)>,
    pub(super) warning: Option<(&'static str, Error)>,
    /// Set if the dispatcher must poll the journal.
    pub(super) needs_poll: bool,
}

impl DurableQueue {
    pub(super) fn new(config: Arc<Config>, journal: Arc<dyn Journal>) -> Self {
        let mut accounting = Accounting::default();
        accounting.record_recovered(journal.unread());
        Self {
            accounting,
            health: JournalHealth::default(),
            effects: Effects { needs_poll: true, ..Effects::default() },
            coalescer: Coalescer::default(),
            ready: SendQueue::default(),
            pending_writes: VecDeque::new(),
            write_error: None,
            deferred: VecDeque::new(),
            backlog: Backlog::new(journal.unread()),
            is_reading: false,
            newest: journal.last_number(),
            spools_all: journal.is_durable() && config.when_full != WhenFull::Spill,
            sends_confirmed: true,
            untaken: HashSet::new(),
            rewritten: HashSet::new(),
            rewriting_failed: false,
            journal,
            config,
        }
    }

    /// Returns whether memory has room for this much more.
    pub(super) fn has_room(&self, amount: Amount) -> bool {
        (self.held() + amount).fits(self.config.limit())
    }

    /// Returns the amount of batches that are in memory only, except those that the journal is writing.
    pub(super) fn held(&self) -> Amount {
        self.accounting.held() + self.coalescer.amount()
    }

    /// Returns the amount of batches that wait to be sent, including those behind batches in flight.
    pub(super) fn waiting(&self) -> Amount {
        self.unblocked() + self.accounting.amount(Stage::Blocked)
    }

    /// Returns whether this much may be handed to the journal. After a recent failure, memory must have room for it in case
    /// the write fails as well.
    pub(super) fn can_keep(&self, amount: Amount) -> bool {
        let is_at_risk = self.health.is_failing || !self.deferred.is_empty();
        let writing = self.accounting.amount(Stage::Writing);
        // Written batches stay in memory until the dispatcher polls, which a slow callback can delay.
        let is_bounded = writing.bytes == 0 || writing.bytes + amount.bytes <= self.config.max_bytes;
        is_bounded && !is_at_risk || self.has_room(amount + writing)
    }

    /// Returns whether a new batch must go through the journal.
    pub(super) fn must_spool(&self) -> bool {
        self.spools_all || self.has_backlog()
    }

    /// Returns whether the journal has batches that are older than a new one and not queued.
    pub(super) fn has_backlog(&self) -> bool {
        let is_pending = self.is_reading || !self.pending_writes.is_empty() || !self.deferred.is_empty();
        is_pending || !self.backlog.is_empty()
    }

    /// Accepts a submission into memory or the journal, or returns it if there is no room.
    pub(super) fn submit(&mut self, mut submission: Submission) -> Result<(), Submission> {
        let amount = submission.amount();
        let (fits, must_spool) = (self.has_room(amount), self.must_spool());
        let spills = !must_spool && !fits && self.config.when_full == WhenFull::Spill && self.journal.is_durable();
        let mut not_spooled = None;
        if must_spool || spills {
            if !self.can_keep(amount) {
                return Err(submission);
            }
            if spills {
                // Queued batches are written first, so that the log is in order.
                self.spool_newest();
            }
            match self.append_submission(submission) {
                Ok(()) => return Ok(()),
                // Older batches in the journal must not be overtaken.
                Err((refused, _)) if self.has_backlog() => return Err(refused),
                // A batch that memory has room for is not refused because of a full disk.
                Err((refused, error)) => (submission, not_spooled) = (refused, Some(error)),
            }
        }
        if !fits {
            return Err(submission);
        }
        if let Some(first) = submission.parts.first() {
            self.release(first.user());
        }
        let token = self.accounting.accept(submission.parts.len(), submission.tag, submission.delivered);
        let since = Instant::now();
        for batch in submission.parts {
            self.ready.push_back(Entry::new(batch, self.config.endpoint, token, since), &mut self.accounting);
        }
        self.complete_acceptance(submission.accepted, not_spooled);
        Ok(())
    }

    pub(super) fn complete_acceptance(&mut self, acceptance: Option<Acceptance>, not_spooled: Option<Error>) {
        let result = not_spooled.map_or(Ok(()), |error| Err(TrySendError::NotSpooled(error)));
        self.effects.acceptances.extend(acceptance.map(|acceptance| (acceptance, result)));
    }

    /// Adds an event to its user's open batch. Returns false if the batch does not accept it or there is no room.
    pub(super) fn coalesce(&mut self, template: &TemplateData, event: &EncodedEvent) -> bool {
        let growth = Amount { batches: 0, bytes: PendingBatch::growth(event) };
        let takes = self.coalescer.takes(template, event) && self.has_room(growth) && self.can_keep(growth);
        if takes && let Some(token) = self.coalescer.add(template.key(), event) {
            self.accounting.join(token);
        }
        takes
    }

    /// Opens a batch for the next events of its user, or returns it if there is no room.
    pub(super) fn open(&mut self, batch: PendingBatch) -> Option<PendingBatch> {
        let amount = Amount { batches: 1, bytes: batch.len() };
        if batch.len() > MAX_BATCH_BYTES || !self.has_room(amount) || !self.can_keep(amount) {
            return Some(batch);
        }
        self.release(batch.key());
        let token = self.accounting.accept(1, None, None);
        self.coalescer.open(batch, token);
        let open = self.coalescer.amount();
        self.effects.needs_poll |= self.must_spool() && (open.batches == 1 || is_full_request(open));
        None
    }

    /// Closes the open batch of a user: later batches go behind it.
    pub(super) fn release(&mut self, user: UserKey) {
        if let Some(open) = self.coalescer.take(user) {
            self.enqueue(&open);
        }
    }

    fn enqueue(&mut self, open: &OpenBatch) {
        let entry = seal(open, &self.config);
        if self.must_spool() {
            self.append(entry);
        } else {
            self.ready.push_back(entry, &mut self.accounting);
        }
    }

    /// Closes all open batches.
    pub(super) fn release_all(&mut self) {
        while let Some(open) = self.coalescer.pop_oldest() {
            self.enqueue(&open);
        }
    }

    /// Ends the epoch and returns it. No later event joins a batch of this epoch.
    pub(super) fn end_epoch(&mut self) -> u32 {
        self.release_all();
        self.accounting.end_epoch()
    }

    /// Closes the open batches if they go through the journal and the oldest has lingered. Otherwise returns the time at
    /// which it will have.
    pub(super) fn spool_lingered(&mut self, now: Instant, linger: Duration) -> Option<Instant> {
        if !self.must_spool() {
            return None;
        }
        let due = saturating_add(self.coalescer.oldest()?, linger);
        if due > now && !is_full_request(self.coalescer.amount()) {
            return Some(due);
        }
        self.release_all();
        None
    }

    /// Returns the number of batches that can be sent, or the time at which they can. They can be sent once they fill a
    /// request or the oldest has lingered.
    pub(super) fn sendable(&mut self, now: Instant, linger: Duration) -> Result<usize, Option<Instant>> {
        let unblocked = self.unblocked();
        let queued = self.ready.front().map(|entry| entry.since);
        let open = if self.must_spool() { None } else { self.coalescer.oldest() };
        let Some(oldest) = queued.into_iter().chain(open).min() else { return Err(None) };
        let due = saturating_add(oldest, linger);
        if is_full_request(unblocked) || due <= now { Ok(unblocked.batches) } else { Err(Some(due)) }
    }

    /// Returns the amount of batches that can go into the next request.
    pub(super) fn unblocked(&self) -> Amount {
        let queued = self.accounting.amount(Stage::Queued);
        if self.must_spool() { queued } else { queued + self.coalescer.amount() }
    }

    /// Takes the entries of the next request, at most `max`. Open batches are closed only now, so that they accept events as
    /// long as they wait.
    pub(super) fn take(&mut self, max: usize) -> Vec<Entry> {
        let must_spool = self.must_spool();
        let (coalescer, config) = (&mut self.coalescer, &self.config);
        self.ready.take(max, &mut self.accounting, |ready, accounting| {
            let oldest = if must_spool { None } else { coalescer.oldest() };
            let comes_first = |since| ready.front().is_none_or(|first| since < first.since);
            if oldest.is_some_and(comes_first)
                && let Some(open) = coalescer.pop_oldest()
            {
                ready.put_first([seal(&open, config)].into_iter(), accounting);
            }
        })
    }

    /// Ends a batch whose request has ended: it is delivered, or rejected with an error.
    pub(super) fn complete(&mut self, entry: Entry, result: Result<(), Error>) {
        let number = entry.record.map(|record| record.number);
        match (&result, number) {
            (Ok(()), Some(number)) => self.journal.acknowledge(number),
            (Ok(()), None) => {}
            (Err(rejected), _) => {
                let letter = self.journal.dead_letter(entry.endpoint, &entry.batch, &reason(rejected), number);
                let warning = letter.err().map(|error| ("failed to write a dead letter for a rejected batch", error));
                self.effects.warning = warning.or(self.effects.warning.take());
            }
        }
        self.end(entry, result.map_or_else(DeliveryStatus::Rejected, |()| DeliveryStatus::Delivered));
    }

    /// Ends an entry and reports it.
    pub(super) fn end(&mut self, mut entry: Entry, status: DeliveryStatus) {
        let tag = self.accounting.record_end(entry.token, &status);
        let state = match status {
            DeliveryStatus::Delivered => SubmissionState::Delivered,
            DeliveryStatus::Rejected(_) => SubmissionState::Rejected,
            _ => SubmissionState::Dropped,
        };
        self.accounting.set_stage(&mut entry, Stage::Ended(state));
        self.effects.reports.push(DeliveryReport::new(Some(entry.batch), entry.token.submissions, tag, status));
    }

    /// Returns the entries of an unsent request to the front of the queue.
    pub(super) fn requeue(&mut self, entries: Vec<Entry>) {
        self.ready.put_first(entries.into_iter(), &mut self.accounting);
    }

    /// Unblocks the batches behind those of a request that has ended.
    pub(super) fn unblock(&mut self, users: impl Iterator<Item = UserKey>) {
        self.ready.unblock(users, &mut self.accounting);
    }

    /// Accepts a submission for which there is no room, and drops it.
    pub(super) fn drop_newest(&mut self, submission: Submission) {
        let token = self.accounting.accept(submission.parts.len(), submission.tag, submission.delivered);
        for batch in submission.parts {
            let entry = Entry::new(batch, self.config.endpoint, token, Instant::now());
            self.end(entry, DeliveryStatus::Dropped(Error::dropped_from_queue()));
        }
    }

    /// Refuses a submission that waited for room.
    pub(super) fn refuse(&mut self, submission: Submission, error: impl FnOnce(Vec<SealedBatch>) -> TrySendError) {
        let error = error(submission.parts);
        let delivered = submission.delivered.into_iter();
        self.accounting
            .results
            .extend(delivered.map(|completer| (completer, Err(DeliveryError::NotAccepted(error.clone())))));
        self.effects.acceptances.extend(submission.accepted.map(|acceptance| (acceptance, Err(error))));
    }

    /// Drops the batches that have waited longest in memory only, until this much fits or none is left.
    pub(super) fn drop_oldest(&mut self, amount: Amount) {
        while !self.has_room(amount) {
            let open = self.coalescer.oldest();
            let is_open = open.is_some_and(|open| self.ready.oldest_in_memory().is_none_or(|queued| open < queued));
            let oldest = if is_open {
                self.coalescer.pop_oldest().map(|open| seal(&open, &self.config))
            } else {
                self.ready.pop_oldest_in_memory()
            };
            let Some(oldest) = oldest else { return };
            self.end(oldest, DeliveryStatus::Dropped(Error::dropped_from_queue()));
        }
    }

    /// Appends the batches that are in memory only to the journal, if they are newer than everything in it. Otherwise they
    /// could end up behind newer batches of their users.
    pub(super) fn spool_newest(&mut self) {
        if self.journal.is_durable() && !self.has_backlog() {
            for entry in self.ready.take_newest_in_memory(&mut self.accounting) {
                self.append(entry);
            }
            while let Some(open) = self.coalescer.pop_oldest() {
                let entry = seal(&open, &self.config);
                self.append(entry);
            }
        }
    }

    /// Sends every batch through the journal from now on.
    pub(super) fn start_spooling_all(&mut self) {
        self.spool_newest();
        self.spools_all = self.journal.is_durable();
    }
}

fn seal(open: &OpenBatch, config: &Config) -> Entry {
    Entry::new(open.batch.seal(), config.endpoint, open.token, open.since)
}

/// Returns the reason for a dead letter, as a text for a person.
fn reason(error: &Error) -> String {
    let listed = error.api_errors().iter().map(|error| match (error.code.as_str(), error.message.as_str()) {
        ("", "") => String::new(),
        (text, "") | ("", text) => format!("; {text}"),
        (code, message) => format!("; {code}: {message}"),
    });
    std::iter::once(error.message().to_owned()).chain(listed).collect()
}
