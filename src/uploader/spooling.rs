//! The way through the spool: to the disk, confirmed, read again, and done when it is delivered.

use std::collections::{HashSet, VecDeque};
use std::future::ready;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::error::TrySendError;
use super::ledger::{Ledger, Place, Ticket};
use super::outcome::{Fate, Outcome};
use super::queue::{Bounds, Content, Entry, Queue};
use super::settings::Settings;
use super::shared::Submission;
use super::store::{GivenUp, Gone, Record, Store, Tickets, Written};
use crate::completion::Completer;
use crate::delivery::Endpoint;
use crate::error::Error;
use crate::seal::{SealedBatch, UserKey};

/// So many bytes of what is in the spool are read ahead, and so many batches, if memory may hold as much.
const READ_AHEAD: Bounds = Bounds { batches: 1_000, bytes: 4 << 20 };

/// The spool as the uploader sees it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Spooling {
    pub(super) store: Arc<dyn Store>,
    /// Everything goes through it. Otherwise only what memory has no room for, and what comes after that.
    pub(super) always: bool,
    /// Events that gather before they are written.
    pub(super) intake: Queue,
    /// On their way to the disk, in order. Memory holds them until they are there.
    appending: VecDeque<Appending>,
    appending_bytes: usize,
    /// The newest record that is known to be written.
    last_written: Option<u64>,
    /// What the disk failed to write and has older records before it that were not read, in order.
    failed: VecDeque<Failed>,
    failed_bytes: usize,
    /// Records that are written once more, behind others that are older in truth, and are confirmed there.
    rewritten: HashSet<u64>,
    /// Some that should be are not: there was no time, no room, or the disk failed.
    rewriting_failed: bool,
    /// Records that vanished before their confirmation was seen here.
    vanished: HashSet<u64>,
    /// Why a part of the submission that is being settled was not written.
    unwritten: Option<Error>,
    tickets: Tickets,
    read_ahead: Bounds,
    /// A record is being read.
    pub(super) reading: bool,
    pub(super) disk: Health,
    /// The worker has to look: something began to wait.
    pub(super) stirred: bool,
}

/// How the disk does.
#[derive(Default)]
pub(super) struct Health {
    /// It could not write what it was handed last.
    failing: bool,
    /// It did not even take what was handed to it last.
    refusing: bool,
    /// What a person should know, to be told when no lock is held.
    pub(super) warning: Option<(&'static str, Error)>,
}

impl Health {
    /// Of refusals in a row the first is told.
    fn refused(&mut self, error: &Error) {
        if !mem::replace(&mut self.refusing, true) {
            self.warning = Some(("the spool takes nothing", error.clone()));
        }
    }

    /// Of failures in a row the first is told.
    fn failed(&mut self, error: &Error) {
        if !mem::replace(&mut self.failing, true) {
            self.warning = Some(("the spool could not write: memory keeps the batch", error.clone()));
        }
    }
}

struct Appending {
    written: Written,
    batch: SealedBatch,
    /// Whether it is the last part of its submission, and who waits for all of them.
    ends: bool,
    promise: Option<Completer<Result<(), TrySendError>>>,
    /// The record that is written once more, if this is one.
    rewrites: Option<u64>,
}

/// A batch that the disk failed to write: memory alone holds it.
struct Failed {
    batch: SealedBatch,
    ticket: Ticket,
    /// Records up to this one are older.
    after: Option<u64>,
}

impl Spooling {
    pub(super) fn new(store: Arc<dyn Store>, bounds: Bounds, always: bool, ledger: &mut Ledger) -> Self {
        ledger.recover(store.unread());
        let last_written = store.last();
        let (batches, bytes) = (READ_AHEAD.batches.min(bounds.batches), READ_AHEAD.bytes.min(bounds.bytes));
        Self {
            store,
            always,
            intake: Queue::new(bounds),
            appending: VecDeque::new(),
            appending_bytes: 0,
            last_written,
            failed: VecDeque::new(),
            failed_bytes: 0,
            rewritten: HashSet::new(),
            rewriting_failed: false,
            vanished: HashSet::new(),
            unwritten: None,
            tickets: Tickets::default(),
            read_ahead: Bounds { batches, bytes },
            reading: false,
            disk: Health::default(),
            stirred: true,
        }
    }

    /// Whether what comes now has to go through the spool: if everything does, or if older batches are in there.
    pub(super) fn comes_first(&self) -> bool {
        self.always || self.has_older()
    }

    /// Whether batches that came before are on their way through it.
    pub(super) fn has_older(&self) -> bool {
        let in_memory = self.reading || !self.appending.is_empty() || !self.failed.is_empty() || self.intake.len() > 0;
        in_memory || self.store.unread() > 0
    }

    /// If the disk fails: what memory may have to hold beside all that it holds.
    pub(super) fn at_risk(&self) -> Option<Bounds> {
        let intake = self.intake.held();
        let batches = self.appending.len() + self.failed.len() + intake.batches;
        let bytes = self.appending_bytes + self.failed_bytes + intake.bytes;
        (self.disk.failing || !self.failed.is_empty()).then_some(Bounds { batches, bytes })
    }

    /// Hands a submission to the disk, or gives it back if the disk takes nothing.
    pub(super) fn take(
        &mut self,
        settings: &Settings,
        submission: Submission,
        ledger: &mut Ledger,
    ) -> Result<(), (Submission, Error)> {
        let endpoint = settings.endpoint;
        let Some(first) = submission.parts.first() else {
            return Ok(());
        };
        if self.intake.is_open(first.user()) {
            // Events of this user came before.
            self.write_intake(settings);
        }
        let mut written = match self.store.append(endpoint, first) {
            Ok(written) => Some(written),
            Err(error) => {
                self.disk.refused(&error);
                return Err((submission, error));
            }
        };
        self.disk.refusing = false;
        let ticket = ledger.accept(submission.parts.len());
        let (mut promise, last) = (submission.promise, submission.parts.len() - 1);
        for (place, batch) in submission.parts.into_iter().enumerate() {
            let ends = place == last;
            let promise = if ends { promise.take() } else { None };
            let written = written.take().unwrap_or_else(|| self.written(endpoint, &batch));
            self.push(Appending { written, batch, ends, promise, rewrites: None }, ticket);
        }
        Ok(())
    }

    /// Hands a batch to the disk that memory holds already, and that no queue holds any more.
    pub(super) fn append(&mut self, settings: &Settings, entry: Entry) {
        let batch = entry.content.into_sealed(|| settings.new_id());
        self.append_batch(settings.endpoint, batch, entry.ticket);
    }

    fn append_batch(&mut self, endpoint: Endpoint, batch: SealedBatch, ticket: Ticket) {
        let written = self.written(endpoint, &batch);
        self.push(Appending { written, batch, ends: true, promise: None, rewrites: None }, ticket);
    }

    /// At the end: writes a record once more, behind one that is newer on the disk than in truth. It counts as spooled all the
    /// while, and is done when all are confirmed: see [`end_rewriting`](Self::end_rewriting).
    pub(super) fn rewrite(&mut self, record: &Record) {
        // No other record is to be lost for the order of this one.
        if self.rewriting_failed || !self.store.has_room(&record.batch) {
            self.rewriting_failed = true;
            return;
        }
        let written = self.store.append_again(record).unwrap_or_else(|error| Box::pin(ready(Err(error))));
        let (batch, rewrites) = (record.batch.clone(), Some(record.number));
        self.queue_appending(Appending { written, batch, ends: true, promise: None, rewrites });
    }

    /// At the end: some records that should be rewritten were not even read.
    pub(super) fn fail_rewriting(&mut self) {
        self.rewriting_failed = true;
    }

    /// At the end: counts records that were written once more as done where they were first. If some could not be, all stay as
    /// well where they were: sent twice, they are dropped by the service, and half of them in another place would be out of
    /// order.
    pub(super) fn end_rewriting(&mut self) {
        let is_complete = !self.rewriting_failed && self.appending.iter().all(|appending| appending.rewrites.is_none());
        for number in self.rewritten.drain().filter(|_| is_complete) {
            self.store.acknowledge(number);
        }
    }

    /// Returns how many bytes the disk has not confirmed.
    pub(super) fn unconfirmed_bytes(&self) -> usize {
        self.appending_bytes
    }

    /// Returns whether a record that was read will be found by the next process.
    pub(super) fn keeps(&self, record: &Record) -> bool {
        self.store.keeps(record.number) || self.rewritten.contains(&record.number)
    }

    /// At the end: appends a batch that was read, and that the spool has given up since.
    pub(super) fn append_again(&mut self, record: Record, ticket: Ticket, ledger: &mut Ledger) {
        ledger.moved(ticket, Place::Spool, Place::Memory);
        let written = self.store.append_again(&record).unwrap_or_else(|error| Box::pin(ready(Err(error))));
        self.push(Appending { written, batch: record.batch, ends: true, promise: None, rewrites: None }, ticket);
    }

    /// At the end: hands to the disk what it failed to write and is older than the record of this number, and adds the users.
    pub(super) fn append_failed_before(&mut self, number: u64, settings: &Settings, users: &mut HashSet<UserKey>) {
        while let Some(Failed { batch, ticket, .. }) = self.pop_failed_before(number) {
            users.insert(batch.user());
            self.append_batch(settings.endpoint, batch, ticket);
        }
    }

    fn push(&mut self, appending: Appending, ticket: Ticket) {
        self.tickets.keep(&appending.batch, ticket);
        self.queue_appending(appending);
    }

    fn queue_appending(&mut self, appending: Appending) {
        self.stirred |= self.appending.is_empty();
        self.appending_bytes += appending.batch.len();
        self.appending.push_back(appending);
    }

    /// If the disk takes nothing, that is told as if it had failed later: memory keeps the batch then.
    fn written(&self, endpoint: Endpoint, batch: &SealedBatch) -> Written {
        self.store.append(endpoint, batch).unwrap_or_else(|error| Box::pin(ready(Err(error))))
    }

    /// Hands the events that gathered to the disk.
    pub(super) fn write_intake(&mut self, settings: &Settings) {
        for entry in self.intake.take_all() {
            self.intake.let_go(&entry);
            self.append(settings, entry);
        }
    }

    /// Settles what the disk has confirmed. What it could not write stays in memory and is sent all the same, behind the
    /// older records.
    pub(super) fn settle(&mut self, context: &mut Context<'_>, ledger: &mut Ledger, queue: &mut Queue) -> Poll<()> {
        let mut settled = Poll::Pending;
        while let Some(first) = self.appending.front_mut() {
            let Poll::Ready(written) = first.written.as_mut().poll(context) else { break };
            settled = Poll::Ready(());
            let Some(Appending { batch, ends, promise, rewrites, .. }) = self.appending.pop_front() else { break };
            self.appending_bytes -= batch.len();
            // Without a ticket it was read already, or given up, and counts as that.
            match written {
                Ok(number) => {
                    self.disk.failing = false;
                    self.last_written = Some(number);
                    if let Some(first) = rewrites {
                        self.rewritten.insert(first);
                    } else if let Some(ticket) = self.tickets.confirm(&batch, number) {
                        ledger.moved(ticket, Place::Memory, Place::Spool);
                        if self.vanished.remove(&number) {
                            let (ticket, from) = self.tickets.take(&batch);
                            ledger.moved(ticket, from, Place::Dropped);
                        }
                    }
                }
                Err(error) => {
                    self.disk.failed(&error);
                    self.unwritten.get_or_insert(error);
                    if rewrites.is_some() {
                        self.rewriting_failed = true;
                    } else if let Some(ticket) = self.tickets.withdraw(&batch) {
                        self.failed_bytes += batch.len();
                        self.failed.push_back(Failed { batch, ticket, after: self.last_written });
                    }
                }
            }
            if ends {
                let written = self.unwritten.take().map_or(Ok(()), |error| Err(TrySendError::NotSpooled(error)));
                if let Some(promise) = promise {
                    promise.complete(written);
                }
            }
        }
        self.queue_failed(queue);
        settled
    }

    /// Queues what the disk failed to write, once all records are read: then it overtakes none.
    pub(super) fn queue_failed(&mut self, queue: &mut Queue) {
        if !self.failed.is_empty() && !self.reading && self.store.unread() == 0 {
            self.queue_failed_before(u64::MAX, queue);
        }
    }

    /// Queues what the disk failed to write and is older than the record of this number.
    fn queue_failed_before(&mut self, number: u64, queue: &mut Queue) {
        while let Some(failed) = self.pop_failed_before(number) {
            let content = Content::Sealed(failed.batch);
            queue.push(Entry { content, ticket: failed.ticket, since: Instant::now() });
        }
    }

    fn pop_failed_before(&mut self, number: u64) -> Option<Failed> {
        let first = self.failed.front()?;
        if first.after.is_some_and(|after| after >= number) {
            return None;
        }
        let failed = self.failed.pop_front()?;
        self.failed_bytes -= failed.batch.len();
        Some(failed)
    }

    /// Ends the reading of a record.
    pub(super) fn end_reading(&mut self, queue: &mut Queue) {
        self.reading = false;
        self.queue_failed(queue);
    }

    /// Whether everything that was handed over is confirmed.
    pub(super) fn is_settled(&self) -> bool {
        self.appending.is_empty()
    }

    /// Whether a record should be read.
    pub(super) fn wants_record(&self, queue: &Queue) -> bool {
        let waiting = queue.waiting();
        let has_room = waiting.batches < self.read_ahead.batches && waiting.bytes < self.read_ahead.bytes;
        has_room && self.store.unread() > 0
    }

    /// Takes a record that was read, to be sent.
    pub(super) fn read(&mut self, record: Record, ledger: &mut Ledger, queue: &mut Queue) {
        // A write before that of the record may have failed without that having been seen here. The worker polls the rest
        // again before it sleeps, with a waker of its own.
        let _ = self.settle(&mut Context::from_waker(Waker::noop()), ledger, queue);
        self.queue_failed_before(record.number, queue);
        let (ticket, from) = self.tickets.take(&record.batch);
        ledger.moved(ticket, from, Place::Spool);
        let content = Content::Spooled(Box::new(record));
        queue.push(Entry { content, ticket, since: Instant::now() });
        self.end_reading(queue);
    }

    /// Accounts for what the spool gave up.
    pub(super) fn give_up(&mut self, given_up: Vec<GivenUp>, ledger: &mut Ledger) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (gone, error) in given_up {
            match gone {
                Gone::Batch(batch) => {
                    let (ticket, from) = self.tickets.take(&batch);
                    ledger.moved(ticket, from, Place::Dropped);
                    outcomes.push(Outcome::new(batch, ticket.submissions(), Fate::Dropped(error)));
                }
                // No uploader of this process wrote it.
                Gone::Found => ledger.moved(Ledger::found(), Place::Spool, Place::Dropped),
                Gone::Number(number) => _ = self.vanished.insert(number),
            }
        }
        if !self.vanished.is_empty() {
            for ticket in self.tickets.take_numbers(&mut self.vanished) {
                ledger.moved(ticket, Place::Spool, Place::Dropped);
            }
        }
        outcomes
    }

    /// After the end: what the disk failed to write, and what was handed to it and is not confirmed.
    pub(super) fn take_unconfirmed(&mut self) -> impl Iterator<Item = SealedBatch> {
        let failed = mem::take(&mut self.failed).into_iter().map(|failed| failed.batch);
        let appending = mem::take(&mut self.appending).into_iter();
        let appending = appending.filter(|appending| appending.rewrites.is_none()).map(|appending| appending.batch);
        failed.chain(appending)
    }

    /// Whether memory holds batches that the disk failed to write, and that have newer ones in the spool.
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }
}
