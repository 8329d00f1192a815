//! The circuit breaker: closed while the service is available, open after a failure, half-open while a probe is in flight.
//!
//! It receives the time as an argument, and has no clock, lock or random numbers of its own.

use tokio::time::Instant;

/// The number of successes that offset a failure. If a third of the requests fail, the waits neither grow nor shrink.
const WEIGHT: u32 = 2;

/// Decides whether requests may be sent, and allows single probes while they may not.
pub(super) struct CircuitBreaker {
    circuit: Circuit,
    /// Grows by [`WEIGHT`] with each failure and shrinks by 1 with each success.
    failures: u32,
    max_failures: u32,
    /// Changes each time the breaker opens or closes, so that only attempts that began after the last change count: eight
    /// concurrent failures count as one, and a late success does not close a breaker that opened meanwhile.
    generation: u64,
}

#[derive(Clone, Copy)]
enum Circuit {
    Closed,
    /// No request is sent before this time, and then one probe.
    Open(Instant),
    /// A probe is in flight.
    HalfOpen,
}

/// An attempt that the circuit breaker allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The generation of the circuit breaker in which the attempt began.
    generation: u64,
    is_probe: bool,
}

impl Attempt {
    /// Returns whether the attempt began while the circuit breaker was open.
    pub(super) fn is_probe(self) -> bool {
        self.is_probe
    }
}

impl CircuitBreaker {
    /// Creates a closed breaker that doubles the wait before a probe up to this number of times.
    pub(super) fn new(max_doublings: u32) -> Self {
        Self { circuit: Circuit::Closed, failures: 0, max_failures: max_doublings * WEIGHT, generation: 0 }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.circuit, Circuit::Closed)
    }

    /// Returns whether it is closed, and successes have offset all failures.
    pub(super) fn is_steady(&self) -> bool {
        self.is_closed() && self.failures == 0
    }

    /// Returns whether an attempt may begin, or the time at which to poll again; `None` if that depends on the probe in flight.
    pub(super) fn poll_ready(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.circuit {
            Circuit::HalfOpen => Err(None),
            Circuit::Open(until) if now < until => Err(Some(until)),
            Circuit::Open(_) | Circuit::Closed => Ok(()),
        }
    }

    /// Begins an attempt, which is the probe unless the breaker is closed.
    pub(super) fn begin(&mut self) -> Attempt {
        let is_probe = !self.is_closed();
        if is_probe {
            self.circuit = Circuit::HalfOpen;
        }
        Attempt { generation: self.generation, is_probe }
    }

    /// Records a failed attempt. `until` returns the time of the next probe, given how many times its wait is doubled.
    pub(super) fn record_failure(&mut self, attempt: Attempt, until: impl FnOnce(u32) -> Instant) {
        if self.is_current(attempt) {
            self.circuit = Circuit::Open(until(self.failures / WEIGHT));
            self.failures = self.max_failures.min(self.failures + WEIGHT);
            self.generation += 1;
        }
    }

    /// Records a successful attempt. Returns whether that closed the breaker.
    pub(super) fn record_success(&mut self, attempt: Attempt) -> bool {
        if !self.is_current(attempt) {
            return false;
        }
        self.failures = self.failures.saturating_sub(1);
        let closes = !self.is_closed();
        if closes {
            self.circuit = Circuit::Closed;
            self.generation += 1;
        }
        closes
    }

    /// Cancels an attempt that was not made. Returns whether it was the probe, so that another request may be the probe now.
    pub(super) fn cancel(&mut self, attempt: Attempt, now: Instant) -> bool {
        let was_probe = self.is_current(attempt) && matches!(self.circuit, Circuit::HalfOpen);
        if was_probe {
            self.circuit = Circuit::Open(now);
        }
        was_probe
    }

    fn is_current(&self, attempt: Attempt) -> bool {
        attempt.generation == self.generation
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn opens_at_the_first_failure_and_closes_when_the_probe_succeeds() {
        let start = Instant::now();
        let mut breaker = CircuitBreaker::new(5);
        let in_flight = [breaker.begin(), breaker.begin(), breaker.begin()];
        for permit in &in_flight[..2] {
            breaker.record_failure(*permit, |max_doublings| start + SECOND * (max_doublings + 1));
        }
        assert_eq!(breaker.poll_ready(start), Err(Some(start + SECOND)), "two failures at once count as one");
        assert!(!breaker.record_success(in_flight[2]), "a response to an older request says nothing new");
        assert_eq!(breaker.poll_ready(start + SECOND), Ok(()));
        let probe = breaker.begin();
        assert_eq!(breaker.poll_ready(start + 60 * SECOND), Err(None), "one probe at a time");
        breaker.record_failure(probe, |max_doublings| start + SECOND * (max_doublings + 2));
        assert_eq!(breaker.poll_ready(start), Err(Some(start + 3 * SECOND)));
        let probe = breaker.begin();
        assert!(breaker.record_success(probe) && breaker.is_closed());
        breaker.record_failure(in_flight[0], |_| start + SECOND);
        assert_eq!(breaker.poll_ready(start), Ok(()), "a late failure does not open it again");
    }

    #[test]
    fn failures_double_the_next_wait_and_successes_halve_it() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(2);
        let mut max_doublings = Vec::new();
        // Failures until the longest wait, successes that halve it twice, and failures again.
        let failures = [true, true, true, true, false, false, false, true, true];
        for fails in failures {
            let permit = breaker.begin();
            if fails {
                breaker.record_failure(permit, |often| {
                    max_doublings.push(often);
                    now
                });
            } else {
                breaker.record_success(permit);
            }
        }
        assert_eq!(max_doublings, [0, 1, 2, 2, 0, 1]);
        assert!(!breaker.is_steady());
        for _ in 0..2 * WEIGHT {
            let permit = breaker.begin();
            breaker.record_success(permit);
        }
        assert!(breaker.is_steady());
    }

    #[test]
    fn a_cancelled_probe_allows_another() {
        let start = Instant::now();
        let mut breaker = CircuitBreaker::new(5);
        let permit = breaker.begin();
        breaker.cancel(permit, start);
        assert!(breaker.is_closed());
        breaker.record_failure(permit, |_| start);
        let probe = breaker.begin();
        breaker.cancel(permit, start);
        assert_eq!(breaker.poll_ready(start), Err(None), "the probe is in flight still");
        breaker.cancel(probe, start);
        assert_eq!(breaker.poll_ready(start), Ok(()));
        assert!(!breaker.is_closed());
    }
}
