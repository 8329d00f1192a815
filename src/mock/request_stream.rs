//! The stream of the requests that a mock receives.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch::Receiver;
use tokio::sync::watch::error::RecvError;

use super::engine::Engine;
use super::received::ReceivedRequest;

/// The maximum number of requests fetched from the store at once, so that its lock is held only briefly.
const MAX_FETCHED: usize = 64;

/// A [`Stream`] of the requests that a mock receives; see [`MockServer::request_stream`](super::MockServer::request_stream). It ends
/// when the mock is dropped.
///
/// The stream reads from the requests that the mock keeps. A slow reader misses the requests that the mock has discarded in the
/// meantime; [`missed`](Self::missed) counts them.
pub struct RequestStream {
    /// Weak, so that the stream does not keep a dropped mock alive.
    engine: Weak<Engine>,
    /// Waits for the number of a newer request.
    newer: Pin<Box<dyn Future<Output = Newer> + Send + Sync>>,
    last_number: u64,
    missed: u64,
    fetched: VecDeque<Arc<ReceivedRequest>>,
}

/// The result of waiting for a newer request, and the receiver for the next wait.
type Newer = (Result<(), RecvError>, Receiver<u64>);

async fn wait_for_newer(mut newest: Receiver<u64>) -> Newer {
    (newest.changed().await, newest)
}

impl RequestStream {
    /// Creates a stream of the requests after this number.
    pub(super) fn new(engine: &Arc<Engine>, last_number: u64) -> Self {
        let newest = engine.state().store.subscribe();
        Self {
            engine: Arc::downgrade(engine),
            newer: Box::pin(wait_for_newer(newest)),
            last_number,
            missed: 0,
            fetched: VecDeque::new(),
        }
    }

    /// Waits for the next request and returns it, or `None` if the mock was dropped. For code without a crate that extends streams.
    ///
    /// # Cancel safety
    /// Cancel safe: a request that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<Arc<ReceivedRequest>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Waits until there is a request that was not returned yet. Returns `None` if the mock was dropped.
    pub(super) async fn wait(&mut self) -> Option<()> {
        poll_fn(|context| self.poll_newer(context)).await
    }

    fn poll_newer(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        loop {
            let (result, newest) = ready!(self.newer.as_mut().poll(context));
            let number = *newest.borrow();
            self.newer = Box::pin(wait_for_newer(newest));
            match result {
                Err(_) => return Poll::Ready(None),
                Ok(()) if number > self.last_number => return Poll::Ready(Some(())),
                Ok(()) => {}
            }
        }
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

impl Stream for RequestStream {
    type Item = Arc<ReceivedRequest>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(request) = self.try_next() {
                return Poll::Ready(Some(request));
            }
            if ready!(self.poll_newer(context)).is_none() {
                return Poll::Ready(None);
            }
        }
    }
}

impl fmt::Debug for RequestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStream").field("last_number", &self.last_number).finish_non_exhaustive()
    }
}
