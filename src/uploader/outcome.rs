//! What the uploader tells of each batch that has ended: by a callback, or as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::error::Error;
use crate::seal::SealedBatch;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// So many outcomes wait for a reader of the stream. Those that came first give way.
const STREAM_OUTCOMES: usize = 4096;

/// The end of a batch.
#[derive(Debug)]
pub struct Outcome {
    batch: SealedBatch,
    submissions: u32,
    fate: Fate,
}

/// How a batch ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate {
    /// The service accepted it. Acceptance is not processing.
    Delivered,
    /// It will never be accepted as it is; the error tells why, in the service's words where the service refused it.
    Rejected(Error),
    /// It was given up: the queue or the spool was full, and the policy is to drop, or it had been in the spool for too long.
    /// The error tells which; what was too old is among the dead letters.
    Dropped(Error),
}

impl Outcome {
    pub(super) fn new(batch: SealedBatch, submissions: u32, fate: Fate) -> Self {
        Self { batch, submissions, fate }
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &SealedBatch {
        &self.batch
    }

    /// How many submissions went with it: 1, or as many as events were tracked for it.
    #[must_use]
    pub fn submissions(&self) -> u32 {
        self.submissions
    }

    /// How it ended.
    #[must_use]
    pub fn fate(&self) -> &Fate {
        &self.fate
    }

    /// Why it was not delivered.
    #[must_use]
    pub fn reason(&self) -> Option<&Error> {
        match &self.fate {
            Fate::Delivered => None,
            Fate::Rejected(error) | Fate::Dropped(error) => Some(error),
        }
    }
}

pub(super) type OnOutcome = Arc<dyn Fn(&Outcome) + Send + Sync>;

/// Where outcomes go.
pub(super) struct Teller {
    callback: Option<OnOutcome>,
    readers: Mutex<Vec<Weak<Mutex<Unread>>>>,
}

/// What a reader of the stream has not read so far.
#[derive(Default)]
struct Unread {
    outcomes: VecDeque<Arc<Outcome>>,
    missed: u64,
    /// Nothing comes any more.
    ended: bool,
    reader: Option<Waker>,
}

impl Unread {
    fn push(&mut self, outcome: Arc<Outcome>) {
        if self.outcomes.len() == STREAM_OUTCOMES {
            self.outcomes.pop_front();
            self.missed += 1;
        }
        self.outcomes.push_back(outcome);
    }
}

impl Teller {
    pub(super) fn new(callback: Option<OnOutcome>) -> Self {
        Self { callback, readers: Mutex::new(Vec::new()) }
    }

    /// To be called without any lock held: whatever the callback does is its author's.
    pub(super) fn tell(&self, outcomes: Vec<Outcome>) {
        if let Some(callback) = &self.callback {
            for outcome in &outcomes {
                if catch_unwind(AssertUnwindSafe(|| callback(outcome))).is_err() {
                    tracing::error!("the callback for outcomes panicked");
                }
            }
        }
        if outcomes.is_empty() {
            return;
        }
        let mut readers = lock(&self.readers);
        readers.retain(|reader| reader.strong_count() > 0);
        if readers.is_empty() {
            return;
        }
        let outcomes: Vec<_> = outcomes.into_iter().map(Arc::new).collect();
        let waiting = each(&readers, |unread| outcomes.iter().cloned().for_each(|outcome| unread.push(outcome)));
        drop(readers);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn listen(&self) -> Outcomes {
        let unread = Arc::new(Mutex::new(Unread::default()));
        lock(&self.readers).push(Arc::downgrade(&unread));
        Outcomes(unread)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let waiting = each(&lock(&self.readers), |unread| unread.ended = true);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Does this for each reader, and gives those who wait, to be woken without a lock.
fn each(readers: &[Weak<Mutex<Unread>>], mut change: impl FnMut(&mut Unread)) -> Vec<Waker> {
    let change = |reader: Arc<Mutex<Unread>>| {
        let mut unread = lock(&reader);
        change(&mut unread);
        unread.reader.take()
    };
    readers.iter().filter_map(Weak::upgrade).filter_map(change).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Outcomes as they come, from the time at which [`Uploader::outcomes`](super::Uploader::outcomes) was called: a
/// [`Stream`], which ends when the last handle of the uploader is dropped, and not at its shutdown.
///
/// A reader that falls 4,096 outcomes behind misses the oldest, and is told how many: the uploader waits for no reader.
pub struct Outcomes(Arc<Mutex<Unread>>);

impl Outcomes {
    /// The next outcome, or `None` when the uploader is gone: for code without a crate that extends streams.
    pub async fn next(&mut self) -> Option<Arc<Outcome>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// How many were missed so far.
    #[must_use]
    pub fn missed(&self) -> u64 {
        lock(&self.0).missed
    }
}

impl Stream for Outcomes {
    type Item = Arc<Outcome>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Arc<Outcome>>> {
        let mut unread = lock(&self.0);
        if let Some(outcome) = unread.outcomes.pop_front() {
            return Poll::Ready(Some(outcome));
        }
        if unread.ended {
            return Poll::Ready(None);
        }
        unread.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (lock(&self.0).outcomes.len(), None)
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").field("missed", &self.missed()).finish_non_exhaustive()
    }
}
