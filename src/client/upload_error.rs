//! The error of an upload, which hands back what was not accepted.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;

use crate::delivery::{Rejected, Report};
use crate::error::Error;
use crate::generated::types::Batch;
use crate::seal::{SealError, SealedBatch};

/// The error returned by [`Client::upload`](crate::Client::upload), [`upload_bulk`](crate::Client::upload_bulk) and
/// [`upload_historical`](crate::Client::upload_historical).
///
/// It hands back the batches that were not accepted, and reports the result of the others. It derefs to [`Error`], and
/// converts into it with `?`, which drops both.
///
/// ```
/// # async fn run(client: mparticle::Client, batches: Vec<mparticle::Batch>) -> Result<(), mparticle::Error> {
/// if let Err(error) = client.upload_bulk(batches).await {
///     eprintln!("{error}; {} batches were delivered", error.report().delivered());
///     if error.is_retryable() {
///         client.upload_bulk(error.unsent()).await?; // or later: their ids make that safe
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct UploadError(Box<UploadErrorInner>);

#[derive(Clone)]
struct UploadErrorInner {
    error: Error,
    unsent: Vec<SealedBatch>,
    unsent_indices: Vec<usize>,
    unsealed: Option<Batch>,
    report: Report,
}

impl UploadError {
    pub(super) fn new(error: Error, unsent: Vec<SealedBatch>, report: Report) -> Self {
        // Correct for a call with one batch. A call with several replaces them.
        let unsent_indices = vec![0; unsent.len()];
        Self(Box::new(UploadErrorInner { error, unsent, unsent_indices, unsealed: None, report }))
    }

    pub(super) fn with_unsent_indices(mut self, indices: Vec<usize>) -> Self {
        self.0.unsent_indices = indices;
        self
    }

    /// Creates the error of the upload of one batch, which was rejected.
    pub(super) fn rejected(rejected: Rejected, report: Report) -> Self {
        Self::new(rejected.error().clone(), rejected.into_sealed(), report)
    }

    /// Returns the reason.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// Returns the sealed batches that were not accepted, in order. It does not include those that a bulk call rejected, which
    /// [`report`](Self::report) returns. The error of [`Client::upload`](crate::Client::upload) for a batch that was rejected
    /// returns it here.
    #[must_use]
    pub fn unsent(&self) -> &[SealedBatch] {
        &self.0.unsent
    }

    /// Returns the index of the batch that each element of [`unsent`](Self::unsent) belongs to, counted from 0 in the order of
    /// submission. The parts of a batch that was split share one index.
    #[must_use]
    pub fn unsent_indices(&self) -> &[usize] {
        &self.0.unsent_indices
    }

    /// Returns the sealed batches that were not accepted, in order, and drops the rest. Their ids are set: when they are
    /// sent again, the service drops those that it had already accepted.
    #[must_use]
    pub fn into_unsent(self) -> Vec<SealedBatch> {
        self.0.unsent
    }

    /// Returns the batch given to [`Client::upload`](crate::Client::upload), if it could not be sealed. Its ids are set, unless
    /// [`before_send`](crate::ClientBuilder::before_send) discarded it.
    #[must_use]
    pub fn unsealed(&self) -> Option<&Batch> {
        self.0.unsealed.as_ref()
    }

    /// Returns the batch given to [`Client::upload`](crate::Client::upload), if it could not be sealed, and drops the rest, as
    /// [`unsealed`](Self::unsealed) does.
    #[must_use]
    pub fn into_unsealed(self) -> Option<Batch> {
        self.0.unsealed
    }

    /// Returns the result of the batches that are not [`unsent`](Self::unsent): how many were delivered, which were
    /// rejected, and the number of requests.
    pub fn report(&self) -> &Report {
        &self.0.report
    }

    /// Returns the reason, the sealed batches that were not accepted, and the result of the others.
    pub fn into_parts(self) -> (Error, Vec<SealedBatch>, Report) {
        (self.0.error, self.0.unsent, self.0.report)
    }
}

impl Deref for UploadError {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.0.error
    }
}

impl From<SealError> for UploadError {
    fn from(error: SealError) -> Self {
        let (error, batch) = error.into_parts();
        Self(Box::new(UploadErrorInner {
            error,
            unsent: Vec::new(),
            unsent_indices: Vec::new(),
            unsealed: Some(batch),
            report: Report::default(),
        }))
    }
}

/// Drops the batches and the report.
impl From<UploadError> for Error {
    fn from(error: UploadError) -> Self {
        error.0.error
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl fmt::Debug for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadError")
            .field("error", &self.0.error)
            .field("unsent", &self.0.unsent.len())
            .field("unsealed", &usize::from(self.0.unsealed.is_some()))
            .field("report", &self.0.report)
            .finish()
    }
}

impl StdError for UploadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.error.source()
    }
}
