//! A result to come, for code that awaits and for code that blocks. It needs no runtime.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The result of work that another thread does.
///
/// Await it in any runtime, or block the thread with [`wait`](Self::wait). The work proceeds without either.
#[must_use = "only the completion gives the result"]
pub struct Completion<T>(Arc<Slot<T>>);

/// The sending end of a [`Completion`]. One that is dropped completes it with the value that it was created with.
pub(crate) struct Completer<T> {
    slot: Arc<Slot<T>>,
    on_drop: Option<Box<dyn FnOnce() -> T + Send>>,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    completed: Condvar,
}

struct State<T> {
    value: Option<T>,
    /// Whether a thread is blocked on it: waking nobody is still a system call.
    has_waiter: bool,
    waker: Option<Waker>,
}

/// Creates both ends. `on_drop` gives the value if the completer is dropped.
pub(crate) fn pair<T>(on_drop: impl FnOnce() -> T + Send + 'static) -> (Completer<T>, Completion<T>) {
    let state = Mutex::new(State { value: None, has_waiter: false, waker: None });
    let slot = Arc::new(Slot { state, completed: Condvar::new() });
    (Completer { slot: Arc::clone(&slot), on_drop: Some(Box::new(on_drop)) }, Completion(slot))
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, value: T) {
        let mut state = self.lock();
        state.value = Some(value);
        let (has_waiter, waker) = (state.has_waiter, state.waker.take());
        drop(state);
        if has_waiter {
            self.completed.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Completer<T> {
    pub(crate) fn complete(mut self, value: T) {
        self.on_drop = None;
        self.slot.complete(value);
    }

    /// Returns whether the [`Completion`] was dropped.
    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            self.slot.complete(on_drop());
        }
    }
}

impl<T> Completion<T> {
    /// Creates one that is complete.
    pub(crate) fn ready(value: T) -> Self {
        let state = Mutex::new(State { value: Some(value), has_waiter: false, waker: None });
        Self(Arc::new(Slot { state, completed: Condvar::new() }))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.lock().value.is_some()
    }

    /// Blocks the thread until it is complete, and returns the result. Inside async code await it instead: a blocked
    /// thread runs nothing else.
    pub fn wait(self) -> T {
        let mut state = self.0.lock();
        loop {
            if let Some(value) = state.value.take() {
                return value;
            }
            state.has_waiter = true;
            state = self.0.completed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for Completion<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(value);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("complete", &self.is_complete()).finish()
    }
}

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn can_be_awaited_and_blocked_on() {
        let (completer, completion) = pair(|| 0);
        let thread = std::thread::spawn(move || completer.complete(7));
        assert_eq!(completion.await, 7);
        thread.join().expect("no panic");

        let (completer, completion) = pair(|| 0);
        let thread = std::thread::spawn(move || completion.wait());
        completer.complete(8);
        assert_eq!(thread.join().expect("no panic"), 8);
        assert_eq!(Completion::ready(9).wait(), 9);
    }

    #[test]
    fn a_dropped_completer_completes() {
        let (dropped, completion) = pair(|| 3);
        drop(dropped);
        assert_eq!(completion.wait(), 3);
        let (completer, completion) = pair(|| 3);
        assert!(!completer.is_abandoned());
        drop(completion);
        assert!(completer.is_abandoned());
    }
}
