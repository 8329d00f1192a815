//! Parsing, routing and checking of requests, as pure functions.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::contract::{self, Operation, Operations};
use crate::diagnostics::{Code, Diagnostic, Severity};
use crate::endpoint::Endpoint;

/// The size in bytes from which a body is refused: the service documents "under 256 KB", and a KB counts as 1,024 bytes here.
pub(super) const REFUSED_BODY_BYTES: usize = 262_144;

/// The maximum size of a batch in bytes: the service documents that a batch should not exceed 128 KB.
const MAX_BATCH_BYTES: usize = 131_072;

/// The maximum number of errors in a response, so that clients read the whole body.
pub(super) const MAX_ERRORS: usize = 100;

/// The result of checking the credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth<'a> {
    Missing,
    Invalid,
    /// Valid credentials with this key.
    Valid(&'a str),
}

/// A request whose body was not parsed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRequest<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) auth: Auth<'a>,
    pub(super) content_type: Option<&'a str>,
    pub(super) content_encoding: Option<&'a str>,
    /// `None` if it is too large.
    pub(super) body: Option<&'a [u8]>,
}

/// A response of the mock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MockResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl MockResponse {
    pub(super) fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns a 400 in the service's format.
    pub(super) fn bad_request(messages: impl IntoIterator<Item = String>) -> Self {
        let mut messages: Vec<_> = messages.into_iter().collect();
        if messages.len() > MAX_ERRORS {
            let rest = messages.split_off(MAX_ERRORS).len();
            messages.push(format!("and {rest} more"));
        }
        Self::with_errors(400, messages)
    }

    /// Returns a response whose body lists errors in the service's format.
    pub(super) fn with_errors(status: u16, messages: Vec<String>) -> Self {
        let errors: Vec<_> =
            messages.into_iter().map(|message| json!({ "code": "BAD_REQUEST", "message": message })).collect();
        Self { body: Some(json!({ "errors": errors })), ..Self::bare(status) }
    }
}

/// The operation of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// An operation that accepts batches.
    Delivery(Endpoint),
    /// Another operation of the document.
    Operation(&'a Operation),
}

/// Returns the operation of a request, or else the allowed methods of its path. The path can begin with `/v2`, like the service's
/// own base URL.
pub(super) fn route<'a>(operations: &'a Operations, method: &str, path: &str) -> Result<Route<'a>, Vec<&'a str>> {
    let below_base = path.strip_prefix("/v2").unwrap_or(path);
    let endpoint = Endpoint::at(below_base);
    let others = [below_base, path].map(|path| operations.at(path)).into_iter().find(|others| !others.is_empty());
    let others = others.unwrap_or_default();
    match (endpoint, others.iter().find(|other| other.method == method)) {
        (Some(endpoint), _) if method == "POST" => Ok(Route::Delivery(endpoint)),
        (_, Some(other)) => Ok(Route::Operation(other)),
        _ => Err(endpoint.map(|_| "POST").into_iter().chain(others.iter().map(|other| &*other.method)).collect()),
    }
}

/// A request whose body is valid JSON where JSON is expected.
#[derive(Debug)]
pub(super) enum ParsedRequest<'a> {
    /// One or more batches.
    Batches(Endpoint, Value),
    /// A request for another operation, with the errors of its body.
    Other(&'a Operation, Vec<Diagnostic>),
}

/// Parses a request and returns the response if it is refused. Checks the path, the method, the credentials, the content type, the
/// size and the body, in this order.
pub(super) fn parse<'a>(
    operations: &'a Operations,
    request: RawRequest<'_>,
) -> Result<ParsedRequest<'a>, MockResponse> {
    let route = route(operations, request.method, request.path).map_err(|methods| {
        if methods.is_empty() {
            MockResponse::bare(404)
        } else {
            MockResponse::bare(405).header("allow", methods.join(", "))
        }
    })?;
    match request.auth {
        Auth::Missing => return Err(MockResponse::bare(401).header("www-authenticate", "Basic realm=\"mparticle\"")),
        Auth::Invalid => return Err(MockResponse::bare(403)),
        Auth::Valid(_) => {}
    }
    match route {
        Route::Delivery(endpoint) => {
            let media_type = media_type(request);
            let body = accepted_body(request, media_type.eq_ignore_ascii_case(JSON), JSON)?;
            Ok(ParsedRequest::Batches(endpoint, parse_json(body)?))
        }
        Route::Operation(operation) => Ok(ParsedRequest::Other(operation, check_operation(operation, request)?)),
    }
}

const JSON: &str = "application/json";

/// Reports all errors of the body of a request for an operation. An optional body can be absent, and only the media type is checked
/// of a body that is not JSON.
fn check_operation(operation: &Operation, request: RawRequest<'_>) -> Result<Vec<Diagnostic>, MockResponse> {
    let Some(expected) = &operation.body else {
        return request.body.map(|_| Vec::new()).ok_or_else(|| MockResponse::bare(413));
    };
    if !expected.is_required && request.body.is_some_and(<[u8]>::is_empty) {
        return Ok(Vec::new());
    }
    let media_type = media_type(request);
    let bytes = accepted_body(request, expected.takes(media_type), &expected.media_types())?;
    let is_json = media_type.eq_ignore_ascii_case(JSON) || media_type.to_ascii_lowercase().ends_with("+json");
    Ok(if is_json { expected.check(media_type, &parse_json(bytes)?) } else { Vec::new() })
}

fn media_type(request: RawRequest<'_>) -> &str {
    request.content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// Returns the body of a request, or the response if its media type, encoding or size is not accepted.
fn accepted_body<'a>(request: RawRequest<'a>, is_accepted: bool, media_types: &str) -> Result<&'a [u8], MockResponse> {
    if !is_accepted {
        return Err(MockResponse::bad_request([format!("the content type must be {media_types}")]));
    }
    if request.content_encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(MockResponse::bad_request(["unsupported content encoding: the service documents none".to_owned()]));
    }
    request.body.ok_or_else(|| MockResponse::bare(413))
}

fn parse_json(body: &[u8]) -> Result<Value, MockResponse> {
    serde_json::from_slice(body).map_err(|error| MockResponse::bad_request([format!("the body is not JSON: {error}")]))
}

/// Reports all errors and warnings of a body.
pub(super) fn check(endpoint: Endpoint, body: &Value, bytes: &[u8], now: DateTime<Utc>) -> Vec<Diagnostic> {
    let mut violations = match endpoint {
        Endpoint::Events => contract::check_batch(body),
        Endpoint::BulkEvents => contract::check_batches(body),
        Endpoint::HistoricalEvents => contract::check_historical(body, now),
    };
    // In a small enough body no batch can be too large.
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

/// Returns the exact bytes of each batch of a JSON body.
pub(super) fn raw_batches(endpoint: Endpoint, bytes: &[u8]) -> Vec<&[u8]> {
    match serde_json::from_slice::<Vec<&RawValue>>(bytes) {
        Ok(batches) if endpoint != Endpoint::Events => batches.iter().map(|batch| batch.get().as_bytes()).collect(),
        _ => vec![bytes.trim_ascii()],
    }
}

/// Returns whether the service itself is documented to refuse this: data that is not a batch, or exceeds a size limit.
pub(super) fn is_refused_by_service(violation: &Diagnostic) -> bool {
    let is_no_batch = violation.pointer.is_empty() && violation.code == Code::Type;
    violation.severity == Severity::Error && (is_no_batch || violation.code == Code::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some(super::JSON);
    const KEY: Auth<'_> = Auth::Valid("key");

    #[test]
    fn refuses_by_path_method_credentials_type_size_and_json_in_this_order() {
        let good: &[u8] = br#"{"environment":"development"}"#;
        let table = [
            ("POST", "/event", Auth::Missing, None, None, 404),
            ("POST", "/v2", KEY, JSON, Some(good), 404),
            ("POST", "/v3/events", KEY, JSON, Some(good), 404),
            ("GET", "/events", Auth::Missing, None, None, 405),
            ("POST", "/events", Auth::Missing, JSON, Some(good), 401),
            ("POST", "/events", Auth::Invalid, JSON, Some(good), 403),
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
            let request = RawRequest { method, path, auth, content_type, content_encoding: None, body };
            let operations = contract::operations();
            let refused = parse(&operations, request).err().map_or(0, |response| response.status);
            assert_eq!(refused, status, "{request:?}");
        }
    }

    #[test]
    fn accepts_batches_of_up_to_131072_bytes() {
        let batch = |bytes: usize| {
            let bare = json!({ "environment": "production", "mpid": 1, "source_request_id": "" }).to_string().len();
            json!({ "environment": "production", "mpid": 1, "source_request_id": "x".repeat(bytes - bare) })
        };
        let messages = |endpoint, body: &Value| {
            let violations = check(endpoint, body, body.to_string().as_bytes(), DateTime::UNIX_EPOCH);
            violations.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let too_large = |at: &str| vec![format!("{at}: expected at most 131072 bytes in a batch, found 131073")];
        assert!(messages(Endpoint::Events, &batch(131_072)).is_empty());
        assert_eq!(messages(Endpoint::Events, &batch(131_073)), too_large("(batch)"));
        assert!(messages(Endpoint::BulkEvents, &json!([batch(131_072), batch(100_000)])).is_empty());
        assert_eq!(messages(Endpoint::BulkEvents, &json!([batch(100), batch(131_073)])), too_large("/1"));
    }
}
