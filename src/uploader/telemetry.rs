//! Telemetry of an uploader: events of `tracing`, and counters and gauges of the `metrics` facade with that feature.

use std::time::Duration;

use tokio::time::Instant;

use super::accounting::UploaderStats;
use super::durable_queue::DurableQueue;
use super::entry::Entry;
#[cfg(feature = "metrics")]
use crate::meter;
use crate::time::saturating_add;

/// The shortest time between two events of `tracing`.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two updates of the age of the oldest batch while there is one.
#[cfg(feature = "metrics")]
const AGE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct StatsSnapshot {
    pub(super) stats: UploaderStats,
    pub(super) queued_batches: usize,
    pub(super) held_bytes: usize,
    pub(super) rate_limit_used_percent: Option<f64>,
    pub(super) is_stopped: bool,
}

/// Reports changed numbers. No lock may be held, because subscribers and recorders are callers' code.
#[derive(Default)]
pub(super) struct StatsReporter {
    logged: StatsSnapshot,
    logged_at: Option<Instant>,
    #[cfg(feature = "metrics")]
    recorded: UploaderStats,
    #[cfg(feature = "metrics")]
    aged_at: Option<Instant>,
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
        let StatsSnapshot { stats, queued_batches, held_bytes, rate_limit_used_percent, is_stopped } = snapshot;
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
            rate_limit_used_percent,
            is_stopped,
            "stats"
        );
    }

    /// Adds the increases to the counters, and sets the gauges.
    #[cfg(feature = "metrics")]
    fn record(&mut self, snapshot: StatsSnapshot) {
        let StatsSnapshot { stats, queued_batches, held_bytes, rate_limit_used_percent, is_stopped } = snapshot;
        let before = std::mem::replace(&mut self.recorded, stats);
        for (counter, increase) in [
            (meter::ACCEPTED, stats.accepted - before.accepted),
            (meter::DELIVERED, stats.delivered - before.delivered),
            (meter::REJECTED, stats.rejected - before.rejected),
            (meter::DROPPED, stats.dropped - before.dropped),
            (meter::FILTERED, stats.filtered - before.filtered),
            (meter::UNREAD_RESPONSES, stats.unread_responses - before.unread_responses),
        ] {
            meter::add(&counter, increase);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of what is in memory and on the disk")]
        for (gauge, value) in [
            (meter::PENDING, stats.pending as f64),
            (meter::SPOOLED, stats.spooled as f64),
            (meter::QUEUED_BATCHES, queued_batches as f64),
            (meter::HELD_BYTES, held_bytes as f64),
            (meter::STOPPED, f64::from(u8::from(is_stopped))),
        ] {
            meter::set(&gauge, value);
        }
        if stats.is_drained() {
            meter::set(&meter::OLDEST_PENDING, 0.0);
        }
        if let Some(used) = rate_limit_used_percent {
            meter::set(&meter::RATE_LIMIT_USED, used);
        }
    }

    /// Sets the age of the oldest batch that is not delivered yet, at most once in [`AGE_INTERVAL`], because finding it reads the
    /// whole queue. Returns the time of the next update.
    #[cfg(feature = "metrics")]
    pub(super) fn report_age(&mut self, oldest: impl FnOnce(Instant) -> Option<Duration>) -> Option<Instant> {
        if self.recorded.is_drained() {
            return None;
        }
        let now = Instant::now();
        let due = self.aged_at.map(|at| saturating_add(at, AGE_INTERVAL)).filter(|due| *due > now);
        if due.is_some() {
            return due;
        }
        self.aged_at = Some(now);
        if let Some(age) = oldest(now) {
            meter::set(&meter::OLDEST_PENDING, age.as_secs_f64());
        }
        Some(saturating_add(now, AGE_INTERVAL))
    }

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self, reason = "nothing is recorded")]
    fn record(&mut self, _: StatsSnapshot) {}

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self, reason = "nothing is recorded")]
    pub(super) fn report_age(&mut self, _: impl FnOnce(Instant) -> Option<Duration>) -> Option<Instant> {
        None
    }
}

impl DurableQueue {
    /// Returns the age of the oldest batch in memory, given those in flight. Batches that are only on the disk are younger, as
    /// they are read in order.
    pub(super) fn oldest_age<'a>(
        &mut self,
        in_flight: impl Iterator<Item = &'a Entry>,
        now: Instant,
    ) -> Option<Duration> {
        let open = self.coalescer.oldest().map(|since| now.saturating_duration_since(since));
        let waiting = self.remaining_entries().chain(self.ready.blocked());
        waiting.map(|entry| entry.age(now)).chain(in_flight.map(|entry| entry.age(now))).chain(open).max()
    }
}
