//! A sealed batch: bytes and an id. Nothing after this knows an event type.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::finite;
use super::user::{Names, UserKey};
use crate::error::Error;
use crate::generated::types::Batch;

/// A batch as the very bytes that will be sent, with the id that makes sending them again safe.
///
/// Cloning is cheap: the bytes are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBatch {
    pub(super) json: Bytes,
    pub(super) source_request_id: Arc<str>,
    pub(super) user: UserKey,
}

impl SealedBatch {
    /// Serializes a batch whose ids are set.
    pub(super) fn serialize(batch: &Batch) -> Result<Self, Error> {
        let json = finite::to_json(batch)?;
        let source_request_id = Arc::from(batch.source_request_id.as_deref().unwrap_or_default());
        let user = Names::of(batch).key(&source_request_id);
        Ok(Self { json, source_request_id, user })
    }

    /// Returns the JSON of the batch.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Returns the size of the JSON, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty: the smallest is `{}`")]
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Returns the id under which the service drops a second copy of this batch, for 30 to 60 days.
    #[must_use]
    pub fn source_request_id(&self) -> &str {
        &self.source_request_id
    }

    /// Returns the key of the user whose batch it is.
    pub(crate) fn user(&self) -> UserKey {
        self.user
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
