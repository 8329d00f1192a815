//! Reports retries to the callback of the caller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// A failed request that is about to be retried; see [`ClientBuilder::on_retry`](crate::ClientBuilder::on_retry).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retry<'a> {
    error: &'a Error,
    attempt: u32,
    wait: Duration,
}

impl<'a> Retry<'a> {
    pub(super) fn new(error: &'a Error, attempt: u32, wait: Duration) -> Self {
        Self { error, attempt, wait }
    }

    /// Returns the error of the failed attempt.
    #[must_use]
    pub fn error(&self) -> &'a Error {
        self.error
    }

    /// Returns the number of the failed attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the minimum wait before the next attempt: a `Retry-After` that another request of the same client receives
    /// meanwhile can extend it. A request of an [`Uploader`](crate::Uploader) also waits for its circuit breaker and its rate
    /// limit, and this is zero if it waits only for these; see
    /// [`UploaderBuilder::max_probe_interval`](crate::UploaderBuilder::max_probe_interval).
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

type OnRetry = Arc<dyn Fn(&Retry<'_>) + Send + Sync>;

/// The callback for retries, if one is set.
#[derive(Clone, Default)]
pub(crate) struct RetryObserver(Option<OnRetry>);

impl RetryObserver {
    pub(crate) fn new(callback: impl Fn(&Retry<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    /// Calls the callback. A panic in it does not stop delivery.
    pub(super) fn notify(&self, retry: &Retry<'_>) {
        let Some(callback) = &self.0 else { return };
        if catch_unwind(AssertUnwindSafe(|| callback(retry))).is_err() {
            tracing::error!("the on_retry callback panicked");
        }
    }
}
