//! The way through the spool: to the disk, confirmed, read again, and done when it is delivered.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::ledger::{Ledger, Place, Ticket};
use super::outcome::{Fate, Outcome};
use super::queue::{Bounds, Content, Entry, Queue, Spooled};
use super::settings::Settings;
use super::shared::Submission;
use super::store::{Record, Store, Tickets, Written};
use super::waiting::Promise;
use crate::delivery::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;

/// So many bytes of what is in the spool are read ahead, and so many batches.
const READ_AHEAD: Bounds = Bounds { batches: 1_000, bytes: 4 << 20 };

/// The spool as the uploader sees it.
pub(super) struct Spooling {
    pub(super) store: Arc<dyn Store>,
    /// Everything goes through it. Otherwise only what memory has no room for, and what comes after that.
    pub(super) always: bool,
    /// Events that gather before they are written.
    pub(super) intake: Queue,
    /// On their way to the disk, in order. Memory holds them until they are there.
    appending: VecDeque<Appending>,
    tickets: Tickets,
    /// The worker has to look: something began to wait.
    pub(super) stirred: bool,
}

struct Appending {
    written: Written,
    batch: SealedBatch,
    promise: Option<Promise<Result<(), Error>>>,
}

impl Spooling {
    pub(super) fn new(store: Arc<dyn Store>, bounds: Bounds, always: bool, ledger: &mut Ledger) -> Self {
        ledger.recover(store.unread());
        let intake = Queue::new(bounds);
        Self { store, always, intake, appending: VecDeque::new(), tickets: Tickets::default(), stirred: true }
    }

    /// Whether what comes now has to go through the spool: if everything does, or if older batches are in there.
    pub(super) fn comes_first(&self) -> bool {
        self.always || !self.appending.is_empty() || self.store.unread() > 0
    }

    /// Hands a submission to the disk, or gives it back if the disk takes nothing.
    pub(super) fn take(
        &mut self,
        settings: &Settings,
        submission: Submission,
        ledger: &mut Ledger,
    ) -> Option<Submission> {
        let endpoint = settings.endpoint;
        let Some(first) = submission.parts.first() else {
            return Some(submission);
        };
        if self.intake.is_open(first.user()) {
            // Events of this user came before.
            self.write_intake(settings);
        }
        let mut written = match self.store.append(endpoint, first) {
            Ok(written) => Some(written),
            Err(error) => {
                tracing::warn!(%error, "the spool takes nothing");
                return Some(submission);
            }
        };
        let ticket = ledger.accept(submission.parts.len());
        let (mut promise, last) = (submission.promise, submission.parts.len() - 1);
        for (place, batch) in submission.parts.into_iter().enumerate() {
            let promise = if place == last { promise.take() } else { None };
            let written = written.take().unwrap_or_else(|| self.written(endpoint, &batch));
            self.push(Appending { written, batch, promise }, ticket);
        }
        None
    }

    /// Hands a batch to the disk that memory holds already.
    pub(super) fn append(&mut self, endpoint: Endpoint, batch: SealedBatch, ticket: Ticket) {
        let written = self.written(endpoint, &batch);
        self.push(Appending { written, batch, promise: None }, ticket);
    }

    fn push(&mut self, appending: Appending, ticket: Ticket) {
        self.tickets.keep(&appending.batch, ticket);
        self.stirred |= self.appending.is_empty();
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
            self.append(settings.endpoint, entry.content.into_sealed(|| settings.new_id()), entry.ticket);
        }
    }

    /// Settles what the disk has confirmed. What it could not write goes into memory, to be sent all the same.
    pub(super) fn settle(&mut self, context: &mut Context<'_>, ledger: &mut Ledger, queue: &mut Queue) -> Poll<()> {
        let mut settled = Poll::Pending;
        while let Some(first) = self.appending.front_mut() {
            let Poll::Ready(written) = first.written.as_mut().poll(context) else { break };
            settled = Poll::Ready(());
            let Some(Appending { batch, promise, .. }) = self.appending.pop_front() else { break };
            // Without a ticket it was read already, or given up, and counts as that.
            match &written {
                Ok(()) => {
                    if let Some(ticket) = self.tickets.confirm(&batch) {
                        ledger.moved(ticket, Place::Memory, Place::Spool);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the spool could not write: memory keeps the batch");
                    if let Some(ticket) = self.tickets.withdraw(&batch) {
                        queue.push(Entry { content: Content::Sealed(batch), ticket, since: Instant::now() });
                    }
                }
            }
            if let Some(promise) = promise {
                promise.keep(written);
            }
        }
        settled
    }

    /// Whether everything that was handed over is confirmed.
    pub(super) fn is_settled(&self) -> bool {
        self.appending.is_empty()
    }

    /// Whether a record should be read.
    pub(super) fn wants_record(&self, queue: &Queue) -> bool {
        let has_room = queue.len() + queue.parked() < READ_AHEAD.batches && queue.bytes() < READ_AHEAD.bytes;
        has_room && self.store.unread() > 0
    }

    /// Takes a record that was read, to be sent.
    pub(super) fn read(&mut self, record: Record, ledger: &mut Ledger, queue: &mut Queue) {
        let Record { number, endpoint, batch } = record;
        let (ticket, from) = self.tickets.take(&batch);
        ledger.moved(ticket, from, Place::Spool);
        let content = Content::Spooled(Box::new(Spooled { batch, endpoint, number }));
        queue.push(Entry { content, ticket, since: Instant::now() });
    }

    /// Accounts for what the spool gave up.
    pub(super) fn give_up(&mut self, given_up: Vec<(SealedBatch, Error)>, ledger: &mut Ledger) -> Vec<Outcome> {
        let outcome = |(batch, error): (SealedBatch, Error)| {
            let (ticket, from) = self.tickets.take(&batch);
            ledger.moved(ticket, from, Place::Dropped);
            Outcome::new(batch, ticket.submissions(), Fate::Dropped(error))
        };
        given_up.into_iter().map(outcome).collect()
    }
}
