//! The service's rate limits as a token bucket: a pure value that is told the time.

use std::time::Duration;

/// The smallest size of a bucket, in batches: a bulk request of as many can always pass.
const LARGEST_REQUEST: f64 = 100.0;

/// A limit on batches per second, as an account has one, and optionally one on how fast the speed may rise.
///
/// The bucket holds one second's worth of batches and fills evenly. It is told the time, as the time since anything fixed,
/// so that it works under any clock.
///
/// ```
/// use std::time::Duration;
/// use mparticle::mock::Quota;
///
/// let mut quota = Quota::new(200);
/// assert_eq!(quota.take(100, Duration::ZERO).unwrap(), 50.0); // percent used
/// assert_eq!(quota.take(100, Duration::ZERO).unwrap(), 100.0);
/// let exceeded = quota.take(100, Duration::ZERO).unwrap_err();
/// assert_eq!((exceeded.limit, exceeded.retry_after), ("account", Some(Duration::from_secs(1))));
/// assert!(quota.take(100, Duration::from_millis(500)).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Quota {
    rate: f64,
    capacity: f64,
    tokens: f64,
    filled_at: Duration,
    rise: Option<Rise>,
}

/// What was taken in this second and in the one before.
#[derive(Clone, Debug)]
struct Rise {
    factor: f64,
    second: u64,
    taken: f64,
    before: f64,
}

/// A request that came too fast: the service answers it with 429.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exceeded {
    /// The limit, as `X-mp-rate-limit-exceeded` names it: `account` or `acceleration`.
    pub limit: &'static str,
    /// How long to wait, in whole seconds. `None` for `acceleration`, which asks to go on, only slower.
    pub retry_after: Option<Duration>,
}

impl Quota {
    /// A limit of this many batches per second. The service's default for an account is 270.
    #[must_use]
    pub fn new(batches_per_second: u32) -> Self {
        let rate = f64::from(batches_per_second.max(1));
        let capacity = rate.max(LARGEST_REQUEST);
        Self { rate, capacity, tokens: capacity, filled_at: Duration::ZERO, rise: None }
    }

    /// Lets the batches of one second be at most `factor` times those of the second before, or 100, or a tenth of the limit,
    /// whichever is most. The service documents that such a limit exists and not how it is measured.
    #[must_use]
    pub fn acceleration(mut self, factor: f64) -> Self {
        self.rise = Some(Rise { factor, second: 0, taken: 0.0, before: 0.0 });
        self
    }

    /// Takes the batches of one request at a time, all or none. Gives how much of the bucket is used after it, in percent.
    ///
    /// # Errors
    /// If there are more batches than the limit has room for; nothing is taken then.
    pub fn take(&mut self, batches: usize, now: Duration) -> Result<f64, Exceeded> {
        self.fill(now);
        let batches = f64::from(u32::try_from(batches).unwrap_or(u32::MAX));
        let floor = LARGEST_REQUEST.max(self.rate / 10.0);
        if let Some(rise) = &mut self.rise {
            rise.turn(now.as_secs());
            if rise.taken + batches > floor.max(rise.before * rise.factor) {
                return Err(Exceeded { limit: "acceleration", retry_after: None });
            }
        }
        if batches > self.tokens {
            let seconds = ((batches - self.tokens) / self.rate).ceil().max(1.0);
            return Err(Exceeded { limit: "account", retry_after: Some(Duration::from_secs_f64(seconds)) });
        }
        self.tokens -= batches;
        if let Some(rise) = &mut self.rise {
            rise.taken += batches;
        }
        Ok(self.used(now))
    }

    /// How much of the bucket is used at a time, in percent.
    #[must_use]
    pub fn used(&mut self, now: Duration) -> f64 {
        self.fill(now);
        100.0 * (1.0 - self.tokens / self.capacity)
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.capacity);
        self.filled_at = self.filled_at.max(now);
    }
}

impl Rise {
    fn turn(&mut self, second: u64) {
        if second > self.second {
            self.before = if second == self.second + 1 { self.taken } else { 0.0 };
            (self.second, self.taken) = (second, 0.0);
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
    fn a_steady_sender_gets_exactly_the_rate() {
        let mut quota = Quota::new(270);
        let taken = (0..10_000).filter(|ms| quota.take(1, at(*ms)).is_ok()).count();
        assert!((2_969..=2_970).contains(&taken), "ten seconds and what the bucket held: {taken}");
    }

    #[test]
    fn a_request_is_taken_whole_or_not_at_all() {
        let mut quota = Quota::new(10);
        assert_eq!(quota.take(100, at(0)), Ok(100.0), "a full bulk request passes under any limit");
        let seconds = Some(Duration::from_secs(10));
        assert_eq!(quota.take(100, at(0)), Err(Exceeded { limit: "account", retry_after: seconds }));
        assert_eq!(quota.take(0, at(0)), Ok(100.0));
        assert_eq!(quota.take(10, at(1_000)), Ok(100.0));
        assert_eq!(quota.take(1, at(500)).unwrap_err().retry_after, Some(at(1_000)), "a clock that goes back");
        assert!(quota.take(101, at(1_000_000)).is_err());
    }

    #[test]
    fn the_speed_may_double_each_second() {
        let mut quota = Quota::new(10_000).acceleration(2.0);
        let in_second = |second: u64, quota: &mut Quota| {
            (0..1_000).filter(|n| quota.take(10, at(second * 1_000 + n)).is_ok()).count() * 10
        };
        assert_eq!([0, 1, 2, 3].map(|second| in_second(second, &mut quota)), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(in_second(5, &mut quota), 1_000, "after a second of silence from the start again");
        let exceeded = quota.take(10, at(5_999)).unwrap_err();
        assert_eq!(exceeded, Exceeded { limit: "acceleration", retry_after: None });
    }
}
