//! The stream of the requests that a mock receives.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::watch::Receiver;

use super::engine::Engine;
use super::received::ReceivedRequest;

/// The maximum number of requests fetched from the store at once, so that its lock is held only briefly.
const MAX_FETCHED: usize = 64;

/// A stream of the requests that a mock receives; see [`MockServer::request_stream`](super::MockServer::request_stream).
///
/// The stream reads from the requests that the mock keeps. A slow reader misses the requests that the mock has discarded in the
/// meantime; [`missed`](Self::missed) counts them.
pub struct RequestStream {
    /// Weak, so that the stream ends when the mock is dropped.
    engine: Weak<Engine>,
    newest: Receiver<u64>,
    last_number: u64,
    missed: u64,
    fetched: VecDeque<Arc<ReceivedRequest>>,
}

impl RequestStream {
    pub(super) fn new(engine: &Arc<Engine>, last_number: u64) -> Self {
        let newest = engine.state().store.subscribe();
        Self { engine: Arc::downgrade(engine), newest, last_number, missed: 0, fetched: VecDeque::new() }
    }

    /// Waits for the next request and returns it, or `None` if the mock was dropped.
    pub async fn next(&mut self) -> Option<Arc<ReceivedRequest>> {
        loop {
            if let Some(request) = self.try_next() {
                return Some(request);
            }
            self.wait().await?;
        }
    }

    /// Waits until there is a request that was not returned yet. Returns `None` if the mock was dropped.
    pub(super) async fn wait(&mut self) -> Option<()> {
        let last_number = self.last_number;
        self.newest.wait_for(|newest| *newest > last_number).await.ok().map(drop)
    }

    /// Returns the next request if it was received already.
    pub fn try_next(&mut self) -> Option<Arc<ReceivedRequest>> {
        if self.fetched.is_empty() {
            let engine = self.engine.upgrade()?;
            let state = engine.state();
            let (missed, requests) = state.store.requests_after(self.last_number);
            self.missed += missed;
            self.fetched.extend(requests.take(MAX_FETCHED).cloned());
        }
        let request = self.fetched.pop_front()?;
        self.last_number = request.number;
        Some(request)
    }

    /// Returns the number of requests that were discarded before the stream could return them.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl std::fmt::Debug for RequestStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestStream").field("last_number", &self.last_number).finish_non_exhaustive()
    }
}
