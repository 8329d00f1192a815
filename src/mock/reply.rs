//! What the service would say to a request: a pure function, without a socket.

use serde_json::{Value, json};

use crate::contract::{self, Violation};

/// From this size on a body is refused: the service documents "under 256 KB", and one KB is taken as 1,024 bytes here.
pub(super) const REFUSED_BODY_BYTES: usize = 262_144;

/// At most this many errors are listed, so that an answer stays small enough to be read whole.
const MOST_ERRORS: usize = 100;

/// How the credentials of a request look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    Missing,
    Wrong,
    Right,
}

/// An answer, and the batches that it accepts.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
    pub(super) accepted: Vec<Value>,
}

impl Reply {
    fn bare(status: u16) -> Self {
        Self { status, body: None, accepted: Vec::new() }
    }

    fn bad_request(messages: impl IntoIterator<Item = String>) -> Self {
        let mut messages: Vec<_> = messages.into_iter().collect();
        if messages.len() > MOST_ERRORS {
            let rest = messages.split_off(MOST_ERRORS).len();
            messages.push(format!("and {rest} more"));
        }
        let errors: Vec<_> =
            messages.into_iter().map(|message| json!({ "code": "BAD_REQUEST", "message": message })).collect();
        Self { status: 400, body: Some(json!({ "errors": errors })), accepted: Vec::new() }
    }
}

/// Decides in the order in which a server can know: where to, who, how, how much, what.
pub(super) fn to(method: &str, path: &str, auth: Auth, content_type: Option<&str>, body: Option<&[u8]>) -> Reply {
    type Check = fn(&Value) -> Vec<Violation>;
    let check: Check = match path {
        "/events" => contract::check_batch,
        "/bulkevents" | "/bulkevents/historical" => contract::check_batches,
        _ => return Reply::bare(404),
    };
    if method != "POST" {
        return Reply::bare(405);
    }
    match auth {
        Auth::Missing => return Reply::bare(401),
        Auth::Wrong => return Reply::bare(403),
        Auth::Right => {}
    }
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Reply::bad_request(["the content type has to be application/json".to_owned()]);
    }
    let Some(body) = body else {
        return Reply::bare(413);
    };
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return Reply::bad_request([format!("the body is not JSON: {error}")]),
    };
    let violations = check(&body);
    if !violations.is_empty() {
        return Reply::bad_request(violations.iter().map(Violation::to_string));
    }
    let accepted = match body {
        Value::Array(batches) => batches,
        batch => vec![batch],
    };
    Reply { status: 202, body: None, accepted }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json");

    #[test]
    fn requests_are_refused_in_order() {
        let good: &[u8] = br#"{"environment":"development"}"#;
        let table = [
            ("POST", "/event", Auth::Missing, None, None, 404),
            ("GET", "/events", Auth::Missing, None, None, 405),
            ("POST", "/events", Auth::Missing, JSON, Some(good), 401),
            ("POST", "/events", Auth::Wrong, JSON, Some(good), 403),
            ("POST", "/events", Auth::Right, None, Some(good), 400),
            ("POST", "/events", Auth::Right, Some("text/plain"), Some(good), 400),
            ("POST", "/events", Auth::Right, JSON, None, 413),
            ("POST", "/events", Auth::Right, JSON, Some(b"{"), 400),
            ("POST", "/events", Auth::Right, JSON, Some(b"{}"), 400),
            ("POST", "/events", Auth::Right, JSON, Some(b"[]"), 400),
            ("POST", "/events", Auth::Right, JSON, Some(good), 202),
            ("POST", "/events", Auth::Right, Some("application/json; charset=utf-8"), Some(good), 202),
            ("POST", "/bulkevents", Auth::Right, JSON, Some(good), 400),
            ("POST", "/bulkevents", Auth::Right, JSON, Some(b"[]"), 202),
            ("POST", "/bulkevents/historical", Auth::Right, JSON, Some(b"[{\"environment\":\"production\"}]"), 202),
        ];
        for (method, path, auth, content_type, body, status) in table {
            let reply = to(method, path, auth, content_type, body);
            assert_eq!(reply.status, status, "{method} {path} {auth:?} {content_type:?} {body:?}: {reply:?}");
        }
    }
}
