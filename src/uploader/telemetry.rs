//! What those who measure are told: an event of `tracing` with the counts, and counters and gauges of the `metrics` facade, if
//! its feature is on.

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Counts;
use crate::time::saturating_add;

/// At least this much lies between two events with the counts.
const EVERY: Duration = Duration::from_secs(1);

/// What is told with the counts.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measures {
    pub(super) counts: Counts,
    pub(super) queued_batches: usize,
    pub(super) held_bytes: usize,
}

/// Tells the counts to `tracing`, if somebody listens and something is new.
#[derive(Default)]
pub(super) struct Narrator {
    told: Measures,
    told_at: Option<Instant>,
}

impl Narrator {
    /// Whether anybody listens. Asked first, so that nobody pays who does not.
    pub(super) fn is_heard() -> bool {
        tracing::enabled!(target: "mparticle::uploader", tracing::Level::DEBUG)
    }

    /// Tells what is new, or when that may be told.
    pub(super) fn tell(&mut self, measures: Measures, now: Instant) -> Option<Instant> {
        let due = self.told_at.map(|at| saturating_add(at, EVERY)).filter(|due| *due > now && measures != self.told);
        if due.is_none() {
            self.tell_now(measures, now);
        }
        due
    }

    /// Tells what is new, however little time has passed.
    pub(super) fn tell_now(&mut self, measures: Measures, now: Instant) {
        if measures == self.told {
            return;
        }
        (self.told, self.told_at) = (measures, Some(now));
        let Measures { counts, queued_batches, held_bytes } = measures;
        tracing::debug!(
            target: "mparticle::uploader",
            accepted = counts.accepted,
            recovered = counts.recovered,
            delivered = counts.delivered,
            rejected = counts.rejected,
            dropped = counts.dropped,
            spooled = counts.spooled,
            pending = counts.pending,
            unread_responses = counts.unread_responses,
            queued_batches,
            held_bytes,
            "counts"
        );
    }
}

/// What the facade was told last.
#[derive(Default)]
pub(super) struct Telemetry {
    #[cfg(feature = "metrics")]
    told: Counts,
}

impl Telemetry {
    /// Counters grow by what is new; gauges are as they are.
    #[cfg(feature = "metrics")]
    pub(super) fn tell(&mut self, measures: Measures) {
        let Measures { counts, queued_batches, held_bytes } = measures;
        let counters = [
            ("mparticle_uploader_accepted_total", counts.accepted, self.told.accepted),
            ("mparticle_uploader_delivered_total", counts.delivered, self.told.delivered),
            ("mparticle_uploader_rejected_total", counts.rejected, self.told.rejected),
            ("mparticle_uploader_dropped_total", counts.dropped, self.told.dropped),
            ("mparticle_uploader_unread_responses_total", counts.unread_responses, self.told.unread_responses),
        ];
        for (name, now, before) in counters {
            if now > before {
                metrics::counter!(name).increment(now - before);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of what is in memory and on the disk")]
        let gauges = [
            ("mparticle_uploader_pending", counts.pending as f64),
            ("mparticle_uploader_spooled", counts.spooled as f64),
            ("mparticle_uploader_queued_batches", queued_batches as f64),
            ("mparticle_uploader_held_bytes", held_bytes as f64),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name).set(value);
        }
        self.told = counts;
    }

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self, reason = "nobody measures")]
    pub(super) fn tell(&mut self, _: Measures) {}
}
