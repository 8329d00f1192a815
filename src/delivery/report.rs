//! The report of a call: the number of delivered batches, and the rejected ones with their errors.

use std::fmt;

use crate::error::Error;
use crate::generated::types::Batch;
use crate::seal::{SealError, SealedBatch};

/// The results of the batches of one call: each was delivered, rejected, or discarded by the callback
/// [`before_send`](crate::ClientBuilder::before_send).
///
/// A batch that was split counts once: as delivered if all its parts were, as rejected if one part was.
#[derive(Clone, Debug, Default)]
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
    /// Returns the number of batches that the service accepted without an error. Acceptance is not processing: the service may
    /// still silently drop a batch later.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// Returns the batches that will never be accepted unchanged, in the order of submission.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Returns the rejected batches by value, for example to fix or to store them.
    #[must_use]
    pub fn into_rejected(self) -> Vec<Rejected> {
        self.rejected
    }

    /// Returns the number of batches that the callback [`before_send`](crate::ClientBuilder::before_send) discarded.
    #[must_use]
    pub fn filtered(&self) -> usize {
        self.filtered
    }

    /// Returns the number of requests, including retries.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Returns the number of requests that count as accepted by their status alone: the response body was longer than 64 KiB, or
    /// truncated in each attempt, so that errors in it may be missing. It is normally 0; a broken proxy can be the cause.
    #[must_use]
    pub fn unread_responses(&self) -> u32 {
        self.unread_responses
    }

    /// Returns the used share of the tightest rate limit, in percent, as of the last accepted request. `None` if the service did
    /// not report it.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.rate_limit_used_percent
    }
}

/// A batch that will never be accepted unchanged: the service refused it, it exceeds a limit, or it could not be sealed.
///
/// It returns the batch: [`sealed`](Self::sealed), or [`unsealed`](Self::unsealed) if it could not be sealed.
#[derive(Clone)]
pub struct Rejected {
    index: usize,
    error: Error,
    batch: RejectedBatch,
}

/// A rejected batch, sealed if possible.
#[derive(Clone)]
enum RejectedBatch {
    Sealed(Vec<SealedBatch>),
    Unsealed(Box<Batch>),
}

impl Rejected {
    /// Creates the rejection of a batch whose parts were refused.
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

    /// Returns the index of the batch, counted from 0 in the order of submission.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the reason. If the service refused the batch, [`Error::api_errors`] returns its errors.
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
