//! The rate limiter and the circuit breaker of the uploader.
//!
//! Three rules decide when a request may go:
//!
//! - **The limit.** `X-mp-rate-limit-percentage-used` on each acceptance is held at 90. The rate follows it at once and in
//!   the long run (a PI controller), so that it settles at the limit whichever way the service measures.
//! - **The ramp.** The rate is at most twice what was accepted lately, or the starting rate: after silence or an outage it
//!   doubles in about a second and a half, and no faster.
//! - **The circuit breaker.** A retryable failure opens it. Then one request at a time probes the service, until one gets a
//!   response that is not a retryable failure. The wait between the end of a probe and the next one doubles up to
//!   [`max_probe_interval`](super::UploaderBuilder::max_probe_interval), and a longer `Retry-After` is waited for. Two
//!   successes halve the next wait, so that the waits also grow while a service fails a large share of the requests.
//!
//! The courier of the uploader does not back off on its own after a failure: a request that failed waits in
//! [`Pace::admit`], which ends when the breaker closes. Such requests go before new ones.
//!
//! A request can also fail for what it holds, though the service is available. So each one that fails while the breaker is
//! closed backs off for itself as well, those that wait take turns, and after one of them has failed as a probe a new request
//! may be the next one: no request holds up the others for good.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::circuit_breaker::{CircuitBreaker, Permit};
use super::settings::Settings;
use crate::delivery::{Accepted, Endpoint, RetryPolicy, Transport};
use crate::error::Error;
use crate::limits::MAX_BATCHES_PER_REQUEST;
use crate::random::Random;
use crate::seal::SealedBatch;
use crate::time::saturating_add;

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

/// Each wait before a probe is at least this part of its bound, so that no run of low draws makes the probes frequent. The rest
/// is drawn at random.
const LEAST_WAIT: f64 = 0.75;

/// The shortest wait before a probe, whatever is set.
const MIN_PROBE_INTERVAL: Duration = Duration::from_millis(1);

/// How long requests that failed leave the next probe to a new one, if it is a new one's turn.
const YIELD: Duration = Duration::from_millis(1);

/// How often a wait doubles at most.
const MOST_DOUBLINGS: u32 = 31;

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
    /// The bound of the wait before the first probe, and of any wait before a probe.
    first_wait: Duration,
    longest_wait: Duration,
    /// The bound of the wait of a request that fails while the breaker is closed.
    longest_backoff: Duration,
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
    /// Requests that wait to be sent again, in their order. New ones go after them: they need fewer tokens, and would take
    /// all there are.
    resends: VecDeque<u64>,
    last_resend: u64,
    /// A request that was sent again has failed as a probe: the next probe may be a new one.
    new_may_probe: bool,
    breaker: CircuitBreaker,
}

impl Pace {
    pub(super) fn new(settings: &Settings, policy: &RetryPolicy, random: &Random, trouble: Trouble) -> Self {
        let rates = settings.rates;
        let (first_wait, longest_wait) = (policy.base, policy.cap.min(settings.max_probe_interval));
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
            resends: VecDeque::new(),
            last_resend: 0,
            new_may_probe: false,
            breaker: CircuitBreaker::new(doublings(first_wait, longest_wait)),
        };
        state.tokens = state.burst(rates);
        let (random, state) = (Random::clone(random), Mutex::new(state));
        let longest_backoff = policy.cap;
        Self { rates, first_wait, longest_wait, longest_backoff, random, state, trouble, changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of these batches may go as one request now, or when to ask again at the latest.
    pub(super) fn room(&self, ready: usize) -> Result<usize, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.lock();
        if !state.resends.is_empty() && (state.breaker.is_closed() || !state.new_may_probe) {
            return Err(None);
        }
        state.ready(now)?;
        state.fill(now, self.rates);
        let rate = state.rate(self.rates);
        let most = count(MAX_BATCHES_PER_REQUEST);
        // While requests fail now and then, few and full ones cost less.
        let least = if state.breaker.is_steady() { LEAST } else { BURST };
        let wanted = (rate * least).clamp(1.0, most).min(count(ready));
        if state.tokens < wanted && state.breaker.is_closed() {
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
        state.new_may_probe = false;
        state.enter(batches)
    }

    /// Waits until these batches may be sent again.
    async fn admit(&self, batches: usize) -> Permit {
        let resend = Resend::new(self);
        loop {
            // Created before the state is read, so that no change is missed.
            let changed = self.changed.notified();
            let wait = {
                let now = Instant::now();
                let mut state = self.lock();
                if state.resends.front() != Some(&resend.number) {
                    None
                } else if let Err(wait) = state.ready_again(now) {
                    wait
                } else {
                    state.fill(now, self.rates);
                    let wanted = count(batches).min(state.burst(self.rates));
                    if state.tokens >= wanted || !state.breaker.is_closed() {
                        return state.enter(batches);
                    }
                    state.limited = true;
                    Some(state.filled(now, wanted, state.rate(self.rates)))
                }
            };
            match wait {
                None => changed.await,
                Some(until) => _ = tokio::time::timeout_at(until, changed).await,
            }
        }
    }

    /// Learns from the end of an attempt. If it failed and is to be repeated, returns when the request may go again at the
    /// earliest, given how often it failed before while the breaker was closed.
    fn observe(
        &self,
        permit: Permit,
        batches: usize,
        result: &Result<Accepted, Error>,
        failures: u32,
    ) -> Option<Instant> {
        let mut not_before = None;
        let now = Instant::now();
        let mut state = self.lock();
        let trouble = result.as_ref().err().filter(|error| error.is_retryable()).cloned();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        match result {
            Ok(accepted) => {
                state.accepted(now, batches, accepted.rate_limit_used(), self.rates);
                state.answered(permit, now);
            }
            Err(error) if error.status().is_some_and(|status| status == 429) => {
                state.slow_down(now, error.retry_after().unwrap_or_default());
                state.answered(permit, now);
            }
            Err(error) if error.is_retryable() => {
                // Every `Retry-After` holds, also that of a request which says nothing new to the breaker.
                state.hold(now, error.retry_after().unwrap_or_default());
                state.breaker.failed(permit, |doublings| saturating_add(now, self.wait(doublings, self.longest_wait)));
                if permit.is_probe() {
                    state.new_may_probe = true;
                } else {
                    not_before =
                        Some(saturating_add(now, self.wait(failures.min(MOST_DOUBLINGS), self.longest_backoff)));
                }
            }
            // The service refused the batches themselves: it is available.
            Err(_) => state.answered(permit, now),
        }
        drop(state);
        self.changed.notify_waiters();
        not_before
    }

    /// A wait whose bound is doubled this often.
    fn wait(&self, doublings: u32, longest: Duration) -> Duration {
        let bound = self.first_wait.saturating_mul(1 << doublings).min(longest);
        let random = (self.random)().clamp(0.0, 1.0);
        bound.mul_f64(LEAST_WAIT + (1.0 - LEAST_WAIT) * random).max(MIN_PROBE_INTERVAL)
    }
}

/// Returns how often a wait doubles until it is the longest one.
fn doublings(first: Duration, longest: Duration) -> u32 {
    (0..MOST_DOUBLINGS).find(|doublings| first.saturating_mul(1 << doublings) >= longest).unwrap_or(MOST_DOUBLINGS)
}

/// A place in the queue of the requests that wait to be sent again.
struct Resend<'a> {
    pace: &'a Pace,
    number: u64,
}

impl<'a> Resend<'a> {
    fn new(pace: &'a Pace) -> Self {
        let mut state = pace.lock();
        state.last_resend += 1;
        let number = state.last_resend;
        state.resends.push_back(number);
        Self { pace, number }
    }
}

impl Drop for Resend<'_> {
    fn drop(&mut self) {
        self.pace.lock().resends.retain(|number| *number != self.number);
        self.pace.changed.notify_waiters();
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
        saturating_add(now, Duration::from_secs_f64(((wanted - self.tokens) / rate).max(MOMENT)))
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

    /// Returns whether an attempt may begin, or when to ask again; `None` if that depends on the probe that is in flight.
    fn ready(&self, now: Instant) -> Result<(), Option<Instant>> {
        if now < self.held_until { Err(Some(self.held_until)) } else { self.breaker.ready(now) }
    }

    /// The same for a request that failed before, which may have to leave the next probe to a new one.
    fn ready_again(&self, now: Instant) -> Result<(), Option<Instant>> {
        let wait = if self.new_may_probe && !self.breaker.is_closed() { YIELD } else { Duration::ZERO };
        let ready = self.ready(now.checked_sub(wait).unwrap_or(now));
        ready.map_err(|until| until.map(|until| saturating_add(until, wait)))
    }

    /// An attempt begins. A probe takes no tokens and waits for none: its rate is that of the breaker.
    fn enter(&mut self, batches: usize) -> Permit {
        if self.breaker.is_closed() {
            self.tokens -= count(batches);
        }
        self.breaker.enter()
    }

    /// The service is available. The requests that waited for that go at the rate, and not all in this moment.
    fn answered(&mut self, permit: Permit, now: Instant) {
        if self.breaker.succeeded(permit) {
            self.tokens = self.tokens.min(0.0);
            self.filled_at = self.filled_at.max(now);
        }
    }

    /// Nothing goes for this long.
    fn hold(&mut self, now: Instant, wait: Duration) {
        self.held_until = self.held_until.max(saturating_add(now, wait));
    }

    /// A 429. Several at once are one.
    fn slow_down(&mut self, now: Instant, wait: Duration) {
        const ONE: Duration = Duration::from_secs(1);
        self.hold(now, wait);
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

#[expect(clippy::cast_precision_loss, reason = "counts of batches in memory")]
fn count(batches: usize) -> f64 {
    batches as f64
}

/// A road on which the pace holds, for one request. The first attempt has its permit already.
pub(super) struct PacedRoad<R> {
    road: R,
    pace: Arc<Pace>,
    progress: Mutex<Progress>,
}

/// The state of a request between its attempts.
struct Progress {
    first: Option<Permit>,
    /// How often it failed while the breaker was closed.
    failures: u32,
    /// When it may go again, if that is not for the breaker alone to say.
    not_before: Option<Instant>,
}

impl<R> PacedRoad<R> {
    pub(super) fn new(road: R, pace: &Arc<Pace>, permit: Permit) -> Self {
        let progress = Progress { first: Some(permit), failures: 0, not_before: None };
        Self { road, pace: Arc::clone(pace), progress: Mutex::new(progress) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No attempt comes any more. There may have been none, if no request can carry the batches.
    pub(super) fn end(&self) {
        let first = self.progress().first.take();
        if let Some(permit) = first {
            self.pace.lock().breaker.cancelled(permit, Instant::now());
            self.pace.changed.notify_waiters();
        }
    }

    async fn permit(&self, batches: usize) -> Permit {
        let (first, not_before) = {
            let mut progress = self.progress();
            (progress.first.take(), progress.not_before.take())
        };
        if let Some(permit) = first {
            return permit;
        }
        if let Some(until) = not_before {
            sleep_until(until).await;
        }
        self.pace.admit(batches).await
    }
}

impl<R: Transport> Transport for PacedRoad<R> {
    async fn attempt(&self, endpoint: Endpoint, batches: &[&SealedBatch]) -> Result<Accepted, Error> {
        let permit = self.permit(batches.len()).await;
        let result = self.road.attempt(endpoint, batches).await;
        let mut progress = self.progress();
        progress.not_before = self.pace.observe(permit, batches.len(), &result, progress.failures);
        progress.failures += u32::from(progress.not_before.is_some() && !permit.is_probe());
        drop(progress);
        result
    }
}
