//! The trait of both limiters, their state of a request, and the wait loop that they share.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::delivery::Accepted;
use crate::error::Error;
use crate::time::saturating_add;

/// Decides when each attempt may be made, and adapts to its result.
pub(crate) trait RateLimiter: Send + Sync {
    /// The permission to make one attempt.
    type Permit: Send;

    /// Waits until an attempt may be made.
    ///
    /// # Errors
    /// Returns the remaining wait if it ends after the deadline.
    fn acquire(
        &self,
        request: &mut RequestState<Self::Permit>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Permit, Duration>> + Send;

    /// Records the result of an attempt. `retries` is whether the request will be retried. Returns the minimum wait before the
    /// retry.
    fn record(
        &self,
        permit: Self::Permit,
        request: &mut RequestState<Self::Permit>,
        result: &Result<Accepted, Error>,
        retries: bool,
    ) -> Duration;

    /// Takes one retry from the budget. Returns whether there was one.
    fn withdraw_retry(&self) -> bool {
        true
    }
}

/// The state of a request in a rate limiter, from its first attempt to its last.
pub(crate) struct RequestState<P> {
    pub(super) batches: usize,
    /// The number of failed attempts that lengthen the next back-off.
    pub(super) failures: u32,
    pub(super) not_before: Instant,
    /// The permit for the first attempt, if the caller has acquired it.
    pub(super) permit: Option<P>,
}

impl<P> RequestState<P> {
    pub(crate) fn new(batches: usize, permit: Option<P>) -> Self {
        Self { batches, failures: 0, not_before: Instant::now(), permit }
    }

    /// Returns the earliest time of the next attempt. The limiter may allow it later.
    pub(crate) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Postpones the next attempt after one that failed at `now`. Returns the wait.
    pub(super) fn postpone(&mut self, now: Instant, wait: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.not_before = saturating_add(now, wait);
        wait
    }
}

/// The reason why an attempt may not be made yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It has to wait until this time, or until the limiter notifies of a change.
    Until(Instant),
    /// It has to wait until the limiter notifies of a change.
    Change,
    /// It would have to wait this long, which is longer than its deadline allows.
    PastDeadline(Duration),
}

/// Polls until there is a result, again after each wait and each change. Delivery sleeps nowhere else.
pub(super) async fn wait_for<T>(
    changed: &Notify,
    deadline: Instant,
    mut poll: impl FnMut(Instant) -> Result<T, Wait>,
) -> Result<T, Duration> {
    loop {
        // Created before the state is read, so that no change is missed.
        let changed = changed.notified();
        let now = Instant::now();
        let until = match poll(now) {
            Ok(ready) => return Ok(ready),
            Err(Wait::PastDeadline(wait)) => return Err(wait),
            Err(Wait::Until(until)) => until,
            Err(Wait::Change) => deadline,
        };
        if now >= deadline {
            return Err(until - now);
        }
        let _ = timeout_at(until.min(deadline), changed).await;
    }
}

pub(super) fn is_rate_limited(error: &Error) -> bool {
    error.status() == Some(StatusCode::TOO_MANY_REQUESTS)
}
