//! A batch that is too large becomes several by its events, each with the same user data. Pure: the same batch always
//! becomes the same parts with the same ids.

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

/// What the list of events adds to a batch that has none: `"events":[],`.
const EVENTS_BYTES: usize = 12;

/// Serializes a batch whose ids are set, in one part if it fits. Unless there is an error the batch is left without events:
/// they are freed while they are in the cache, and the next batch is written where they were.
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
        // Both ends are named, so that neither another limit nor another size of an event can give an id twice.
        let name = format!("{}..{}", range.start, range.end - 1);
        batch.source_request_id = Some(ids::text(Uuid::new_v5(&namespace, name.as_bytes())));
        batch.events.extend(events.by_ref().take(range.len()));
        parts.push(SealedBatch::serialize(batch)?);
        batch.events.clear();
    }
    Ok(())
}

/// Which events go together: as many as fit, in their order.
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
                "/events/{index} has {event} bytes, with the {empty} of the user data more than the {MAX_BATCH_BYTES} \
                 that a batch may have"
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

/// The size that each part has before any event is in it.
fn user_data(batch: &mut Batch) -> Result<usize, Error> {
    // The parts' ids are as long as this one.
    let id = batch.source_request_id.replace(ids::text(Uuid::nil()));
    let size = json::to_json(batch)?.len();
    batch.source_request_id = id;
    if size > MAX_BATCH_BYTES { Err(too_large(batch, size)) } else { Ok(size) }
}

/// A batch whose events are taken out, or that has none.
fn too_large(batch: &Batch, size: usize) -> Error {
    let largest = largest_property(batch);
    Error::limit(format!(
        "{largest} makes the batch too large: it has {size} bytes without its events, more than the {MAX_BATCH_BYTES} that \
         it may have"
    ))
}

/// The namespace of the parts' ids: the batch's own id. One that is no UUID is made one first, and so is one in another
/// spelling, since the service tells two spellings apart.
fn namespace(id: &str) -> Uuid {
    match Uuid::try_parse(id) {
        Ok(uuid) if ids::text(uuid) == id => uuid,
        _ => Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()),
    }
}

/// The JSON pointer of the property that takes the most room.
fn largest_property(batch: &Batch) -> String {
    let properties = serde_json::to_value(batch).ok().and_then(|value| value.as_object().cloned());
    let largest = properties.iter().flat_map(Map::iter).max_by_key(|(_, value)| Value::to_string(value).len());
    largest.map(|(name, _)| format!("/{}", escaped(name))).unwrap_or_default()
}
