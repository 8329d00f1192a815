//! The rate limiter of a client: the gate that a 429 closes, and the retry budget.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::budget::RetryBudget;
use super::gate::RateLimitGate;
use super::limiter::{RateLimiter, RequestState, is_rate_limited, wait_for};
use crate::delivery::{Accepted, RetryPolicy};
use crate::error::Error;
use crate::random::Random;

/// Allows requests unless the service asked to wait. Clones share the gate and the budget.
#[derive(Clone)]
pub(crate) struct ClientLimiter {
    pub(super) backoff: Backoff,
    pub(super) gate: Arc<RateLimitGate>,
    budget: Arc<RetryBudget>,
}

impl ClientLimiter {
    pub(crate) fn new(policy: &RetryPolicy, random: Random) -> Self {
        let backoff = Backoff::new(policy.initial_backoff, policy.max_backoff, random);
        Self { backoff, gate: Arc::default(), budget: Arc::new(RetryBudget::new(policy.retry_budget)) }
    }
}

impl RateLimiter for ClientLimiter {
    type Permit = ();

    async fn acquire(&self, request: &mut RequestState<()>, deadline: Instant) -> Result<(), Duration> {
        let spread = || self.backoff.spread();
        wait_for(&self.gate.changed, deadline, |now| self.gate.poll(request, now, deadline, spread)).await
    }

    fn record(
        &self,
        (): (),
        request: &mut RequestState<()>,
        result: &Result<Accepted, Error>,
        retries: bool,
    ) -> Duration {
        let error = result.as_ref().err();
        if error.is_none() && !retries {
            self.budget.deposit();
        }
        let retry_after = error.and_then(Error::retry_after);
        let wait = if retries {
            self.backoff.draw_after(request.failures, retry_after)
        } else {
            retry_after.unwrap_or_default()
        };
        let now = Instant::now();
        if error.is_some_and(is_rate_limited) {
            // All other requests have to wait, whether or not this one is retried.
            self.gate.close_for(now, wait);
        }
        request.postpone(now, wait)
    }

    fn withdraw_retry(&self) -> bool {
        self.budget.withdraw()
    }
}
