//! The retry policy of a client.

use std::time::Duration;

use crate::when_some::when_some;
use serde::{Deserialize, Serialize};

/// The retry policy of a [`Client`](crate::Client). By default the attempts and the time of a request are limited.
///
/// A request is retried if there is no connection or no response, and after the statuses 408, 425, 429 and 5xx. The wait before
/// a retry is random, between zero and a bound that doubles from [`initial_backoff`](Self::initial_backoff) up to
/// [`max_backoff`](Self::max_backoff), so that many senders do not retry at once. It is never shorter than a `Retry-After` of the
/// service, and after a 429 that wait applies to everything that is sent with the same client.
///
/// An [`Uploader`](crate::Uploader) retries without limit: it uses only [`initial_backoff`](Self::initial_backoff) and
/// [`max_backoff`](Self::max_backoff), and ignores the limits on attempts, time and budget.
///
/// The timeout of a single attempt is a setting of the client: [`ClientBuilder::timeout`](crate::ClientBuilder::timeout).
///
/// ```
/// use std::time::Duration;
/// use mparticle::{Client, Credentials, RetryPolicy};
///
/// let client = Client::builder(Credentials::new("key", "secret"))
///     .retry_policy(RetryPolicy::new().request_timeout(Duration::from_secs(20)))
///     .build()?;
/// # Ok::<(), mparticle::Error>(())
/// ```
///
/// With serde, the keys are the names of the setters. All are optional and have the same defaults. Durations are
/// strings with a unit, such as `"250ms"`, `"30s"` or `"5m"`, or `"unlimited"`:
///
/// ```
/// use std::time::Duration;
/// use mparticle::RetryPolicy;
///
/// let policy: RetryPolicy = serde_json::from_str(r#"{"max_attempts": 4, "request_timeout": "30s"}"#)?;
/// assert_eq!(policy, RetryPolicy::new().max_attempts(4).request_timeout(Duration::from_secs(30)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    #[serde(with = "crate::duration")]
    pub(crate) initial_backoff: Duration,
    #[serde(with = "crate::duration")]
    pub(crate) max_backoff: Duration,
    pub(crate) max_attempts: u32,
    #[serde(with = "crate::duration")]
    pub(crate) request_timeout: Duration,
    #[serde(with = "crate::duration")]
    pub(crate) call_timeout: Duration,
    pub(crate) retry_budget: u32,
}

impl RetryPolicy {
    /// Creates the default policy: an initial back-off of 200 ms and a maximum of 30 seconds, 10 attempts, 2 minutes for a request,
    /// and a budget of 100 retries.
    #[must_use]
    pub fn new() -> Self {
        Self {
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(30),
            max_attempts: 10,
            request_timeout: Duration::from_secs(120),
            call_timeout: Duration::MAX,
            retry_budget: 100,
        }
    }

    /// Creates a policy without retries. A `Retry-After` still delays later requests.
    #[must_use]
    pub fn never() -> Self {
        Self::new().max_attempts(1)
    }

    /// Creates a policy without limits on retries. The rate limiter must bound the extra load.
    pub(crate) fn unlimited() -> Self {
        Self { max_attempts: u32::MAX, request_timeout: Duration::MAX, call_timeout: Duration::MAX, ..Self::new() }
    }

    /// Sets the longest wait after the first failure. It doubles with each further failure.
    #[must_use]
    pub fn initial_backoff(mut self, wait: Duration) -> Self {
        self.initial_backoff = wait;
        self
    }

    /// Sets the longest wait after any failure.
    #[must_use]
    pub fn max_backoff(mut self, wait: Duration) -> Self {
        self.max_backoff = wait;
        self
    }

    when_some!();

    /// Sets the maximum number of attempts of a request, including the first one. 0 counts as 1.
    ///
    /// An [`Uploader`](crate::Uploader) ignores it.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the timeout of one request with all its attempts and waits. An attempt that is in flight then is aborted; the ids
    /// make sending it again safe. A call may take several requests, one after the other: see
    /// [`call_timeout`](Self::call_timeout).
    ///
    /// An [`Uploader`](crate::Uploader) ignores it.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets the timeout of one call with all its requests: those of [`upload_bulk`](crate::Client::upload_bulk), or of the
    /// parts of a large batch. Unlimited by default. The error of a call that times out returns the unsent batches, sealed. A
    /// call that is dropped, for example by a timeout around it, returns nothing.
    ///
    /// An [`Uploader`](crate::Uploader) ignores it.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the capacity of the retry budget, in retries. Each accepted request refunds a fifth of a retry, so that in the long
    /// run retries add at most 20 % to the requests. All clones of a client share one budget.
    ///
    /// An [`Uploader`](crate::Uploader) ignores it.
    #[must_use]
    pub fn retry_budget(mut self, retries: u32) -> Self {
        self.retry_budget = retries;
        self
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_round_trips_every_setting() {
        let policy = RetryPolicy::new()
            .initial_backoff(Duration::from_millis(1))
            .max_backoff(Duration::from_secs(90))
            .max_attempts(4)
            .request_timeout(Duration::MAX)
            .call_timeout(Duration::from_secs(300))
            .retry_budget(7);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(
            json,
            r#"{"initial_backoff":"1ms","max_backoff":"90s","max_attempts":4,"request_timeout":"unlimited","call_timeout":"5m","retry_budget":7}"#
        );
        assert_eq!(serde_json::from_str::<RetryPolicy>(&json).unwrap(), policy);
        assert_eq!(serde_json::from_str::<RetryPolicy>("{}").unwrap(), RetryPolicy::new());
        let error =
            serde_json::from_str::<RetryPolicy>(r#"{"max_retries":4}"#).expect_err("a misspelt key").to_string();
        assert!(error.starts_with("unknown field `max_retries`, expected one of `initial_backoff`"), "{error}");
    }
}
