//! Seals batches: sets the ids and writes the JSON, once. Later stages are independent of the event types.

mod error;
mod from_json;
mod ids;
mod pending;
mod request_id;
mod sealed;
mod split;
mod user;

use std::sync::Arc;

use uuid::Uuid;

pub use error::SealError;
pub(crate) use ids::RandomIds;
pub use pending::BatchTemplate;
pub(crate) use pending::{EncodedEvent, PendingBatch, TemplateData};
pub use sealed::SealedBatch;
pub(crate) use user::UserKey;

use crate::error::Error;
use crate::generated::types::Batch;
use private::Sealed as _;
pub(crate) use private::Sealing;

/// A callback that may change a batch before it is sealed, and returns whether to send it.
pub(crate) type BeforeSend = Arc<dyn Fn(&mut Batch) -> bool + Send + Sync>;

impl Batch {
    /// Sets the ids and writes the JSON, once.
    ///
    /// The batch gets a random `source_request_id` and each event a random `source_message_id`; the ids of one call count up from
    /// a random one. Ids that are set are kept, except that an empty id counts as not set. Breadcrumbs inside a crash report are
    /// part of that event and get no id.
    ///
    /// The batch is never split. A sealed batch larger than [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES), the documented
    /// limit of the service, is rejected and not sent. To split a large batch, use [`seal_parts`](Self::seal_parts), or pass the
    /// unsealed batch to a [`Client`](crate::Client) or an [`Uploader`](crate::Uploader).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a number is NaN or infinite, which JSON cannot represent. The
    /// error names the field by its JSON pointer, and returns the batch: [`SealError::into_batch`].
    ///
    /// ```
    /// use mparticle::{Batch, CustomEvent, CustomEventType, Environment};
    ///
    /// let batch = Batch::new(Environment::Development)
    ///     .customer_id("123456")
    ///     .event(CustomEvent::new("Example", CustomEventType::Other));
    /// let sealed = batch.seal()?;
    /// assert!(sealed.len() < mparticle::limits::MAX_BATCH_BYTES);
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    pub fn seal(self) -> Result<SealedBatch, SealError> {
        let mut ids = RandomIds::new();
        self.seal_with(|| ids.next())
    }

    /// Seals the batch as [`seal`](Self::seal) does, with a custom source of ids, which is called first for the batch, then for
    /// its events in order.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_with(mut self, mut new_id: impl FnMut() -> Uuid) -> Result<SealedBatch, SealError> {
        self.stamp(&mut new_id);
        SealedBatch::serialize(&self).map_err(|error| SealError::new(error, self))
    }

    /// Seals the batch as [`seal`](Self::seal) does, and splits one larger than
    /// [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES) by its events. The parts have the same user data, and the events in
    /// order. A batch that fits is returned as a single part.
    ///
    /// The id of a part is the version 5 UUID of the name `first..last`, the indexes of its first and last event, in the namespace
    /// of the batch's own id. Therefore the same batch always has the same parts with the same ids, and sending them again is
    /// safe.
    ///
    /// # Errors
    /// As [`seal`](Self::seal), and [`ErrorKind::Limit`](crate::ErrorKind::Limit) if the user data alone, or
    /// together with a single event, is too large. The error names the cause by its JSON pointer.
    pub fn seal_parts(self) -> Result<Vec<SealedBatch>, SealError> {
        let mut ids = RandomIds::new();
        self.seal_parts_with(|| ids.next())
    }

    /// Seals the batch as [`seal_parts`](Self::seal_parts) does, with a custom source of ids, like [`seal_with`](Self::seal_with).
    ///
    /// # Errors
    /// As [`seal_parts`](Self::seal_parts).
    pub fn seal_parts_with(mut self, mut new_id: impl FnMut() -> Uuid) -> Result<Vec<SealedBatch>, SealError> {
        let mut parts = Vec::with_capacity(1);
        self.seal_in_place(&mut Sealing { new_id: &mut new_id, event_time_ms: None, before_send: None }, &mut parts)?;
        Ok(parts)
    }

    /// Sets the ids that are not set.
    fn stamp(&mut self, new_id: &mut dyn FnMut() -> Uuid) {
        ids::fill(&mut self.source_request_id, &mut *new_id);
        for event in &mut self.events {
            ids::fill(event.source_message_id_mut(), &mut *new_id);
        }
    }
}

/// A batch that can be sent: a [`Batch`], which is sealed first, or a [`SealedBatch`], which is sent unchanged. A reference is
/// cloned, which is cheap for a [`SealedBatch`].
///
/// ```
/// # async fn run(client: mparticle::Client, batches: Vec<mparticle::Batch>) -> Result<(), mparticle::Error> {
/// if let Err(error) = client.upload_bulk(batches).await {
///     client.upload_bulk(error.unsent()).await?; // their ids are set, so the service drops duplicates
/// }
/// # Ok(())
/// # }
/// ```
pub trait IntoSealed: private::Sealed {}

impl IntoSealed for Batch {}
impl IntoSealed for SealedBatch {}
impl IntoSealed for &Batch {}
impl IntoSealed for &SealedBatch {}

mod private {
    use std::mem;

    use super::{Batch, BeforeSend, Error, SealError, SealedBatch, Uuid, split};

    /// The options with which a client or an uploader seals batches.
    pub struct Sealing<'a> {
        pub(crate) new_id: &'a mut dyn FnMut() -> Uuid,
        /// The timestamp for events without one. Otherwise the service would use the time of receipt, which may be much later.
        pub(crate) event_time_ms: Option<i64>,
        pub(crate) before_send: Option<&'a BeforeSend>,
    }

    pub trait Sealed {
        /// Seals the batch in place, and adds its parts to `parts`. On an error the batch is moved into the error.
        fn seal_in_place(&mut self, sealing: &mut Sealing<'_>, parts: &mut Vec<SealedBatch>) -> Result<(), SealError>;

        /// Converts batches that are already sealed. Returns others unchanged as an error.
        fn into_sealed(batches: Vec<Self>) -> Result<Vec<SealedBatch>, Vec<Self>>
        where
            Self: Sized,
        {
            Err(batches)
        }
    }

    impl Sealed for Batch {
        fn seal_in_place(&mut self, sealing: &mut Sealing<'_>, parts: &mut Vec<SealedBatch>) -> Result<(), SealError> {
            if sealing.before_send.is_some_and(|before_send| !before_send(self)) {
                return Err(SealError::new(Error::filtered(), take(self)));
            }
            if let Some(time_ms) = sealing.event_time_ms {
                for event in &mut self.events {
                    event.timestamp_unixtime_ms_mut().get_or_insert(time_ms);
                }
            }
            self.stamp(sealing.new_id);
            split::serialize(self, parts).map_err(|error| SealError::new(error, take(self)))
        }
    }

    /// Moves the batch out, and leaves an empty one.
    fn take(batch: &mut Batch) -> Batch {
        let emptied = Batch::new(batch.environment);
        mem::replace(batch, emptied)
    }

    impl Sealed for &Batch {
        fn seal_in_place(&mut self, sealing: &mut Sealing<'_>, parts: &mut Vec<SealedBatch>) -> Result<(), SealError> {
            self.clone().seal_in_place(sealing, parts)
        }
    }

    impl Sealed for SealedBatch {
        fn seal_in_place(&mut self, _: &mut Sealing<'_>, parts: &mut Vec<SealedBatch>) -> Result<(), SealError> {
            parts.push(self.clone());
            Ok(())
        }

        fn into_sealed(batches: Vec<Self>) -> Result<Vec<SealedBatch>, Vec<Self>> {
            Ok(batches)
        }
    }

    impl Sealed for &SealedBatch {
        fn seal_in_place(&mut self, _: &mut Sealing<'_>, parts: &mut Vec<SealedBatch>) -> Result<(), SealError> {
            parts.push(self.clone());
            Ok(())
        }

        fn into_sealed(batches: Vec<Self>) -> Result<Vec<SealedBatch>, Vec<Self>> {
            Ok(batches.into_iter().cloned().collect())
        }
    }
}
