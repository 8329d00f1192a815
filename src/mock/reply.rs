//! What the service would say to a request: pure functions, without a socket and without a memory.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::contract::{self, Operation, Operations};
use crate::diagnostics::{Code, Diagnostic, Severity};
use crate::endpoint::Endpoint;

/// From this size on a body is refused: the service documents "under 256 KB", and one KB is taken as 1,024 bytes here.
pub(super) const REFUSED_BODY_BYTES: usize = 262_144;

/// Above this size a batch is refused: the service documents that one should not exceed 128 KB.
const MAX_BATCH_BYTES: usize = 131_072;

/// At most this many errors are listed, so that an answer stays small enough to be read whole.
pub(super) const MOST_ERRORS: usize = 100;

/// How the credentials of a request look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth<'a> {
    Missing,
    Wrong,
    /// Right, and this is the key.
    Right(&'a str),
}

/// What there is to know of a request before its body is understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) auth: Auth<'a>,
    pub(super) content_type: Option<&'a str>,
    pub(super) content_encoding: Option<&'a str>,
    /// `None` if it is too large.
    pub(super) body: Option<&'a [u8]>,
}

/// An answer, still without a socket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Answer {
    pub(super) fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A 400 in the form of the service.
    pub(super) fn bad_request(messages: impl IntoIterator<Item = String>) -> Self {
        let mut messages: Vec<_> = messages.into_iter().collect();
        if messages.len() > MOST_ERRORS {
            let rest = messages.split_off(MOST_ERRORS).len();
            messages.push(format!("and {rest} more"));
        }
        Self::with_errors(400, messages)
    }

    /// A response of this status whose body lists errors, in the form of the service.
    pub(super) fn with_errors(status: u16, messages: Vec<String>) -> Self {
        let errors: Vec<_> =
            messages.into_iter().map(|message| json!({ "code": "BAD_REQUEST", "message": message })).collect();
        Self { body: Some(json!({ "errors": errors })), ..Self::bare(status) }
    }
}

/// An operation that a request is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// One that takes batches.
    Delivery(Endpoint),
    /// Another one of the document.
    Operation(&'a Operation),
}

/// Returns the operation that a request is for, or the methods that its path has. The path may begin with the `/v2` of the
/// service's own base URL.
pub(super) fn find<'a>(operations: &'a Operations, method: &str, path: &str) -> Result<Target<'a>, Vec<&'a str>> {
    let below_base = path.strip_prefix("/v2").unwrap_or(path);
    let endpoint = Endpoint::at(below_base);
    let others = [below_base, path].map(|path| operations.at(path)).into_iter().find(|others| !others.is_empty());
    let others = others.unwrap_or_default();
    match (endpoint, others.iter().find(|other| other.method == method)) {
        (Some(endpoint), _) if method == "POST" => Ok(Target::Delivery(endpoint)),
        (_, Some(other)) => Ok(Target::Operation(other)),
        _ => Err(endpoint.map(|_| "POST").into_iter().chain(others.iter().map(|other| &*other.method)).collect()),
    }
}

/// A request that can be understood.
#[derive(Debug)]
pub(super) enum Understood<'a> {
    /// A batch, or several.
    Batches(Endpoint, Value),
    /// A request for another operation, with what is wrong with its body.
    Other(&'a Operation, Vec<Diagnostic>),
}

/// Reads a request as far as being JSON for an operation, in the order in which a server can know: where to, who, how, how
/// much, what. Whatever fails is the answer.
pub(super) fn read<'a>(operations: &'a Operations, request: Request<'_>) -> Result<Understood<'a>, Answer> {
    let target = find(operations, request.method, request.path).map_err(|methods| {
        if methods.is_empty() { Answer::bare(404) } else { Answer::bare(405).header("allow", methods.join(", ")) }
    })?;
    match request.auth {
        Auth::Missing => return Err(Answer::bare(401).header("www-authenticate", "Basic realm=\"mparticle\"")),
        Auth::Wrong => return Err(Answer::bare(403)),
        Auth::Right(_) => {}
    }
    match target {
        Target::Delivery(endpoint) => {
            let media_type = media_type(request);
            let body = body(request, media_type.eq_ignore_ascii_case(JSON), JSON)?;
            Ok(Understood::Batches(endpoint, json(body)?))
        }
        Target::Operation(operation) => Ok(Understood::Other(operation, check_operation(operation, request)?)),
    }
}

const JSON: &str = "application/json";

/// Reports everything that is wrong with the body of a request for an operation, as far as the document knows: an optional one can
/// be absent, and of one that is not JSON only the media type is known.
fn check_operation(operation: &Operation, request: Request<'_>) -> Result<Vec<Diagnostic>, Answer> {
    let Some(expected) = &operation.body else {
        return request.body.map(|_| Vec::new()).ok_or_else(|| Answer::bare(413));
    };
    if !expected.is_required && request.body.is_some_and(<[u8]>::is_empty) {
        return Ok(Vec::new());
    }
    let media_type = media_type(request);
    let bytes = body(request, expected.takes(media_type), &expected.media_types())?;
    let is_json = media_type.eq_ignore_ascii_case(JSON) || media_type.to_ascii_lowercase().ends_with("+json");
    Ok(if is_json { expected.check(media_type, &json(bytes)?) } else { Vec::new() })
}

fn media_type(request: Request<'_>) -> &str {
    request.content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The body of a request of a media type that is taken or not.
fn body<'a>(request: Request<'a>, is_taken: bool, media_types: &str) -> Result<&'a [u8], Answer> {
    if !is_taken {
        return Err(Answer::bad_request([format!("the content type has to be {media_types}")]));
    }
    if request.content_encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Answer::bad_request(["the service documents no content encoding".to_owned()]));
    }
    request.body.ok_or_else(|| Answer::bare(413))
}

fn json(body: &[u8]) -> Result<Value, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::bad_request([format!("the body is not JSON: {error}")]))
}

/// Everything that is wrong with a body, and everything to be warned of.
pub(super) fn check(endpoint: Endpoint, body: &Value, bytes: &[u8], now: DateTime<Utc>) -> Vec<Diagnostic> {
    let mut violations = match endpoint {
        Endpoint::Events => contract::check_batch(body),
        Endpoint::BulkEvents => contract::check_batches(body),
        Endpoint::HistoricalEvents => contract::check_historical(body, now),
    };
    // A body that is small enough for one batch has none that is too large.
    if bytes.len() > MAX_BATCH_BYTES {
        let sizes = raw_batches(endpoint, bytes).into_iter().map(<[u8]>::len);
        for (index, size) in sizes.enumerate().filter(|(_, size)| *size > MAX_BATCH_BYTES) {
            let pointer = if endpoint == Endpoint::Events { String::new() } else { format!("/{index}") };
            let expected = format!("at most {MAX_BATCH_BYTES} bytes in a batch");
            violations.push(Diagnostic::mismatch(Code::Limit, pointer, expected, size.to_string()));
        }
    }
    violations
}

/// The batches of a body that is JSON, as they were sent, byte for byte.
pub(super) fn raw_batches(endpoint: Endpoint, bytes: &[u8]) -> Vec<&[u8]> {
    match serde_json::from_slice::<Vec<&RawValue>>(bytes) {
        Ok(batches) if endpoint != Endpoint::Events => batches.iter().map(|batch| batch.get().as_bytes()).collect(),
        _ => vec![bytes.trim_ascii()],
    }
}

/// Whether the service itself is documented to refuse this: what is no batch, and too much at once.
pub(super) fn is_refused_by_the_service(violation: &Diagnostic) -> bool {
    let is_no_batch = violation.pointer.is_empty() && violation.code == Code::Type;
    violation.severity == Severity::Error && (is_no_batch || violation.code == Code::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some(super::JSON);
    const KEY: Auth<'_> = Auth::Right("key");

    #[test]
    fn requests_are_refused_in_order() {
        let good: &[u8] = br#"{"environment":"development"}"#;
        let table = [
            ("POST", "/event", Auth::Missing, None, None, 404),
            ("POST", "/v2", KEY, JSON, Some(good), 404),
            ("POST", "/v3/events", KEY, JSON, Some(good), 404),
            ("GET", "/events", Auth::Missing, None, None, 405),
            ("POST", "/events", Auth::Missing, JSON, Some(good), 401),
            ("POST", "/events", Auth::Wrong, JSON, Some(good), 403),
            ("POST", "/events", KEY, None, Some(good), 400),
            ("POST", "/events", KEY, Some("text/plain"), Some(good), 400),
            ("POST", "/events", KEY, JSON, None, 413),
            ("POST", "/events", KEY, JSON, Some(b"{"), 400),
            ("POST", "/events", KEY, JSON, Some(b""), 400),
            ("POST", "/events", KEY, JSON, Some(good), 0),
            ("POST", "/v2/events", KEY, JSON, Some(good), 0),
            ("POST", "/events", KEY, Some("Application/JSON; charset=utf-8"), Some(good), 0),
            ("POST", "/bulkevents/historical", KEY, JSON, Some(b"[]"), 0),
        ];
        for (method, path, auth, content_type, body, status) in table {
            let request = Request { method, path, auth, content_type, content_encoding: None, body };
            let operations = contract::operations();
            let refused = read(&operations, request).err().map_or(0, |answer| answer.status);
            assert_eq!(refused, status, "{request:?}");
        }
    }

    #[test]
    fn a_batch_may_have_131072_bytes() {
        let batch = |bytes: usize| {
            let bare = json!({ "environment": "production", "mpid": 1, "source_request_id": "" }).to_string().len();
            json!({ "environment": "production", "mpid": 1, "source_request_id": "x".repeat(bytes - bare) })
        };
        let said = |endpoint, body: &Value| {
            let violations = check(endpoint, body, body.to_string().as_bytes(), DateTime::UNIX_EPOCH);
            violations.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let too_large = |at: &str| vec![format!("{at}: expected at most 131072 bytes in a batch, found 131073")];
        assert!(said(Endpoint::Events, &batch(131_072)).is_empty());
        assert_eq!(said(Endpoint::Events, &batch(131_073)), too_large("(batch)"));
        assert!(said(Endpoint::BulkEvents, &json!([batch(131_072), batch(100_000)])).is_empty());
        assert_eq!(said(Endpoint::BulkEvents, &json!([batch(100), batch(131_073)])), too_large("/1"));
    }
}
