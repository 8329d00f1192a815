//! Completions: results of other threads, for async and for blocking code. They need no runtime.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The result of work that another thread does.
///
/// Await it in any runtime, or block the thread with [`wait`](Self::wait). The work proceeds without either. Each clone
/// returns the same result.
#[must_use = "the result is returned only when the completion is awaited or waited for"]
pub struct Completion<T>(Arc<Slot<T>>);

/// The sending end of a [`Completion`]. Dropping it completes the completion with the value of `on_drop`.
pub(crate) struct Completer<T> {
    slot: Arc<Slot<T>>,
    on_drop: Option<Box<dyn FnOnce() -> T + Send>>,
}

struct Slot<T> {
    state: Mutex<SlotState<T>>,
    completed: Condvar,
}

struct SlotState<T> {
    value: Option<T>,
    /// Set while a thread is blocked: notifying would cost a system call even without one.
    has_waiter: bool,
    /// The wakers of all clones.
    wakers: Vec<Waker>,
}

/// Creates both ends. `on_drop` returns the value if the completer is dropped.
pub(crate) fn pair<T>(on_drop: impl FnOnce() -> T + Send + 'static) -> (Completer<T>, Completion<T>) {
    let state = Mutex::new(SlotState { value: None, has_waiter: false, wakers: Vec::new() });
    let slot = Arc::new(Slot { state, completed: Condvar::new() });
    (Completer { slot: Arc::clone(&slot), on_drop: Some(Box::new(on_drop)) }, Completion(slot))
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, SlotState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, value: T) {
        let mut state = self.lock();
        state.value = Some(value);
        let (has_waiter, wakers) = (state.has_waiter, mem::take(&mut state.wakers));
        drop(state);
        if has_waiter {
            self.completed.notify_all();
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Completer<T> {
    pub(crate) fn complete(mut self, value: T) {
        self.on_drop = None;
        self.slot.complete(value);
    }

    /// Returns whether the [`Completion`] and all of its clones were dropped.
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
    /// Creates a completion that is complete.
    pub(crate) fn ready(value: T) -> Self {
        let state = Mutex::new(SlotState { value: Some(value), has_waiter: false, wakers: Vec::new() });
        Self(Arc::new(Slot { state, completed: Condvar::new() }))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.lock().value.is_some()
    }

    /// Blocks the thread until the result is there, and returns it. Await the completion in async code instead: a blocked
    /// thread runs no other task.
    pub fn wait(self) -> T
    where
        T: Clone,
    {
        let mut state = self.0.lock();
        loop {
            if let Some(value) = &state.value {
                return value.clone();
            }
            state.has_waiter = true;
            state = self.0.completed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Clone for Completion<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Future for Completion<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock();
        if let Some(value) = &state.value {
            return Poll::Ready(value.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        // At most one waker per clone: if one clone is polled by several tasks, the oldest waker is woken and its task
        // registers again.
        let is_too_many = state.wakers.len() >= Arc::strong_count(&self.0);
        let evicted = is_too_many.then(|| state.wakers.remove(0));
        drop(state);
        evicted.into_iter().for_each(Waker::wake);
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
    fn dropping_the_completer_completes_with_the_fallback() {
        let (dropped, completion) = pair(|| 3);
        drop(dropped);
        assert_eq!(completion.wait(), 3);
        let (completer, completion) = pair(|| 3);
        assert!(!completer.is_abandoned());
        drop(completion);
        assert!(completer.is_abandoned());
    }
}
