//! Batches whose events come one by one: the data that they have in common is written once, each event when it comes, and the
//! pieces are joined when the batch is sealed.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::request_id::RequestId;
use super::sealed::SealedBatch;
use super::user::{IdentityFields, UserKey};
use super::{SealError, ids};
use crate::error::Error;
use crate::generated::types::{Batch, Environment, Event};
use crate::json;
use crate::limits::MAX_BATCH_BYTES;
use crate::model::Session;

/// The data that the events of a user have in common, for [`Uploader::track`](crate::Uploader::track): a batch without events
/// and without a `source_request_id`.
///
/// Events that are tracked with equal templates within the linger time go as one batch. Templates are equal if all of their data
/// is: attributes and device as well as identities. Its JSON is written when it is made; cloning is cheap.
///
/// ```
/// use mparticle::{Batch, BatchTemplate, Environment};
///
/// let template = Batch::new(Environment::Production).customer_id("123456").user_attribute("plan", "pro").into_template();
/// let same = BatchTemplate::from(Batch::new(Environment::Production).customer_id("123456").user_attribute("plan", "pro"));
/// assert_eq!(template, same);
/// ```
#[derive(Clone)]
pub struct BatchTemplate {
    /// The error of a batch that is no template is that of `track`, so that a template is made in one expression.
    data: Result<TemplateData, Arc<SealError>>,
    session: Option<Arc<Session>>,
}

impl BatchTemplate {
    /// Assigns the events that are tracked with this template to a session, except those that belong to one.
    #[must_use]
    pub fn in_session(self, session: &Session) -> Self {
        Self { session: Some(Arc::new(session.clone())), ..self }
    }

    /// Returns the data, and the event with what the template adds to it.
    ///
    /// # Errors
    /// With the batch and the event if the batch is no template.
    pub(crate) fn apply(self, mut event: Event) -> Result<(TemplateData, Event), SealError> {
        if let Some(session) = &self.session {
            event.join(session);
        }
        match self.data {
            Ok(data) => Ok((data, event)),
            Err(error) => Err(SealError::new(Error::clone(&error), error.batch().clone().event(event))),
        }
    }
}

impl Batch {
    /// Makes a template of the batch, for [`Uploader::track`](crate::Uploader::track).
    ///
    /// A batch with events or a `source_request_id`, with a number that is NaN, or above
    /// [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES) is no template: `track` returns the error.
    #[must_use]
    pub fn into_template(self) -> BatchTemplate {
        self.into()
    }
}

impl From<Batch> for BatchTemplate {
    fn from(batch: Batch) -> Self {
        let data = TemplateData::new(&batch).map_err(|error| Arc::new(SealError::new(error, batch)));
        Self { data, session: None }
    }
}

impl From<&BatchTemplate> for BatchTemplate {
    fn from(template: &BatchTemplate) -> Self {
        template.clone()
    }
}

impl PartialEq for BatchTemplate {
    fn eq(&self, other: &Self) -> bool {
        let same_data = match (&self.data, &other.data) {
            (Ok(data), Ok(other)) => data == other,
            (Err(error), Err(other)) => error.batch() == other.batch(),
            _ => false,
        };
        same_data && self.session == other.session
    }
}

impl fmt::Debug for BatchTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchTemplate").finish_non_exhaustive()
    }
}

/// The JSON of a batch that is a template, and the key of its user.
#[derive(Clone)]
pub(crate) struct TemplateData(Arc<(Box<str>, UserKey)>);

impl TemplateData {
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the batch has events or a request id, or as [`Batch::seal`];
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) if it is too large for a batch.
    pub(crate) fn new(batch: &Batch) -> Result<Self, Error> {
        if !batch.events.is_empty() || batch.source_request_id.is_some() {
            return Err(Error::invalid("a batch template has no events and no source_request_id"));
        }
        let json = json::to_json(batch)?;
        if json.len() > MAX_BATCH_BYTES {
            let size = json.len();
            return Err(Error::limit(format!(
                "the batch template has {size} bytes, more than the {MAX_BATCH_BYTES} that a batch may have"
            )));
        }
        let json = Box::from(str::from_utf8(&json).map_err(|error| Error::invalid("not UTF-8").with_source(error))?);
        // A template may have no identity. All of its data stands for the user then.
        let key = IdentityFields::from_batch(batch).ordering_key(&json);
        Ok(Self(Arc::new((json, key))))
    }

    fn json(&self) -> &str {
        &self.0.0
    }

    pub(crate) fn key(&self) -> UserKey {
        self.0.1
    }

    /// Returns the batch that it was created from.
    pub(crate) fn batch(&self) -> Batch {
        // Its own JSON always is one.
        serde_json::from_str(self.json()).unwrap_or_else(|_| Batch::new(Environment::Development))
    }
}

impl PartialEq for TemplateData {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.json() == other.json()
    }
}

/// Events with one template that will be a batch. Their JSON is written when they are tracked, so that the size is exact.
pub(crate) struct PendingBatch {
    template: TemplateData,
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
    /// With a batch of this template and event if the event has no JSON form.
    pub(crate) fn new(
        template: &TemplateData,
        mut event: Event,
        id: impl FnOnce() -> Uuid,
        now_ms: i64,
    ) -> Result<Self, SealError> {
        event.timestamp_unixtime_ms_mut().get_or_insert(now_ms);
        ids::fill(event.source_message_id_mut(), id);
        let json = json::to_json(&event).map(|json| Self(Vec::from(json)));
        json.map_err(|error| SealError::new(error, template.batch().event(event)))
    }
}

impl PendingBatch {
    /// The service's guide names 100 events for one request.
    const MOST_EVENTS: usize = 100;

    /// The size that the list of events and the id add to the JSON of the template.
    const FRAME_BYTES: usize = r#""events":[],"source_request_id":"","#.len() + 36;

    /// Creates a batch of one event, which may be too large for a batch.
    pub(crate) fn new(template: &TemplateData, id: Uuid, event: EncodedEvent) -> Self {
        Self { template: template.clone(), id, events: event.0, count: 1 }
    }

    /// Returns whether the event fits into the batch. The templates have to be equal.
    pub(crate) fn takes(&self, template: &TemplateData, event: &EncodedEvent) -> bool {
        self.count < Self::MOST_EVENTS
            && self.len() + Self::growth(event) <= MAX_BATCH_BYTES
            && self.template == *template
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
        self.template.json().len() + Self::FRAME_BYTES + self.events.len()
    }

    pub(crate) fn key(&self) -> UserKey {
        self.template.key()
    }

    pub(crate) fn seal(&self) -> SealedBatch {
        let mut json = Vec::with_capacity(self.len());
        json.extend_from_slice(br#"{"events":["#);
        json.extend_from_slice(&self.events);
        json.extend_from_slice(br#"],"source_request_id":""#);
        json.extend_from_slice(self.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        json.extend_from_slice(br#"","#);
        // After the brace; a template has an environment at least.
        json.extend_from_slice(&self.template.json().as_bytes()[1..]);
        SealedBatch {
            json: json.into_boxed_slice().into(),
            source_request_id: RequestId::from(ids::text(self.id).as_str()),
            user: self.template.key(),
        }
    }
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
        let template = TemplateData::new(&batch()).expect("a template");
        let event = CustomEvent::new(name, CustomEventType::Other).into();
        EncodedEvent::new(&template, event, || Uuid::from_u128(7), 99).expect("JSON")
    }

    #[test]
    fn tracked_events_make_the_same_batch_as_its_setters() {
        let template = TemplateData::new(&batch()).expect("a template");
        let mut tracked = PendingBatch::new(&template, Uuid::from_u128(1), event("a"));
        assert!(tracked.takes(&template, &event("b")));
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
    fn a_template_returns_the_batch_that_it_was_made_of() {
        let batch = batch().user_attribute("score", 90.422_252_909_423_83).user_attribute("count", i64::MIN);
        assert_eq!(TemplateData::new(&batch).expect("a template").batch(), batch);
    }

    #[test]
    fn templates_are_equal_only_if_all_fields_are() {
        let tracked =
            PendingBatch::new(&TemplateData::new(&batch()).expect("a template"), Uuid::from_u128(1), event("a"));
        for (other, same) in [
            (batch(), true),
            (batch().email("a@b.c"), false),
            (batch().user_attribute("plan", "free"), false),
            (Batch { environment: Environment::Production, ..batch() }, false),
        ] {
            assert_eq!(tracked.takes(&TemplateData::new(&other).expect("a template"), &event("b")), same);
        }
    }

    #[test]
    fn a_batch_is_limited_to_100_events_and_128000_bytes() {
        let template = TemplateData::new(&batch()).expect("a template");
        let mut tracked = PendingBatch::new(&template, Uuid::from_u128(1), event("a"));
        while tracked.takes(&template, &event("a")) {
            tracked.add(&event("a"));
        }
        assert_eq!(tracked.count, 100);
        let large = |bytes: usize| EncodedEvent(vec![b'x'; bytes]);
        let room = MAX_BATCH_BYTES - tracked.template.json().len() - PendingBatch::FRAME_BYTES;
        assert_eq!(PendingBatch::new(&template, Uuid::from_u128(1), large(room)).len(), MAX_BATCH_BYTES);
        assert_eq!(PendingBatch::new(&template, Uuid::from_u128(1), large(room + 1)).len(), MAX_BATCH_BYTES + 1);
        let mut tracked = PendingBatch::new(&template, Uuid::from_u128(1), large(room - 11));
        assert!(!tracked.takes(&template, &large(11)) && tracked.takes(&template, &large(10)));
        tracked.add(&large(10));
        assert_eq!(tracked.len(), MAX_BATCH_BYTES);
    }

    #[test]
    fn an_event_without_a_json_form_is_returned_as_a_batch_of_its_user() {
        let template = TemplateData::new(&batch()).expect("a template");
        let bad = CustomEvent::new("a", CustomEventType::Other).attribute("score", f64::NAN);
        let error = EncodedEvent::new(&template, bad.into(), || Uuid::from_u128(7), 99).err().expect("NaN");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let back = error.into_batch();
        assert_eq!(back.events.len(), 1);
        assert_eq!(Batch { events: Vec::new(), ..back }, batch());
    }

    #[test]
    fn a_batch_that_cannot_be_a_template_is_returned_with_the_event() {
        let table = [
            (batch().event(CustomEvent::new("a", CustomEventType::Other)), ErrorKind::Invalid),
            (batch().source_request_id("x"), ErrorKind::Invalid),
            (batch().user_attribute("a", "x".repeat(MAX_BATCH_BYTES)), ErrorKind::Limit),
            (batch().user_attribute("a", f64::NAN), ErrorKind::Invalid),
        ];
        for (batch, kind) in table {
            let events = batch.events.len();
            let event = CustomEvent::new("b", CustomEventType::Other).into();
            let Err(error) = batch.into_template().apply(event) else { panic!("a template") };
            assert_eq!(error.kind(), kind);
            assert_eq!(error.into_batch().events.len(), events + 1);
        }
    }

    #[test]
    fn a_template_in_a_session_assigns_the_events_that_have_none() {
        let session = Session::resume(7, chrono::Utc::now());
        let template = batch().into_template().in_session(&session);
        let number_of = |event: CustomEvent| match template.clone().apply(event.into()) {
            Ok((_, Event::CustomEvent(event))) => event.session_id,
            _ => None,
        };
        let event = || CustomEvent::new("a", CustomEventType::Other);
        assert_eq!(number_of(event()), Some(7));
        assert_eq!(number_of(event().session(&Session::resume(8, chrono::Utc::now()))), Some(8));
        assert_ne!(template, batch().into_template());
    }
}
