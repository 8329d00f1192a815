//! Logs outages of the service and lost batches, at most a few lines each. Nothing is logged while all is well.
//!
//! The time is an argument of every decision. No lock is held while a line is logged, because subscribers are callers' code.

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests;

use std::error::Error as _;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;

use super::{Accepted, int};
use crate::error::{Error, ErrorKind};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::time::saturating_add;

/// The shortest time between the reports of two outages: a service that refuses every third request is not down every second.
/// Also the time without an accepted request after which responses of 429, which are normal under a rate limit, are an outage,
/// and the time without a response after which an attempt that the caller's deadline cuts off shows an outage.
const OUTAGE_INTERVAL: Duration = Duration::from_secs(10);

/// The shortest time between two lines about lost batches.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

/// Logs the begin and the end of each outage. Clones share the state.
#[derive(Clone, Default)]
pub(crate) struct OutageLog(Arc<Mutex<OutageState>>);

#[derive(Default)]
struct OutageState {
    /// The time of the first failure since the last success.
    failing_since: Option<Instant>,
    /// True once the begin of the current outage was logged.
    is_logged: bool,
    logged_at: Option<Instant>,
}

/// The state of the service, as the result of an attempt shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Availability {
    Available,
    RateLimited,
    Unavailable,
}

/// A line to log about an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutageEvent {
    Began,
    Ended(Duration),
}

impl OutageLog {
    /// Records the result of an attempt that started at this time. `is_cut_off` is true if the caller's deadline ended it: then
    /// the caller did not wait, and only a long time without a response is a failure of the service.
    pub(super) fn record(&self, started: Instant, result: &Result<Accepted, Error>, is_cut_off: bool) {
        let now = Instant::now();
        if is_cut_off && now.saturating_duration_since(started) < OUTAGE_INTERVAL {
            return;
        }
        let Some(availability) = Availability::from_result(result) else { return };
        let event = lock(&self.0).record(started, now, availability);
        match (event, result) {
            (Some(OutageEvent::Began), Err(error)) => {
                let cause = iter::successors(error.source(), |&cause| cause.source()).last();
                tracing::warn!(
                    target: "mparticle::delivery",
                    error = error.message(),
                    cause = cause.map(tracing::field::display),
                    "the service is unavailable"
                );
            }
            (Some(OutageEvent::Ended(length)), _) => tracing::info!(
                target: "mparticle::delivery",
                outage_seconds = length.as_secs_f64(),
                "the service is available again"
            ),
            _ => {}
        }
    }
}

impl Availability {
    /// Returns `None` if the result says nothing about the service: nothing was sent, or something else responded.
    fn from_result(result: &Result<Accepted, Error>) -> Option<Self> {
        match result {
            Ok(_) => Some(Self::Available),
            Err(error) if error.status() == Some(StatusCode::TOO_MANY_REQUESTS) => Some(Self::RateLimited),
            Err(error) if error.is_retryable() => Some(Self::Unavailable),
            Err(error) => (error.kind() == ErrorKind::Refused).then_some(Self::Available),
        }
    }
}

impl OutageState {
    fn record(&mut self, started: Instant, now: Instant, availability: Availability) -> Option<OutageEvent> {
        let since = match (availability, self.failing_since) {
            // A response to a request that was sent before the first failure shows nothing about the time after it.
            (Availability::Available, Some(since)) if started > since => {
                self.failing_since = None;
                let is_logged = std::mem::take(&mut self.is_logged);
                return is_logged.then(|| OutageEvent::Ended(now - since));
            }
            (Availability::Available, _) => return None,
            (_, since) => *self.failing_since.insert(since.unwrap_or(now)),
        };
        let has_passed = |at: Instant| now.saturating_duration_since(at) >= OUTAGE_INTERVAL;
        let is_outage = availability == Availability::Unavailable || has_passed(since);
        if self.is_logged || !is_outage || !self.logged_at.is_none_or(has_passed) {
            return None;
        }
        (self.is_logged, self.logged_at) = (true, Some(now));
        Some(OutageEvent::Began)
    }
}

/// A batch that will never be delivered.
pub(crate) struct Loss<'a> {
    pub(crate) kind: LossKind,
    /// `None` if the batch is unknown, because it was lost on the disk.
    pub(crate) source_request_id: Option<&'a str>,
    pub(crate) error: &'a Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossKind {
    Rejected,
    Dropped,
}

/// Logs lost batches, at most one line in [`LOSS_INTERVAL`]. Counts the others, and logs their number later.
#[derive(Default)]
pub(crate) struct LossLog(Mutex<LossState>);

#[derive(Default)]
struct LossState {
    logged_at: Option<Instant>,
    /// The number of lost batches that no line has reported.
    unlogged: u64,
}

impl LossLog {
    /// Logs the first of these losses with the number of all others, or counts them if a line was logged less than
    /// [`LOSS_INTERVAL`] ago. Returns whether [`flush_due`](Self::flush_due) has to be called because of them.
    pub(crate) fn record<'a>(&self, losses: impl IntoIterator<Item = Loss<'a>>) -> bool {
        let mut losses = losses.into_iter();
        let Some(first) = losses.next() else { return false };
        if !tracing::enabled!(target: "mparticle::delivery", tracing::Level::WARN) {
            return false;
        }
        let count = 1 + losses.count() as u64;
        let mut state = lock(&self.0);
        let had_unlogged = state.unlogged > 0;
        state.unlogged += count;
        let Some(count) = state.take_due(Instant::now()) else { return !had_unlogged };
        drop(state);
        first.log(count - 1);
        false
    }

    /// Logs the number of losses that no line has reported, or returns the time at which that may be logged.
    pub(crate) fn flush_due(&self) -> Option<Instant> {
        let mut state = lock(&self.0);
        if state.unlogged == 0 {
            return None;
        }
        let Some(count) = state.take_due(Instant::now()) else { return state.due() };
        drop(state);
        log_number(count);
        None
    }

    /// Logs the number of losses that no line has reported, at once.
    pub(crate) fn flush(&self) {
        let count = std::mem::take(&mut lock(&self.0).unlogged);
        if count > 0 {
            log_number(count);
        }
    }
}

impl Drop for LossLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl LossState {
    fn due(&self) -> Option<Instant> {
        self.logged_at.map(|at| saturating_add(at, LOSS_INTERVAL))
    }

    /// Takes the number of losses, if a line may be logged.
    fn take_due(&mut self, now: Instant) -> Option<u64> {
        if self.due().is_some_and(|due| now < due) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

impl Loss<'_> {
    fn log(&self, others: u64) {
        let Self { kind, source_request_id, error } = self;
        let what = match kind {
            LossKind::Rejected => "rejected",
            LossKind::Dropped => "dropped",
        };
        let more = if others > 0 { format!(", and {others} more were lost") } else { String::new() };
        tracing::warn!(
            target: "mparticle::delivery",
            source_request_id,
            status = error.status().map(|status| i64::from(status.as_u16())),
            errors = int(error.api_errors().len()),
            error = error.message(),
            "a batch was {what}{more}"
        );
    }
}

fn log_number(count: u64) {
    tracing::warn!(target: "mparticle::delivery", "and {count} more batches were rejected or dropped");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
