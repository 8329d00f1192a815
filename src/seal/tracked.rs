//! The pieces of a batch whose events come one by one: its user and each event are written once, and joined later.

use uuid::Uuid;

use super::user::{Names, UserKey};
use super::{SealedBatch, finite, ids};
use crate::error::Error;
use crate::generated::types::{Batch, Event};

/// The JSON of a batch that has neither events nor an id, and whose it is.
pub(crate) fn user_json(batch: &Batch) -> Result<(Box<str>, UserKey), Error> {
    let json = finite::to_json(batch)?;
    let json = Box::from(str::from_utf8(&json).map_err(|error| Error::invalid("not UTF-8").with_source(error))?);
    // Nothing may name the user. All that is known of it stands for it then.
    let key = Names::of(batch).key(&json);
    Ok((json, key))
}

/// The JSON of an event, with its id.
pub(crate) fn event_json(event: &mut Event, id: impl FnOnce() -> Uuid) -> Result<Vec<u8>, Error> {
    ids::fill(event.source_message_id_mut(), id);
    finite::to_json(event).map(Vec::from)
}

impl SealedBatch {
    /// A batch that was joined from such pieces.
    pub(crate) fn joined(json: Vec<u8>, id: Uuid, user: UserKey) -> Self {
        Self { json: json.into_boxed_slice().into(), source_request_id: ids::text(id).into(), user }
    }
}
