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
pub(super) struct StatsReporter {
    logged: StatsSnapshot,
    logged_at: Option<Instant>,
    #[cfg(feature = "metrics")]
    recorded: UploaderStats,
    #[cfg(feature = "metrics")]
    gauges: meter::UploaderGauges,
    #[cfg(feature = "metrics")]
    values: meter::GaugeValues,
    #[cfg(feature = "metrics")]
    aged_at: Option<Instant>,
    /// The age of the oldest batch at a time, while anything is not delivered.
    #[cfg(feature = "metrics")]
    oldest: Option<(Instant, Duration)>,
}

impl StatsReporter {
    /// Creates a reporter, and registers the metrics. Its gauges count until it is dropped.
    pub(super) fn start() -> Self {
        Self {
            logged: StatsSnapshot::default(),
            logged_at: None,
            #[cfg(feature = "metrics")]
            recorded: UploaderStats::default(),
            #[cfg(feature = "metrics")]
            gauges: meter::register_uploader(),
            #[cfg(feature = "metrics")]
            values: meter::GaugeValues::default(),
            #[cfg(feature = "metrics")]
            aged_at: None,
            #[cfg(feature = "metrics")]
            oldest: None,
        }
    }

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
        if stats.is_drained() {
            self.oldest = None;
        }
        let oldest_pending_seconds = if stats.is_drained() { 0.0 } else { self.values.oldest_pending_seconds };
        #[expect(clippy::cast_precision_loss, reason = "counts of what is in memory and on the disk")]
        let values = meter::GaugeValues {
            pending: stats.pending as f64,
            spooled: stats.spooled as f64,
            queued_batches: queued_batches as f64,
            held_bytes: held_bytes as f64,
            oldest_pending_seconds,
            rate_limit_used_percent: rate_limit_used_percent.unwrap_or_default(),
            stopped: f64::from(u8::from(is_stopped)),
        };
        self.set_gauges(values);
    }

    #[cfg(feature = "metrics")]
    fn set_gauges(&mut self, values: meter::GaugeValues) {
        self.values = values;
        self.gauges.update(values);
    }

    /// Sets the age of the oldest batch that is not delivered yet, at most once in [`AGE_INTERVAL`], because finding it reads the
    /// whole queue. While the undelivered batches are only on a disk that cannot be read, their ages are unknown, and the last age
    /// increases. Returns the time of the next update.
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
        let last = || self.oldest.map(|(at, age)| age + now.saturating_duration_since(at));
        let age = oldest(now).or_else(last).unwrap_or_default();
        self.oldest = Some((now, age));
        self.set_gauges(meter::GaugeValues { oldest_pending_seconds: age.as_secs_f64(), ..self.values });
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
