//! Telemetry of an uploader: events of `tracing`, and counters and gauges of the `metrics` facade with that feature.

use std::time::Duration;

use tokio::time::Instant;

use super::accounting::UploaderStats;
use crate::time::saturating_add;

/// The shortest time between two events of `tracing`.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StatsSnapshot {
    pub(super) stats: UploaderStats,
    pub(super) queued_batches: usize,
    pub(super) held_bytes: usize,
}

/// Reports changed numbers. No lock may be held, because subscribers and recorders are callers' code.
#[derive(Default)]
pub(super) struct StatsReporter {
    logged: StatsSnapshot,
    logged_at: Option<Instant>,
    #[cfg(feature = "metrics")]
    recorded: UploaderStats,
}

impl StatsReporter {
    /// Returns whether the events are logged at all. Checked first, so that disabled events cost nothing.
    pub(super) fn is_logged() -> bool {
        tracing::enabled!(target: "mparticle::uploader", tracing::Level::DEBUG)
    }

    /// Returns whether changed numbers are reported at all.
    pub(super) fn is_enabled() -> bool {
        cfg!(feature = "metrics") || Self::is_logged()
    }

    /// Reports changed numbers, or returns the time at which they may be logged.
    pub(super) fn report(&mut self, snapshot: impl FnOnce() -> StatsSnapshot) -> Option<Instant> {
        if !Self::is_enabled() {
            return None;
        }
        let (snapshot, now) = (snapshot(), Instant::now());
        let due = self.logged_at.map(|at| saturating_add(at, LOG_INTERVAL));
        let due = due.filter(|due| *due > now && snapshot != self.logged && Self::is_logged());
        if due.is_none() {
            self.log(snapshot, now);
        }
        self.record(snapshot);
        due
    }

    /// Reports the final numbers.
    pub(super) fn finish(&mut self, snapshot: StatsSnapshot) {
        self.log(snapshot, Instant::now());
        self.record(snapshot);
    }

    /// Logs the numbers if they have changed.
    pub(super) fn log(&mut self, snapshot: StatsSnapshot, now: Instant) {
        if snapshot == self.logged {
            return;
        }
        (self.logged, self.logged_at) = (snapshot, Some(now));
        let StatsSnapshot { stats, queued_batches, held_bytes } = snapshot;
        tracing::debug!(
            target: "mparticle::uploader",
            accepted = stats.accepted,
            recovered = stats.recovered,
            delivered = stats.delivered,
            rejected = stats.rejected,
            dropped = stats.dropped,
            spooled = stats.spooled,
            pending = stats.pending,
            filtered = stats.filtered,
            unread_responses = stats.unread_responses,
            queued_batches,
            held_bytes,
            "stats"
        );
    }

    /// Adds the increases to the counters, and sets the gauges.
    #[cfg(feature = "metrics")]
    fn record(&mut self, StatsSnapshot { stats, queued_batches, held_bytes }: StatsSnapshot) {
        let before = std::mem::replace(&mut self.recorded, stats);
        for (name, increase) in [
            ("mparticle_uploader_accepted_total", stats.accepted - before.accepted),
            ("mparticle_uploader_delivered_total", stats.delivered - before.delivered),
            ("mparticle_uploader_rejected_total", stats.rejected - before.rejected),
            ("mparticle_uploader_dropped_total", stats.dropped - before.dropped),
            ("mparticle_uploader_filtered_total", stats.filtered - before.filtered),
            ("mparticle_uploader_unread_responses_total", stats.unread_responses - before.unread_responses),
        ] {
            if increase > 0 {
                metrics::counter!(name).increment(increase);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of what is in memory and on the disk")]
        for (name, value) in [
            ("mparticle_uploader_pending", stats.pending as f64),
            ("mparticle_uploader_spooled", stats.spooled as f64),
            ("mparticle_uploader_queued_batches", queued_batches as f64),
            ("mparticle_uploader_held_bytes", held_bytes as f64),
        ] {
            metrics::gauge!(name).set(value);
        }
    }

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self, reason = "nothing is recorded")]
    fn record(&mut self, _: StatsSnapshot) {}
}
