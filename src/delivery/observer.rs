//! Tells somebody outside that a request is about to be sent again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// A request that failed and is about to be sent again; see [`ClientBuilder::on_retry`](crate::ClientBuilder::on_retry).
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

    /// Returns why the attempt failed.
    #[must_use]
    pub fn error(&self) -> &'a Error {
        self.error
    }

    /// Returns the number of the attempt that failed, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns how long the client waits before the next attempt, at least: a `Retry-After` that another request of the
    /// same client receives meanwhile can make it longer. A request of an [`Uploader`](crate::Uploader) waits for its circuit
    /// breaker and its rate as well, and this is zero if it waits for these alone; see
    /// [`UploaderBuilder::max_probe_interval`](crate::UploaderBuilder::max_probe_interval).
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

type OnRetry = Arc<dyn Fn(&Retry<'_>) + Send + Sync>;

/// The caller's callback, if there is one.
#[derive(Clone, Default)]
pub(crate) struct RetryObserver(Option<OnRetry>);

impl RetryObserver {
    pub(crate) fn new(callback: impl Fn(&Retry<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    /// Calls the callback. A panic in it does not end the delivery.
    pub(super) fn notify(&self, retry: &Retry<'_>) {
        let Some(callback) = &self.0 else { return };
        if catch_unwind(AssertUnwindSafe(|| callback(retry))).is_err() {
            tracing::error!("the callback for retries panicked");
        }
    }
}
