//! How long and how often something is tried: settings with finite defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a [`Client`](crate::Client) tries again. Every default for one request is finite.
///
/// It retries when there is no connection or no response, and after the statuses 408, 425, 429 and 5xx. The wait before a retry is
/// drawn at random between zero and a bound that doubles from [`initial_backoff`](Self::initial_backoff) up to [`max_backoff`](Self::max_backoff), so that many senders
/// do not come back at once. A `Retry-After` of the service is never undercut, and after a 429 it holds for everything that
/// is sent with the same client.
///
/// An [`Uploader`](crate::Uploader) uses [`initial_backoff`](Self::initial_backoff) and [`max_backoff`](Self::max_backoff) alone, since
/// it never gives up: attempts, timeouts and budget do not end its retries.
///
/// How long one attempt may take is a setting of the client: [`ClientBuilder::timeout`](crate::ClientBuilder::timeout).
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
/// serde reads and writes it under the names of its setters. Every one can be absent, and is its default then. Durations are
/// text with a unit, such as `"250ms"`, `"30s"` or `"5m"`, or `"unlimited"`:
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
    /// The defaults: waits of at most 200 ms at first and 30 seconds at last, 10 attempts, 2 minutes, and a budget of 100.
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

    /// Everything is sent once. A `Retry-After` still holds for what is sent later.
    #[must_use]
    pub fn never() -> Self {
        Self::new().max_attempts(1)
    }

    /// Returns a policy that never gives up what can succeed later. The rate limiter has to keep the extra load small.
    pub(crate) fn unlimited() -> Self {
        Self { max_attempts: u32::MAX, request_timeout: Duration::MAX, call_timeout: Duration::MAX, ..Self::new() }
    }

    /// The longest wait after the first failure. It doubles with each further one.
    #[must_use]
    pub fn initial_backoff(mut self, wait: Duration) -> Self {
        self.initial_backoff = wait;
        self
    }

    /// The longest wait after any failure.
    #[must_use]
    pub fn max_backoff(mut self, wait: Duration) -> Self {
        self.max_backoff = wait;
        self
    }

    /// How often one request is sent at most, the first time included. 0 counts as 1.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets how long one request may take with all its attempts and waits. An attempt that is in flight then is aborted; the
    /// ids make sending it again safe. A call may need several requests, one after the other: see
    /// [`call_timeout`](Self::call_timeout).
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long one call may take with all its requests: those of [`upload_bulk`](crate::Client::upload_bulk), or of the
    /// parts of a large batch. No limit is set by default. What is not sent by then comes back in the error, sealed; a call
    /// that is dropped, as a timeout around it would do, hands nothing back.
    ///
    /// The [`Uploader`](crate::Uploader) goes by the timeouts of its own calls.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How many retries may be spent before the service accepts anything. Each accepted request earns a fifth of a retry
    /// back, so that an outage is not made worse by more than 20 % of extra requests in the long run. Shared by all
    /// clones of a client.
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
    fn serde_gives_back_what_was_set() {
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
