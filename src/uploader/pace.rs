//! How fast batches go out: as near to the service's limit as it tells, and carefully after silence or an outage.
//!
//! Three rules, each with a number from the service:
//!
//! - **The limit.** `X-mp-rate-limit-percentage-used` on each acceptance is held at 90. The rate follows it at once and in
//!   the long run (a PI controller), so that it settles at the limit whichever way the service measures.
//! - **The ramp.** The rate is at most twice what was accepted lately, or the starting rate: after silence or an outage it
//!   doubles in about a second and a half, and no faster.
//! - **The outage.** After a failure one request at a time tries the road, with waits that double, until one comes through.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::delivery::{Accepted, Endpoint, Random, RetryPolicy, Road, later};
use crate::error::Error;
use crate::limits::MAX_BATCHES_PER_REQUEST;
use crate::seal::SealedBatch;

/// Where the used percentage is held.
const TARGET: f64 = 0.9;

/// How much the rate follows the used percentage at once, and how much for each second: far from the limit, and near it,
/// where a faster one would swing when answers take long.
const AT_ONCE: f64 = 0.8;
const PER_SECOND_FAR: f64 = 0.4;
const PER_SECOND_NEAR: f64 = 0.1;
const FAR: f64 = 0.4;

/// Over how many seconds what was accepted is averaged.
const LATELY: f64 = 2.0;

/// A request takes what may go in this time, in seconds, at least: smaller ones would only cost more.
const LEAST: f64 = 0.05;

/// After so many seconds without an answer the past says less and less of what may go.
const SILENCE: f64 = 5.0;

/// Not more may go at once than in this time, in seconds, after a time in which nothing went.
const BURST: f64 = 0.5;

/// The settings of the pace, in batches per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub(super) start: f64,
    pub(super) most: f64,
}

/// Why nothing comes through at the moment; shared with the handles of the uploader.
pub(super) type Trouble = Arc<Mutex<Option<Error>>>;

pub(super) struct Pace {
    rates: Rates,
    policy: RetryPolicy,
    random: Random,
    state: Mutex<State>,
    trouble: Trouble,
    /// Told when more may go than before.
    pub(super) changed: Notify,
}

struct State {
    /// What the rate would be if the used percentage were where it is held.
    base: f64,
    /// From 0 to 1; `None` as long as the service tells nothing.
    used: Option<f64>,
    /// Accepted batches per second, lately.
    achieved: f64,
    /// Whether batches had to wait for the rate since the last answer: without that, nothing is known of a higher one.
    limited: bool,
    answered_at: Instant,
    slowed_at: Option<Instant>,
    /// The service asked to wait until then.
    held_until: Instant,
    /// Batches that may go now. Below 0 after a request that was sent again.
    tokens: f64,
    filled_at: Instant,
    outage: Outage,
}

/// Nothing comes through.
struct Outage {
    failures: u32,
    /// Counts the changes, so that attempts which began before one do not count as another failure.
    generation: u64,
    probing: bool,
    until: Instant,
}

/// The leave to make one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit {
    generation: u64,
    probe: bool,
}

impl Pace {
    pub(super) fn new(rates: Rates, policy: &RetryPolicy, random: &Random, trouble: Trouble) -> Self {
        let now = Instant::now();
        let mut state = State {
            base: rates.start,
            used: None,
            achieved: 0.0,
            limited: false,
            answered_at: now,
            slowed_at: None,
            held_until: now,
            tokens: 0.0,
            filled_at: now,
            outage: Outage { failures: 0, generation: 0, probing: false, until: now },
        };
        state.tokens = state.burst(rates);
        let (policy, random) = (policy.clone(), Random::clone(random));
        Self { rates, policy, random, state: Mutex::new(state), trouble, changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of these batches may go as one request now, or when to ask again at the latest.
    pub(super) fn room(&self, ready: usize) -> Result<usize, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.lock();
        state.open(now)?;
        state.fill(now, self.rates);
        let rate = state.rate(self.rates);
        let most = count(MAX_BATCHES_PER_REQUEST);
        let wanted = (rate * LEAST).clamp(1.0, most).min(count(ready));
        if state.tokens < wanted {
            state.limited = true;
            return Err(Some(state.filled(now, wanted, rate)));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 100")]
        let room = state.tokens.clamp(1.0, most) as usize;
        state.limited |= room < ready.min(MAX_BATCHES_PER_REQUEST);
        Ok(room)
    }

    /// Takes the room for these batches.
    pub(super) fn take(&self, batches: usize) -> Permit {
        let mut state = self.lock();
        state.tokens -= count(batches);
        state.outage.enter()
    }

    /// Waits for the room to send these batches again.
    async fn admit(&self, batches: usize) -> Permit {
        loop {
            // Made before the look, so that no change is missed.
            let changed = self.changed.notified();
            let wait = {
                let now = Instant::now();
                let mut state = self.lock();
                if let Err(wait) = state.open(now) {
                    wait
                } else {
                    state.fill(now, self.rates);
                    let wanted = count(batches).min(state.burst(self.rates));
                    if state.tokens >= wanted {
                        state.tokens -= count(batches);
                        return state.outage.enter();
                    }
                    Some(state.filled(now, wanted, state.rate(self.rates)))
                }
            };
            match wait {
                None => changed.await,
                Some(until) => _ = tokio::time::timeout_at(until, changed).await,
            }
        }
    }

    /// Learns from the end of an attempt.
    fn observe(&self, permit: Permit, batches: usize, result: &Result<Accepted, Error>) {
        let now = Instant::now();
        let mut state = self.lock();
        if permit.probe {
            state.outage.probing = false;
        }
        let trouble = result.as_ref().err().filter(|error| error.is_retryable()).map(Error::again);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        match result {
            Ok(accepted) => {
                state.accepted(now, batches, accepted.rate_limit_used(), self.rates);
                state.outage.end();
            }
            Err(error) if error.status().is_some_and(|status| status == 429) => {
                state.slow_down(now, error.retry_after().unwrap_or_default());
                state.outage.end();
            }
            Err(error) if error.is_retryable() => {
                if permit.generation == state.outage.generation {
                    let wait = self.wait_after(state.outage.failures);
                    state.outage.failed(later(now, wait.max(error.retry_after().unwrap_or_default())));
                }
            }
            // Refused for what it holds: the road is open.
            Err(_) => state.outage.end(),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Full jitter, as after a failed attempt, but for all.
    fn wait_after(&self, failures: u32) -> Duration {
        let bound = self.policy.base.saturating_mul(1 << failures.min(31)).min(self.policy.cap);
        bound.mul_f64((self.random)().clamp(0.0, 1.0))
    }
}

impl State {
    fn rate(&self, rates: Rates) -> f64 {
        self.steered().min(self.ramp(rates)).min(rates.most).max(0.1)
    }

    /// What the used percentage lets.
    fn steered(&self) -> f64 {
        self.base * (1.0 + AT_ONCE * self.used.map_or(0.0, |used| TARGET - used))
    }

    /// What the past lets.
    fn ramp(&self, rates: Rates) -> f64 {
        rates.start.max(2.0 * self.achieved)
    }

    fn burst(&self, rates: Rates) -> f64 {
        (self.rate(rates) * BURST).clamp(1.0, count(MAX_BATCHES_PER_REQUEST))
    }

    fn fill(&mut self, now: Instant, rates: Rates) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        if now.saturating_duration_since(self.answered_at).as_secs_f64() > SILENCE {
            self.achieved *= (-passed / LATELY).exp();
        }
        self.tokens = (self.tokens + passed * self.rate(rates)).min(self.burst(rates).max(self.tokens));
    }

    /// When there will be so many tokens. At least a moment later: a wait that rounds to nothing would be none.
    fn filled(&self, now: Instant, wanted: f64, rate: f64) -> Instant {
        const MOMENT: f64 = 0.001;
        later(now, Duration::from_secs_f64(((wanted - self.tokens) / rate).max(MOMENT)))
    }

    fn accepted(&mut self, now: Instant, batches: usize, used: Option<f64>, rates: Rates) {
        self.fill(now, rates);
        let passed = now.saturating_duration_since(self.answered_at).as_secs_f64();
        self.answered_at = now;
        self.achieved = self.achieved * (-passed / LATELY).exp() + count(batches) / LATELY;
        self.used = used.map(|percent| (percent / 100.0).clamp(0.0, 1.0));
        let missing = self.used.map_or(TARGET, |used| TARGET - used);
        // Where something else holds the rate back, nothing is known of a higher one.
        if missing < 0.0 || (self.limited && self.steered() <= self.ramp(rates).min(rates.most)) {
            let per_second = if missing > FAR { PER_SECOND_FAR } else { PER_SECOND_NEAR };
            self.base *= (per_second * missing * passed.min(1.0)).exp();
        }
        self.base = self.base.clamp(1.0, self.ramp(rates).max(1.0));
        self.limited = false;
    }

    /// Whether an attempt may be made, or when; `None` if that depends on one that is under way.
    fn open(&self, now: Instant) -> Result<(), Option<Instant>> {
        if now < self.held_until { Err(Some(self.held_until)) } else { self.outage.open(now) }
    }

    /// A 429. Several at once are one.
    fn slow_down(&mut self, now: Instant, wait: Duration) {
        const ONE: Duration = Duration::from_secs(1);
        self.held_until = self.held_until.max(later(now, wait));
        // Nothing gathers meanwhile: what comes after the wait comes as slowly as before it.
        self.tokens = self.tokens.min(0.0);
        self.filled_at = self.held_until;
        if self.slowed_at.is_none_or(|at| now.saturating_duration_since(at) >= ONE) {
            self.base *= 0.85;
            self.slowed_at = Some(now);
        }
        self.used = Some(1.0);
    }
}

impl Outage {
    /// Whether an attempt may be made, or when; `None` if that depends on the one that is under way.
    fn open(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.failures {
            0 => Ok(()),
            _ if self.probing => Err(None),
            _ if now < self.until => Err(Some(self.until)),
            _ => Ok(()),
        }
    }

    fn enter(&mut self) -> Permit {
        let probe = self.failures > 0;
        self.probing |= probe;
        Permit { generation: self.generation, probe }
    }

    fn failed(&mut self, until: Instant) {
        self.failures += 1;
        self.generation += 1;
        self.until = until;
    }

    fn end(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            self.generation += 1;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of batches in memory")]
fn count(batches: usize) -> f64 {
    batches as f64
}

/// A road on which the pace holds. The first attempt has its permit already.
pub(super) struct PacedRoad<R> {
    road: R,
    pace: Arc<Pace>,
    first: Mutex<Option<Permit>>,
}

impl<R> PacedRoad<R> {
    pub(super) fn new(road: R, pace: &Arc<Pace>, permit: Permit) -> Self {
        Self { road, pace: Arc::clone(pace), first: Mutex::new(Some(permit)) }
    }

    fn first(&self) -> Option<Permit> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// No attempt comes any more. There may have been none, if no request can carry the batches.
    pub(super) fn end(&self) {
        if let Some(permit) = self.first()
            && permit.probe
        {
            self.pace.lock().outage.probing = false;
            self.pace.changed.notify_waiters();
        }
    }
}

impl<R: Road> Road for PacedRoad<R> {
    async fn attempt(&self, endpoint: Endpoint, batches: &[&SealedBatch]) -> Result<Accepted, Error> {
        let permit = match self.first() {
            Some(permit) => permit,
            None => self.pace.admit(batches.len()).await,
        };
        let result = self.road.attempt(endpoint, batches).await;
        self.pace.observe(permit, batches.len(), &result);
        result
    }
}
