//! Arithmetic with instants that cannot overflow.

use std::time::Duration;

use tokio::time::Instant;

/// Returns the instant that lies `wait` after `now`, or one in a hundred years for a longer wait.
pub(crate) fn saturating_add(now: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(wait.min(NEVER)).unwrap_or(now)
}
