//! The uploader over a transport in memory, in virtual time.
#![cfg_attr(mparticle_shuttle, allow(dead_code, unused_imports, reason = "most of it is for the others"))]
#![allow(clippy::needless_pass_by_value, reason = "names and numbers, as they come")]

#[cfg(not(mparticle_shuttle))]
mod breaker;
#[cfg(all(feature = "metrics", not(mparticle_shuttle)))]
mod facade;
#[cfg(not(mparticle_shuttle))]
mod handles;
#[cfg(not(mparticle_shuttle))]
mod incidents;
#[cfg(mparticle_shuttle)]
mod interleavings;
#[cfg(not(mparticle_shuttle))]
mod load;
#[cfg(not(mparticle_shuttle))]
mod order;
#[cfg(not(mparticle_shuttle))]
mod policies;
#[cfg(not(mparticle_shuttle))]
mod reports;
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

use super::config::Config;
use super::journal::{Journal, NoJournal};
use super::shared::Shared;
use super::*;
use crate::delivery::memory::MemoryTransport;
use crate::delivery::{ClientLimiter, Deliverer, RetryPolicy};
use crate::error::Error;
use crate::{Batch, CustomEvent, CustomEventType, Environment};

const SECOND: Duration = Duration::from_secs(1);

/// An uploader whose dispatcher is a task of the test's runtime instead of a thread.
struct Rig {
    uploader: Uploader,
    transport: Arc<MemoryTransport>,
    worker: JoinHandle<()>,
}

impl Deref for Rig {
    type Target = Uploader;

    fn deref(&self) -> &Uploader {
        &self.uploader
    }
}

/// Returns settings without lingering, and with a rate that never limits.
fn settings() -> Config {
    let mut settings = Config::new();
    settings.linger = Duration::ZERO;
    settings.rates.initial = 1e6;
    settings
}

fn rig(transport: MemoryTransport, settings: Config) -> Rig {
    rig_with_deliverer(deliverer(transport), settings, None)
}

fn rig_with_journal(transport: MemoryTransport, settings: Config, store: Option<Arc<dyn Journal>>) -> Rig {
    rig_with_deliverer(deliverer(transport), settings, store)
}

/// Returns the deliverer of a client. Its clones share the client's limiter.
fn deliverer(transport: MemoryTransport) -> Deliverer<Arc<MemoryTransport>, ClientLimiter> {
    // All random numbers are 0.5.
    Deliverer::new(Arc::new(transport), RetryPolicy::new(), Arc::new(|| 0.5))
}

fn rig_with_deliverer(
    deliverer: Deliverer<Arc<MemoryTransport>, ClientLimiter>,
    settings: Config,
    store: Option<Arc<dyn Journal>>,
) -> Rig {
    let transport = Arc::clone(&deliverer.transport);
    let shared = Arc::new(Shared::new(settings, store.unwrap_or_else(|| Arc::new(NoJournal))));
    let worker = tokio::spawn(dispatcher::run(Arc::clone(&shared), deliverer));
    Rig { uploader: Uploader::new(shared, None), transport, worker }
}

impl Rig {
    /// Shuts the uploader down, and checks that the statistics add up and the dispatcher did not panic.
    async fn end(self, deadline: Duration) -> UploaderStats {
        let counts = self.uploader.shutdown(deadline).await;
        self.worker.await.expect("the worker ends");
        assert!(counts.adds_up(), "{counts:?}");
        assert_eq!(counts, self.uploader.stats(), "the statistics change after the shutdown");
        counts
    }

    /// Returns the current statistics, and checks that they add up.
    fn checked_stats(&self) -> UploaderStats {
        let counts = self.uploader.stats();
        assert!(counts.adds_up(), "{counts:?}");
        counts
    }
}

/// Returns a batch of this user with this id.
fn batch(user: usize, id: impl ToString) -> Batch {
    Batch::new(Environment::Development).customer_id(user.to_string()).source_request_id(id.to_string())
}

fn user(user: usize) -> BatchTemplate {
    Batch::new(Environment::Development).customer_id(user.to_string()).into_template()
}

fn event(name: impl ToString) -> CustomEvent {
    CustomEvent::new(name.to_string(), CustomEventType::Other)
}
