//! The promise that something will be on the disk, for code that awaits and for code that waits.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;

/// Tells when something is written, as durably as [`Settings::fsync`](super::Settings::fsync) says, or why it is not.
///
/// Await it, or [`wait`](Self::wait) for it: both work in any thread, inside and outside of any runtime. Dropping it
/// changes nothing about what it stands for.
#[must_use = "only the receipt tells whether it was written"]
pub struct Receipt(Arc<Slot>);

/// The other end. Dropped without an outcome, it says that the spool was closed.
pub(super) struct Promise(Arc<Slot>);

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<io::Result<()>>,
    /// Whether a thread waits: waking nobody is still a call to the system.
    waited_for: bool,
    waker: Option<Waker>,
}

pub(super) fn receipt() -> (Promise, Receipt) {
    let slot = Arc::new(Slot::default());
    (Promise(Arc::clone(&slot)), Receipt(slot))
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, outcome: io::Result<()>) {
        let mut state = self.lock();
        if state.outcome.is_none() {
            state.outcome = Some(outcome);
            let (waited_for, waker) = (state.waited_for, state.waker.take());
            drop(state);
            if waited_for {
                self.settled.notify_one();
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Promise {
    pub(super) fn settle(self, outcome: &io::Result<()>) {
        // An io::Error is not Clone, and each receipt of a group gets its own.
        self.0.settle(outcome.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.settle(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the spool is closed")));
    }
}

impl Receipt {
    /// Blocks the thread until it is written.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if it could not be written. It may be on the disk all the same,
    /// and be read after a restart: after a failed fsync nobody knows.
    pub fn wait(self) -> Result<(), Error> {
        let mut state = self.0.lock();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome.map_err(not_written);
            }
            state.waited_for = true;
            state = self.0.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome.map_err(not_written));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

fn not_written(error: io::Error) -> Error {
    Error::spool("the spool could not write").with_source(error)
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("settled", &self.0.lock().outcome.is_some()).finish()
    }
}
