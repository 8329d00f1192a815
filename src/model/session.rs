//! A session: one value that its start, its end and its events are made from, so that they always match.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::unixtime_ms;
use crate::error::Error;
use crate::generated::types::{SessionEnd, SessionStart};
use crate::text::serde_as_text;

/// A session of a user: its id and its start, which is cut to milliseconds, as it is sent.
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
///
/// Between two requests of a service it is stored as text, which also fits into a cookie or a header: the id, a dot, and the
/// start in milliseconds since the Unix epoch. serde reads and writes the same text.
///
/// ```
/// use std::time::SystemTime;
/// use mparticle::Session;
///
/// let session = Session::start(SystemTime::now());
/// let stored = session.to_string(); // 4e1c7d5a-09e4-4f3b-8a55-2a4b7f0d1c33.1795643885148
/// assert_eq!(stored.parse::<Session>()?, session);
/// # Ok::<(), mparticle::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    id: SessionId,
    start: DateTime<Utc>,
}

/// The id of a [`Session`].
///
/// Its text is that of the UUID or the number, and serde reads and writes the same text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// Takes a UUID in the spelling in which it was stored. It is not checked; parsing is.
    fn from(uuid: &str) -> Self {
        Self::Uuid(uuid.to_owned())
    }
}

impl From<String> for SessionId {
    /// Takes a UUID in the spelling in which it was stored. It is not checked; parsing is.
    fn from(uuid: String) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<i64> for SessionId {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => f.write_str(uuid),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl FromStr for SessionId {
    type Err = Error;

    /// Reads a UUID in any of its spellings, which is kept, or a whole number of 64 bits.
    fn from_str(text: &str) -> Result<Self, Error> {
        // The UUID first: one without hyphens can consist of digits alone.
        if Uuid::try_parse(text).is_ok() {
            return Ok(Self::from(text));
        }
        let number = text.parse().map(Self::Number);
        number.map_err(|_| Error::invalid("the id of a session is neither a UUID nor a whole number of 64 bits"))
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, unixtime_ms(self.start))
    }
}

impl FromStr for Session {
    type Err = Error;

    /// Reads the text that `Display` writes.
    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || Error::invalid("a session is written as its id, a dot, and its start in milliseconds");
        let (id, start) = text.rsplit_once('.').ok_or_else(form)?;
        let start = start.parse().ok().and_then(DateTime::from_timestamp_millis).ok_or_else(form)?;
        Ok(Self { id: id.parse()?, start })
    }
}

serde_as_text!(Session, "a session as text");
serde_as_text!(SessionId, "the id of a session as text");

impl Session {
    /// Creates a session with a random UUID that begins at this time: a `DateTime` of any time zone, or a `SystemTime`.
    #[must_use]
    pub fn start(at: impl Into<DateTime<Utc>>) -> Self {
        Self::resume(Uuid::new_v4(), at)
    }

    /// Creates a session that began before from what was stored of it: its UUID or number, and its start.
    ///
    /// ```
    /// use mparticle::Session;
    ///
    /// # let start = chrono::Utc::now();
    /// let by_uuid = Session::resume("4E1C7D5A-09E4-4F3B-8A55-2A4B7F0D1C33", start);
    /// let by_number = Session::resume(4_711, start);
    /// ```
    #[must_use]
    pub fn resume(id: impl Into<SessionId>, start: impl Into<DateTime<Utc>>) -> Self {
        let start = start.into();
        Self { id: id.into(), start: DateTime::from_timestamp_millis(unixtime_ms(start)).unwrap_or(start) }
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns its start, in whole milliseconds.
    #[must_use]
    pub fn started_at(&self) -> DateTime<Utc> {
        self.start
    }

    /// Returns the event of its start. As in the service's own SDKs its `source_message_id` is the session's UUID.
    #[must_use]
    pub fn start_event(&self) -> SessionStart {
        let event = SessionStart::new().timestamp(self.start).session(self);
        match &self.id {
            SessionId::Uuid(uuid) => event.source_message_id(uuid),
            SessionId::Number(_) => event,
        }
    }

    /// Returns the event of its end. The duration is from its start to this time, in the milliseconds that are sent of both,
    /// and zero if this time is earlier.
    #[must_use]
    pub fn end_event(&self, at: impl Into<DateTime<Utc>>) -> SessionEnd {
        let at = at.into();
        let milliseconds = unixtime_ms(at).saturating_sub(unixtime_ms(self.start));
        SessionEnd::new(Duration::from_millis(milliseconds.try_into().unwrap_or(0))).timestamp(at).session(self)
    }

    /// Writes the session into the fields of an event, in place of another one.
    pub(super) fn write(&self, uuid: &mut Option<String>, number: &mut Option<i64>, start_ms: &mut Option<i64>) {
        (*uuid, *number) = match &self.id {
            SessionId::Uuid(text) => (Some(text.clone()), None),
            SessionId::Number(value) => (None, Some(*value)),
        };
        *start_ms = Some(unixtime_ms(self.start));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const UUID: &str = "4E1C7D5A-09E4-4F3B-8A55-2A4B7F0D1C33";

    #[test]
    fn round_trips_through_text() {
        let now = Utc::now();
        let sessions = [
            Session::start(now),
            Session::start(SystemTime::now()),
            Session::resume(UUID, now),
            Session::resume("00000000000000000000000000004711", now),
            Session::resume(4_711, now),
            Session::resume(i64::MIN, DateTime::from_timestamp_nanos(-1)),
        ];
        for session in sessions {
            let text = session.to_string();
            assert_eq!(text.parse::<Session>().expect(&text), session);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)), "{text}");
            let json = serde_json::to_string(&session).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Session>(&json).unwrap(), session);
            let id = serde_json::to_string(session.id()).unwrap();
            assert_eq!(serde_json::from_str::<SessionId>(&id).unwrap(), *session.id());
        }
        let session = Session::resume(UUID, DateTime::from_timestamp_nanos(1_795_643_885_148_987_654));
        assert_eq!(session.to_string(), format!("{UUID}.1795643885148"));
        assert_eq!(session.started_at().timestamp_subsec_nanos(), 148_000_000);
    }

    #[test]
    fn a_session_replaces_that_of_an_event() {
        let (by_uuid, by_number) = (Session::resume(UUID, Utc::now()), Session::resume(4_711, Utc::now()));
        let event = SessionStart::new().session(&by_number);
        assert_eq!(event.clone().session(&by_uuid).session(&by_number), event);
    }

    #[test]
    fn parse_errors_do_not_quote_the_text() {
        const FORM: &str = "a session is written as its id, a dot, and its start in milliseconds";
        const ID: &str = "the id of a session is neither a UUID nor a whole number of 64 bits";
        let cases = [
            ("", FORM),
            (UUID, FORM),
            ("4711.", FORM),
            ("4711.soon", FORM),
            ("4711.9223372036854775807", FORM),
            (".1795643885148", ID),
            ("anna@example.com.1795643885148", ID),
            ("9223372036854775808.1795643885148", ID),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<Session>().expect_err(text).to_string(), reason, "{text}");
            let json = serde_json::to_string(text).unwrap();
            let error = serde_json::from_str::<Session>(&json).expect_err(text).to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
