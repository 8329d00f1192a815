//! Batches of a user whose events come one by one: what they have in common is written once, each event when it comes, and
//! the pieces are joined when the batch is sealed.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::sealed::SealedBatch;
use super::user::{Names, UserKey};
use super::{SealError, ids};
use crate::error::Error;
use crate::generated::types::{Batch, Environment, Event};
use crate::json;
use crate::limits::MAX_BATCH_BYTES;

/// A user, for [`Uploader::track`](crate::Uploader::track): a batch without events and without a request id.
///
/// The events of one user that come within the linger window go as one batch. Two users are the same if all is equal,
/// attributes and device as well. Cloning is cheap.
///
/// ```
/// use mparticle::{Batch, Environment, User};
///
/// let user = User::new(Batch::new(Environment::Production).customer_id("123456").user_attribute("plan", "pro"))?;
/// # Ok::<(), mparticle::Error>(())
/// ```
#[derive(Clone)]
pub struct User(Arc<Shell>);

/// The JSON of the batch, and whose it is.
struct Shell {
    json: Box<str>,
    key: UserKey,
}

impl User {
    /// The user that this batch is of.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the batch has events or a request id, or as
    /// [`Batch::seal`]; [`ErrorKind::Limit`](crate::ErrorKind::Limit) if it is too large for a batch.
    #[expect(clippy::needless_pass_by_value, reason = "it is what the setters of a batch give")]
    pub fn new(batch: Batch) -> Result<Self, Error> {
        Self::of(&batch)
    }

    /// As [`new`](Self::new), and leaves the batch to the caller.
    pub(crate) fn of(batch: &Batch) -> Result<Self, Error> {
        if !batch.events.is_empty() || batch.source_request_id.is_some() {
            return Err(Error::invalid("a user is a batch without events and without a source_request_id"));
        }
        let (json, key) = user_json(batch)?;
        if json.len() > MAX_BATCH_BYTES {
            let size = json.len();
            return Err(Error::limit(format!(
                "the user has {size} bytes, more than the {MAX_BATCH_BYTES} that a batch may have"
            )));
        }
        Ok(Self(Arc::new(Shell { json, key })))
    }

    pub(crate) fn key(&self) -> UserKey {
        self.0.key
    }

    /// Returns the batch without events that it was created from.
    pub(crate) fn batch(&self) -> Batch {
        // Its own JSON always is one.
        serde_json::from_str(&self.0.json).unwrap_or_else(|_| Batch::new(Environment::Development))
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.json == other.0.json
    }
}

impl TryFrom<Batch> for User {
    type Error = Error;

    fn try_from(batch: Batch) -> Result<Self, Error> {
        Self::new(batch)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("len", &self.0.json.len()).finish_non_exhaustive()
    }
}

/// Events of one user that will be a batch. Their JSON is written when they are tracked, so that the size is exact.
pub(crate) struct PendingBatch {
    user: User,
    id: Uuid,
    /// The events, joined by `,`.
    events: Vec<u8>,
    count: usize,
}

/// The JSON of one event, its id and its time set.
pub(crate) struct EncodedEvent(Vec<u8>);

impl EncodedEvent {
    /// Encodes an event.
    ///
    /// # Errors
    /// With a batch of this user and event if the event has no JSON form.
    pub(crate) fn new(
        user: &User,
        mut event: Event,
        id: impl FnOnce() -> Uuid,
        now_ms: i64,
    ) -> Result<Self, SealError> {
        event.timestamp_unixtime_ms_mut().get_or_insert(now_ms);
        ids::fill(event.source_message_id_mut(), id);
        let json = json::to_json(&event).map(|json| Self(Vec::from(json)));
        json.map_err(|error| SealError::new(error, user.batch().event(event)))
    }
}

impl PendingBatch {
    /// The service's guide names 100 events for one request.
    const MOST_EVENTS: usize = 100;

    /// What the list of events and the id add to the user's JSON.
    const FRAME_BYTES: usize = r#""events":[],"source_request_id":"","#.len() + 36;

    /// Creates a batch of one event, which may be too large for a batch.
    pub(crate) fn new(user: &User, id: Uuid, event: EncodedEvent) -> Self {
        Self { user: user.clone(), id, events: event.0, count: 1 }
    }

    /// Whether the event can go with the others. All of the user has to be equal.
    pub(crate) fn takes(&self, user: &User, event: &EncodedEvent) -> bool {
        self.count < Self::MOST_EVENTS && self.len() + Self::growth(event) <= MAX_BATCH_BYTES && self.user.is(user)
    }

    /// By how much the batch grows with this event.
    pub(crate) fn growth(event: &EncodedEvent) -> usize {
        event.0.len() + 1
    }

    pub(crate) fn add(&mut self, event: &EncodedEvent) {
        self.events.push(b',');
        self.events.extend_from_slice(&event.0);
        self.count += 1;
    }

    /// The size that the batch will have.
    pub(crate) fn len(&self) -> usize {
        self.user.0.json.len() + Self::FRAME_BYTES + self.events.len()
    }

    pub(crate) fn key(&self) -> UserKey {
        self.user.key()
    }

    pub(crate) fn seal(&self) -> SealedBatch {
        let mut json = Vec::with_capacity(self.len());
        json.extend_from_slice(br#"{"events":["#);
        json.extend_from_slice(&self.events);
        json.extend_from_slice(br#"],"source_request_id":""#);
        json.extend_from_slice(self.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        json.extend_from_slice(br#"","#);
        // After the brace; a user has an environment at least.
        json.extend_from_slice(&self.user.0.json.as_bytes()[1..]);
        SealedBatch {
            json: json.into_boxed_slice().into(),
            source_request_id: ids::text(self.id).into(),
            user: self.user.key(),
        }
    }
}

/// Returns the JSON of a batch that has neither events nor an id, and the key of its user.
fn user_json(batch: &Batch) -> Result<(Box<str>, UserKey), Error> {
    let json = json::to_json(batch)?;
    let json = Box::from(str::from_utf8(&json).map_err(|error| Error::invalid("not UTF-8").with_source(error))?);
    // Nothing may name the user. All that is known of it stands for it then.
    let key = Names::of(batch).key(&json);
    Ok((json, key))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{CustomEvent, CustomEventType, Environment, ErrorKind};

    fn batch() -> Batch {
        Batch::new(Environment::Development).customer_id("1").user_attribute("plan", "pro")
    }

    fn event(name: &str) -> EncodedEvent {
        let user = User::new(batch()).expect("a user");
        let event = CustomEvent::new(name, CustomEventType::Other).into();
        EncodedEvent::new(&user, event, || Uuid::from_u128(7), 99).expect("JSON")
    }

    #[test]
    fn a_tracked_batch_is_the_batch_that_its_user_and_events_make() {
        let user = User::new(batch()).expect("a user");
        let mut tracked = PendingBatch::new(&user, Uuid::from_u128(1), event("a"));
        assert!(tracked.takes(&user, &event("b")));
        tracked.add(&event("b"));
        let sealed = tracked.seal();
        assert_eq!(sealed.len(), tracked.len());
        let at = chrono::DateTime::from_timestamp_millis(99).expect("a time");
        let events = ["a", "b"].map(|name| {
            CustomEvent::new(name, CustomEventType::Other).timestamp(at).source_message_id(Uuid::from_u128(7))
        });
        let whole = batch().events(events).source_request_id(Uuid::from_u128(1).to_string()).seal().expect("a batch");
        let value = |sealed: &SealedBatch| serde_json::from_slice::<Value>(sealed.json()).expect("JSON");
        assert_eq!(value(&sealed), value(&whole));
        assert_eq!((sealed.user(), sealed.source_request_id()), (whole.user(), whole.source_request_id()));
    }

    #[test]
    fn two_are_the_same_only_if_all_is_equal() {
        let tracked = PendingBatch::new(&User::new(batch()).expect("a user"), Uuid::from_u128(1), event("a"));
        for (other, same) in [
            (batch(), true),
            (batch().email("a@b.c"), false),
            (batch().user_attribute("plan", "free"), false),
            (Batch { environment: Environment::Production, ..batch() }, false),
        ] {
            assert_eq!(tracked.takes(&User::new(other).expect("a user"), &event("b")), same);
        }
    }

    #[test]
    fn a_batch_takes_100_events_and_128000_bytes() {
        let user = User::new(batch()).expect("a user");
        let mut tracked = PendingBatch::new(&user, Uuid::from_u128(1), event("a"));
        while tracked.takes(&user, &event("a")) {
            tracked.add(&event("a"));
        }
        assert_eq!(tracked.count, 100);
        let large = |bytes: usize| EncodedEvent(vec![b'x'; bytes]);
        let room = MAX_BATCH_BYTES - tracked.user.0.json.len() - PendingBatch::FRAME_BYTES;
        assert_eq!(PendingBatch::new(&user, Uuid::from_u128(1), large(room)).len(), MAX_BATCH_BYTES);
        assert_eq!(PendingBatch::new(&user, Uuid::from_u128(1), large(room + 1)).len(), MAX_BATCH_BYTES + 1);
        let mut tracked = PendingBatch::new(&user, Uuid::from_u128(1), large(room - 11));
        assert!(!tracked.takes(&user, &large(11)) && tracked.takes(&user, &large(10)));
        tracked.add(&large(10));
        assert_eq!(tracked.len(), MAX_BATCH_BYTES);
    }

    #[test]
    fn an_event_without_a_json_form_comes_back_as_a_batch_of_its_user() {
        let user = User::new(batch()).expect("a user");
        let bad = CustomEvent::new("a", CustomEventType::Other).attribute("score", f64::NAN);
        let error = EncodedEvent::new(&user, bad.into(), || Uuid::from_u128(7), 99).err().expect("NaN");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let back = error.into_batch();
        assert_eq!(back.events.len(), 1);
        assert_eq!(Batch { events: Vec::new(), ..back }, batch());
    }

    #[test]
    fn a_user_has_no_events() {
        let full = batch().event(CustomEvent::new("a", CustomEventType::Other));
        assert_eq!(User::new(full).expect_err("events").kind(), ErrorKind::Invalid);
        assert_eq!(User::new(batch().source_request_id("x")).expect_err("an id").kind(), ErrorKind::Invalid);
        let large = batch().user_attribute("a", "x".repeat(MAX_BATCH_BYTES));
        assert_eq!(User::new(large).expect_err("large").kind(), ErrorKind::Limit);
        assert_eq!(User::new(batch().user_attribute("a", f64::NAN)).expect_err("NaN").kind(), ErrorKind::Invalid);
    }
}
