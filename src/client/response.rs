//! What an answer tells: its headers, and the errors in its body, of which only so much is read.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use tokio::time::timeout;

use crate::delivery::Accepted;
use crate::error::{Error, Refusal};
use crate::types::ApiError;

/// At most this much of a response is read, in bytes. The documented errors need a few hundred.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The body of a refusal is waited for this long. Its head is there, and tells what follows.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the answer. Acceptance is in its head: whatever body may follow a 2xx is not waited for.
pub(super) async fn read(mut response: Response) -> Result<Accepted, Error> {
    let status = response.status();
    if status.is_success() {
        let rate_limit_used = header(response.headers(), "x-mp-rate-limit-percentage-used")
            .and_then(|text| text.parse().ok())
            .filter(|used: &f64| used.is_finite());
        return Ok(Accepted::new(status, rate_limit_used));
    }
    let headers = response.headers();
    let retry_after = header(headers, RETRY_AFTER.as_str()).and_then(|text| retry_after(text, Utc::now()));
    let rate_limit = header(headers, "x-mp-rate-limit-exceeded").and_then(|text| text.parse().ok());
    let mut body = Vec::new();
    let _ = timeout(BODY_TIMEOUT, read_some(&mut response, &mut body)).await;
    let errors = errors(&body);
    Err(Error::refused(Refusal { status, retry_after, rate_limit, errors }))
}

/// A header as text, without the double quotes that some values come wrapped in.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim().trim_matches('"'))
}

/// The body, or as much of it as comes and fits. The status is known by now: a body that breaks off does not change it.
async fn read_some(response: &mut Response, body: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_RESPONSE_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
}

/// `Retry-After` in either of its forms: whole seconds, or a date.
fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

/// `{"errors":[{"code","message"}]}`, with patience: an entry may lack either, and the body may be anything.
fn errors(body: &[u8]) -> Vec<ApiError> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().map(str::to_owned);
    let error = |entry: &Value| match (text(entry, "code"), text(entry, "message")) {
        (None, None) => None,
        (code, message) => Some(ApiError { code: code.unwrap_or_default(), message: message.unwrap_or_default() }),
    };
    body["errors"].as_array().into_iter().flatten().filter_map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let table = [
            ("0", Some(0)),
            ("120", Some(120)),
            ("Thu, 01 Jan 2026 00:00:30 GMT", Some(30)),
            ("Wed, 31 Dec 2025 23:59:59 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ];
        for (text, seconds) in table {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn errors_are_read_with_patience() {
        let table: [(&str, &[(&str, &str)]); 8] = [
            ("", &[]),
            ("<html>", &[]),
            ("[]", &[]),
            ("null", &[]),
            (r#"{"errors":{}}"#, &[]),
            (r#"{"errors":[1,{},{"code":2}]}"#, &[]),
            (r#"{"errors":[{"code":"A"},{"message":"b"}]}"#, &[("A", ""), ("", "b")]),
            (r#"{"errors":[{"code":"A","message":"b","more":1}],"x":1}"#, &[("A", "b")]),
        ];
        for (body, expected) in table {
            let read = errors(body.as_bytes());
            let read: Vec<_> = read.iter().map(|error| (error.code.as_str(), error.message.as_str())).collect();
            assert_eq!(read, expected, "{body}");
        }
    }
}
