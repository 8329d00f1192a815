//! The sending rate of an uploader: a PI controller, a ramp, and a token bucket. Receives the time as an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::MAX_BATCHES_PER_REQUEST;
use crate::time::saturating_add;

/// The used share of the service's rate limit at which the rate settles.
const TARGET: f64 = 0.9;

/// The gains of the PI controller: proportional, and integral per second. Near the target the integral gain is lower, since the
/// rate would oscillate when responses are slow.
const PROPORTIONAL_GAIN: f64 = 0.8;
const INTEGRAL_GAIN_FAR: f64 = 0.4;
const INTEGRAL_GAIN_NEAR: f64 = 0.1;
/// The distance from the target up to which it is near.
const NEAR_BAND: f64 = 0.4;

/// The window over which the throughput is averaged, in seconds.
const THROUGHPUT_WINDOW: f64 = 2.0;

/// The minimum time, in seconds, whose batches a request holds: smaller requests would only cost more.
const MIN_REQUEST_SPAN: f64 = 0.05;

/// The time without a response after which the throughput decays, in seconds.
const IDLE_AFTER: f64 = 5.0;

/// The capacity of the token bucket, in seconds of the rate: the burst after an idle time.
const BURST_SPAN: f64 = 0.5;

/// The factor of the rate after a 429.
const DECREASE: f64 = 0.85;

/// The rates of an uploader, in batches per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) initial: f64,
    pub(crate) max: f64,
}

pub(super) struct RateController {
    rates: Rates,
    /// The rate if the used share were at the target: the integral part of the controller.
    base: f64,
    /// The used share of the service's limit, from 0 to 1; `None` if the service has not reported it.
    used: Option<f64>,
    /// Accepted batches per second, averaged over [`THROUGHPUT_WINDOW`].
    throughput: f64,
    /// Batches had to wait for the rate since the last response. Otherwise a response does not show that a higher rate works.
    limited: bool,
    responded_at: Instant,
    decreased_at: Option<Instant>,
    /// The number of batches that may be sent now. Negative after a retry.
    tokens: f64,
    filled_at: Instant,
}

impl RateController {
    pub(super) fn new(rates: Rates, now: Instant) -> Self {
        let mut controller = Self {
            rates,
            base: rates.initial,
            used: None,
            throughput: 0.0,
            limited: false,
            responded_at: now,
            decreased_at: None,
            tokens: 0.0,
            filled_at: now,
        };
        controller.tokens = controller.burst();
        controller
    }

    /// Returns how many of the ready batches may be sent as one request, or the time at which to poll again. `is_steady` is whether
    /// no request has failed lately: otherwise requests are fewer and fuller. A probe is not limited.
    pub(super) fn poll_ready(
        &mut self,
        now: Instant,
        ready: usize,
        is_steady: bool,
        is_probe: bool,
    ) -> Result<usize, Instant> {
        self.fill(now);
        let rate = self.rate();
        let max = count(MAX_BATCHES_PER_REQUEST);
        let span = if is_steady { MIN_REQUEST_SPAN } else { BURST_SPAN };
        let wanted = (rate * span).clamp(1.0, max).min(count(ready));
        if self.tokens < wanted && !is_probe {
            self.limited = true;
            return Err(self.refill_time(now, wanted, rate));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 100")]
        let batches = self.tokens.clamp(1.0, max) as usize;
        self.limited |= batches < ready.min(MAX_BATCHES_PER_REQUEST);
        Ok(batches)
    }

    /// Returns whether a request with this many batches may be retried, or the time at which to poll again.
    pub(super) fn poll_retry(&mut self, now: Instant, batches: usize) -> Result<(), Instant> {
        self.fill(now);
        let wanted = count(batches).min(self.burst());
        if self.tokens >= wanted {
            return Ok(());
        }
        self.limited = true;
        Err(self.refill_time(now, wanted, self.rate()))
    }

    pub(super) fn withdraw(&mut self, batches: usize) {
        self.tokens -= count(batches);
    }

    /// Removes all tokens, and refills the bucket from this time on.
    pub(super) fn drain(&mut self, until: Instant) {
        self.tokens = self.tokens.min(0.0);
        self.filled_at = self.filled_at.max(until);
    }

    /// Records an accepted request and the used percentage of its response.
    pub(super) fn record_accepted(&mut self, now: Instant, batches: usize, used_percent: Option<f64>) {
        self.fill(now);
        let passed = now.saturating_duration_since(self.responded_at).as_secs_f64();
        self.responded_at = now;
        self.throughput = self.throughput * (-passed / THROUGHPUT_WINDOW).exp() + count(batches) / THROUGHPUT_WINDOW;
        self.used = used_percent.map(|percent| (percent / 100.0).clamp(0.0, 1.0));
        let error = self.used.map_or(TARGET, |used| TARGET - used);
        // If something else limits the rate, a response does not show that a higher one works.
        if error < 0.0 || (self.limited && self.controller_rate() <= self.ramp_limit().min(self.rates.max)) {
            let gain = if error > NEAR_BAND { INTEGRAL_GAIN_FAR } else { INTEGRAL_GAIN_NEAR };
            self.base *= (gain * error * passed.min(1.0)).exp();
        }
        self.base = self.base.clamp(1.0, self.ramp_limit().max(1.0));
        self.limited = false;
    }

    /// Records a 429, after which nothing is sent before `until`. Several within a second count as one.
    pub(super) fn record_rate_limited(&mut self, now: Instant, until: Instant) {
        const DECREASE_INTERVAL: Duration = Duration::from_secs(1);
        // The bucket does not fill during the wait, so that no burst follows it.
        self.tokens = self.tokens.min(0.0);
        self.filled_at = until;
        if self.decreased_at.is_none_or(|at| now.saturating_duration_since(at) >= DECREASE_INTERVAL) {
            self.base *= DECREASE;
            self.decreased_at = Some(now);
        }
        self.used = Some(1.0);
    }

    fn rate(&self) -> f64 {
        self.controller_rate().min(self.ramp_limit()).min(self.rates.max).max(0.1)
    }

    /// Returns the output of the PI controller.
    fn controller_rate(&self) -> f64 {
        self.base * (1.0 + PROPORTIONAL_GAIN * self.used.map_or(0.0, |used| TARGET - used))
    }

    /// Returns the maximum rate that the ramp allows for the current throughput.
    fn ramp_limit(&self) -> f64 {
        self.rates.initial.max(2.0 * self.throughput)
    }

    fn burst(&self) -> f64 {
        (self.rate() * BURST_SPAN).clamp(1.0, count(MAX_BATCHES_PER_REQUEST))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        if now.saturating_duration_since(self.responded_at).as_secs_f64() > IDLE_AFTER {
            self.throughput *= (-passed / THROUGHPUT_WINDOW).exp();
        }
        self.tokens = (self.tokens + passed * self.rate()).min(self.burst().max(self.tokens));
    }

    /// Returns the time at which there will be this many tokens: at least a millisecond from now, since timers round shorter waits
    /// to zero.
    fn refill_time(&self, now: Instant, wanted: f64, rate: f64) -> Instant {
        const MIN_WAIT: f64 = 0.001;
        saturating_add(now, Duration::from_secs_f64(((wanted - self.tokens) / rate).max(MIN_WAIT)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of batches in memory")]
fn count(batches: usize) -> f64 {
    batches as f64
}
