//! Exponential back-off with jitter.

use std::time::Duration;

use crate::random::Random;

/// Draws waits whose bound doubles with each failure.
#[derive(Clone)]
pub(crate) struct Backoff {
    /// The bound of the wait after the first failure.
    initial: Duration,
    /// The bound of any wait.
    max: Duration,
    random: Random,
}

impl Backoff {
    /// The maximum number of times that the bound doubles.
    const MAX_DOUBLINGS: u32 = 31;

    pub(crate) fn new(initial: Duration, max: Duration, random: Random) -> Self {
        Self { initial, max, random }
    }

    /// Returns the same back-off with a lower maximum.
    pub(super) fn with_max(&self, max: Duration) -> Self {
        Self { max: self.max.min(max), ..self.clone() }
    }

    /// Draws the wait after a failure that follows `failures` earlier ones: at random between the share `least`, from 0 to 1, of
    /// the bound and the whole bound.
    pub(super) fn draw(&self, failures: u32, least: f64) -> Duration {
        let random = (self.random)().clamp(0.0, 1.0);
        self.bound(failures).mul_f64(least + (1.0 - least) * random)
    }

    /// Draws the wait after a response: its `Retry-After` plus jitter, because the service asks many clients for the same wait.
    /// Without `Retry-After`, full jitter up to the bound.
    pub(super) fn draw_after(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let failures = if retry_after.is_some() { 0 } else { failures };
        retry_after.unwrap_or_default().saturating_add(self.draw(failures, 0.0))
    }

    /// Draws a short wait that spreads out the requests that waited for the same moment.
    pub(super) fn spread(&self) -> Duration {
        self.draw(0, 0.0)
    }

    /// Returns how many times the bound doubles until it reaches the maximum.
    pub(super) fn max_doublings(&self) -> u32 {
        (0..Self::MAX_DOUBLINGS).find(|failures| self.bound(*failures) >= self.max).unwrap_or(Self::MAX_DOUBLINGS)
    }

    fn bound(&self, failures: u32) -> Duration {
        self.initial.saturating_mul(1 << failures.min(Self::MAX_DOUBLINGS)).min(self.max)
    }
}
