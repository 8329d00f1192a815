//! The wait that the service asks of a credential: whoever sends with it waits, not only the request that was told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::saturating_add;
use tokio::time::{Instant, sleep_until};

/// Shared by all who send with the same client.
#[derive(Default)]
pub(crate) struct RateLimitGate(Mutex<Option<Instant>>);

impl RateLimitGate {
    /// Nobody passes for this long. A wait that is longer already stays: what the service asked is never undercut.
    pub(crate) fn close_for(&self, wait: Duration) {
        let until = saturating_add(Instant::now(), wait);
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = (*closed).max(Some(until));
    }

    /// Waits until it is open and for this much longer, but not beyond the deadline. If it opens only after that it tells at
    /// once how long it is closed.
    pub(crate) async fn pass(&self, deadline: Instant, spread: impl Fn() -> Duration) -> Result<(), Duration> {
        while let Some(until) = self.closed_until() {
            if until > deadline {
                return Err(until - Instant::now());
            }
            // It may have been closed for longer in the meantime.
            sleep_until(saturating_add(until, spread()).min(deadline)).await;
        }
        Ok(())
    }

    fn closed_until(&self) -> Option<Instant> {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = closed.filter(|until| *until > Instant::now());
        *closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_holds() {
        let gate = RateLimitGate::default();
        let start = Instant::now();
        gate.close_for(3 * SECOND);
        gate.close_for(SECOND);
        let passing = gate.pass(saturating_add(start, Duration::MAX), || SECOND / 4);
        let closing = async {
            tokio::time::sleep(2 * SECOND).await;
            gate.close_for(5 * SECOND);
        };
        let (passed, ()) = tokio::join!(passing, closing);
        assert_eq!(passed, Ok(()));
        assert_eq!(start.elapsed(), 7 * SECOND + SECOND / 4);
        gate.pass(Instant::now(), || SECOND).await.expect("open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_deadline_is_told_at_once() {
        let gate = RateLimitGate::default();
        let start = Instant::now();
        gate.close_for(10 * SECOND);
        assert_eq!(gate.pass(start + 9 * SECOND, || SECOND).await, Err(10 * SECOND));
        assert_eq!(start.elapsed(), Duration::ZERO);
        gate.close_for(Duration::MAX);
        assert!(gate.pass(start + 9 * SECOND, || SECOND).await.is_err());
    }
}
