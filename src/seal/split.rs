//! Splits a batch that is too large by its events, with the same user data in each part. Deterministic: the same batch always
//! has the same parts with the same ids.

use std::mem;
use std::ops::Range;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::ids;
use super::sealed::SealedBatch;
use crate::error::Error;
use crate::generated::types::Batch;
use crate::json;
use crate::limits::MAX_BATCH_BYTES;
use crate::pointer::escaped;

/// The size that an empty list of events adds to a batch: `"events":[],`.
const EVENTS_BYTES: usize = 12;

/// Serializes a batch whose ids are set, in one part if it fits. On success the events are dropped, while they are still in the
/// cache, so that the next batch reuses their memory.
pub(super) fn serialize(batch: &mut Batch, parts: &mut Vec<SealedBatch>) -> Result<(), Error> {
    let whole = SealedBatch::serialize(batch)?;
    if whole.len() <= MAX_BATCH_BYTES {
        parts.push(whole);
        batch.events = Vec::new();
        return Ok(());
    }
    if batch.events.is_empty() {
        return Err(too_large(batch, whole.len()));
    }
    let ranges = ranges(batch)?;
    let namespace = namespace(&whole.source_request_id);
    let mut events = mem::take(&mut batch.events).into_iter();
    for range in ranges {
        // The name has both ends, so that two different ranges of events never share an id.
        let name = format!("{}..{}", range.start, range.end - 1);
        batch.source_request_id = Some(ids::text(Uuid::new_v5(&namespace, name.as_bytes())));
        batch.events.extend(events.by_ref().take(range.len()));
        parts.push(SealedBatch::serialize(batch)?);
        batch.events.clear();
    }
    Ok(())
}

/// Returns the ranges of events that form a part: each as long as fits, in order.
fn ranges(batch: &mut Batch) -> Result<Vec<Range<usize>>, Error> {
    let events = mem::take(&mut batch.events);
    let user_data = user_data(batch);
    batch.events = events;

    let empty = user_data? + EVENTS_BYTES;
    let (mut ranges, mut start, mut size) = (Vec::new(), 0, empty);
    for (index, event) in batch.events.iter().enumerate() {
        let event = json::to_json(event)?.len();
        if empty + event > MAX_BATCH_BYTES {
            return Err(Error::limit(format!(
                "/events/{index} is too large: its {event} bytes and the {empty} bytes of the user data exceed the limit of \
                 {MAX_BATCH_BYTES} bytes for a batch"
            )));
        }
        let comma = usize::from(index > start);
        if size + comma + event > MAX_BATCH_BYTES {
            ranges.push(start..index);
            (start, size) = (index, empty + event);
        } else {
            size += comma + event;
        }
    }
    ranges.push(start..batch.events.len());
    Ok(ranges)
}

/// Returns the size of a part without events.
fn user_data(batch: &mut Batch) -> Result<usize, Error> {
    // The ids of the parts have the same length.
    let id = batch.source_request_id.replace(ids::text(Uuid::nil()));
    let size = json::to_json(batch)?.len();
    batch.source_request_id = id;
    if size > MAX_BATCH_BYTES { Err(too_large(batch, size)) } else { Ok(size) }
}

/// Creates the error of a batch that is too large without its events.
fn too_large(batch: &Batch, size: usize) -> Error {
    let largest = largest_property(batch);
    Error::limit(format!(
        "{largest} makes the batch too large: it has {size} bytes without its events, and the limit is {MAX_BATCH_BYTES} \
         bytes"
    ))
}

/// Returns the namespace of the ids of the parts: the batch's own id. An id that is not a UUID in its canonical spelling is
/// hashed into one, because the service distinguishes the spellings of a UUID.
fn namespace(id: &str) -> Uuid {
    match Uuid::try_parse(id) {
        Ok(uuid) if ids::text(uuid) == id => uuid,
        _ => Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()),
    }
}

/// Returns the JSON pointer of the largest property.
fn largest_property(batch: &Batch) -> String {
    let properties = serde_json::to_value(batch).ok().and_then(|value| value.as_object().cloned());
    let largest = properties.iter().flat_map(Map::iter).max_by_key(|(_, value)| Value::to_string(value).len());
    largest.map(|(name, _)| format!("/{}", escaped(name))).unwrap_or_default()
}
