//! Reads a response: its status, its headers, and a bounded part of its body.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

use super::error_list::{BodyForm, ErrorList, is_blank};
use crate::delivery::{Accepted, ResponseBody};
use crate::error::{Error, ErrorResponse};

/// The maximum number of bytes that are read of a body. The documented errors take a few hundred.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The timeout of the body. Status and headers have arrived already.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of characters of a content type in an error text.
const MAX_CONTENT_TYPE_CHARS: usize = 80;

/// The end of the read of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyEnd {
    /// The body was read completely, or far enough to know that it lists no errors.
    Complete,
    /// The body is longer than [`MAX_RESPONSE_BYTES`].
    TooLong,
    /// The connection broke, or [`BODY_TIMEOUT`] elapsed.
    Interrupted,
}

/// Reads a response.
///
/// # Errors
/// Returns an error for a status other than 2xx, and for a 2xx that is not from the service.
pub(super) async fn read(mut response: Response) -> Result<Accepted, Error> {
    let status = response.status();
    if status.is_success() {
        return read_accepted(response).await;
    }
    let headers = response.headers();
    let retry_after = header_text(headers, RETRY_AFTER.as_str()).and_then(|text| parse_retry_after(text, Utc::now()));
    let rate_limit = header_text(headers, "x-mp-rate-limit-exceeded").and_then(|text| text.parse().ok());
    let (body, _) = read_body(&mut response, |_| true).await;
    let mut errors = ErrorList::parse(body).errors;
    errors.retain(|error| !error.code.is_empty() || !error.message.is_empty());
    Err(Error::refused(ErrorResponse { status, retry_after, rate_limit, errors }))
}

/// Creates the error of a response that is not from the service.
pub(super) fn unexpected(response: &Response) -> Error {
    Error::unexpected_response(response.status(), &content_type(response.headers()))
}

/// Reads a 2xx. The status alone is not enough: the body of a 202 can list batches that the service refused, and any server
/// can respond 200.
async fn read_accepted(mut response: Response) -> Result<Accepted, Error> {
    let status = response.status();
    if is_html(&content_type(response.headers())) {
        return Err(unexpected(&response));
    }
    let rate_limit_used_percent = header_text(response.headers(), "x-mp-rate-limit-percentage-used")
        .and_then(|text| text.parse().ok())
        .filter(|used: &f64| used.is_finite());
    // A 202 may have any text as its body. The body of another 2xx has to be JSON, which has to be read to its end to know.
    let is_needed = |first| status != StatusCode::ACCEPTED || ErrorList::may_begin_with(first);
    let (body, end) = read_body(&mut response, is_needed).await;
    let list = ErrorList::parse(body);
    let is_json = match list.form {
        BodyForm::Empty | BodyForm::Json => true,
        // Any text can begin like a JSON value that is not an object. It counts as JSON only if it is too long to be read.
        BodyForm::CutOff => end == BodyEnd::TooLong || (end == BodyEnd::Interrupted && list.is_object),
        BodyForm::Markup | BodyForm::Text => false,
    };
    if list.form == BodyForm::Markup || (!is_json && status != StatusCode::ACCEPTED) {
        return Err(unexpected(&response));
    }
    let body = match end {
        _ if !list.may_follow => ResponseBody::Read,
        // A body without a length ends with the connection, so its end can also be a broken connection.
        BodyEnd::Interrupted | BodyEnd::Complete => ResponseBody::Interrupted,
        BodyEnd::TooLong => ResponseBody::TooLong,
    };
    Ok(Accepted::new(status, rate_limit_used_percent).with_body(list.errors, body))
}

/// Reads the body, as far as it arrives in time and fits. `is_needed` receives the first byte that is not blank, and can end
/// the read there.
async fn read_body(response: &mut Response, is_needed: impl Fn(u8) -> bool) -> (Vec<u8>, BodyEnd) {
    let mut body = Vec::new();
    // Calls `is_needed` only once: a body can arrive in many small chunks.
    let mut has_begun = false;
    let reading = async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = MAX_RESPONSE_BYTES - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    let first = chunk.iter().find(|byte| !is_blank(**byte)).filter(|_| !has_begun);
                    has_begun |= first.is_some();
                    if first.is_some_and(|first| !is_needed(*first)) {
                        return BodyEnd::Complete;
                    }
                    if chunk.len() >= room {
                        return BodyEnd::TooLong;
                    }
                }
                Ok(None) => return BodyEnd::Complete,
                Err(_) => return BodyEnd::Interrupted,
            }
        }
    };
    let end = timeout(BODY_TIMEOUT, reading).await.unwrap_or(BodyEnd::Interrupted);
    (body, end)
}

/// The media type for a person, without parameters. Whatever is odd in it is left out.
fn content_type(headers: &HeaderMap) -> String {
    let essence = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = essence.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence
        .iter()
        .filter(|byte| byte.is_ascii_graphic())
        .take(MAX_CONTENT_TYPE_CHARS)
        .map(|byte| char::from(*byte))
        .collect()
}

fn is_html(content_type: &str) -> bool {
    ["text/html", "application/xhtml+xml"].iter().any(|html| content_type.eq_ignore_ascii_case(html))
}

/// Returns the value of a header as text, without the double quotes around some values.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim().trim_matches('"'))
}

/// Parses `Retry-After` in either form: whole seconds, or a date.
fn parse_retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_both_forms_of_retry_after() {
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
            assert_eq!(parse_retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }
}
