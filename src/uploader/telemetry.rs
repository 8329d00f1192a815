//! What those who measure are told: counters and gauges of the `metrics` facade, if its feature is on.

use super::ledger::Counts;

/// What was told last.
#[derive(Default)]
pub(super) struct Telemetry {
    #[cfg(feature = "metrics")]
    told: Counts,
}

impl Telemetry {
    /// Counters grow by what is new; gauges are as they are.
    #[cfg(feature = "metrics")]
    pub(super) fn tell(&mut self, counts: Counts, queued: usize, held_bytes: usize) {
        let counters = [
            ("mparticle_uploader_accepted_total", counts.accepted, self.told.accepted),
            ("mparticle_uploader_delivered_total", counts.delivered, self.told.delivered),
            ("mparticle_uploader_rejected_total", counts.rejected, self.told.rejected),
            ("mparticle_uploader_dropped_total", counts.dropped, self.told.dropped),
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
            ("mparticle_uploader_queued_batches", queued as f64),
            ("mparticle_uploader_held_bytes", held_bytes as f64),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name).set(value);
        }
        self.told = counts;
    }

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self, reason = "nobody measures")]
    pub(super) fn tell(&mut self, _: Counts, _: usize, _: usize) {}
}
