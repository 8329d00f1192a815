//! The gate that a 429 closes for all requests of a client, not only for the one that received it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limiter::{RequestState, Wait};
use crate::time::saturating_add;

/// A gate that all clones of a client and its uploaders share.
#[derive(Default)]
pub(crate) struct RateLimitGate {
    closed_until: Mutex<Option<Instant>>,
    /// Notifies when the gate closes, so that a request whose deadline is too near learns of it at once.
    pub(super) changed: Notify,
}

impl RateLimitGate {
    /// Closes the gate for `wait` from `now`, unless it is already closed for longer.
    pub(super) fn close_for(&self, now: Instant, wait: Duration) {
        let until = saturating_add(now, wait);
        let mut closed_until = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed_until = (*closed_until).max(Some(until));
        drop(closed_until);
        self.changed.notify_waiters();
    }

    /// Returns whether the request may pass. One that has to wait for the gate passes a little later than it opens, after
    /// `spread`, but not after its deadline.
    pub(super) fn poll<P>(
        &self,
        request: &mut RequestState<P>,
        now: Instant,
        deadline: Instant,
        spread: impl Fn() -> Duration,
    ) -> Result<(), Wait> {
        let closed_until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = closed_until.filter(|until| *until > now) {
            if until > deadline {
                return Err(Wait::PastDeadline(until - now));
            }
            if request.not_before < until {
                request.not_before = saturating_add(until, spread()).min(deadline);
            }
        }
        if now < request.not_before { Err(Wait::Until(request.not_before)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limiter::wait_for;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn pass(gate: &RateLimitGate, deadline: Instant, spread: Duration) -> Result<(), Duration> {
        let mut request: RequestState<()> = RequestState::new(1, None);
        wait_for(&gate.changed, deadline, |now| gate.poll(&mut request, now, deadline, || spread)).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_applies() {
        let gate = RateLimitGate::default();
        let start = Instant::now();
        gate.close_for(start, 3 * SECOND);
        gate.close_for(start, SECOND);
        let passing = pass(&gate, saturating_add(start, Duration::MAX), SECOND / 4);
        let closing = async {
            tokio::time::sleep(2 * SECOND).await;
            gate.close_for(Instant::now(), 5 * SECOND);
        };
        let (passed, ()) = tokio::join!(passing, closing);
        assert_eq!(passed, Ok(()));
        assert_eq!(start.elapsed(), 7 * SECOND + SECOND / 4);
        pass(&gate, Instant::now(), SECOND).await.expect("open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_deadline_is_an_error_at_once() {
        let gate = RateLimitGate::default();
        let start = Instant::now();
        gate.close_for(start, 10 * SECOND);
        assert_eq!(pass(&gate, start + 9 * SECOND, SECOND).await, Err(10 * SECOND));
        assert_eq!(start.elapsed(), Duration::ZERO);
        gate.close_for(start, Duration::MAX);
        assert!(pass(&gate, start + 9 * SECOND, SECOND).await.is_err());
    }
}
