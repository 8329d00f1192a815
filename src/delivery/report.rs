//! What became of many batches: each of them delivered, or rejected with a reason.

use crate::error::Error;

/// What became of the batches of one call: each was delivered or rejected.
///
/// A batch that was split counts once: as delivered when all its parts were, as rejected when one part was.
#[derive(Debug, Default)]
#[must_use = "a batch may have been rejected"]
pub struct Report {
    pub(crate) delivered: usize,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) requests: u32,
    pub(crate) unread_responses: u32,
    pub(crate) rate_limit_used: Option<f64>,
}

impl Report {
    /// Returns the number of batches that the service accepted and named no error for. Acceptance is not processing: the
    /// service may still drop a batch later, without a word.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// The batches that will never be accepted as they are, in the order in which they were given.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Takes the rejected batches, to keep or to mend them.
    #[must_use]
    pub fn into_rejected(self) -> Vec<Rejected> {
        self.rejected
    }

    /// How many requests were sent, those included that were tried again.
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

    /// How much of the tightest rate limit is in use, in percent, as the last acceptance told.
    #[must_use]
    pub fn rate_limit_used(&self) -> Option<f64> {
        self.rate_limit_used
    }
}

/// A batch that will never be accepted as it is: the service refuses it, it breaks a limit, or it could not be sealed.
#[derive(Debug)]
pub struct Rejected {
    pub(crate) index: usize,
    pub(crate) error: Error,
}

impl Rejected {
    /// Which of the batches that were given, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Why, in the service's words where it is the service that refused: [`Error::api_errors`].
    ///
    /// The error hands the batch back: [`Error::unsent`], or [`Error::unsealed`] if it could not be sealed.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Takes the error, and the batch with it.
    #[must_use]
    pub fn into_error(self) -> Error {
        self.error
    }
}
