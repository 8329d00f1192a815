//! An answer to come, for code that awaits and for code that waits. It needs no runtime.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// An answer of the uploader's thread.
///
/// Await it, in whatever runtime, or block the thread with [`wait`](Self::wait). The work is under way without either.
#[must_use = "the answer tells what became of it"]
pub struct Waiting<T>(Arc<Slot<T>>);

/// The other end. Every promise is kept: one that is dropped gives what it was made with.
pub(super) struct Promise<T> {
    slot: Arc<Slot<T>>,
    otherwise: Option<Box<dyn FnOnce() -> T + Send>>,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    given: Condvar,
}

struct State<T> {
    answer: Option<T>,
    /// Whether a thread waits: waking nobody is still a call to the system.
    waited_for: bool,
    waker: Option<Waker>,
}

/// A promise, and what waits for it. `otherwise` answers if the promise is dropped.
pub(super) fn promise<T>(otherwise: impl FnOnce() -> T + Send + 'static) -> (Promise<T>, Waiting<T>) {
    let state = Mutex::new(State { answer: None, waited_for: false, waker: None });
    let slot = Arc::new(Slot { state, given: Condvar::new() });
    (Promise { slot: Arc::clone(&slot), otherwise: Some(Box::new(otherwise)) }, Waiting(slot))
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, answer: T) {
        let mut state = self.lock();
        state.answer = Some(answer);
        let (waited_for, waker) = (state.waited_for, state.waker.take());
        drop(state);
        if waited_for {
            self.given.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Promise<T> {
    pub(super) fn keep(mut self, answer: T) {
        self.otherwise = None;
        self.slot.give(answer);
    }

    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(otherwise) = self.otherwise.take() {
            self.slot.give(otherwise());
        }
    }
}

impl<T> Waiting<T> {
    /// The answer is there already.
    pub(super) fn ready(answer: T) -> Self {
        let state = Mutex::new(State { answer: Some(answer), waited_for: false, waker: None });
        Self(Arc::new(Slot { state, given: Condvar::new() }))
    }

    pub(super) fn is_answered(&self) -> bool {
        self.0.lock().answer.is_some()
    }

    /// Blocks the thread until the answer is there. Inside async code await it instead: a thread that waits runs nothing
    /// else.
    pub fn wait(self) -> T {
        let mut state = self.0.lock();
        loop {
            if let Some(answer) = state.answer.take() {
                return answer;
            }
            state.waited_for = true;
            state = self.0.given.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for Waiting<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock();
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(answer);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("answered", &self.is_answered()).finish()
    }
}

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_can_be_awaited_and_waited_for() {
        let (kept, waiting) = promise(|| 0);
        let giver = std::thread::spawn(move || kept.keep(7));
        assert_eq!(waiting.await, 7);
        giver.join().expect("the giver");

        let (kept, waiting) = promise(|| 0);
        let waiter = std::thread::spawn(move || waiting.wait());
        kept.keep(8);
        assert_eq!(waiter.join().expect("the waiter"), 8);
        assert_eq!(Waiting::ready(9).wait(), 9);
    }

    #[test]
    fn a_promise_that_is_dropped_is_kept_all_the_same() {
        let (dropped, waiting) = promise(|| 3);
        drop(dropped);
        assert_eq!(waiting.wait(), 3);
        let (kept, waiting) = promise(|| 3);
        assert!(!kept.is_abandoned());
        drop(waiting);
        assert!(kept.is_abandoned());
    }
}
