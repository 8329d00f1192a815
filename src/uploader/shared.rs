//! The state that the handles of an uploader share with its dispatcher, under one lock. While it is held, nothing blocks and
//! no callers' code runs; see [`Shared::unlock`].

use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::accounting::UploaderStats;
use super::admission::Admission;
use super::config::{Config, WhenFull};
use super::durable_queue::DurableQueue;
use super::error::TrySendError;
use super::journal::Journal;
use super::queue::is_full_request;
use super::report::{DeliveryReport, ReportBroadcaster};
use super::submission::{SendHandle, Submission};
use super::telemetry::{StatsReporter, StatsSnapshot};
use crate::completion::{self, Completer, Completion};
use crate::delivery::{AdaptiveLimiter, LossLog};
use crate::error::Error;
use crate::limits::MAX_BATCH_BYTES;
use crate::seal::{EncodedEvent, PendingBatch, SealedBatch, TemplateData};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::time::saturating_add;

/// The time for pending writes to the disk at the end of a shutdown.
pub(super) const DISK_GRACE_PERIOD: Duration = Duration::from_millis(500);

pub(super) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) reports: ReportBroadcaster,
    pub(super) losses: LossLog,
    /// Notified when the dispatcher has work.
    pub(super) work: Arc<Notify>,
    /// Set when the dispatcher starts.
    pub(super) limiter: OnceLock<Arc<AdaptiveLimiter>>,
    state: Mutex<UploaderState>,
}

pub(super) struct UploaderState {
    pub(super) queue: DurableQueue,
    pub(super) phase: Phase,
    /// The reason why sending has stopped.
    pub(super) stopped: Option<Error>,
    /// The used part of the rate limit in percent, as of the last acceptance.
    pub(super) rate_limit_used_percent: Option<f64>,
    admission: Admission,
    pub(super) flushes: Vec<Flush>,
    pub(super) wake: WakePolicy,
    /// The time for pending writes at the end, at most [`DISK_GRACE_PERIOD`].
    pub(super) grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// No submission is accepted any more.
    Closing,
    Closed,
}

/// The condition under which a new batch wakes the dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WakePolicy {
    /// Any batch: the dispatcher knows of none.
    Immediate,
    /// A full request: the dispatcher knows when the queued batches have lingered.
    OnFullRequest,
    /// None: the dispatcher waits until it may send, and checks the queue then.
    Never,
}

/// A flush or shutdown, which waits until all earlier submissions have ended.
pub(super) struct Flush {
    pub(super) epoch: u32,
    pub(super) deadline: Instant,
    pub(super) closes: bool,
    pub(super) completer: Completer<UploaderStats>,
}

impl Shared {
    pub(super) fn new(config: Config, journal: Arc<dyn Journal>) -> Self {
        let (config, work) = (Arc::new(config), Arc::<Notify>::default());
        journal.set_eviction_notify(Arc::clone(&work));
        let state = UploaderState {
            queue: DurableQueue::new(Arc::clone(&config), journal),
            phase: Phase::Running,
            stopped: None,
            rate_limit_used_percent: None,
            admission: Admission::default(),
            flushes: Vec::new(),
            wake: WakePolicy::Immediate,
            grace: Duration::ZERO,
        };
        let reports = ReportBroadcaster::new(config.on_delivery.clone());
        Self { config, limiter: OnceLock::new(), reports, losses: LossLog::default(), work, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, UploaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock, and then does the work that runs callers' code (callbacks, wakers, `tracing` subscribers), which
    /// may call the uploader.
    pub(super) fn unlock(&self, mut state: MutexGuard<'_, UploaderState>) {
        let wakes = state.wakes_dispatcher();
        let effects = mem::take(&mut state.queue.effects);
        let results = mem::take(&mut state.queue.accounting.results);
        let withdrawn = mem::take(&mut state.admission.withdrawn);
        // Taken under the lock, so that no stream ends before it has these reports.
        let sender = if effects.reports.is_empty() { None } else { self.reports.sender() };
        drop(state);
        drop(withdrawn);
        if wakes {
            self.work.notify_one();
        }
        if let Some((message, error)) = effects.warning {
            tracing::warn!(%error, "{message}");
        }
        if self.losses.record(effects.reports.iter().filter_map(DeliveryReport::loss)) {
            // The dispatcher logs the number of the others later.
            self.work.notify_one();
        }
        self.reports.publish(sender.as_ref(), effects.reports);
        for (acceptance, result) in effects.acceptances {
            acceptance.complete(result);
        }
        for (completer, result) in results {
            completer.complete(result);
        }
    }

    pub(super) fn stats(&self) -> UploaderStats {
        self.lock().queue.accounting.stats()
    }

    /// Counts a submission that `before_send` discarded.
    pub(super) fn count_filtered(&self) {
        let is_reported = StatsReporter::is_enabled();
        let mut state = self.lock();
        state.queue.accounting.add_filtered();
        // The dispatcher reports the number. Nothing else wakes it if all submissions are discarded.
        state.queue.effects.needs_poll |= is_reported;
        self.unlock(state);
    }

    /// Accepts a submission, or does with it what the policy says. Never waits.
    pub(super) fn try_send(&self, submission: Submission) -> Result<(), TrySendError> {
        let submission = self.check(submission)?;
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return Err(TrySendError::Closed(submission.parts));
        }
        let result = match (state.submit(submission), self.config.when_full) {
            (Ok(()), _) => Ok(()),
            (Err(submission), WhenFull::Refuse | WhenFull::Wait(_) | WhenFull::Spill) => {
                Err(TrySendError::Full(submission.parts))
            }
            (Err(submission), WhenFull::DropNewest) => {
                state.queue.drop_newest(submission);
                Ok(())
            }
            (Err(submission), WhenFull::DropOldest) => {
                state.queue.drop_oldest(submission.amount());
                // If everything is in flight, there is still no room.
                if let Err(submission) = state.queue.submit(submission) {
                    state.queue.drop_newest(submission);
                }
                Ok(())
            }
        };
        self.unlock(state);
        result
    }

    /// Accepts a submission when there is room.
    pub(super) fn send(&self, parts: Vec<SealedBatch>, tag: Option<u64>) -> SendHandle {
        let (submission, handle) = Submission::with_handle(parts, tag);
        let submission = match self.check(submission) {
            Ok(submission) => submission,
            Err(error) => return SendHandle::from_error(error),
        };
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return SendHandle::from_error(TrySendError::Closed(submission.parts));
        }
        if let Err(submission) = state.submit(submission) {
            let deadline = match self.config.when_full {
                WhenFull::Wait(timeout) => Some(saturating_add(Instant::now(), timeout)),
                _ => None,
            };
            state.admission.wait(submission, deadline);
            // The dispatcher must check when the deadline passes.
            state.queue.effects.needs_poll = true;
        }
        self.unlock(state);
        handle
    }

    /// Accepts an event of a user, into the user's open batch if there is one.
    pub(super) fn track(&self, template: &TemplateData, event: EncodedEvent) -> Result<(), TrySendError> {
        let mut state = self.lock();
        if state.is_open() && state.queue.coalesce(template, &event) {
            self.unlock(state);
            return Ok(());
        }
        drop(state);
        // Without the lock, because the source of ids is callers' code.
        let mut batch = Some(PendingBatch::new(template, self.config.new_id(), event));
        let mut state = self.lock();
        if state.is_open() {
            batch = batch.and_then(|batch| state.queue.open(batch));
        }
        self.unlock(state);
        // If it cannot be coalesced, it is submitted like any other batch.
        batch.map_or(Ok(()), |batch| self.try_send(Submission::new(vec![batch.seal()], None)))
    }

    /// Refuses a submission that would not fit into an empty queue.
    fn check(&self, submission: Submission) -> Result<Submission, TrySendError> {
        let largest = submission.parts.iter().map(SealedBatch::len).max().unwrap_or(0);
        if largest > MAX_BATCH_BYTES || !submission.amount().fits(self.config.limit()) {
            return Err(TrySendError::TooLarge(submission.parts));
        }
        Ok(submission)
    }

    /// Returns the batches that are in memory only, after the end of the shutdown.
    pub(super) fn take_unsent(&self) -> Vec<SealedBatch> {
        let mut state = self.lock();
        if state.phase == Phase::Closed { state.queue.take_unsent() } else { Vec::new() }
    }

    /// Completes when everything that was submitted so far has ended, or after the timeout.
    pub(super) fn flush(self: &Arc<Self>, timeout: Duration, closes: bool) -> Completion<UploaderStats> {
        let mut state = self.lock();
        if state.phase == Phase::Closed {
            return Completion::ready(state.queue.accounting.stats());
        }
        let epoch = state.queue.end_epoch();
        let mut time = timeout;
        if closes {
            state.close_admission(Phase::Closing);
            // Batches in memory only are written to the spool, if there is one, so that they are not lost at the end.
            state.queue.start_spooling_all();
            // A part of the timeout is reserved for pending writes at the end.
            let is_durable = state.queue.journal.is_durable();
            let grace = if is_durable { DISK_GRACE_PERIOD.min(timeout / 4) } else { Duration::ZERO };
            state.grace = state.grace.max(grace);
            time -= grace;
        }
        let shared = Arc::clone(self);
        let (completer, completion) = completion::pair(move || shared.stats());
        state.flushes.push(Flush { epoch, deadline: saturating_add(Instant::now(), time), closes, completer });
        state.queue.effects.needs_poll = true;
        self.unlock(state);
        completion
    }

    /// Ends the uploader after the dispatcher: reports the remaining batches, and completes everything that is awaited.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.close_admission(Phase::Closed);
        let stored = state.queue.report_remaining();
        let flushes = mem::take(&mut state.flushes);
        self.unlock(state);
        let sender = self.reports.sender();
        for (report, batches) in stored {
            self.reports.publish(sender.as_ref(), (0..batches).map(|_| report.clone()));
        }
        self.reports.close();
        // Each completes when it is dropped, which takes the lock.
        drop(flushes);
    }
}

impl UploaderState {
    /// Returns whether a batch can be submitted without overtaking one that waits for room.
    fn is_open(&mut self) -> bool {
        self.phase == Phase::Running && !self.admission.has_waiters()
    }

    fn submit(&mut self, submission: Submission) -> Result<(), Submission> {
        if self.admission.has_waiters() { Err(submission) } else { self.queue.submit(submission) }
    }

    /// Accepts the waiting submissions that fit now, and refuses those whose deadline has passed. Returns the time of the
    /// next check.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Instant> {
        let expired = self.admission.admit(now, |submission| self.queue.submit(submission));
        for submission in expired {
            self.queue.refuse(submission, TrySendError::Full);
        }
        // Withdrawing the first one wakes no task, but those behind it may fit then.
        let next_check = (self.admission.len() > 1).then(|| saturating_add(now, Duration::from_secs(1)));
        self.admission.deadline().into_iter().chain(next_check).min()
    }

    /// Stops accepting submissions, and refuses those that wait.
    fn close_admission(&mut self, phase: Phase) {
        self.phase = phase;
        for submission in self.admission.close() {
            self.queue.refuse(submission, TrySendError::Closed);
        }
    }

    /// Returns whether the dispatcher must be woken now, and resets that.
    fn wakes_dispatcher(&mut self) -> bool {
        let unblocked = self.queue.unblocked();
        let wakes = match self.wake {
            WakePolicy::Immediate => unblocked.batches > 0,
            WakePolicy::OnFullRequest => is_full_request(unblocked),
            WakePolicy::Never => false,
        };
        if wakes {
            self.wake = WakePolicy::Never;
        }
        mem::take(&mut self.queue.effects.needs_poll) || wakes
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            stats: self.queue.accounting.stats(),
            queued_batches: self.queue.waiting().batches,
            held_bytes: self.queue.held().bytes,
            rate_limit_used_percent: self.rate_limit_used_percent,
            is_stopped: self.stopped.is_some(),
        }
    }
}
