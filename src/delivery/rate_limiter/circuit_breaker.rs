//! The circuit breaker: closed while the service is available, open after a failure, half-open while a probe is in flight.
//!
//! A value that receives the time, without a clock, lock or source of random numbers of its own.

use tokio::time::Instant;

/// A failure weighs as much as this many successes. If a third of the requests fail, the waits neither grow nor shrink.
const WEIGHT: u32 = 2;

/// Decides whether requests may go, and lets one probe go while they may not.
pub(super) struct CircuitBreaker {
    circuit: Circuit,
    /// Grows by [`WEIGHT`] with each failure and shrinks by 1 with each success.
    failures: u32,
    max_failures: u32,
    /// Changes with each opening and closing, so that only the results of attempts that began after the last change count:
    /// neither do eight failures at once count as eight, nor does a late success close what opened meanwhile.
    generation: u64,
}

#[derive(Clone, Copy)]
enum Circuit {
    Closed,
    /// Nothing goes before this time, and then one probe.
    Open(Instant),
    /// A probe is in flight.
    HalfOpen,
}

/// An attempt, as the circuit breaker began it.
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
    /// Creates a closed one, which doubles the wait before a probe this often at most.
    pub(super) fn new(max_doublings: u32) -> Self {
        Self { circuit: Circuit::Closed, failures: 0, max_failures: max_doublings * WEIGHT, generation: 0 }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.circuit, Circuit::Closed)
    }

    /// Returns whether it is closed, and successes have made up for all failures.
    pub(super) fn is_steady(&self) -> bool {
        self.is_closed() && self.failures == 0
    }

    /// Returns whether an attempt may begin, or when to ask again; `None` if that depends on the probe that is in flight.
    pub(super) fn poll_ready(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.circuit {
            Circuit::HalfOpen => Err(None),
            Circuit::Open(until) if now < until => Err(Some(until)),
            Circuit::Open(_) | Circuit::Closed => Ok(()),
        }
    }

    /// An attempt begins. It is the probe unless the breaker is closed.
    pub(super) fn begin(&mut self) -> Attempt {
        let is_probe = !self.is_closed();
        if is_probe {
            self.circuit = Circuit::HalfOpen;
        }
        Attempt { generation: self.generation, is_probe }
    }

    /// An attempt failed. `until` returns the time of the next probe, from how often its wait is doubled.
    pub(super) fn record_failure(&mut self, attempt: Attempt, until: impl FnOnce(u32) -> Instant) {
        if self.is_current(attempt) {
            self.circuit = Circuit::Open(until(self.failures / WEIGHT));
            self.failures = self.max_failures.min(self.failures + WEIGHT);
            self.generation += 1;
        }
    }

    /// An attempt succeeded. Returns whether that closed the breaker.
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

    /// The attempt was not made. If it was to be the probe, another one may be it, and this returns `true`.
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
    fn opens_at_the_first_failure_and_closes_at_the_success_of_the_probe() {
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
    fn a_probe_that_is_not_sent_makes_room_for_another() {
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
