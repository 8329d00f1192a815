//! The result of many batches: each of them delivered, or rejected with a reason.

use std::fmt;

use crate::error::Error;
use crate::generated::types::Batch;
use crate::seal::{SealError, SealedBatch};

/// The result of the batches of one call: each was delivered, rejected, or discarded by the caller's own
/// [`before_send`](crate::ClientBuilder::before_send).
///
/// A batch that was split counts once: as delivered when all its parts were, as rejected when one part was.
#[derive(Debug, Default)]
#[must_use = "a batch may have been rejected"]
pub struct Report {
    pub(crate) delivered: usize,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) filtered: usize,
    pub(crate) requests: u32,
    pub(crate) unread_responses: u32,
    pub(crate) rate_limit_used_percent: Option<f64>,
}

impl Report {
    /// Returns the number of batches that the service accepted and named no error for. Acceptance is not processing: the
    /// service may still drop a batch later, without a word.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// Returns the batches that will never be accepted as they are, in the order in which they were given.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Returns the rejected batches, to keep or to fix them.
    #[must_use]
    pub fn into_rejected(self) -> Vec<Rejected> {
        self.rejected
    }

    /// Returns the number of batches that the callback [`before_send`](crate::ClientBuilder::before_send) discarded.
    #[must_use]
    pub fn filtered(&self) -> usize {
        self.filtered
    }

    /// Returns the number of requests, repeated ones included.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Returns the number of requests that count as accepted by their status alone: the response body was cut off, also when
    /// the request was repeated, or longer than 64 KiB, before it was known whether it lists errors. It is 0 as a rule; a broken
    /// proxy can be the cause.
    #[must_use]
    pub fn unread_responses(&self) -> u32 {
        self.unread_responses
    }

    /// Returns how much of the tightest rate limit is in use, in percent, by the last response that has it.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.rate_limit_used_percent
    }
}

/// A batch that will never be accepted as it is: the service refuses it, it exceeds a limit, or it could not be sealed.
///
/// It hands the batch back: [`sealed`](Self::sealed), or [`unsealed`](Self::unsealed) if it could not be sealed.
pub struct Rejected {
    index: usize,
    error: Error,
    batch: RejectedBatch,
}

/// The form in which a rejected batch is handed back.
enum RejectedBatch {
    Sealed(Vec<SealedBatch>),
    Unsealed(Box<Batch>),
}

impl Rejected {
    /// Creates one of the parts of a batch that were refused.
    pub(crate) fn from_refusal(index: usize, error: Error, parts: Vec<SealedBatch>) -> Self {
        Self { index, error, batch: RejectedBatch::Sealed(parts) }
    }

    pub(crate) fn from_seal_error(index: usize, error: SealError) -> Self {
        let (error, batch) = error.into_parts();
        Self { index, error, batch: RejectedBatch::Unsealed(Box::new(batch)) }
    }

    /// Adds the parts of another rejection of the same batch. Its reason is dropped.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if let (RejectedBatch::Sealed(parts), RejectedBatch::Sealed(others)) = (&mut self.batch, &mut other.batch) {
            parts.append(others);
        }
    }

    /// Returns the position of the batch among those that were given, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the reason, with the errors of the service if the service refused it: [`Error::api_errors`].
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the reason, and drops the batch.
    #[must_use]
    pub fn into_error(self) -> Error {
        self.error
    }

    /// Returns the sealed parts that were rejected: the batch itself, unless it was split. Empty if it could not be sealed.
    #[must_use]
    pub fn sealed(&self) -> &[SealedBatch] {
        match &self.batch {
            RejectedBatch::Sealed(parts) => parts,
            RejectedBatch::Unsealed(_) => &[],
        }
    }

    /// Returns the sealed parts that were rejected, as [`sealed`](Self::sealed) does, and drops the reason.
    #[must_use]
    pub fn into_sealed(self) -> Vec<SealedBatch> {
        match self.batch {
            RejectedBatch::Sealed(parts) => parts,
            RejectedBatch::Unsealed(_) => Vec::new(),
        }
    }

    /// Returns the batch, if it could not be sealed. Its ids are set.
    #[must_use]
    pub fn unsealed(&self) -> Option<&Batch> {
        match &self.batch {
            RejectedBatch::Sealed(_) => None,
            RejectedBatch::Unsealed(batch) => Some(batch),
        }
    }

    /// Returns the batch, if it could not be sealed, and drops the reason. Its ids are set.
    #[must_use]
    pub fn into_unsealed(self) -> Option<Batch> {
        match self.batch {
            RejectedBatch::Sealed(_) => None,
            RejectedBatch::Unsealed(batch) => Some(*batch),
        }
    }
}

/// Drops the batch.
impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.error
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("index", &self.index)
            .field("error", &self.error)
            .field("sealed", &self.sealed().len())
            .field("unsealed", &usize::from(self.unsealed().is_some()))
            .finish_non_exhaustive()
    }
}
