//! A session: one value from which its start, its end and its events are made, so that they always match.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::unixtime_ms;
use crate::generated::types::{SessionEnd, SessionStart};

/// A session of a user: what it is called, and when it began.
///
/// ```
/// use mparticle::{Batch, CustomEvent, CustomEventType, Environment, Session};
///
/// let begin = chrono::Utc::now();
/// let session = Session::start(begin);
/// let batch = Batch::new(Environment::Development)
///     .customer_id("123456")
///     .event(session.start_event())
///     .event(CustomEvent::new("Example", CustomEventType::Navigation).session(&session))
///     .event(session.end_event(begin + chrono::TimeDelta::minutes(5)));
/// # assert_eq!(mparticle::contract::check_batch(&serde_json::to_value(&batch).unwrap()), []);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: SessionId,
    start: DateTime<Utc>,
}

/// What a session is called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionId {
    /// A UUID as text. The service derives the session's number from this very text, so its case is kept.
    Uuid(String),
    /// A number, the same on the start and the end.
    Number(i64),
}

impl From<Uuid> for SessionId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid.to_string())
    }
}

impl From<&str> for SessionId {
    /// A UUID in the spelling in which it was stored.
    fn from(uuid: &str) -> Self {
        Self::Uuid(uuid.to_owned())
    }
}

impl From<String> for SessionId {
    /// A UUID in the spelling in which it was stored.
    fn from(uuid: String) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<i64> for SessionId {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl Session {
    /// A new session with a random UUID, which begins at this time.
    #[must_use]
    pub fn start(at: DateTime<Utc>) -> Self {
        Self::resume(Uuid::new_v4(), at)
    }

    /// A session that began before, from what was stored of it: its UUID or number, and its start.
    ///
    /// ```
    /// use mparticle::Session;
    ///
    /// # let start = chrono::Utc::now();
    /// let by_uuid = Session::resume("4E1C7D5A-09E4-4F3B-8A55-2A4B7F0D1C33", start);
    /// let by_number = Session::resume(4_711, start);
    /// ```
    #[must_use]
    pub fn resume(id: impl Into<SessionId>, start: DateTime<Utc>) -> Self {
        Self { id: id.into(), start }
    }

    /// What the session is called: to be stored, and to resume from.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// When it began: to be stored, and to resume from.
    #[must_use]
    pub fn started_at(&self) -> DateTime<Utc> {
        self.start
    }

    /// The event of its start. As in the service's own SDKs its `source_message_id` is the session's UUID.
    #[must_use]
    pub fn start_event(&self) -> SessionStart {
        let event = SessionStart::new().at(self.start).session(self);
        match &self.id {
            SessionId::Uuid(uuid) => event.source_message_id(uuid),
            SessionId::Number(_) => event,
        }
    }

    /// The event of its end. The duration is from its start to this time, in the milliseconds that are sent of both,
    /// and zero if this time is earlier.
    #[must_use]
    pub fn end_event(&self, at: DateTime<Utc>) -> SessionEnd {
        let milliseconds = unixtime_ms(at).saturating_sub(unixtime_ms(self.start));
        SessionEnd::new(Duration::from_millis(milliseconds.try_into().unwrap_or(0))).at(at).session(self)
    }

    /// Writes the session into an event's fields.
    pub(super) fn mark(&self, uuid: &mut Option<String>, number: &mut Option<i64>, start_ms: &mut Option<i64>) {
        match &self.id {
            SessionId::Uuid(text) => *uuid = Some(text.clone()),
            SessionId::Number(value) => *number = Some(*value),
        }
        *start_ms = Some(unixtime_ms(self.start));
    }
}
