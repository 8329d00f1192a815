//! What can go wrong on purpose, as values and as text for a command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The faults as text, for whoever asked for one that there is not.
const FORMS: &str = "503 (any status), 429:retry-after=2, 429:limit=acceleration, delay=200ms, stall=before, stall=during, \
    stall=after, stall=answer, reset, lost, truncated, huge, huge=10000000, garbage, html, partial=1, partial=0+2, \
    partial=1:by=position, partial=1:by=none, ok";

/// The size of a huge answer unless it is told otherwise: 100 MB.
const OVERSIZED_RESPONSE_BYTES: u64 = 100_000_000;

/// The longest that a fault can be asked to wait: an hour.
const LONGEST: Duration = Duration::from_secs(3600);

/// Something that goes wrong with one request.
///
/// As text, for a command line and for messages: `503`, `429:retry-after=2`, `429:limit=acceleration`, `delay=200ms`,
/// `stall=before`, `stall=during`, `stall=after`, `stall=answer`, `reset`, `lost`, `truncated`, `huge`, `huge=10000000`,
/// `garbage`, `html`, `partial=1`, `partial=0+2`, `partial=1:by=position`, `partial=1:by=none`, and `ok` for a request that is answered as if there were no faults.
///
/// ```
/// use mparticle::mock::{Fault, Naming};
///
/// assert_eq!("429:retry-after=2".parse(), Ok(Fault::status(429).retry_after(2)));
/// assert_eq!(Fault::stall_before_body().to_string(), "stall=before");
/// assert_eq!("partial=0+2:by=none".parse(), Ok(Fault::partial([0, 2], Naming::None)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub(super) FaultKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Ok,
    Delay(Duration),
    // Nothing is stored.
    Status { status: u16, retry_after: Option<u64>, limit: Option<String> },
    StallBeforeBody,
    StallDuringBody,
    StallAfterBody,
    Reset,
    MalformedResponse,
    Html,
    // The batches of these indices are refused, ascending and each once; the others are taken as usual.
    Partial { batches: Vec<usize>, naming: Naming },
    // The request is taken as usual; what goes wrong is its answer.
    LostResponse,
    StallInResponse,
    TruncatedResponse,
    OversizedResponse(u64),
}

/// How the errors of a partial response name their batches; see [`Fault::partial`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Naming {
    /// By the index that begins a path, and a position: `Path '[1].mp_deviceid', line 1, position 648`.
    Index,
    /// By a position alone: `Path 'mp_deviceid', line 1, position 648`.
    Position,
    /// Not at all: `Invalid event batch.`
    None,
}

impl Fault {
    /// No fault: the request is answered as usual. For the middle of a script.
    #[must_use]
    pub fn ok() -> Self {
        Self(FaultKind::Ok)
    }

    /// An answer with this status, from 200 to 599, without looking at the request; nothing is stored. A 429 names the limit
    /// `account` unless told otherwise.
    ///
    /// # Panics
    /// If the status is not one of a final answer.
    #[must_use]
    pub fn status(status: u16) -> Self {
        assert!((200..600).contains(&status), "{status} is not the status of an answer");
        Self(FaultKind::Status { status, retry_after: None, limit: None })
    }

    /// Adds a `Retry-After` of whole seconds to an answer with a status. Other faults have no answer to add it to.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let FaultKind::Status { retry_after, .. } = &mut self.0 {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Names the exceeded limit (`X-mp-rate-limit-exceeded`) in an answer with a status: `org`, `account`, `app`, `feed`,
    /// `workspace`, `system` or `acceleration`.
    ///
    /// # Panics
    /// If the name is not of lower-case letters.
    #[must_use]
    pub fn limit(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        assert!(is_limit(&name), "{name:?} is not the name of a limit");
        if let FaultKind::Status { limit, .. } = &mut self.0 {
            *limit = Some(name);
        }
        self
    }

    /// The request is answered as usual, this much later. At most an hour.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self(FaultKind::Delay(time.min(LONGEST)))
    }

    /// Nothing of the body is read and nothing is answered, until the client gives up.
    #[must_use]
    pub fn stall_before_body() -> Self {
        Self(FaultKind::StallBeforeBody)
    }

    /// A part of the body is read, and nothing is answered.
    #[must_use]
    pub fn stall_during_body() -> Self {
        Self(FaultKind::StallDuringBody)
    }

    /// The whole body is read, and nothing is answered or stored.
    #[must_use]
    pub fn stall_after_body() -> Self {
        Self(FaultKind::StallAfterBody)
    }

    /// The request is taken; its answer has a head and the beginning of a body, and then nothing more comes.
    #[must_use]
    pub fn stall_in_response() -> Self {
        Self(FaultKind::StallInResponse)
    }

    /// The connection is reset once the body has come. Nothing is stored.
    #[must_use]
    pub fn reset() -> Self {
        Self(FaultKind::Reset)
    }

    /// The request is taken, and the connection is reset instead of an answer: the client cannot know, sends again, and so
    /// makes duplicates.
    #[must_use]
    pub fn lost_response() -> Self {
        Self(FaultKind::LostResponse)
    }

    /// The request is taken; its answer ends in the middle of its body.
    #[must_use]
    pub fn truncated_response() -> Self {
        Self(FaultKind::TruncatedResponse)
    }

    /// The request is taken; its answer has a body of this many bytes.
    #[must_use]
    pub fn oversized_response(bytes: u64) -> Self {
        Self(FaultKind::OversizedResponse(bytes))
    }

    /// The answer is not HTTP. Nothing is stored.
    #[must_use]
    pub fn malformed_response() -> Self {
        Self(FaultKind::MalformedResponse)
    }

    /// Returns a sign-in page with status 200, as a captive portal in front of the service answers. Nothing is stored.
    #[must_use]
    pub fn html() -> Self {
        Self(FaultKind::Html)
    }

    /// Refuses the batches of these indices, counted from 0, in the body of a 202, whatever the document says of them. The
    /// others are stored, unless they break the document: then they are named as well, as by a mock with
    /// [partial responses](super::MockServerBuilder::partial_responses).
    ///
    /// The indices count within each request that gets the fault, whatever batches it has. A client that halves a request whose
    /// errors name no batch sends the halves as requests of their own: for one of two batches to be refused under
    /// [`Naming::None`] the script is `partial([0], Naming::None)` twice, for the request and for its first half.
    ///
    /// Indices outside of the request are skipped; if none is left, the request is answered as usual. Index 0 is the one batch
    /// of `/events`. A position is that of the end of the batch, in UTF-16 units of the body.
    ///
    /// # Panics
    /// If there is no index.
    ///
    /// # Examples
    ///
    /// ```
    /// use mparticle::mock::{self, Fault, MockServer, Naming};
    /// use serde_json::{Value, json};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), reqwest::Error> {
    /// let server = MockServer::builder().fault_sequence([Fault::partial([1], Naming::Index)]).start().await;
    /// let batch = |mpid: u64| json!({ "environment": "development", "mpid": mpid });
    /// let request = reqwest::Client::new().post(format!("{}/bulkevents", server.url()));
    /// let request = request.basic_auth(mock::KEY, Some(mock::SECRET)).json(&json!([batch(1), batch(2), batch(3)]));
    /// let response = request.send().await?;
    /// assert_eq!(response.status(), 202);
    /// let body: Value = response.json().await?;
    /// let message = body["errors"][0]["message"].as_str().unwrap_or_default();
    /// assert!(message.ends_with("Path '[1].mp_deviceid', line 1, position 78."), "{message}");
    /// assert_eq!(server.batches(), [batch(1), batch(3)]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn partial(batches: impl IntoIterator<Item = usize>, naming: Naming) -> Self {
        let mut batches: Vec<_> = batches.into_iter().collect();
        assert!(!batches.is_empty(), "a partial response refuses at least one batch");
        batches.sort_unstable();
        batches.dedup();
        Self(FaultKind::Partial { batches, naming })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            FaultKind::Ok => f.write_str("ok"),
            FaultKind::Delay(time) => write!(f, "delay={}ms", time.as_millis()),
            FaultKind::Status { status, retry_after, limit } => {
                write!(f, "{status}")?;
                if let Some(seconds) = retry_after {
                    write!(f, ":retry-after={seconds}")?;
                }
                limit.iter().try_for_each(|name| write!(f, ":limit={name}"))
            }
            FaultKind::StallBeforeBody => f.write_str("stall=before"),
            FaultKind::StallDuringBody => f.write_str("stall=during"),
            FaultKind::StallAfterBody => f.write_str("stall=after"),
            FaultKind::StallInResponse => f.write_str("stall=answer"),
            FaultKind::Reset => f.write_str("reset"),
            FaultKind::MalformedResponse => f.write_str("garbage"),
            FaultKind::Html => f.write_str("html"),
            FaultKind::Partial { batches, naming } => {
                let batches: Vec<_> = batches.iter().map(ToString::to_string).collect();
                write!(f, "partial={}", batches.join("+"))?;
                match naming {
                    Naming::Index => Ok(()),
                    Naming::Position => f.write_str(":by=position"),
                    Naming::None => f.write_str(":by=none"),
                }
            }
            FaultKind::LostResponse => f.write_str("lost"),
            FaultKind::TruncatedResponse => f.write_str("truncated"),
            FaultKind::OversizedResponse(bytes) => write!(f, "huge={bytes}"),
        }
    }
}

/// A text that is not a [`Fault`], or not a share of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFaultError(pub(super) String);

impl fmt::Display for ParseFaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseFaultError {}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        let not_a_fault = || ParseFaultError(format!("there is no fault {text:?}; the faults are {FORMS}"));
        let mut parts = text.trim().split(':');
        let (name, value) = pair(parts.next().unwrap_or_default());
        let mut fault = match (name, value) {
            ("ok", None) => Self::ok(),
            ("delay", Some(time)) => Self::delay(duration(time).ok_or_else(not_a_fault)?),
            ("stall", Some("before")) => Self::stall_before_body(),
            ("stall", Some("during")) => Self::stall_during_body(),
            ("stall", Some("after")) => Self::stall_after_body(),
            ("stall", Some("answer")) => Self::stall_in_response(),
            ("reset", None) => Self::reset(),
            ("lost", None) => Self::lost_response(),
            ("truncated", None) => Self::truncated_response(),
            ("garbage", None) => Self::malformed_response(),
            ("html", None) => Self::html(),
            ("partial", Some(batches)) => {
                let batches: Result<Vec<_>, _> = batches.split('+').map(str::parse).collect();
                Self::partial(batches.map_err(|_| not_a_fault())?, Naming::Index)
            }
            ("huge", None) => Self::oversized_response(OVERSIZED_RESPONSE_BYTES),
            ("huge", Some(bytes)) => Self::oversized_response(bytes.parse().map_err(|_| not_a_fault())?),
            (status, None) => match status.parse() {
                Ok(status @ 200..600) => Self::status(status),
                _ => return Err(not_a_fault()),
            },
            _ => return Err(not_a_fault()),
        };
        let has_answer = matches!(fault.0, FaultKind::Status { .. });
        for part in parts {
            fault = match pair(part) {
                ("retry-after", Some(seconds)) if has_answer => {
                    fault.retry_after(seconds.parse().map_err(|_| not_a_fault())?)
                }
                ("limit", Some(name)) if has_answer && is_limit(name) => fault.limit(name),
                ("by", Some(by)) => match (fault.0, by) {
                    (FaultKind::Partial { batches, .. }, "index") => Self::partial(batches, Naming::Index),
                    (FaultKind::Partial { batches, .. }, "position") => Self::partial(batches, Naming::Position),
                    (FaultKind::Partial { batches, .. }, "none") => Self::partial(batches, Naming::None),
                    _ => return Err(not_a_fault()),
                },
                _ => return Err(not_a_fault()),
            };
        }
        Ok(fault)
    }
}

fn is_limit(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn pair(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

/// `200ms`, `2s`.
fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        let all = [
            Fault::ok(),
            Fault::status(503),
            Fault::status(429).retry_after(2).limit("acceleration"),
            Fault::delay(Duration::from_millis(1_500)),
            Fault::stall_before_body(),
            Fault::stall_during_body(),
            Fault::stall_after_body(),
            Fault::stall_in_response(),
            Fault::reset(),
            Fault::lost_response(),
            Fault::truncated_response(),
            Fault::oversized_response(7),
            Fault::malformed_response(),
            Fault::html(),
            Fault::partial([1], Naming::Index),
            Fault::partial([2, 0, 2], Naming::Position),
            Fault::partial([0, 99], Naming::None),
        ];
        for fault in all {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert_eq!("huge".parse(), Ok(Fault::oversized_response(100_000_000)));
        assert_eq!("partial=2+0:by=index".parse(), Ok(Fault::partial([0, 2], Naming::Index)));
        assert_eq!("delay=2s".parse(), Ok(Fault::delay(Duration::from_secs(2))));
        for wrong in [
            "",
            "100",
            "600",
            "99999",
            "5o3",
            "delay",
            "delay=5",
            "delay=xms",
            "stall",
            "stall=never",
            "reset=1",
            "huge=x",
            "503:",
            "503:x=1",
            "503:retry-after",
            "503:retry-after=-1",
            "reset:retry-after=1",
            "429:limit=a\r\nb",
            "html=1",
            "partial",
            "partial=",
            "partial=1+",
            "partial=-1",
            "partial=1:by",
            "partial=1:by=name",
            "partial=1:limit=account",
            "503:by=index",
        ] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong:?}");
        }
    }
}
