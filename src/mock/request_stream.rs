//! The requests of a mock one after the other, for whoever looks on while they come.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::watch::Receiver;

use super::engine::Engine;
use super::received::ReceivedRequest;

/// At most this many requests are taken from the store at once, so that its lock is not held for long.
const AT_ONCE: usize = 64;

/// The requests of a mock, each once, as they come; see [`MockServer::watch`](super::MockServer::watch).
///
/// It reads from what the mock keeps and holds nothing itself: whoever looks on too slowly misses what was forgotten meanwhile,
/// and is told how much.
pub struct RequestStream {
    /// Weak, so that whoever looks on does not keep an ended mock.
    engine: Weak<Engine>,
    newest: Receiver<u64>,
    seen: u64,
    missed: u64,
    taken: VecDeque<Arc<ReceivedRequest>>,
}

impl RequestStream {
    pub(super) fn after(engine: &Arc<Engine>, seen: u64) -> Self {
        let newest = engine.state().store.newest();
        Self { engine: Arc::downgrade(engine), newest, seen, missed: 0, taken: VecDeque::new() }
    }

    /// The next request, once it is there. `None` when the mock has ended.
    pub async fn next(&mut self) -> Option<Arc<ReceivedRequest>> {
        loop {
            if let Some(request) = self.try_next() {
                return Some(request);
            }
            self.wait().await?;
        }
    }

    /// Waits until there is something that was not given yet. `None` when the mock has ended.
    pub(super) async fn wait(&mut self) -> Option<()> {
        let seen = self.seen;
        self.newest.wait_for(|newest| *newest > seen).await.ok().map(drop)
    }

    /// The next request, if it is there already.
    pub fn try_next(&mut self) -> Option<Arc<ReceivedRequest>> {
        if self.taken.is_empty() {
            let engine = self.engine.upgrade()?;
            let state = engine.state();
            let (missed, requests) = state.store.after(self.seen);
            self.missed += missed;
            self.taken.extend(requests.take(AT_ONCE).cloned());
        }
        let request = self.taken.pop_front()?;
        self.seen = request.number;
        Some(request)
    }

    /// How many requests were forgotten before they could be given.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl std::fmt::Debug for RequestStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestStream").field("seen", &self.seen).finish_non_exhaustive()
    }
}
