//! Arithmetic with instants that cannot overflow.

use std::time::Duration;

use tokio::time::Instant;

/// Returns the instant `wait` after `now`, at most a hundred years later.
pub(crate) fn saturating_add(now: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(wait.min(NEVER)).unwrap_or(now)
}
