//! The faults that a mock can inject, as values and as text for the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The text forms of all faults, for error messages.
const FORMS: &str = "503 (any status), 429:retry-after=2, 429:limit=acceleration, delay=200ms, stall=before, stall=during, \
    stall=after, stall=response, reset, lost, truncated, oversized, oversized=10000000, malformed, html, partial=1, partial=0+2, \
    partial=1:by=position, partial=1:by=none, ok";

/// The default size of an oversized response: 100 MB.
const OVERSIZED_RESPONSE_BYTES: u64 = 100_000_000;

/// The maximum delay: an hour.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// A fault that is injected into one request.
///
/// The text forms, for the command line and for messages, are `503`, `429:retry-after=2`, `429:limit=acceleration`, `delay=200ms`,
/// `stall=before`, `stall=during`, `stall=after`, `stall=response`, `reset`, `lost`, `truncated`, `oversized`,
/// `oversized=10000000`, `malformed`, `html`, `partial=1`, `partial=0+2`, `partial=1:by=position`, `partial=1:by=none`, and `ok`
/// for no fault.
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
    // The indices of the refused batches, sorted and without duplicates. The other batches are handled as usual.
    Partial { batches: Vec<usize>, naming: Naming },
    // The request is handled as usual, and the fault affects its response.
    LostResponse,
    StallInResponse,
    TruncatedResponse,
    OversizedResponse(u64),
}

/// The way in which the errors of a partial response name their batches; see [`Fault::partial`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Naming {
    /// By the index that begins a path, and a position: `Path '[1].mp_deviceid', line 1, position 648`.
    Index,
    /// By a position alone: `Path 'mp_deviceid', line 1, position 648`.
    Position,
    /// No name: `Invalid event batch.`
    None,
}

impl Fault {
    /// Injects no fault. For use within a sequence.
    #[must_use]
    pub fn ok() -> Self {
        Self(FaultKind::Ok)
    }

    /// Responds with this status, from 200 to 599, without checking the request. Nothing is stored. A 429 names the limit
    /// `account` unless [`limit`](Self::limit) sets another one.
    ///
    /// # Panics
    /// Panics if the status is not from 200 to 599.
    #[must_use]
    pub fn status(status: u16) -> Self {
        assert!((200..600).contains(&status), "{status} is not the status of a final response: expected 200 to 599");
        Self(FaultKind::Status { status, retry_after: None, limit: None })
    }

    /// Adds a `Retry-After` header to the response of a [`status`](Self::status) fault. Has no effect on other faults.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let FaultKind::Status { retry_after, .. } = &mut self.0 {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Adds the header `X-mp-rate-limit-exceeded` to the response of a [`status`](Self::status) fault: `org`, `account`, `app`,
    /// `feed`, `workspace`, `system` or `acceleration`. Has no effect on other faults.
    ///
    /// # Panics
    /// Panics if the name is empty or has other characters than lower-case ASCII letters.
    #[must_use]
    pub fn limit(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        assert!(is_limit_name(&name), "{name:?} is not the name of a limit: expected lower-case letters");
        if let FaultKind::Status { limit, .. } = &mut self.0 {
            *limit = Some(name);
        }
        self
    }

    /// Delays the response. At most an hour.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self(FaultKind::Delay(time.min(MAX_DELAY)))
    }

    /// Stalls before reading the body, until the client closes the connection. Nothing is stored.
    #[must_use]
    pub fn stall_before_body() -> Self {
        Self(FaultKind::StallBeforeBody)
    }

    /// Reads a part of the body and then stalls, until the client closes the connection. Nothing is stored.
    #[must_use]
    pub fn stall_during_body() -> Self {
        Self(FaultKind::StallDuringBody)
    }

    /// Reads the whole body and then stalls, until the client closes the connection. Nothing is stored.
    #[must_use]
    pub fn stall_after_body() -> Self {
        Self(FaultKind::StallAfterBody)
    }

    /// Handles the request, sends the head and a part of the body of the response, and then stalls.
    #[must_use]
    pub fn stall_in_response() -> Self {
        Self(FaultKind::StallInResponse)
    }

    /// Resets the connection after the request was read. Nothing is stored.
    #[must_use]
    pub fn reset() -> Self {
        Self(FaultKind::Reset)
    }

    /// Handles the request and resets the connection instead of responding. The client cannot know that its batches were
    /// accepted, and a retry sends duplicates.
    #[must_use]
    pub fn lost_response() -> Self {
        Self(FaultKind::LostResponse)
    }

    /// Handles the request, and closes the connection in the middle of the response body.
    #[must_use]
    pub fn truncated_response() -> Self {
        Self(FaultKind::TruncatedResponse)
    }

    /// Handles the request, and sends a response body of `bytes` bytes.
    #[must_use]
    pub fn oversized_response(bytes: u64) -> Self {
        Self(FaultKind::OversizedResponse(bytes))
    }

    /// Responds with bytes that are not HTTP. Nothing is stored.
    #[must_use]
    pub fn malformed_response() -> Self {
        Self(FaultKind::MalformedResponse)
    }

    /// Responds with an HTML sign-in page and status 200, like a captive portal in front of the service. Nothing is stored.
    #[must_use]
    pub fn html() -> Self {
        Self(FaultKind::Html)
    }

    /// Refuses the batches of these indices, counted from 0, in the body of a 202, even if they are valid. The other batches are
    /// stored, unless they are invalid: then the response names them as well, like a mock with
    /// [partial responses](super::MockServerBuilder::partial_responses).
    ///
    /// The indices refer to the request that meets the fault. If the errors name no batch, a client may bisect the request and
    /// send the halves as separate requests: to refuse one of two batches with [`Naming::None`], queue
    /// `partial([0], Naming::None)` twice, for the request and for its first half.
    ///
    /// Indices outside of the request are ignored; if none remains, the request is handled as usual. Index 0 is the one batch of
    /// `/events`. A position is that of the end of the batch, in UTF-16 code units of the body.
    ///
    /// # Panics
    /// Panics if there is no index.
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
        assert!(!batches.is_empty(), "a partial response must refuse at least one batch");
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
            FaultKind::StallInResponse => f.write_str("stall=response"),
            FaultKind::Reset => f.write_str("reset"),
            FaultKind::MalformedResponse => f.write_str("malformed"),
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
            FaultKind::OversizedResponse(bytes) => write!(f, "oversized={bytes}"),
        }
    }
}

/// The error returned when a text is not a [`Fault`], or not a percentage of requests.
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
        let not_a_fault = || ParseFaultError(format!("unknown fault {text:?}: expected one of {FORMS}"));
        let mut parts = text.trim().split(':');
        let (name, value) = split_value(parts.next().unwrap_or_default());
        let mut fault = match (name, value) {
            ("ok", None) => Self::ok(),
            ("delay", Some(time)) => Self::delay(parse_duration(time).ok_or_else(not_a_fault)?),
            ("stall", Some("before")) => Self::stall_before_body(),
            ("stall", Some("during")) => Self::stall_during_body(),
            ("stall", Some("after")) => Self::stall_after_body(),
            ("stall", Some("response")) => Self::stall_in_response(),
            ("reset", None) => Self::reset(),
            ("lost", None) => Self::lost_response(),
            ("truncated", None) => Self::truncated_response(),
            ("malformed", None) => Self::malformed_response(),
            ("html", None) => Self::html(),
            ("partial", Some(batches)) => {
                let batches: Result<Vec<_>, _> = batches.split('+').map(str::parse).collect();
                Self::partial(batches.map_err(|_| not_a_fault())?, Naming::Index)
            }
            ("oversized", None) => Self::oversized_response(OVERSIZED_RESPONSE_BYTES),
            ("oversized", Some(bytes)) => Self::oversized_response(bytes.parse().map_err(|_| not_a_fault())?),
            (status, None) => match status.parse() {
                Ok(status @ 200..600) => Self::status(status),
                _ => return Err(not_a_fault()),
            },
            _ => return Err(not_a_fault()),
        };
        let has_status = matches!(fault.0, FaultKind::Status { .. });
        for part in parts {
            fault = match split_value(part) {
                ("retry-after", Some(seconds)) if has_status => {
                    fault.retry_after(seconds.parse().map_err(|_| not_a_fault())?)
                }
                ("limit", Some(name)) if has_status && is_limit_name(name) => fault.limit(name),
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

fn is_limit_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn split_value(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

/// Parses a duration such as `200ms` or `2s`.
fn parse_duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_its_own_text_and_rejects_other_text() {
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
        assert_eq!("oversized".parse(), Ok(Fault::oversized_response(100_000_000)));
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
            "oversized=x",
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
