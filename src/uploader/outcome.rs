//! What the uploader tells of each batch that has ended: by a callback, or as a stream.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::error::Error;
use crate::seal::SealedBatch;

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
    /// It was given up: the queue or the spool was full, and the policy is to drop.
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
    stream: broadcast::Sender<Arc<Outcome>>,
}

impl Teller {
    pub(super) fn new(callback: Option<OnOutcome>) -> Self {
        Self { callback, stream: broadcast::Sender::new(STREAM_OUTCOMES) }
    }

    /// To be called without any lock held: whatever the callback does is its author's.
    pub(super) fn tell(&self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            if let Some(callback) = &self.callback
                && catch_unwind(AssertUnwindSafe(|| callback(&outcome))).is_err()
            {
                tracing::error!("the callback for outcomes panicked");
            }
            if self.stream.receiver_count() > 0 {
                // Nobody listens any more: that is no loss.
                let _ = self.stream.send(Arc::new(outcome));
            }
        }
    }

    pub(super) fn listen(&self) -> Outcomes {
        Outcomes { receiver: self.stream.subscribe(), missed: 0 }
    }
}

/// Outcomes as they come, from the time at which [`Uploader::outcomes`](super::Uploader::outcomes) was called.
///
/// A reader that falls 4,096 outcomes behind misses the oldest, and is told how many: the uploader waits for no reader.
pub struct Outcomes {
    receiver: broadcast::Receiver<Arc<Outcome>>,
    missed: u64,
}

impl Outcomes {
    /// The next outcome, or `None` when the uploader is gone.
    pub async fn next(&mut self) -> Option<Arc<Outcome>> {
        loop {
            match self.receiver.recv().await {
                Ok(outcome) => return Some(outcome),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many were missed so far.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").field("missed", &self.missed).finish_non_exhaustive()
    }
}
