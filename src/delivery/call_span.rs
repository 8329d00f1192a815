//! The span of a call of a client or of a delivery of an uploader: the parent of the spans of its attempts. It includes the
//! waits between them.

use std::borrow::Cow;

use reqwest::StatusCode;
use tracing::{Instrument, Span, field};

use super::CallResult;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;

/// Creates a span with this name, which has to be a constant.
macro_rules! call_span {
    ($name:literal, $endpoint:expr, $batches:expr) => {
        tracing::info_span!(
            target: "mparticle::client",
            $name,
            "otel.status_code" = field::Empty,
            "error.type" = field::Empty,
            "mparticle.operation" = $endpoint.operation(),
            "mparticle.batches" = int($batches),
            "mparticle.requests" = field::Empty,
            "mparticle.delivered" = field::Empty,
            "mparticle.rejected" = field::Empty,
        )
    };
}

/// Creates the span of a call of a client with this many sealed batches.
pub(crate) fn client_span(endpoint: Endpoint, batches: usize) -> Span {
    match endpoint {
        Endpoint::Events => call_span!("mparticle.upload", endpoint, batches),
        Endpoint::BulkEvents => call_span!("mparticle.upload_bulk", endpoint, batches),
        Endpoint::HistoricalEvents => call_span!("mparticle.upload_historical", endpoint, batches),
    }
}

/// Creates the span of a request of an uploader with this many batches, and of everything that follows from it.
pub(crate) fn uploader_span(endpoint: Endpoint, batches: usize) -> Span {
    call_span!("mparticle.deliver", endpoint, batches)
}

/// Runs a call in its span, and records its result there. A call that is dropped before its result was cancelled.
pub(crate) async fn in_span(span: Span, call: impl Future<Output = CallResult>) -> CallResult {
    let mut guard = CallSpan { span, is_ended: false };
    let outcome = call.instrument(guard.span.clone()).await;
    guard.is_ended = true;
    if !guard.span.is_disabled() {
        record(&guard.span, &outcome);
    }
    outcome
}

/// The span of a call that is in progress.
struct CallSpan {
    span: Span,
    is_ended: bool,
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.is_ended {
            record_error(&self.span, &error_type(ErrorKind::Cancelled, None));
        }
    }
}

fn record(span: &Span, outcome: &CallResult) {
    let results = || outcome.results.iter().flatten();
    span.record("mparticle.requests", i64::from(outcome.requests))
        .record("mparticle.delivered", int(results().filter(|result| result.is_ok()).count()))
        .record("mparticle.rejected", int(results().filter(|result| result.is_err()).count()));
    let rejection = results().find_map(|result| result.as_ref().err());
    if let Some(error) = outcome.stopped.as_ref().or(rejection) {
        record_error(span, &error_type(error.kind(), error.status()));
    }
}

/// Records the failure of the operation of a span.
pub(crate) fn record_error(span: &Span, error_type: &str) {
    span.record("error.type", error_type).record("otel.status_code", "ERROR");
}

/// Returns a number as a field of a span has to have it: OpenTelemetry knows signed integers alone, and tracing-opentelemetry
/// exports an unsigned one as a string.
pub(crate) fn int(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the value of `error.type`: the status of a refusal, or a name from a short list.
pub(crate) fn error_type(kind: ErrorKind, status: Option<StatusCode>) -> Cow<'static, str> {
    let name = match kind {
        ErrorKind::Refused => match status.filter(|status| !status.is_success()) {
            Some(status) => return Cow::Owned(status.as_str().to_owned()),
            None => "refused",
        },
        ErrorKind::Config => "config",
        ErrorKind::Limit => "limit",
        ErrorKind::Connect => "connect",
        ErrorKind::Timeout => "timeout",
        ErrorKind::ConnectionLost => "connection_lost",
        ErrorKind::UnexpectedResponse => "unexpected_response",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::RateLimited => "rate_limited",
        // The name for everything else in the conventions.
        _ => "_OTHER",
    };
    Cow::Borrowed(name)
}
