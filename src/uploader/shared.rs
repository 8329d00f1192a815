//! What the uploader's handles and its worker share, under one lock: nothing waits while it is held.

use std::collections::{HashSet, VecDeque};
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::TrySendError;
use super::ledger::{Counts, Ledger, Place};
use super::outcome::{Fate, Outcome, Teller};
use super::queue::{Bounds, Content, Entry, Queue};
use super::settings::{Settings, WhenFull};
use super::spooling::Spooling;
use super::store::Store;
use super::telemetry::{Measures, Telemetry};
use super::user::{Tracked, TrackedEvent, User};
use crate::completion::{self, Completer, Completion};
use crate::delivery::AdaptiveLimiter;
use crate::error::Error;
use crate::limits::MAX_BATCH_BYTES;
use crate::seal::{SealedBatch, UserKey};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::time::saturating_add;

/// Shared by all handles of an uploader and its worker.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) teller: Teller,
    /// Set by the worker.
    pub(super) limiter: OnceLock<Arc<AdaptiveLimiter>>,
    /// Told when the worker has something to look at.
    pub(super) work: Arc<Notify>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) ledger: Ledger,
    /// What is to be sent.
    pub(super) queue: Queue,
    pub(super) spooling: Option<Spooling>,
    pub(super) phase: Phase,
    /// Why nothing is sent any more.
    pub(super) stopped: Option<Error>,
    /// In percent, as the last acceptance told.
    pub(super) rate_limit_used: Option<f64>,
    waiters: VecDeque<Waiter>,
    pub(super) flushes: Vec<Flush>,
    pub(super) wake: Wake,
    /// How long the disk may take at the end, at most [`GRACE`].
    pub(super) grace: Duration,
    telemetry: Telemetry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Nothing is taken any more.
    Closing,
    Closed,
}

/// When the worker has to be woken for what comes into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// It does not know of any batch.
    AtOnce,
    /// It knows when what is there has lingered.
    WhenFull,
    /// It waits for room to send, and looks then.
    Never,
}

/// How long the disk may take at the end for what was on its way when the time was over.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Sealed batches that count as one: all are taken or none is.
pub(super) struct Submission {
    pub(super) parts: Vec<SealedBatch>,
    /// Kept when it is taken, or on the disk if there is a spool.
    pub(super) promise: Option<Completer<Result<(), TrySendError>>>,
}

impl Submission {
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(SealedBatch::len).sum()
    }

    fn answer(self, answer: impl FnOnce(Vec<SealedBatch>) -> Result<(), TrySendError>) {
        if let Some(promise) = self.promise {
            promise.complete(answer(self.parts));
        }
    }
}

/// A submission that waits for room.
struct Waiter {
    submission: Submission,
    until: Option<Instant>,
}

/// Somebody who waits until all that was submitted before has ended.
pub(super) struct Flush {
    pub(super) epoch: u32,
    pub(super) until: Instant,
    pub(super) closes: bool,
    pub(super) promise: Completer<Counts>,
}

impl Shared {
    pub(super) fn new(settings: Settings, store: Option<Arc<dyn Store>>) -> Self {
        let bounds = Bounds { batches: settings.max_batches, bytes: settings.max_bytes };
        let mut ledger = Ledger::default();
        let always = settings.when_full != WhenFull::Spill;
        let work = Arc::<Notify>::default();
        let spooling = store.map(|store| {
            store.watch(Arc::clone(&work));
            Spooling::new(store, bounds, always, &mut ledger)
        });
        let state = State {
            ledger,
            queue: Queue::new(bounds),
            spooling,
            phase: Phase::Running,
            stopped: None,
            rate_limit_used: None,
            waiters: VecDeque::new(),
            flushes: Vec::new(),
            wake: Wake::AtOnce,
            grace: Duration::ZERO,
            telemetry: Telemetry::default(),
        };
        let teller = Teller::new(settings.on_outcome.clone());
        Self { settings, teller, limiter: OnceLock::new(), work, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a piece of work under the lock, and wakes the worker if that gives it something to do.
    pub(super) fn unlock(&self, mut state: MutexGuard<'_, State>) {
        state.tell();
        let wake = state.wakes();
        let warning = state.warning();
        drop(state);
        if wake {
            self.work.notify_one();
        }
        warn(warning);
    }

    /// Tells what a person should know, if there is anything.
    pub(super) fn warn(&self) {
        let warning = self.lock().warning();
        warn(warning);
    }

    /// The worker is gone: nothing is taken any more, and whoever waits is answered.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.tell();
        let waiting = (mem::take(&mut state.flushes), mem::take(&mut state.waiters));
        drop(state);
        // Each promise is kept when it is dropped, and may need the lock for that.
        drop(waiting);
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().ledger.counts()
    }

    /// Takes a submission, or does with it what the policy says. Never waits.
    pub(super) fn try_send(&self, parts: Vec<SealedBatch>) -> Result<(), TrySendError> {
        let submission = self.check(Submission { parts, promise: None })?;
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return Err(TrySendError::Closed(submission.parts));
        }
        let mut dropped = Vec::new();
        let left = if state.is_waited_for() { Some(submission) } else { state.take(&self.settings, submission) };
        if let Some(submission) = left {
            let left = match self.settings.when_full {
                WhenFull::Refuse | WhenFull::Wait(_) | WhenFull::Spill => {
                    self.unlock(state);
                    return Err(TrySendError::Full(submission.parts));
                }
                WhenFull::DropNewest => Some(submission),
                WhenFull::DropOldest => {
                    state.make_room(&self.settings, &submission, &mut dropped);
                    // If all that is held is on its way, there is still no room.
                    state.take(&self.settings, submission)
                }
            };
            if let Some(newest) = left {
                let ticket = state.ledger.accept(newest.parts.len());
                for part in newest.parts {
                    state.ledger.moved(ticket, Place::Memory, Place::Dropped);
                    dropped.push(Outcome::new(part, ticket.submissions(), Fate::Dropped(full())));
                }
            }
        }
        self.unlock(state);
        self.teller.tell(dropped);
        Ok(())
    }

    /// Takes a submission when there is room.
    pub(super) fn send(&self, parts: Vec<SealedBatch>) -> Completion<Result<(), TrySendError>> {
        let kept = parts.clone();
        let (promise, waiting) = completion::pair(move || Err(TrySendError::Closed(kept)));
        let submission = match self.check(Submission { parts, promise: Some(promise) }) {
            Ok(submission) => submission,
            Err(error) => return Completion::ready(Err(error)),
        };
        let mut state = self.lock();
        if state.phase != Phase::Running {
            submission.answer(|parts| Err(TrySendError::Closed(parts)));
            return waiting;
        }
        // Who waits already comes first.
        let left = if state.is_waited_for() { Some(submission) } else { state.take(&self.settings, submission) };
        if let Some(submission) = left {
            let until = match self.settings.when_full {
                WhenFull::Wait(longest) => Some(saturating_add(Instant::now(), longest)),
                _ => None,
            };
            state.waiters.push_back(Waiter { submission, until });
            // The worker has to look when the time is over.
            self.work.notify_one();
        }
        self.unlock(state);
        waiting
    }

    /// Takes an event of a user, into the batch of that user if there is one that waits.
    pub(super) fn track(&self, user: &User, event: TrackedEvent) -> Result<(), TrySendError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let alone = |tracked: Tracked| vec![tracked.seal(self.settings.new_id())];
        if state.phase != Phase::Running {
            drop(guard);
            let tracked = Tracked::new(user, event).unwrap_or_else(|too_large| too_large);
            return Err(TrySendError::Closed(alone(tracked)));
        }
        let open = !state.is_waited_for() && state.can_keep(1, Tracked::growth(&event));
        let queue = match &mut state.spooling {
            Some(spooling) if spooling.comes_first() => {
                spooling.stirred |= spooling.intake.len() == 0 || spooling.intake.is_full_request();
                &mut spooling.intake
            }
            _ => &mut state.queue,
        };
        if open && let Some(ticket) = queue.grow(user, &event) {
            state.ledger.join(ticket);
            self.unlock(guard);
            return Ok(());
        }
        let tracked = match Tracked::new(user, event) {
            Ok(tracked) => tracked,
            Err(too_large) => {
                drop(guard);
                return Err(TrySendError::TooLarge(alone(too_large)));
            }
        };
        if open && queue.has_room(1, tracked.len()) {
            let content = Content::Tracked(Box::new(tracked));
            queue.push(Entry { content, ticket: state.ledger.accept(1), since: Instant::now() });
            self.unlock(guard);
            return Ok(());
        }
        drop(guard);
        // Without room to grow in it is a batch like any other.
        self.try_send(alone(tracked))
    }

    /// What could not be held if nothing else were is no question of waiting.
    fn check(&self, submission: Submission) -> Result<Submission, TrySendError> {
        let Settings { max_batches, max_bytes, .. } = self.settings;
        let largest = submission.parts.iter().map(SealedBatch::len).max().unwrap_or(0);
        if largest > MAX_BATCH_BYTES || submission.parts.len() > max_batches || submission.bytes() > max_bytes {
            return Err(TrySendError::TooLarge(submission.parts));
        }
        Ok(submission)
    }

    /// After the end: what memory alone holds.
    pub(super) fn take_unsent(&self) -> Vec<SealedBatch> {
        let mut state = self.lock();
        if state.phase != Phase::Closed {
            return Vec::new();
        }
        let entries = state.queue.take_all().into_iter().filter(Entry::is_held);
        let mut unsent: Vec<_> = entries.map(|entry| entry.content.into_sealed(|| self.settings.new_id())).collect();
        // The disk may have it all the same. The ids make sending it twice safe.
        unsent.extend(state.spooling.as_mut().into_iter().flat_map(Spooling::take_unconfirmed));
        unsent
    }

    /// Tells when all that was submitted so far has ended, or the time is over.
    pub(super) fn flush(self: &Arc<Self>, deadline: Duration, closes: bool) -> Completion<Counts> {
        let mut state = self.lock();
        if state.phase == Phase::Closed {
            return Completion::ready(state.ledger.counts());
        }
        let epoch = state.end_epoch(&self.settings);
        let mut time = deadline;
        if closes {
            state.close(&self.settings);
            // The disk gets a part of the time, for what is on its way at the end.
            let grace = if state.spooling.is_some() { GRACE.min(deadline / 4) } else { Duration::ZERO };
            state.grace = state.grace.max(grace);
            time -= grace;
        }
        let shared = Arc::clone(self);
        let (promise, waiting) = completion::pair(move || shared.counts());
        state.flushes.push(Flush { epoch, until: saturating_add(Instant::now(), time), closes, promise });
        self.unlock(state);
        self.work.notify_one();
        waiting
    }
}

impl State {
    /// Takes a submission to where it has room, in memory or in the spool, or gives it back.
    pub(super) fn take(&mut self, settings: &Settings, mut submission: Submission) -> Option<Submission> {
        let (parts, bytes) = (submission.parts.len(), submission.bytes());
        let fits = self.queue.has_room(parts, bytes);
        let comes_first = self.spooling.as_ref().is_some_and(Spooling::comes_first);
        let spills = !comes_first && !fits && settings.when_full == WhenFull::Spill;
        if (comes_first || spills) && !self.can_keep(parts, bytes) {
            return Some(submission);
        }
        if spills {
            // All that waits goes first, so that the log has it in order.
            self.spool_newest(settings);
        }
        let mut written = Ok(());
        if let Some(spooling) = self.spooling.as_mut().filter(|_| comes_first || spills) {
            match spooling.take(settings, submission, &mut self.ledger) {
                Ok(()) => return None,
                // What is in there is older, and is not to be overtaken.
                Err((refused, _)) if spooling.has_older() => return Some(refused),
                // That the disk takes nothing is no reason to lose what memory has room for.
                Err((refused, error)) => (submission, written) = (refused, Err(error)),
            }
        }
        if !fits {
            return Some(submission);
        }
        let ticket = self.ledger.accept(submission.parts.len());
        let since = Instant::now();
        for batch in submission.parts {
            self.queue.push(Entry { content: Content::Sealed(batch), ticket, since });
        }
        if let Some(promise) = submission.promise {
            promise.complete(written.map_err(TrySendError::NotSpooled));
        }
        None
    }

    /// Whether memory could keep so many batches of so many bytes if the disk fails to take them, as it did lately.
    fn can_keep(&self, batches: usize, bytes: usize) -> bool {
        let at_risk = self.spooling.as_ref().and_then(Spooling::at_risk);
        at_risk.is_none_or(|risk| self.queue.has_room(batches + risk.batches, bytes + risk.bytes))
    }

    /// Whether somebody waits for room, who comes first.
    fn is_waited_for(&mut self) -> bool {
        let abandoned = |waiter: &Waiter| waiter.submission.promise.as_ref().is_none_or(Completer::is_abandoned);
        while self.waiters.front().is_some_and(abandoned) {
            self.waiters.pop_front();
        }
        !self.waiters.is_empty()
    }

    fn warning(&mut self) -> Option<(&'static str, Error)> {
        self.spooling.as_mut()?.disk.warning.take()
    }

    /// Gives up the oldest batches until the submission has room, or nothing is left to give up.
    fn make_room(&mut self, settings: &Settings, submission: &Submission, dropped: &mut Vec<Outcome>) {
        while !self.queue.has_room(submission.parts.len(), submission.bytes()) {
            let Some(entry) = self.queue.evict() else { return };
            self.ledger.moved(entry.ticket, Place::Memory, Place::Dropped);
            let submissions = entry.ticket.submissions();
            dropped.push(Outcome::new(
                entry.content.into_sealed(|| settings.new_id()),
                submissions,
                Fate::Dropped(full()),
            ));
        }
    }

    /// Lets those in who wait for room, from the first, and turns those away whose time is over.
    pub(super) fn admit_waiters(&mut self, settings: &Settings, now: Instant) {
        for mut waiter in mem::take(&mut self.waiters) {
            if waiter.submission.promise.as_ref().is_none_or(Completer::is_abandoned) {
                continue;
            }
            if waiter.until.is_some_and(|until| until <= now) {
                waiter.submission.answer(|parts| Err(TrySendError::Full(parts)));
                continue;
            }
            // Who does not fit lets nobody pass.
            if self.waiters.is_empty() {
                match self.take(settings, waiter.submission) {
                    None => continue,
                    Some(submission) => waiter.submission = submission,
                }
            }
            self.waiters.push_back(waiter);
        }
    }

    /// When the first of those who wait has waited long enough.
    pub(super) fn waiters_until(&self) -> Option<Instant> {
        self.waiters.iter().filter_map(|waiter| waiter.until).min()
    }

    fn end_epoch(&mut self, settings: &Settings) -> u32 {
        self.queue.close_all();
        if let Some(spooling) = &mut self.spooling {
            spooling.write_intake(settings);
        }
        self.ledger.end_epoch()
    }

    /// Nothing is taken any more. What memory alone holds goes to the spool, if there is one: then the end cannot lose it.
    fn close(&mut self, settings: &Settings) {
        self.phase = Phase::Closing;
        for waiter in mem::take(&mut self.waiters) {
            waiter.submission.answer(|parts| Err(TrySendError::Closed(parts)));
        }
        self.spool_newest(settings);
        if let Some(spooling) = &mut self.spooling {
            spooling.always = true;
        }
    }

    /// Hands to the spool, if there is one, what memory alone holds and is newer than all that is in there. What is older
    /// stays: behind newer batches of its user it would be out of order.
    fn spool_newest(&mut self, settings: &Settings) {
        let Some(spooling) = self.spooling.as_mut().filter(|spooling| !spooling.has_older()) else { return };
        let mut older = self.queue.take_all();
        let newest = older.iter().rposition(|entry| !entry.is_held()).map_or(0, |last| last + 1);
        for entry in older.split_off(newest) {
            self.queue.let_go(&entry);
            spooling.append(settings, entry);
        }
        self.queue.put_back(older.into_iter());
    }

    /// At the end: whether memory alone holds batches that may be older than what is in the spool.
    pub(super) fn has_older(&self) -> bool {
        let has_older = |spooling: &Spooling| spooling.has_failed() || self.queue.held().batches > 0;
        self.has_given_up() || self.spooling.as_ref().is_some_and(has_older)
    }

    /// At the end: whether the spool gave up batches after they were read.
    pub(super) fn has_given_up(&self) -> bool {
        let Some(spooling) = &self.spooling else { return false };
        self.queue.iter().any(|entry| matches!(&entry.content, Content::Spooled(record) if !spooling.keeps(record)))
    }

    /// At the end, when there is no more time: memory alone holds what the spool gave up after it was read.
    pub(super) fn recall_given_up(&mut self) {
        let Some(spooling) = &self.spooling else { return };
        let mut entries = self.queue.take_all();
        for entry in &mut entries {
            if let Content::Spooled(record) = &entry.content
                && !spooling.keeps(record)
            {
                self.ledger.moved(entry.ticket, Place::Spool, Place::Memory);
                entry.content = Content::Sealed(record.batch.clone());
                self.queue.hold(entry);
            }
        }
        self.queue.put_back(entries.into_iter());
    }

    /// At the end: hands to the spool what was to be sent and memory alone holds. There is nobody else any more who could.
    /// Returns the users of these batches: their newer records that were read are written again, so that the order holds.
    pub(super) fn spool_all(&mut self, settings: &Settings) -> HashSet<UserKey> {
        let mut users = HashSet::new();
        let Some(spooling) = &mut self.spooling else { return users };
        spooling.write_intake(settings);
        let mut spooled = Vec::new();
        for entry in self.queue.take_all() {
            self.queue.let_go(&entry);
            let user = entry.user();
            match entry.content {
                Content::Spooled(record) if spooling.keeps(&record) => {
                    if users.contains(&user) {
                        spooling.rewrite(&record);
                    }
                    spooled.push(Entry { content: Content::Spooled(record), ..entry });
                }
                Content::Spooled(record) => {
                    users.insert(user);
                    spooling.append_again(*record, entry.ticket, &mut self.ledger);
                }
                Content::Sealed(_) | Content::Tracked(_) => {
                    users.insert(user);
                    spooling.append(settings, entry);
                }
            }
        }
        self.queue.put_back(spooled.into_iter());
        users
    }

    /// Whether the worker has to be woken, once.
    fn wakes(&mut self) -> bool {
        let stirred = self.spooling.as_mut().is_some_and(|spooling| mem::take(&mut spooling.stirred));
        let queued = match self.wake {
            Wake::AtOnce => self.queue.len() > 0,
            Wake::WhenFull => self.queue.is_full_request(),
            Wake::Never => false,
        };
        if queued {
            self.wake = Wake::Never;
        }
        stirred || queued
    }

    /// Tells the counts to those who measure.
    pub(super) fn tell(&mut self) {
        self.telemetry.tell(self.measures());
    }

    pub(super) fn measures(&self) -> Measures {
        Measures {
            counts: self.ledger.counts(),
            queued_batches: self.queue.waiting().batches,
            held_bytes: self.queue.held().bytes,
        }
    }
}

/// Without a lock: who listens may submit what he hears.
fn warn(warning: Option<(&'static str, Error)>) {
    if let Some((what, error)) = warning {
        tracing::warn!(%error, "{what}");
    }
}

/// There is no room.
pub(super) fn full() -> Error {
    Error::full("the queue of the uploader is full")
}
