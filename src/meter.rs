//! The metrics of this crate, through the facade of the crate `metrics`: the one list of their names, units and descriptions.
//!
//! No lock may be held when a metric is recorded, because a recorder is callers' code.

mod gauges;

pub(crate) use gauges::{GaugeValues, UploaderGauges};
use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// A metric of the facade.
pub(crate) struct Metric {
    name: &'static str,
    unit: Unit,
    description: &'static str,
}

const fn metric(name: &'static str, unit: Unit, description: &'static str) -> Metric {
    Metric { name, unit, description }
}

/// The duration of each attempt, named by OpenTelemetry's conventions for HTTP clients.
const REQUEST_DURATION: Metric =
    metric("http.client.request.duration", Unit::Seconds, "Duration of HTTP client requests.");

pub(crate) const RETRIES: Metric =
    metric("mparticle_retries_total", Unit::Count, "Requests that were sent again after a failure.");
pub(crate) const RATE_LIMITED: Metric =
    metric("mparticle_rate_limited_total", Unit::Count, "Responses with the status 429.");

pub(crate) const ACCEPTED: Metric =
    metric("mparticle_uploader_accepted_total", Unit::Count, "Submissions that the uploader accepted.");
pub(crate) const DELIVERED: Metric =
    metric("mparticle_uploader_delivered_total", Unit::Count, "Submissions that the service accepted.");
pub(crate) const REJECTED: Metric =
    metric("mparticle_uploader_rejected_total", Unit::Count, "Submissions that the service refused for good.");
pub(crate) const DROPPED: Metric =
    metric("mparticle_uploader_dropped_total", Unit::Count, "Submissions that the uploader dropped.");
pub(crate) const FILTERED: Metric =
    metric("mparticle_uploader_filtered_total", Unit::Count, "Submissions that before_send discarded.");
pub(crate) const UNREAD_RESPONSES: Metric = metric(
    "mparticle_uploader_unread_responses_total",
    Unit::Count,
    "Accepted requests whose response body could not be read for errors.",
);

const PENDING: Metric =
    metric("mparticle_uploader_pending", Unit::Count, "Submissions in memory only that are not delivered yet.");
const SPOOLED: Metric =
    metric("mparticle_uploader_spooled", Unit::Count, "Submissions on the disk that are not delivered yet.");
const QUEUED_BATCHES: Metric =
    metric("mparticle_uploader_queued_batches", Unit::Count, "Batches in memory that wait to be sent.");
const HELD_BYTES: Metric = metric("mparticle_uploader_held_bytes", Unit::Bytes, "Size of the batches in memory only.");
const OLDEST_PENDING: Metric = metric(
    "mparticle_uploader_oldest_pending_seconds",
    Unit::Seconds,
    "Age of the oldest batch that is not delivered yet, or 0.",
);
const RATE_LIMIT_USED: Metric = metric(
    "mparticle_uploader_rate_limit_used_percent",
    Unit::Percent,
    "Used share of the tightest rate limit, as of the last accepted request, or 0.",
);
const STOPPED: Metric = metric("mparticle_uploader_stopped", Unit::Count, "Uploaders that have stopped sending.");

const CLIENT_COUNTERS: [Metric; 2] = [RETRIES, RATE_LIMITED];
const UPLOADER_COUNTERS: [Metric; 6] = [ACCEPTED, DELIVERED, REJECTED, DROPPED, FILTERED, UNREAD_RESPONSES];
const UPLOADER_GAUGES: [Metric; 7] =
    [PENDING, SPOOLED, QUEUED_BATCHES, HELD_BYTES, OLDEST_PENDING, RATE_LIMIT_USED, STOPPED];

/// Describes the metrics of a client, and registers its counters at 0: the first increase of a counter that appears with it is
/// invisible to a query for increases.
pub(crate) fn register_client() {
    let Metric { name, unit, description } = REQUEST_DURATION;
    describe_histogram!(name, unit, description);
    register_counters(CLIENT_COUNTERS);
}

/// Describes the metrics of an uploader and its client, registers the counters at 0, and returns the gauges of the uploader.
pub(crate) fn register_uploader() -> UploaderGauges {
    register_client();
    register_counters(UPLOADER_COUNTERS);
    for Metric { name, unit, description } in UPLOADER_GAUGES {
        describe_gauge!(name, unit, description);
    }
    UploaderGauges::register()
}

fn register_counters(counters: impl IntoIterator<Item = Metric>) {
    for Metric { name, unit, description } in counters {
        describe_counter!(name, unit, description);
        counter!(name).increment(0);
    }
}

/// Increases a counter.
pub(crate) fn add(counter: &Metric, increase: u64) {
    if increase > 0 {
        counter!(counter.name).increment(increase);
    }
}

/// Sets a gauge.
fn set(gauge: &Metric, value: f64) {
    gauge!(gauge.name).set(value);
}

/// Records the duration of an attempt.
pub(crate) fn record_request(seconds: f64, labels: Vec<Label>) {
    histogram!(REQUEST_DURATION.name, labels).record(seconds);
}
