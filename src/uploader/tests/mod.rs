//! The uploader over a road in memory, under virtual time.
#![cfg_attr(mparticle_shuttle, allow(dead_code, unused_imports, reason = "most of it is for the others"))]
#![allow(clippy::needless_pass_by_value, reason = "names and numbers, as they come")]

#[cfg(not(mparticle_shuttle))]
mod breaker;
#[cfg(mparticle_shuttle)]
mod interleavings;
#[cfg(not(mparticle_shuttle))]
mod load;
#[cfg(not(mparticle_shuttle))]
mod order;
#[cfg(not(mparticle_shuttle))]
mod policies;
#[cfg(not(mparticle_shuttle))]
mod spooled;
#[cfg(not(mparticle_shuttle))]
mod telemetry;
#[cfg(not(mparticle_shuttle))]
mod timing;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::settings::Settings;
use super::shared::Shared;
use super::store::Store;
use super::*;
use crate::delivery::memory::Memory;
use crate::delivery::{ClientLimiter, Deliverer, RetryPolicy};
use crate::{Batch, CustomEvent, CustomEventType, Environment};

const SECOND: Duration = Duration::from_secs(1);

/// An uploader whose worker is a task of this runtime, and not a thread of its own.
struct Rig {
    uploader: Uploader,
    road: Arc<Memory>,
    worker: JoinHandle<()>,
}

impl Deref for Rig {
    type Target = Uploader;

    fn deref(&self) -> &Uploader {
        &self.uploader
    }
}

/// Settings that are not in the way: nothing lingers, and the pace lets everything pass.
fn settings() -> Settings {
    let mut settings = Settings::new();
    settings.linger = Duration::ZERO;
    settings.rates.initial = 1e6;
    settings
}

fn rig(road: Memory, settings: Settings) -> Rig {
    rig_on(road, settings, None)
}

fn rig_on(road: Memory, settings: Settings, store: Option<Arc<dyn Store>>) -> Rig {
    rig_over(deliverer(road), settings, store)
}

/// What a client has, whose clones share it.
fn deliverer(road: Memory) -> Deliverer<Arc<Memory>, ClientLimiter> {
    // Waits are drawn in full, from the middle.
    Deliverer::new(Arc::new(road), RetryPolicy::new(), Arc::new(|| 0.5))
}

fn rig_over(
    deliverer: Deliverer<Arc<Memory>, ClientLimiter>,
    settings: Settings,
    store: Option<Arc<dyn Store>>,
) -> Rig {
    let road = Arc::clone(&deliverer.transport);
    let shared = Arc::new(Shared::new(settings, store));
    let worker = tokio::spawn(worker::run(Arc::clone(&shared), deliverer));
    Rig { uploader: Uploader::new(shared, None), road, worker }
}

impl Rig {
    /// Ends it, and looks whether everything adds up and the worker ended well.
    async fn end(self, deadline: Duration) -> Counts {
        let counts = self.uploader.shutdown(deadline).await;
        self.worker.await.expect("the worker ends");
        assert!(counts.add_up(), "{counts:?}");
        assert_eq!(counts, self.uploader.counts(), "nothing changes after the end");
        counts
    }

    /// What has been counted so far, which always adds up.
    fn now(&self) -> Counts {
        let counts = self.uploader.counts();
        assert!(counts.add_up(), "{counts:?}");
        counts
    }
}

/// A batch of this user with this id.
fn batch(user: usize, id: impl ToString) -> Batch {
    Batch::new(Environment::Development).customer_id(user.to_string()).source_request_id(id.to_string())
}

fn user(user: usize) -> User {
    User::new(Batch::new(Environment::Development).customer_id(user.to_string())).expect("a user")
}

fn event(name: impl ToString) -> CustomEvent {
    CustomEvent::new(name.to_string(), CustomEventType::Other)
}
