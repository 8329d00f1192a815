//! A sealed batch: bytes and an id. Later stages are independent of the event types.

use std::fmt;

use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::request_id::RequestId;
use super::user::{IdentityFields, UserKey};
use crate::error::Error;
use crate::generated::types::Batch;
use crate::json;

/// A batch as the exact bytes to be sent, with the id that makes sending them again safe.
///
/// Cloning is cheap: the bytes are shared.
///
/// With serde_json it is serialized as its JSON object, and deserialized like [`from_json`](Self::from_json), except within an
/// enum that is untagged or internally tagged, or within a flattened field: serde does not keep the bytes there. For those and
/// for other formats, store [`json`](Self::json).
///
/// ```
/// use mparticle::{Batch, Environment, SealedBatch};
///
/// let sealed = Batch::new(Environment::Development).customer_id("123456").seal()?;
/// let stored = serde_json::to_string(&vec![&sealed])?;
/// let restored: Vec<SealedBatch> = serde_json::from_str(&stored)?;
/// assert_eq!(restored, [sealed]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SealedBatch {
    pub(super) json: Bytes,
    pub(super) source_request_id: RequestId,
    pub(super) user: UserKey,
}

impl SealedBatch {
    /// Serializes a batch whose ids are set.
    pub(super) fn serialize(batch: &Batch) -> Result<Self, Error> {
        let json = json::to_json(batch)?;
        let source_request_id = RequestId::from(batch.source_request_id.as_deref().unwrap_or_default());
        let user = IdentityFields::from_batch(batch).ordering_key(&source_request_id);
        Ok(Self { json, source_request_id, user })
    }

    /// Returns the JSON of the batch.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Returns the JSON of the batch, and drops the rest.
    #[must_use]
    pub fn into_json(self) -> Bytes {
        self.json
    }

    /// Returns the size of the JSON, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty: the smallest is `{}`")]
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Returns the id by which the service drops a second copy of this batch, for 30 to 60 days.
    #[must_use]
    pub fn source_request_id(&self) -> &str {
        &self.source_request_id
    }

    /// Returns the key of the user of the batch.
    pub(crate) fn user(&self) -> UserKey {
        self.user
    }
}

impl AsRef<[u8]> for SealedBatch {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

impl Serialize for SealedBatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_slice(&self.json).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SealedBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(Box::<str>::from(json).into_string()).map_err(D::Error::custom)
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
