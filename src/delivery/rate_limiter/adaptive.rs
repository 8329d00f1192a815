//! The rate limiter of an uploader.
//!
//! Three rules decide when a request may be sent:
//!
//! - **The limit.** The rate follows `X-mp-rate-limit-percentage-used` of each acceptance, and settles at 90 percent whichever way
//!   the service measures: see [`RateController`].
//! - **The ramp.** The rate is at most twice the latest throughput, or the initial rate: after an idle time or an outage it
//!   takes at least 1.5 seconds to double.
//! - **The circuit breaker.** A retryable failure opens it. Then one request at a time probes the service, until one gets a
//!   response that is not a retryable failure. The wait between the end of a probe and the next one doubles up to
//!   [`max_probe_interval`](AdaptiveConfig::max_probe_interval), and is never shorter than `Retry-After`. Two successes
//!   halve the next wait, so that the waits also grow while a large share of the requests fails.
//!
//! A failed request waits for its turn in [`RateLimiter::acquire`], and wakes when the breaker closes. Retries precede new
//! requests.
//!
//! A request can also fail because of its content while the service is available. Therefore each request that fails while the
//! breaker is closed also backs off for itself, retries take turns, and after a retry has failed as a probe a new request may be
//! the next probe: no request blocks the others forever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::circuit_breaker::{Attempt, CircuitBreaker};
use super::client::ClientLimiter;
use super::gate::RateLimitGate;
use super::limiter::{RateLimiter, RequestState, Wait, is_rate_limited, wait_for};
use super::rate::{RateController, Rates};
use crate::delivery::Accepted;
use crate::error::Error;
use crate::time::saturating_add;

/// The minimum of a wait after a failure, as a share of its bound, so that a run of low draws cannot make probes frequent.
const MIN_BACKOFF_SHARE: f64 = 0.75;

/// The minimum of a wait after a failure, regardless of the settings.
const MIN_BACKOFF: Duration = Duration::from_millis(1);

/// The time for which retries leave the next probe to a new request when it is the turn of one.
const YIELD_TO_NEW: Duration = Duration::from_millis(1);

/// The settings of an [`AdaptiveLimiter`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdaptiveConfig {
    pub(crate) rates: Rates,
    /// The longest wait between two probes, unless the maximum of the client's back-off is shorter.
    pub(crate) max_probe_interval: Duration,
}

pub(crate) struct AdaptiveLimiter {
    backoff: Backoff,
    probe_backoff: Backoff,
    gate: Arc<RateLimitGate>,
    state: Mutex<State>,
    /// Notifies when more requests may be sent than before.
    pub(crate) changed: Notify,
}

struct State {
    rate: RateController,
    breaker: CircuitBreaker,
    /// The end of the wait that the service asked for. Nothing is sent before.
    held_until: Instant,
    /// The retries that wait, in order. New requests wait for them: those need fewer tokens, and would take them all.
    turns: VecDeque<u64>,
    last_turn: u64,
    /// A retry has failed as a probe, so the next probe may be a new request.
    new_may_probe: bool,
    last_error: Option<Error>,
}

/// The permission to make one attempt. If it is dropped before the attempt is made, another request may be the probe.
pub(crate) struct AdaptivePermit {
    limiter: Arc<AdaptiveLimiter>,
    attempt: Attempt,
}

impl Drop for AdaptivePermit {
    fn drop(&mut self) {
        if self.limiter.lock().breaker.cancel(self.attempt, Instant::now()) {
            self.limiter.changed.notify_waiters();
        }
    }
}

impl AdaptiveLimiter {
    /// Creates a limiter that shares the back-off and the gate of the client.
    pub(crate) fn new(config: AdaptiveConfig, client: &ClientLimiter) -> Self {
        let AdaptiveConfig { rates, max_probe_interval } = config;
        let (backoff, gate) = (client.backoff.clone(), Arc::clone(&client.gate));
        let probe_backoff = backoff.with_max(max_probe_interval);
        let now = Instant::now();
        let state = State {
            rate: RateController::new(rates, now),
            breaker: CircuitBreaker::new(probe_backoff.max_doublings()),
            held_until: now,
            turns: VecDeque::new(),
            last_turn: 0,
            new_may_probe: false,
            last_error: None,
        };
        Self { backoff, probe_backoff, gate, state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the error of the last attempt if it is retryable.
    pub(crate) fn last_error(&self) -> Option<Error> {
        self.lock().last_error.clone()
    }

    /// Returns how many of these batches may be sent as one new request now, or the time at which to poll again. `None` stands
    /// for the next change.
    pub(crate) fn poll_ready(&self, ready: usize) -> Result<usize, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.lock();
        let (is_steady, is_probe) = (state.breaker.is_steady(), !state.breaker.is_closed());
        let is_turn = state.turns.is_empty() || (is_probe && state.new_may_probe);
        if !is_turn {
            return Err(None);
        }
        state.poll(now)?;
        state.rate.poll_ready(now, ready, is_steady, is_probe).map_err(Some)
    }

    /// Begins the first attempt of a new request of this many batches, which [`poll_ready`](Self::poll_ready) allowed.
    pub(crate) fn begin(self: &Arc<Self>, batches: usize) -> AdaptivePermit {
        let mut state = self.lock();
        state.new_may_probe = false;
        let attempt = state.begin(batches);
        AdaptivePermit { limiter: Arc::clone(self), attempt }
    }
}

impl RateLimiter for Arc<AdaptiveLimiter> {
    type Permit = AdaptivePermit;

    async fn acquire(
        &self,
        request: &mut RequestState<AdaptivePermit>,
        deadline: Instant,
    ) -> Result<AdaptivePermit, Duration> {
        let mut turn = None;
        let poll = |now| {
            if let Err(wait) = self.gate.poll(request, now, deadline, || self.backoff.spread()) {
                // A request that backs off or waits for the gate must not block others, so it gives up its turn.
                turn = None;
                return Err(wait);
            }
            if let Some(permit) = request.permit.take() {
                return Ok(permit);
            }
            let turn = turn.get_or_insert_with(|| Turn::new(self));
            let attempt = self.lock().poll_turn(turn.number, request.batches, now)?;
            Ok(AdaptivePermit { limiter: Arc::clone(self), attempt })
        };
        wait_for(&self.changed, deadline, poll).await
    }

    fn record(
        &self,
        permit: AdaptivePermit,
        request: &mut RequestState<AdaptivePermit>,
        result: &Result<Accepted, Error>,
        _: bool,
    ) -> Duration {
        let attempt = permit.attempt;
        let now = Instant::now();
        let mut wait = Duration::ZERO;
        let mut state = self.lock();
        state.last_error = result.as_ref().err().filter(|error| error.is_retryable()).cloned();
        match result {
            Ok(accepted) => {
                state.rate.record_accepted(now, request.batches, accepted.rate_limit_used_percent());
                state.record_success(attempt, now);
            }
            Err(error) if is_rate_limited(error) => {
                wait = request.postpone(now, self.backoff.draw_after(request.failures, error.retry_after()));
                self.gate.close_for(now, wait);
                state.hold(now, error.retry_after());
                let until = state.held_until;
                state.rate.record_rate_limited(now, until);
                state.record_success(attempt, now);
            }
            Err(error) if error.is_retryable() => {
                // Every `Retry-After` counts, also that of a request that does not change the breaker.
                state.hold(now, error.retry_after());
                state
                    .breaker
                    .record_failure(attempt, |failures| saturating_add(now, draw(&self.probe_backoff, failures)));
                if attempt.is_probe() {
                    state.new_may_probe = true;
                } else {
                    wait = request.postpone(now, draw(&self.backoff, request.failures));
                }
            }
            // The service refused the batches themselves, so it is available.
            Err(_) => state.record_success(attempt, now),
        }
        drop(state);
        self.changed.notify_waiters();
        wait
    }
}

fn draw(backoff: &Backoff, failures: u32) -> Duration {
    backoff.draw(failures, MIN_BACKOFF_SHARE).max(MIN_BACKOFF)
}

impl State {
    /// Returns whether an attempt may begin, or the time at which to poll again; `None` if that depends on the probe in flight.
    fn poll(&self, now: Instant) -> Result<(), Option<Instant>> {
        if now < self.held_until { Err(Some(self.held_until)) } else { self.breaker.poll_ready(now) }
    }

    /// Begins the next attempt of a request that waits for its turn, if it may be sent.
    fn poll_turn(&mut self, number: u64, batches: usize, now: Instant) -> Result<Attempt, Wait> {
        if self.turns.front() != Some(&number) {
            return Err(Wait::Change);
        }
        let is_probe = !self.breaker.is_closed();
        let delay = if self.new_may_probe && is_probe { YIELD_TO_NEW } else { Duration::ZERO };
        if let Err(until) = self.poll(now.checked_sub(delay).unwrap_or(now)) {
            return Err(until.map_or(Wait::Change, |until| Wait::Until(saturating_add(until, delay))));
        }
        if !is_probe {
            self.rate.poll_retry(now, batches).map_err(Wait::Until)?;
        }
        Ok(self.begin(batches))
    }

    /// Begins an attempt. A probe takes no tokens: the breaker limits its rate.
    fn begin(&mut self, batches: usize) -> Attempt {
        if self.breaker.is_closed() {
            self.rate.withdraw(batches);
        }
        self.breaker.begin()
    }

    /// Records that the service is available. If that closes the breaker, the waiting requests are sent at the current rate
    /// instead of all at once.
    fn record_success(&mut self, attempt: Attempt, now: Instant) {
        if self.breaker.record_success(attempt) {
            self.rate.drain(now);
        }
    }

    fn hold(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.held_until = self.held_until.max(saturating_add(now, retry_after.unwrap_or_default()));
    }
}

/// A position in the queue of retries.
struct Turn<'a> {
    limiter: &'a AdaptiveLimiter,
    number: u64,
}

impl<'a> Turn<'a> {
    fn new(limiter: &'a AdaptiveLimiter) -> Self {
        let mut state = limiter.lock();
        state.last_turn += 1;
        let number = state.last_turn;
        state.turns.push_back(number);
        Self { limiter, number }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.limiter.lock().turns.retain(|number| *number != self.number);
        self.limiter.changed.notify_waiters();
    }
}
