//! The gauges of the uploaders of a process. They have no labels, so each is the sum or the maximum over all uploaders.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{HELD_BYTES, OLDEST_PENDING, PENDING, QUEUED_BATCHES, RATE_LIMIT_USED, SPOOLED, STOPPED, set};

/// The values of the gauges of one uploader, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GaugeValues {
    pub(crate) pending: f64,
    pub(crate) spooled: f64,
    pub(crate) queued_batches: f64,
    pub(crate) held_bytes: f64,
    pub(crate) oldest_pending_seconds: f64,
    pub(crate) rate_limit_used_percent: f64,
    pub(crate) stopped: f64,
}

impl GaugeValues {
    fn combine(self, other: Self) -> Self {
        Self {
            pending: self.pending + other.pending,
            spooled: self.spooled + other.spooled,
            queued_batches: self.queued_batches + other.queued_batches,
            held_bytes: self.held_bytes + other.held_bytes,
            oldest_pending_seconds: self.oldest_pending_seconds.max(other.oldest_pending_seconds),
            rate_limit_used_percent: self.rate_limit_used_percent.max(other.rate_limit_used_percent),
            stopped: self.stopped + other.stopped,
        }
    }

    fn set(self) {
        for (gauge, value) in [
            (PENDING, self.pending),
            (SPOOLED, self.spooled),
            (QUEUED_BATCHES, self.queued_batches),
            (HELD_BYTES, self.held_bytes),
            (OLDEST_PENDING, self.oldest_pending_seconds),
            (RATE_LIMIT_USED, self.rate_limit_used_percent),
            (STOPPED, self.stopped),
        ] {
            set(&gauge, value);
        }
    }
}

/// The gauges of all running uploaders.
static REGISTRY: Mutex<Registry> = Mutex::new(Registry { uploaders: BTreeMap::new(), changes: 0 });

struct Registry {
    /// The address of the recorder and the values of each uploader, by its id. A thread may have a recorder of its own.
    uploaders: BTreeMap<u64, (usize, GaugeValues)>,
    changes: u64,
}

impl Registry {
    fn total(&self, recorder: usize) -> GaugeValues {
        let values = self.uploaders.values().filter(|(address, _)| *address == recorder);
        values.fold(GaugeValues::default(), |total, (_, values)| total.combine(*values))
    }
}

/// The gauges of an uploader, which count while this exists.
pub(crate) struct UploaderGauges {
    id: u64,
}

impl UploaderGauges {
    /// Adds an uploader whose gauges are 0.
    pub(super) fn register() -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let gauges = Self { id: LAST_ID.fetch_add(1, Ordering::Relaxed) };
        gauges.update(GaugeValues::default());
        gauges
    }

    /// Replaces the values of this uploader.
    pub(crate) fn update(&self, values: GaugeValues) {
        publish(|registry, recorder| {
            registry.uploaders.insert(self.id, (recorder, values));
        });
    }
}

impl Drop for UploaderGauges {
    fn drop(&mut self) {
        publish(|registry, _| {
            registry.uploaders.remove(&self.id);
        });
    }
}

/// Changes the registry, and sets the gauges. The lock is not held while they are set, because a recorder is callers' code.
/// They are set again if another uploader has changed them meanwhile, because it may have set newer values before.
fn publish(change: impl FnOnce(&mut Registry, usize)) {
    let recorder = metrics::with_recorder(|recorder| ptr::from_ref(recorder).cast::<()>().addr());
    let mut registry = lock();
    change(&mut registry, recorder);
    registry.changes += 1;
    loop {
        let (changes, total) = (registry.changes, registry.total(recorder));
        drop(registry);
        total.set();
        registry = lock();
        if registry.changes == changes {
            return;
        }
    }
}

fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}
