//! The settings of an uploader, as plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::Amount;
use super::report::OnDelivery;
use crate::client::IdSource;
use crate::delivery::Rates;
use crate::endpoint::Endpoint;
use crate::seal::BeforeSend;

/// The policy for a submission when the memory of an [`Uploader`](super::Uploader) is full.
///
/// With serde it is `refuse`, `drop_newest`, `drop_oldest`, `spill`, or a table: `{ wait = "5s" }` in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// Refuses the batch: `try_send` and `track` return an error with it, `send` waits for room.
    Refuse,
    /// Same as `Refuse`, but `send` waits for up to this time.
    Wait(#[serde(with = "crate::duration")] Duration),
    /// Drops the new batch, and counts it as dropped. `send` waits for room.
    DropNewest,
    /// Drops the oldest batches, and counts them as dropped. `send` waits for room.
    DropOldest,
    /// Writes the batch to the spool, and all later ones until the spool is empty again, which preserves the order. Batches in
    /// memory are sent first. Without a spool, or if the spool is full too, same as `Refuse`.
    ///
    /// Batches that are in flight at a [`shutdown`](super::Uploader::shutdown) and not delivered within its timeout are written
    /// to the spool after those that it already holds.
    Spill,
}

pub(super) struct Config {
    pub(super) endpoint: Endpoint,
    pub(super) linger: Duration,
    pub(super) max_batches: usize,
    pub(super) max_bytes: usize,
    pub(super) when_full: WhenFull,
    pub(super) max_in_flight: usize,
    pub(super) rates: Rates,
    pub(super) max_probe_interval: Duration,
    pub(super) drop_timeout: Duration,
    pub(super) on_delivery: Option<OnDelivery>,
    pub(super) id_source: Option<IdSource>,
    pub(super) before_send: Option<BeforeSend>,
}

impl Config {
    pub(super) fn new() -> Self {
        Self {
            endpoint: Endpoint::BulkEvents,
            linger: Duration::from_secs(1),
            max_batches: 10_000,
            max_bytes: 32 << 20,
            when_full: WhenFull::Refuse,
            max_in_flight: 8,
            rates: Rates { initial: 100.0, max: f64::INFINITY },
            max_probe_interval: Duration::from_secs(5),
            drop_timeout: Duration::from_secs(5),
            on_delivery: None,
            id_source: None,
            before_send: None,
        }
    }

    /// Returns the limit of the batches that are held in memory.
    pub(super) fn limit(&self) -> Amount {
        Amount { batches: self.max_batches, bytes: self.max_bytes }
    }

    /// Returns a new id for a batch of tracked events or for one of the events.
    pub(super) fn new_id(&self) -> Uuid {
        self.id_source.as_ref().map_or_else(Uuid::new_v4, |source| source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_names_each_policy() {
        let cases = [
            (WhenFull::Refuse, r#""refuse""#),
            (WhenFull::Wait(Duration::from_secs(5)), r#"{"wait":"5s"}"#),
            (WhenFull::DropNewest, r#""drop_newest""#),
            (WhenFull::DropOldest, r#""drop_oldest""#),
            (WhenFull::Spill, r#""spill""#),
        ];
        for (policy, json) in cases {
            assert_eq!(serde_json::to_string(&policy).unwrap(), json);
            assert_eq!(serde_json::from_str::<WhenFull>(json).unwrap(), policy);
        }
    }
}
