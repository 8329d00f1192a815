//! The part of the queue that works with the journal: appends batches, confirms them, and reads them back.

use std::mem;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::durable_queue::DurableQueue;
use super::entry::{Amount, Entry, Stage, SubmissionState};
use super::journal::{Append, EvictedRecord, JournalRecord};
use super::pending_write::{PendingWrite, WriteContent};
use super::report::{DeliveryReport, DeliveryStatus};
use super::room::free_queue_room;
use super::submission::{Acceptance, Submission};
use crate::error::Error;
use crate::seal::{SealedBatch, UserKey};

/// The largest amount of batches on the disk that is read ahead, if the limits of the uploader allow it.
const READ_AHEAD: Amount = Amount { batches: 1_000, bytes: 4 << 20 };

impl DurableQueue {
    /// Appends a submission to the journal, or returns it if the journal refuses the first part.
    pub(super) fn append_submission(&mut self, submission: Submission) -> Result<(), (Submission, Error)> {
        let endpoint = self.config.endpoint;
        let Some(first) = submission.parts.first() else { return Ok(()) };
        // The coalesced events of this user are older.
        self.release(first.user());
        let mut append = match self.journal.append(endpoint, first) {
            Ok(append) => Some(append),
            Err(error) => {
                self.record_refusal(&error);
                return Err((submission, error));
            }
        };
        self.health.is_refusing = false;
        let count = submission.parts.len();
        let token = self.accounting.accept(count, submission.tag, submission.delivered);
        let (mut accepted, since) = (submission.accepted, Instant::now());
        for (index, batch) in submission.parts.into_iter().enumerate() {
            let is_last = index + 1 == count;
            let append = append.take().map_or_else(|| self.journal.append(endpoint, &batch), Ok);
            let accepted = if is_last { accepted.take() } else { None };
            self.write(append, WriteContent::Batch(Entry::new(batch, endpoint, token, since)), is_last, accepted);
        }
        Ok(())
    }

    /// Appends an accepted batch to the journal.
    pub(super) fn append(&mut self, entry: Entry) {
        let append = match entry.record {
            None => self.journal.append(entry.endpoint, &entry.batch),
            Some(id) => {
                self.journal.append_again(&JournalRecord { id, endpoint: entry.endpoint, batch: entry.batch.clone() })
            }
        };
        self.write(append, WriteContent::Batch(Entry { record: None, ..entry }), true, None);
    }

    /// Appends a copy of a record to the journal.
    pub(super) fn append_copy(&mut self, record: &JournalRecord) {
        let append = self.journal.append_again(record);
        self.write(append, WriteContent::Rewrite(record.id.number, record.batch.len()), true, None);
    }

    fn write(
        &mut self,
        append: Result<Append, Error>,
        mut content: WriteContent,
        is_last: bool,
        accepted: Option<Acceptance>,
    ) {
        let is_taken = append.is_ok();
        let append = append.unwrap_or_else(|error| Append::from_error(self.newest.unwrap_or(0), error));
        self.newest = self.newest.max(Some(append.id.number));
        if let WriteContent::Batch(entry) = &mut content {
            self.accounting.set_stage(entry, Stage::Writing);
        }
        self.effects.needs_poll |= self.pending_writes.is_empty();
        let Append { id, written } = append;
        self.pending_writes.push_back(PendingWrite { id, is_taken, written, content, is_last, accepted });
    }

    /// Processes the writes that have ended.
    pub(super) fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut progress = Poll::Pending;
        while let Some(first) = self.pending_writes.front_mut() {
            let Poll::Ready(result) = first.written.as_mut().poll(context) else { break };
            progress = Poll::Ready(());
            let Some(PendingWrite { id, content, is_last, accepted, .. }) = self.pending_writes.pop_front() else {
                break;
            };
            match &result {
                Ok(()) => self.health.is_failing = false,
                Err(error) => self.record_write_failure(error),
            }
            match (content, result) {
                (WriteContent::Batch(entry), Ok(())) => self.confirm(Entry { record: Some(id), ..entry }, id.number),
                (WriteContent::Batch(entry), Err(error)) => {
                    self.write_error.get_or_insert(error);
                    self.defer(entry, id.number);
                }
                (WriteContent::Rewrite(original, _), Ok(())) => _ = self.rewritten.insert(original),
                (WriteContent::Rewrite(..), Err(_)) => self.rewriting_failed = true,
                (WriteContent::Evicted, Ok(())) => {}
                (WriteContent::Evicted, Err(error)) => _ = self.write_error.get_or_insert(error),
            }
            if is_last {
                let error = self.write_error.take();
                self.complete_acceptance(accepted, error);
            }
        }
        if progress.is_ready() {
            free_queue_room(&mut self.pending_writes);
            self.settle_backlog();
        }
        progress
    }

    /// Queues a batch that is on the disk now, or leaves it to be read from there.
    fn confirm(&mut self, mut entry: Entry, number: u64) {
        let (user, mut limit) = (entry.batch.user(), self.config.limit());
        if !self.backlog.is_empty() {
            // The other half is for records that are read, so that new batches cannot delay the backlog forever.
            let Amount { batches, bytes } = self.read_ahead_limit();
            limit = Amount { batches: batches.div_ceil(2), bytes: bytes / 2 };
        }
        let has_room = self.waiting().is_below(limit);
        if self.sends_confirmed && has_room && !self.may_have_older(user) {
            // A record that was evicted just now is still in memory.
            if !self.journal.take_committed(number) {
                entry.record = None;
                self.untaken.insert(number);
            }
            self.ready.push_back(entry, &mut self.accounting);
        } else {
            self.accounting.set_stage(&mut entry, Stage::Stored);
            let token = self.accounting.forget_unawaited(entry.token);
            let accounting = &mut self.accounting;
            self.backlog.add_user(user);
            self.backlog.insert(number, token, |token| accounting.forget_unawaited(token));
        }
    }

    /// Queues a batch that the journal failed to write, or defers it behind the older records of its user.
    fn defer(&mut self, mut entry: Entry, number: u64) {
        if self.may_have_older(entry.batch.user()) {
            self.backlog.add_user(entry.batch.user());
            self.accounting.set_stage(&mut entry, Stage::Deferred);
            self.deferred.push_back((number, entry));
        } else {
            self.ready.push_back(entry, &mut self.accounting);
        }
    }

    pub(super) fn may_have_older(&self, user: UserKey) -> bool {
        let is_empty = self.backlog.is_empty() && self.deferred.is_empty();
        !is_empty && self.backlog.may_have_older(user)
    }

    fn queue_deferred(&mut self, before: u64) {
        while let Some(entry) = self.pop_deferred(before) {
            self.ready.push_back(entry, &mut self.accounting);
        }
    }

    /// Removes and returns the first deferred batch, if its number is below `before`.
    pub(super) fn pop_deferred(&mut self, before: u64) -> Option<Entry> {
        self.deferred.front().filter(|(number, _)| *number < before)?;
        let (_, mut entry) = self.deferred.pop_front()?;
        self.accounting.set_stage(&mut entry, Stage::Moving);
        self.backlog.remove_user(entry.batch.user());
        Some(entry)
    }

    /// Queues the deferred batches once all older records are read.
    pub(super) fn settle_backlog(&mut self) {
        if !self.is_reading && (self.backlog.is_empty() || self.journal.unread() == 0) {
            self.queue_deferred(u64::MAX);
            if self.backlog.is_empty() {
                self.backlog.forget_users();
            }
        }
        // An open batch may be older than queued ones, and newer than a batch of its user that was read just now.
        if !self.must_spool() {
            self.release_all();
        }
    }

    pub(super) fn read_ahead_limit(&self) -> Amount {
        let limit = self.config.limit();
        Amount { batches: READ_AHEAD.batches.min(limit.batches), bytes: READ_AHEAD.bytes.min(limit.bytes) }
    }

    /// Begins to read a record if there is room for one. Returns the exclusive upper limit of its number: newer records may
    /// be confirmed at any moment, and must not be read before that is processed here.
    pub(super) fn begin_read(&mut self) -> Option<u64> {
        self.is_reading = self.waiting().is_below(self.read_ahead_limit()) && !self.backlog.is_empty();
        self.is_reading.then(|| self.read_limit())
    }

    pub(super) fn read_limit(&self) -> u64 {
        let unconfirmed = self.pending_writes.front().map(|writing| writing.id.number);
        unconfirmed.unwrap_or_else(|| self.newest.map_or(0, |newest| newest + 1))
    }

    /// Ends the read of a record, and queues the record if there is one.
    pub(super) fn end_read(&mut self, record: Option<JournalRecord>) {
        self.is_reading = false;
        if let Some(JournalRecord { id, endpoint, batch }) = record {
            self.queue_deferred(id.number);
            // A record that was counted as lost is left to the next process.
            if let Some(token) = self.backlog.remove(Some(id.number), Some(batch.user())) {
                self.ready.push_back(Entry::from_record(batch, endpoint, token, id), &mut self.accounting);
            }
        }
        self.settle_backlog();
    }

    /// Drops the records that the journal has evicted.
    pub(super) fn drop_evicted(&mut self, evicted: Vec<EvictedRecord>) {
        for EvictedRecord { number, batch, error } in evicted {
            if number.is_some_and(|number| self.untaken.remove(&number)) {
                continue;
            }
            let status = DeliveryStatus::Dropped(error);
            if let Some(entry) = number.and_then(|number| self.take_writing(number)) {
                self.end(entry, status);
            } else if let Some(token) = self.backlog.remove(number, batch.as_ref().map(SealedBatch::user)) {
                let tag = self.accounting.record_end(token, &status);
                self.accounting.count(token, SubmissionState::Spool, SubmissionState::Dropped);
                self.effects.reports.push(DeliveryReport::new(batch, token.submissions, tag, status));
            }
        }
        self.settle_backlog();
    }

    /// Removes and returns a batch whose record was evicted before its confirmation was processed.
    fn take_writing(&mut self, number: u64) -> Option<Entry> {
        let first = self.pending_writes.partition_point(|writing| writing.id.number < number);
        let mut same = self.pending_writes.range_mut(first..).take_while(|writing| writing.id.number == number);
        let writing = same.find(|writing| writing.is_taken && matches!(writing.content, WriteContent::Batch(_)))?;
        match mem::replace(&mut writing.content, WriteContent::Evicted) {
            WriteContent::Batch(entry) => Some(entry),
            WriteContent::Rewrite(..) | WriteContent::Evicted => None,
        }
    }

    /// Returns the size of the writes that the journal has not confirmed, in bytes.
    pub(super) fn unconfirmed_bytes(&self) -> usize {
        let copies = self.pending_writes.iter().map(|writing| match writing.content {
            WriteContent::Rewrite(_, bytes) => bytes,
            WriteContent::Batch(_) | WriteContent::Evicted => 0,
        });
        self.accounting.amount(Stage::Writing).bytes + copies.sum::<usize>()
    }

    /// Returns whether records are being written again.
    pub(super) fn is_rewriting(&self) -> bool {
        self.pending_writes.iter().any(|writing| matches!(writing.content, WriteContent::Rewrite(..)))
    }

    fn record_refusal(&mut self, error: &Error) {
        if !mem::replace(&mut self.health.is_refusing, true) {
            self.effects.warning = Some(("the spool refused a batch", error.clone()));
        }
    }

    fn record_write_failure(&mut self, error: &Error) {
        if !mem::replace(&mut self.health.is_failing, true) {
            self.effects.warning = Some(("the spool failed to write a batch, which stays in memory", error.clone()));
        }
    }
}
