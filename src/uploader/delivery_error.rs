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
    /// Returns whether the batch is not delivered yet and can be, if it is sent again: after [`Dropped`](Self::Dropped) and
    /// [`Pending`](Self::Pending), and if it was not accepted because the uploader was full or shut down. After a shutdown it
    /// has to be sent through another uploader.
    ///
    /// This is about the batch. [`Error::is_retryable`] is about the same call, which cannot succeed after a shutdown.
    ///
    /// The consumer of a message queue leaves such a message in the queue, and acknowledges all others:
    ///
    /// ```
    /// use mparticle::{Batch, Uploader};
    ///
    /// /// Uploads the batch of a message. Returns whether to acknowledge the message.
    /// async fn consume(uploader: &Uploader, batch: Batch) -> bool {
    ///     match uploader.send(batch).delivered().await {
    ///         Ok(()) => true,
    ///         Err(error) => !error.is_retryable(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Dropped(_) | Self::Pending => true,
            Self::NotAccepted(error) => matches!(error, TrySendError::Full(_) | TrySendError::Closed(_)),
            // The service or the caller does not want the batch, or the spool keeps it.
            Self::Rejected(_) | Self::Filtered | Self::Spooled => false,
        }
    }

    /// Returns the reason, without the batches.
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

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests {
    use super::*;
    use crate::seal::SealedBatch;
    use crate::{Batch, Environment};

    #[test]
    fn is_retryable_where_the_batch_can_still_be_delivered() {
        let batch = || vec![SealedBatch::from_json("{}").expect("a batch")];
        let not_a_number = Batch::new(Environment::Development).user_attribute("score", f64::NAN);
        let invalid = TrySendError::Invalid(not_a_number.seal().expect_err("NaN has no JSON form"));
        for (error, is_retryable) in [
            (DeliveryError::Rejected(Error::invalid("refused")), false),
            (DeliveryError::Dropped(Error::dropped_from_queue()), true),
            (DeliveryError::Spooled, false),
            (DeliveryError::Pending, true),
            (DeliveryError::Filtered, false),
            (DeliveryError::NotAccepted(TrySendError::Full(batch())), true),
            (DeliveryError::NotAccepted(TrySendError::Closed(batch())), true),
            (DeliveryError::NotAccepted(TrySendError::TooLarge(batch())), false),
            (DeliveryError::NotAccepted(invalid), false),
        ] {
            assert_eq!(error.is_retryable(), is_retryable, "{error:?}");
        }
    }
}
