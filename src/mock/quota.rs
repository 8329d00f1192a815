//! The service's rate limits as a token bucket, without a clock of its own.

use std::time::Duration;

/// The maximum number of batches in a request, and so the smallest capacity of a bucket.
const MAX_REQUEST_BATCHES: f64 = 100.0;

/// A limit on batches per second, like that of an account, with an optional limit on the acceleration.
///
/// The bucket holds the batches of one second, or 100 if that is more, and refills evenly. Times are given as the time since any
/// fixed instant.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    rate: f64,
    capacity: f64,
    tokens: f64,
    refilled_at: Duration,
    acceleration: Option<AccelerationLimit>,
}

/// The limit on the acceleration, with the batches of the current and of the previous second.
#[derive(Clone, Debug)]
struct AccelerationLimit {
    factor: f64,
    second: u64,
    current: f64,
    previous: f64,
}

/// A limit that a request exceeds: the service responds 429.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QuotaExceeded {
    /// The value of `X-mp-rate-limit-exceeded`: `account` or `acceleration`.
    pub(super) limit: &'static str,
    /// The time to wait, in whole seconds. `None` for `acceleration`, which asks the client to slow down instead.
    pub(super) retry_after: Option<Duration>,
}

impl Quota {
    /// Creates a limit of at least one batch per second.
    pub(super) fn new(batches_per_second: u32) -> Self {
        let rate = f64::from(batches_per_second.max(1));
        let capacity = rate.max(MAX_REQUEST_BATCHES);
        Self { rate, capacity, tokens: capacity, refilled_at: Duration::ZERO, acceleration: None }
    }

    /// Limits the batches of one second to `factor` times those of the previous second, but to no less than 100 or a tenth of
    /// the rate. The service documents that such a limit exists, but not how it is measured.
    pub(super) fn acceleration(mut self, factor: f64) -> Self {
        self.acceleration = Some(AccelerationLimit { factor, second: 0, current: 0.0, previous: 0.0 });
        self
    }

    /// Takes the batches of one request, all or none, and returns the used share of the bucket in percent.
    ///
    /// # Errors
    /// Returns the limit that the batches exceed.
    pub(super) fn try_acquire(&mut self, batches: usize, now: Duration) -> Result<f64, QuotaExceeded> {
        self.refill(now);
        let batches = f64::from(u32::try_from(batches).unwrap_or(u32::MAX));
        let floor = MAX_REQUEST_BATCHES.max(self.rate / 10.0);
        if let Some(acceleration) = &mut self.acceleration {
            acceleration.advance_to(now.as_secs());
            if acceleration.current + batches > floor.max(acceleration.previous * acceleration.factor) {
                return Err(QuotaExceeded { limit: "acceleration", retry_after: None });
            }
        }
        if batches > self.tokens {
            let seconds = ((batches - self.tokens) / self.rate).ceil().max(1.0);
            return Err(QuotaExceeded { limit: "account", retry_after: Some(Duration::from_secs_f64(seconds)) });
        }
        self.tokens -= batches;
        if let Some(acceleration) = &mut self.acceleration {
            acceleration.current += batches;
        }
        Ok(self.used_percent(now))
    }

    /// Returns the used share of the bucket in percent.
    pub(super) fn used_percent(&mut self, now: Duration) -> f64 {
        self.refill(now);
        100.0 * (1.0 - self.tokens / self.capacity)
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.capacity);
        self.refilled_at = self.refilled_at.max(now);
    }
}

impl AccelerationLimit {
    fn advance_to(&mut self, second: u64) {
        if second > self.second {
            self.previous = if second == self.second + 1 { self.current } else { 0.0 };
            (self.second, self.current) = (second, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn requests_use_the_bucket_until_it_is_empty() {
        let mut quota = Quota::new(200);
        assert_eq!(quota.try_acquire(100, at(0)), Ok(50.0));
        assert_eq!(quota.try_acquire(100, at(0)), Ok(100.0));
        let exceeded = QuotaExceeded { limit: "account", retry_after: Some(at(1_000)) };
        assert_eq!(quota.try_acquire(100, at(0)), Err(exceeded));
        assert!(quota.try_acquire(100, at(500)).is_ok());
    }

    #[test]
    fn steady_sender_gets_exactly_the_rate() {
        let mut quota = Quota::new(270);
        let taken = (0..10_000).filter(|ms| quota.try_acquire(1, at(*ms)).is_ok()).count();
        assert!((2_969..=2_970).contains(&taken), "ten seconds and the initial bucket: {taken}");
    }

    #[test]
    fn request_is_accepted_as_a_whole_or_not_at_all() {
        let mut quota = Quota::new(10);
        assert_eq!(quota.try_acquire(100, at(0)), Ok(100.0), "a full bulk request passes with any limit");
        let seconds = Some(Duration::from_secs(10));
        assert_eq!(quota.try_acquire(100, at(0)), Err(QuotaExceeded { limit: "account", retry_after: seconds }));
        assert_eq!(quota.try_acquire(0, at(0)), Ok(100.0));
        assert_eq!(quota.try_acquire(10, at(1_000)), Ok(100.0));
        assert_eq!(quota.try_acquire(1, at(500)).unwrap_err().retry_after, Some(at(1_000)), "the clock moved back");
        assert!(quota.try_acquire(101, at(1_000_000)).is_err());
    }

    #[test]
    fn acceleration_limit_allows_doubling_each_second() {
        let mut quota = Quota::new(10_000).acceleration(2.0);
        let in_second = |second: u64, quota: &mut Quota| {
            (0..1_000).filter(|n| quota.try_acquire(10, at(second * 1_000 + n)).is_ok()).count() * 10
        };
        assert_eq!([0, 1, 2, 3].map(|second| in_second(second, &mut quota)), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(in_second(5, &mut quota), 1_000, "starts over after an idle second");
        let exceeded = quota.try_acquire(10, at(5_999)).unwrap_err();
        assert_eq!(exceeded, QuotaExceeded { limit: "acceleration", retry_after: None });
    }
}
