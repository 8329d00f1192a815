//! The error of a batch that was not delivered.

use std::error::Error as StdError;
use std::fmt;

use super::error::TrySendError;
use crate::error::Error;

/// The reason why a batch was [not delivered](super::SendHandle::delivered).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The service rejected the batch or a part of it, and will never accept it unchanged.
    Rejected(Error),
    /// The batch was dropped: the queue or the spool was full and the policy is to drop, or it expired in the spool.
    Dropped(Error),
    /// The batch was on the disk at the end of the shutdown. The next uploader on the same spool sends it.
    Spooled,
    /// The batch was in memory at the end of the shutdown. [`Uploader::take_unsent`](super::Uploader::take_unsent) returns
    /// it.
    Pending,
    /// The callback [`before_send`](super::UploaderBuilder::before_send) discarded it.
    Filtered,
    /// The uploader did not accept it.
    NotAccepted(TrySendError),
}

impl DeliveryError {
    /// Returns the reason, without what it hands back.
    #[must_use]
    pub fn error(&self) -> Error {
        match self {
            Self::Rejected(error) | Self::Dropped(error) => error.clone(),
            Self::Spooled => Error::not_delivered("the uploader was shut down; the batch is in the spool"),
            Self::Pending => Error::not_delivered("the uploader was shut down before the batch was delivered"),
            Self::Filtered => Error::filtered(),
            Self::NotAccepted(error) => error.error(),
        }
    }
}

/// Drops the batches that the error hands back.
impl From<DeliveryError> for Error {
    fn from(error: DeliveryError) -> Self {
        error.error()
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl StdError for DeliveryError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Rejected(error) | Self::Dropped(error) => error.source(),
            Self::NotAccepted(error) => error.source(),
            Self::Spooled | Self::Pending | Self::Filtered => None,
        }
    }
}
