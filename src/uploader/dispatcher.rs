//! The dispatcher: sends the batches that are ready, and accounts for the results.
//!
//! [`run`] is an async function over a transport, a journal, tokio's clock and a source of random numbers, so that tests can
//! replace each of them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::config::Config;
use super::entry::Entry;
use super::journal::Journal;
use super::shared::{Flush, Phase, Shared, WakePolicy};
use super::telemetry::StatsReporter;
use crate::delivery::{
    AdaptiveConfig, AdaptiveLimiter, CallResult, ClientLimiter, Deliverer, RetryPolicy, Transport, in_span,
    uploader_span,
};
use crate::error::Error;
use crate::limits::MAX_BATCHES_PER_REQUEST;
use crate::seal::SealedBatch;
use crate::time::saturating_add;

/// The delay before a failed read of the journal is retried.
const READ_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest sleep, when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// Ends the uploader when it is dropped, also after a panic of the dispatcher.
struct DispatcherGuard(Arc<Shared>);

impl Drop for DispatcherGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Delivers batches until the uploader is shut down.
pub(super) async fn run<T: Transport + Clone + 'static>(shared: Arc<Shared>, client: Deliverer<T, ClientLimiter>) {
    let _end = DispatcherGuard(Arc::clone(&shared));
    let journal = Arc::clone(&shared.lock().queue.journal);
    let Config { rates, max_probe_interval, .. } = *shared.config;
    let limiter = AdaptiveLimiter::new(AdaptiveConfig { rates, max_probe_interval }, &client.limiter);
    let limiter = Arc::clone(shared.limiter.get_or_init(|| Arc::new(limiter)));
    // Retries are unlimited: the rate limiter ensures that they do not make an outage worse.
    let Deliverer { transport, observer, outages, .. } = client;
    let deliverer = Deliverer { transport, limiter, policy: RetryPolicy::unlimited(), observer, outages };
    let (requests, in_flight, reporter) = (JoinSet::new(), HashMap::new(), StatsReporter::start());
    let mut dispatcher = Dispatcher { shared, journal, deliverer, requests, in_flight, read_retry_at: None, reporter };
    dispatcher.work().await;
    dispatcher.end().await;
}

pub(super) struct Dispatcher<T> {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Arc<dyn Journal>,
    deliverer: Deliverer<T, Arc<AdaptiveLimiter>>,
    pub(super) requests: JoinSet<CallResult>,
    pub(super) in_flight: HashMap<Id, Vec<Entry>>,
    /// The time at which to retry a failed read of the journal.
    read_retry_at: Option<Instant>,
    pub(super) reporter: StatsReporter,
}

impl<T: Transport + Clone + 'static> Dispatcher<T> {
    async fn work(&mut self) {
        let (shared, limiter) = (Arc::clone(&self.shared), Arc::clone(&self.deliverer.limiter));
        loop {
            // Created before the state is read, so that no notification is missed.
            let (work, changed) = (shared.work.notified(), limiter.changed.notified());
            self.read_ahead();
            let due = self.dispatch();
            let due = self.report(due);
            if self.is_over() {
                return;
            }
            tokio::select! {
                Some(result) = self.requests.join_next_with_id() => self.complete(result),
                () = wait_for_write(&shared) => {}
                () = work => {}
                () = changed => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Sends what can be sent now, and returns the latest time at which to check again.
    fn dispatch(&mut self) -> Instant {
        let now = Instant::now();
        let never = saturating_add(now, IDLE);
        let shared = Arc::clone(&self.shared);
        let mut guard = shared.lock();
        let state = &mut *guard;
        let is_hurried = !state.flushes.is_empty() || state.phase != Phase::Running;
        let linger = if is_hurried { Duration::ZERO } else { shared.config.linger };
        let waits = [state.admit(now), self.read_retry_at, state.queue.spool_lingered(now, linger)];
        let deadlines = state.flushes.iter().map(|flush| flush.deadline);
        let mut due = waits.into_iter().flatten().chain(deadlines).fold(never, Instant::min);
        state.wake = WakePolicy::Never;
        while state.stopped.is_none() && self.requests.len() < shared.config.max_in_flight {
            let sendable = match state.queue.sendable(now, linger) {
                Ok(sendable) => sendable,
                Err(lingered) => {
                    state.wake = lingered.map_or(WakePolicy::Immediate, |_| WakePolicy::OnFullRequest);
                    due = due.min(lingered.unwrap_or(never));
                    break;
                }
            };
            match self.deliverer.limiter.poll_ready(sendable) {
                Ok(room) => {
                    let entries = state.queue.take(room.min(MAX_BATCHES_PER_REQUEST));
                    if entries.is_empty() {
                        // Everything is blocked behind batches in flight. Only a new batch can be sent now.
                        state.wake = WakePolicy::Immediate;
                        break;
                    }
                    self.send(entries);
                }
                Err(until) => {
                    due = due.min(until.unwrap_or(never));
                    break;
                }
            }
        }
        shared.unlock(guard);
        due
    }

    /// Reports changed numbers and lost batches. Returns the latest time at which to report again, or `due` if that is earlier.
    fn report(&mut self, due: Instant) -> Instant {
        let Self { shared, in_flight, reporter, .. } = self;
        let stats = reporter.report(|| shared.lock().snapshot());
        let in_flight = in_flight.values().flatten();
        let age = reporter.report_age(|now| shared.lock().queue.oldest_age(in_flight, now));
        [stats, age, shared.losses.flush_due()].into_iter().flatten().fold(due, Instant::min)
    }

    /// Sends the entries of one request, which have the same endpoint.
    fn send(&mut self, entries: Vec<Entry>) {
        let Some(endpoint) = entries.first().map(|entry| entry.endpoint) else { return };
        let batches: Vec<SealedBatch> = entries.iter().map(|entry| entry.batch.clone()).collect();
        let (deliverer, permit) = (self.deliverer.clone(), self.deliverer.limiter.begin(entries.len()));
        let request = self.requests.spawn(async move {
            let span = uploader_span(endpoint, batches.len());
            in_span(span, deliverer.deliver_with(endpoint, &batches, Some(permit))).await
        });
        self.in_flight.insert(request.id(), entries);
    }

    /// Accounts for the results of a request that has ended.
    fn complete(&mut self, result: Result<(Id, CallResult), JoinError>) {
        let id = result.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(entries) = self.in_flight.remove(&id) else { return };
        let outcome = match result {
            Ok((_, outcome)) => outcome,
            // A transport should not panic. If one does, the state of its batches is unknown. Resending them is safe because
            // their ids are fixed.
            Err(error) => {
                CallResult::unsent(entries.len(), Error::config("the delivery task panicked").with_source(error))
            }
        };
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        if let Some(accepted) = &outcome.accepted {
            state.rate_limit_used_percent = accepted.rate_limit_used_percent();
        }
        state.queue.accounting.add_unread_responses(outcome.unread_responses);
        state.queue.unblock(entries.iter().map(|entry| entry.batch.user()));
        let mut unsent = Vec::new();
        for (entry, result) in entries.into_iter().zip(outcome.results) {
            match result {
                None => unsent.push(entry),
                Some(result) => state.queue.complete(entry, result),
            }
        }
        state.queue.requeue(unsent);
        // Waiting submissions use the room that was freed before any later one.
        state.admit(Instant::now());
        // Several requests in flight may fail for the same reason.
        let had_stopped = state.stopped.is_some();
        state.stopped = outcome.stopped.clone().or(state.stopped.take());
        self.shared.unlock(guard);
        if let Some(error) = outcome.stopped.filter(|_| !had_stopped) {
            tracing::error!(target: "mparticle::uploader", %error, "the uploader has stopped sending and keeps all batches: check the credentials and the base URL, then call resume(), or, with a spool, restart the program");
        }
    }

    /// Reads ahead from the journal, and accounts for records that were evicted there.
    fn read_ahead(&mut self) {
        self.drop_evicted();
        if self.read_retry_at.is_some_and(|at| Instant::now() < at) || self.shared.lock().stopped.is_some() {
            return;
        }
        self.read_retry_at = None;
        loop {
            let Some(limit) = self.shared.lock().queue.begin_read() else { return };
            // Without the lock, because this reads from the disk.
            let record = self.journal.next_record(limit);
            let mut state = self.shared.lock();
            match record {
                Ok(record) => {
                    let is_last = record.is_none();
                    state.queue.end_read(record);
                    if is_last {
                        return;
                    }
                }
                Err(error) => {
                    state.queue.end_read(None);
                    drop(state);
                    tracing::warn!(%error, "failed to read the spool, and will retry");
                    self.read_retry_at = Some(saturating_add(Instant::now(), READ_RETRY_DELAY));
                    return;
                }
            }
        }
    }

    pub(super) fn drop_evicted(&self) {
        let evicted = self.journal.take_evicted();
        if !evicted.is_empty() {
            let mut state = self.shared.lock();
            state.queue.drop_evicted(evicted);
            self.shared.unlock(state);
        }
    }

    /// Completes the flushes that are over. Returns whether one of them is a shutdown, which completes later, at the end.
    fn is_over(&self) -> bool {
        let now = Instant::now();
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let is_stuck = state.stopped.is_some() && self.requests.is_empty();
        let (accounting, flushes) = (&mut state.queue.accounting, mem::take(&mut state.flushes));
        let is_over = |flush: &Flush| is_stuck || flush.deadline <= now || accounting.is_over(flush.epoch);
        let (over, open) = flushes.into_iter().partition::<Vec<_>, _>(is_over);
        let (closing, over) = over.into_iter().partition::<Vec<_>, _>(|flush| flush.closes);
        let is_ending = !closing.is_empty();
        state.flushes = open.into_iter().chain(closing).collect();
        if state.flushes.is_empty() {
            accounting.join_epochs();
        }
        let totals = accounting.stats();
        drop(guard);
        for flush in over {
            flush.completer.complete(totals);
        }
        is_ending
    }
}

/// Waits until the journal has confirmed a write, or failed one.
pub(super) async fn wait_for_write(shared: &Shared) {
    poll_fn(|context| {
        let mut state = shared.lock();
        let progress = state.queue.poll_written(context);
        if progress.is_ready() {
            shared.unlock(state);
        }
        progress
    })
    .await;
}
