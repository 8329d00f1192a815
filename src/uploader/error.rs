//! The error of a submission, which hands back what was not accepted.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;
use crate::limits::MAX_BATCH_BYTES;
use crate::seal::{SealError, SealedBatch};

/// The error returned by [`Uploader::try_send`](super::Uploader::try_send), [`SendHandle::accepted`](super::SendHandle::accepted) and
/// [`track`](super::Uploader::track).
///
/// It hands back what was not accepted: the sealed parts of the batch, with their ids, or the batch itself if it cannot be
/// sealed. A tracked event is handed back in a batch of its own. The error converts into [`Error`] with `?`, which drops
/// them.
///
/// ```
/// use mparticle::{Batch, TrySendError, Uploader};
///
/// fn submit(uploader: &Uploader, batch: Batch) -> Result<(), mparticle::Error> {
///     match uploader.try_send(batch) {
///         Err(TrySendError::Full(batches)) => println!("{} batches must wait", batches.len()),
///         result => result?,
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum TrySendError {
    /// The uploader has no room. The batches can be submitted again later.
    Full(Vec<SealedBatch>),
    /// The uploader is shut down.
    Closed(Vec<SealedBatch>),
    /// A sealed batch exceeds the size limit of a batch, or the parts are larger than the whole queue. A batch that is too
    /// large and cannot be split is [`Invalid`](Self::Invalid).
    TooLarge(Vec<SealedBatch>),
    /// The batch cannot be sealed.
    Invalid(SealError),
    /// The batch is queued in memory and will be sent, but the spool failed to write it. It is lost if the process ends
    /// first.
    NotSpooled(Error),
}

impl TrySendError {
    /// Returns the error without the batches.
    #[must_use]
    pub fn error(&self) -> Error {
        match self {
            Self::Full(_) => Error::queue_full(),
            Self::Closed(_) => Error::closed(),
            Self::TooLarge(batches) => match batches.iter().map(SealedBatch::len).max() {
                Some(bytes) if bytes > MAX_BATCH_BYTES => Error::batch_too_large(bytes),
                _ => Error::limit("the batch is larger than the queue of the uploader"),
            },
            Self::Invalid(error) => error.error().clone(),
            Self::NotSpooled(error) => error.clone(),
        }
    }

    /// Returns whether submitting the batch again later can succeed, which is the case only for [`Full`](Self::Full). After
    /// [`NotSpooled`](Self::NotSpooled) it would be sent twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Returns the sealed parts that were not accepted, in their order. Empty if the batch is queued, or could not be
    /// sealed.
    #[must_use]
    pub fn batches(&self) -> &[SealedBatch] {
        match self {
            Self::Full(batches) | Self::Closed(batches) | Self::TooLarge(batches) => batches,
            Self::Invalid(_) | Self::NotSpooled(_) => &[],
        }
    }

    /// Converts the error into the parts that [`batches`](Self::batches) returns.
    #[must_use]
    pub fn into_batches(self) -> Vec<SealedBatch> {
        match self {
            Self::Full(batches) | Self::Closed(batches) | Self::TooLarge(batches) => batches,
            Self::Invalid(_) | Self::NotSpooled(_) => Vec::new(),
        }
    }
}

impl From<SealError> for TrySendError {
    fn from(error: SealError) -> Self {
        Self::Invalid(error)
    }
}

/// Drops the batches.
impl From<TrySendError> for Error {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Invalid(error) => error.into(),
            TrySendError::NotSpooled(error) => error,
            error => error.error(),
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSpooled(error) => {
                write!(f, "the batch is queued in memory, but was not written to the spool: {error}")
            }
            error => error.error().fmt(f),
        }
    }
}

impl fmt::Debug for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batches = self.batches().len();
        match self {
            Self::Full(_) => f.debug_tuple("Full").field(&batches).finish(),
            Self::Closed(_) => f.debug_tuple("Closed").field(&batches).finish(),
            Self::TooLarge(_) => f.debug_tuple("TooLarge").field(&batches).finish(),
            Self::Invalid(error) => f.debug_tuple("Invalid").field(error).finish(),
            Self::NotSpooled(error) => f.debug_tuple("NotSpooled").field(error).finish(),
        }
    }
}

impl StdError for TrySendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Invalid(error) => error.source(),
            Self::NotSpooled(error) => error.source(),
            Self::Full(_) | Self::Closed(_) | Self::TooLarge(_) => None,
        }
    }
}

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn each_variant_has_its_kind_and_its_number_of_batches() {
        let batches = |count: usize, bytes: usize| {
            let json = format!(r#"{{"source_request_id":"id-of-a-batch","a":"{}"}}"#, "x".repeat(bytes));
            vec![SealedBatch::from_json(json).expect("a batch"); count]
        };
        let disk = || Error::spool("failed to write: disk full");
        let table = [
            (TrySendError::Full(batches(2, 0)), ErrorKind::QueueFull, "Full(2)", "the queue of the uploader is full"),
            (TrySendError::Closed(batches(1, 0)), ErrorKind::Closed, "Closed(1)", "the uploader is shut down"),
            (
                TrySendError::TooLarge(batches(3, 0)),
                ErrorKind::Limit,
                "TooLarge(3)",
                "the batch is larger than the queue of the uploader",
            ),
            (
                TrySendError::TooLarge(batches(1, MAX_BATCH_BYTES)),
                ErrorKind::Limit,
                "TooLarge(1)",
                "the batch is too large: 128044 bytes, and the limit is 128000",
            ),
            (
                TrySendError::NotSpooled(disk()),
                ErrorKind::Spool,
                "NotSpooled(",
                "the batch is queued in memory, but was not written to the spool: failed to write: disk full",
            ),
        ];
        for (error, kind, debug, text) in table {
            let formatted = format!("{error:?}");
            assert!(formatted.starts_with(debug) && !formatted.contains("id-of-a-batch"), "{formatted}");
            assert_eq!((error.to_string().as_str(), error.is_retryable()), (text, kind == ErrorKind::QueueFull));
            assert_eq!(error.error().kind(), kind);
            assert_eq!(error.batches().to_vec(), error.into_batches());
        }
        assert_eq!(Error::from(TrySendError::NotSpooled(disk())).message(), "failed to write: disk full");
    }
}
