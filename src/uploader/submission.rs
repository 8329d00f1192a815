//! A submission and the handle that its caller has.

use super::delivery_error::DeliveryError;
use super::entry::Amount;
use super::error::TrySendError;
use crate::completion::{self, Completer, Completion};
use crate::seal::SealedBatch;

/// Completes when a submission is accepted.
pub(super) type Acceptance = Completer<Result<(), TrySendError>>;

/// Sealed batches that count as one: either all of them are accepted or none.
pub(super) struct Submission {
    pub(super) parts: Vec<SealedBatch>,
    pub(super) tag: Option<u64>,
    pub(super) accepted: Option<Acceptance>,
    pub(super) delivered: Option<Completer<Result<(), DeliveryError>>>,
}

impl Submission {
    /// Creates a submission that is not awaited.
    pub(super) fn new(parts: Vec<SealedBatch>, tag: Option<u64>) -> Self {
        Self { parts, tag, accepted: None, delivered: None }
    }

    /// Creates a submission and its handle.
    pub(super) fn with_handle(parts: Vec<SealedBatch>, tag: Option<u64>) -> (Self, SendHandle) {
        let unsent = parts.clone();
        let (acceptance, accepted) = completion::pair(move || Err(TrySendError::Closed(unsent)));
        let (completer, delivered) = completion::pair(|| Err(DeliveryError::Pending));
        let submission = Self { parts, tag, accepted: Some(acceptance), delivered: Some(completer) };
        (submission, SendHandle { accepted, delivered })
    }

    pub(super) fn amount(&self) -> Amount {
        Amount { batches: self.parts.len(), bytes: self.parts.iter().map(SealedBatch::len).sum() }
    }

    /// Returns whether the handle was dropped, which withdraws the submission unless it is accepted already.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.accepted.as_ref().is_none_or(Completer::is_abandoned)
            && self.delivered.as_ref().is_none_or(Completer::is_abandoned)
    }
}

/// The handle of a batch that was [sent](super::Uploader::send), with one completion for its acceptance and one for its
/// delivery.
///
/// Dropping the handle and all of its completions before the batch is accepted withdraws the batch. Once accepted, a batch
/// is sent whether or not the handle is kept.
///
/// ```
/// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
/// use std::time::Duration;
/// use mparticle::{Batch, Client, Credentials, Environment, Uploader};
///
/// let client = Client::builder(Credentials::new("key", "secret"))
/// #   .base_url(server.url())
///     .build()?;
/// let uploader = Uploader::builder(client).linger(Duration::from_millis(10)).start()?;
/// let sent = uploader.send(Batch::new(Environment::Development).customer_id("123456"));
/// sent.accepted().wait()?; // queued, and on the disk if there is a spool
/// sent.delivered().wait()?; // accepted by the service: now a message can be acknowledged
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the handle withdraws the batch unless it is accepted already"]
#[derive(Debug)]
pub struct SendHandle {
    accepted: Completion<Result<(), TrySendError>>,
    delivered: Completion<Result<(), DeliveryError>>,
}

impl SendHandle {
    /// Creates the handle of a batch that was refused with this error.
    pub(super) fn from_error(error: TrySendError) -> Self {
        let delivered = Completion::ready(Err(DeliveryError::NotAccepted(error.clone())));
        Self { accepted: Completion::ready(Err(error)), delivered }
    }

    /// Creates the handle of a batch that `before_send` discarded.
    pub(super) fn filtered() -> Self {
        let delivered = Completion::ready(Err(DeliveryError::Filtered));
        Self { accepted: Completion::ready(Ok(())), delivered }
    }

    /// Completes when the uploader has accepted the batch: it is queued, and with a spool it is on the disk. It is not
    /// delivered yet.
    ///
    /// # Errors
    /// Those of [`Uploader::try_send`](super::Uploader::try_send), of which [`TrySendError::Full`] occurs only with
    /// [`WhenFull::Wait`](super::WhenFull::Wait), after its timeout; and [`TrySendError::NotSpooled`] if the batch is queued
    /// in memory and will be sent, but could not be written to the disk.
    pub fn accepted(&self) -> Completion<Result<(), TrySendError>> {
        self.accepted.clone()
    }

    /// Completes when the service has accepted all parts of the batch. While the uploader is
    /// [stopped](super::UploaderStatus::Stopped), or the service is down, it waits.
    ///
    /// # Errors
    /// [`DeliveryError::Rejected`] or [`DeliveryError::Dropped`] if a part will not be delivered;
    /// [`DeliveryError::Spooled`] or [`DeliveryError::Pending`] if it was not delivered by the end of the shutdown;
    /// [`DeliveryError::NotAccepted`] if it was not accepted; [`DeliveryError::Filtered`] if
    /// [`before_send`](super::UploaderBuilder::before_send) discarded it.
    pub fn delivered(&self) -> Completion<Result<(), DeliveryError>> {
        self.delivered.clone()
    }
}
