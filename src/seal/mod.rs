//! Batch to bytes: the ids stamped, the JSON written once. From here on nothing knows an event type.

mod finite;
mod ids;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) use ids::RandomIds;

use crate::error::Error;
use crate::types::Batch;
use private::Sealed as _;

/// A batch as the very bytes that will be sent, with the id that makes sending them again safe.
///
/// Cloning is cheap: the bytes are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBatch {
    json: Bytes,
    source_request_id: Box<str>,
}

impl SealedBatch {
    /// Takes a batch that is JSON already: from a file, a queue, another program.
    ///
    /// The bytes stay as they are, whatever they hold; white space around them is cut off. Only if there is no
    /// `source_request_id` (or a null, or an empty text) a random one is put in, since without it sending again would not be safe. Whether
    /// the JSON is a batch that the service understands is not checked.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is not UTF-8, not one JSON object, or its
    /// `source_request_id` is there twice or is not text.
    pub fn from_json(json: impl Into<Bytes>) -> Result<Self, Error> {
        Self::from_json_with(json, || RandomIds::new().next())
    }

    /// As [`from_json`](Self::from_json), with a source of ids of your own.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with(json: impl Into<Bytes>, new_id: impl FnOnce() -> Uuid) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            /// Absent and `null` differ: the one is added, the other replaced.
            #[serde(borrow, default, deserialize_with = "present")]
            source_request_id: Option<&'a RawValue>,
        }
        fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
            Deserialize::deserialize(value).map(Some)
        }
        // serde takes an array for a struct as well; a batch is an object.
        let json = json.into();
        let json = json.slice_ref(json.trim_ascii());
        let text =
            str::from_utf8(&json).map_err(|error| Error::invalid("the batch is not UTF-8").with_source(error))?;
        if !text.starts_with('{') {
            return Err(Error::invalid("the batch is not a JSON object"));
        }
        let head: Head<'_> = serde_json::from_str(text).map_err(|error| not_a_batch(&error))?;
        match head.source_request_id.map(RawValue::get) {
            None | Some("null" | "\"\"") => {
                let source_request_id = ids::text(new_id()).into_boxed_str();
                let json = insert_id(text, head.source_request_id, &source_request_id);
                Ok(Self { json: json.into(), source_request_id })
            }
            Some(id) => {
                let source_request_id = serde_json::from_str(id).map_err(|error| not_a_batch(&error))?;
                Ok(Self { json, source_request_id })
            }
        }
    }

    /// The JSON of the batch.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The size of the JSON, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty: the smallest is `{}`")]
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// The id under which the service drops a second copy of this batch, for 30 to 60 days.
    #[must_use]
    pub fn source_request_id(&self) -> &str {
        &self.source_request_id
    }
}

impl fmt::Debug for SealedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBatch")
            .field("source_request_id", &self.source_request_id)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Stamps the ids and writes the JSON, once.
    ///
    /// The batch gets a random `source_request_id` and each event a random `source_message_id`; the ids of one call count
    /// up from a random one. Whatever is set stays, except that an empty `source_request_id` counts as none: two batches
    /// would share it.
    /// Breadcrumbs inside a crash report are part of that event and get none.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a number is NaN or infinite, which JSON cannot say; the error
    /// names the field by its JSON pointer.
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
    pub fn seal(self) -> Result<SealedBatch, Error> {
        let mut ids = RandomIds::new();
        self.seal_with(|| ids.next())
    }

    /// As [`seal`](Self::seal), with a source of ids of your own: asked first for the batch, then for its events in order.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_with(mut self, mut new_id: impl FnMut() -> Uuid) -> Result<SealedBatch, Error> {
        self.seal_in_place(&mut new_id)
    }
}

/// What can be sent: a [`Batch`], which is sealed on the way, or a [`SealedBatch`], which goes as it is.
pub trait IntoSealed: private::Sealed {}

impl IntoSealed for Batch {}
impl IntoSealed for SealedBatch {}

mod private {
    use super::{Batch, Error, SealedBatch, Uuid, finite, ids};

    pub trait Sealed {
        /// Seals where it lies.
        fn seal_in_place(&mut self, new_id: &mut dyn FnMut() -> Uuid) -> Result<SealedBatch, Error>;
    }

    impl Sealed for Batch {
        fn seal_in_place(&mut self, new_id: &mut dyn FnMut() -> Uuid) -> Result<SealedBatch, Error> {
            if self.source_request_id.as_ref().is_none_or(String::is_empty) {
                self.source_request_id = Some(ids::text(new_id()));
            }
            for event in &mut self.events {
                event.source_message_id_mut().get_or_insert_with(|| ids::text(new_id()));
            }
            let json = finite::to_json(self)?.into();
            let source_request_id = self.source_request_id.take().unwrap_or_default().into_boxed_str();
            Ok(SealedBatch { json, source_request_id })
        }
    }

    impl Sealed for SealedBatch {
        fn seal_in_place(&mut self, _: &mut dyn FnMut() -> Uuid) -> Result<SealedBatch, Error> {
            Ok(self.clone())
        }
    }
}

/// serde_json's own text can quote what it read, so only the place is told.
fn not_a_batch(error: &serde_json::Error) -> Error {
    Error::invalid(format!("the batch is not valid JSON, or its source_request_id is not one text, {}", place(error)))
}

fn place(error: &serde_json::Error) -> String {
    format!("at line {} column {}", error.line(), error.column())
}

/// Puts the id in place of the `null` or the empty text that stands for one, or first in the object.
fn insert_id(text: &str, placeholder: Option<&RawValue>, id: &str) -> String {
    if let Some(placeholder) = placeholder.map(RawValue::get) {
        let at = placeholder.as_ptr() as usize - text.as_ptr() as usize;
        return format!("{}\"{id}\"{}", &text[..at], &text[at + placeholder.len()..]);
    }
    let rest = &text[1..];
    let comma = if rest.trim_ascii_start().starts_with('}') { "" } else { "," };
    format!("{{\"source_request_id\":\"{id}\"{comma}{rest}")
}
