//! The span and the duration of each attempt, by OpenTelemetry's conventions for HTTP clients.

use std::sync::Arc;
use std::time::Instant;

use reqwest::{Method, Response, StatusCode, Url};
use tracing::{Span, field};

use super::http_error;
use crate::delivery::{Accepted, ResponseBody, error_type, int, record_error};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "metrics")]
use crate::meter;

/// The events at the end of an attempt.
const COMPLETED: &str = "request completed";
const CANCELLED: &str = "request cancelled";

/// The address of the service, as the spans and the metrics show it.
pub(super) struct ServerAddress {
    address: Arc<str>,
    port: u16,
}

impl ServerAddress {
    pub(super) fn new(base: &Url) -> Self {
        // The conventions write an IPv6 address without brackets.
        let address = base.host_str().unwrap_or_default().trim_matches(['[', ']']).into();
        Self { address, port: base.port_or_known_default().unwrap_or_default() }
    }
}

/// The request of an attempt, as its span shows it.
pub(super) struct AttemptInfo<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    /// The name of the operation in the document.
    pub(super) operation: &'static str,
    /// `None` for a request of the generated endpoints.
    pub(super) batches: Option<usize>,
    pub(super) body_bytes: Option<usize>,
    /// The number of earlier attempts of the same request.
    pub(super) resend_count: u32,
}

/// The span of an attempt that is in progress. An attempt that is dropped before its result was cancelled.
pub(super) struct AttemptSpan {
    span: Span,
    started: Instant,
    is_ended: bool,
    #[cfg(feature = "metrics")]
    labels: Vec<metrics::Label>,
}

impl AttemptSpan {
    /// Starts the span. If nobody listens, none of its fields is evaluated. It shows no header, no body and no query of the URL;
    /// a base URL with user information is refused when the client is built.
    pub(super) fn start(server: &ServerAddress, attempt: &AttemptInfo<'_>) -> Self {
        let AttemptInfo { method, url, operation, batches, body_bytes, resend_count } = *attempt;
        let span = tracing::info_span!(
            target: "mparticle::client",
            "mparticle.request",
            "otel.name" = method.as_str(),
            "otel.kind" = "client",
            "otel.status_code" = field::Empty,
            "http.request.method" = method.as_str(),
            "server.address" = &*server.address,
            "server.port" = i64::from(server.port),
            "url.full" = without_query(url),
            "http.request.resend_count" = (resend_count > 0).then_some(i64::from(resend_count)),
            "http.response.status_code" = field::Empty,
            "error.type" = field::Empty,
            "mparticle.operation" = operation,
            "mparticle.batches" = batches.map(int),
            "http.request.body.size" = body_bytes.map(int),
            "mparticle.listed_errors" = field::Empty,
        );
        Self {
            span,
            started: Instant::now(),
            is_ended: false,
            #[cfg(feature = "metrics")]
            labels: vec![
                metrics::Label::new("http.request.method", method.to_string()),
                metrics::Label::new("server.address", Arc::clone(&server.address)),
                metrics::Label::new("server.port", server.port.to_string()),
            ],
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the span with the result of the attempt.
    pub(super) fn end(mut self, result: &Result<Accepted, Error>) {
        match result {
            Ok(accepted) => {
                if !accepted.errors.is_empty() {
                    self.span.record("mparticle.listed_errors", int(accepted.errors.len()));
                }
                let is_interrupted = accepted.body == ResponseBody::Interrupted;
                let error = is_interrupted.then(|| error_type(ErrorKind::ConnectionLost, None));
                self.record(COMPLETED, Some(accepted.status()), error.as_deref());
            }
            Err(error) => self.record(COMPLETED, error.status(), Some(&error_type(error.kind(), error.status()))),
        }
    }

    /// Ends the span with the result of a request of the generated endpoints, which return every response unchanged.
    pub(super) fn end_raw(mut self, result: &reqwest::Result<Response>) {
        match result.as_ref().map(Response::status) {
            Ok(status) if status.is_client_error() || status.is_server_error() => {
                self.record(COMPLETED, Some(status), Some(status.as_str()));
            }
            Ok(status) => self.record(COMPLETED, Some(status), None),
            Err(error) => self.record(COMPLETED, None, Some(&error_type(http_error::kind(error), None))),
        }
    }

    fn record(&mut self, event: &str, status: Option<StatusCode>, error_type: Option<&str>) {
        self.is_ended = true;
        let elapsed = self.started.elapsed();
        self.span.record("http.response.status_code", status.map(|status| i64::from(status.as_u16())));
        if let Some(error_type) = error_type {
            record_error(&self.span, error_type);
        }
        tracing::debug!(
            target: "mparticle::client",
            parent: &self.span,
            duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "{event}"
        );
        #[cfg(feature = "metrics")]
        {
            let status = status.map(|status| status.as_u16().to_string());
            meter::add(&meter::RATE_LIMITED, u64::from(status.as_deref() == Some("429")));
            let optional = [("http.response.status_code", status), ("error.type", error_type.map(str::to_owned))];
            let mut labels = std::mem::take(&mut self.labels);
            labels.extend(optional.into_iter().filter_map(|(key, value)| Some(metrics::Label::new(key, value?))));
            meter::record_request(elapsed.as_secs_f64(), labels);
        }
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        if !self.is_ended {
            self.record(CANCELLED, None, Some(&error_type(ErrorKind::Cancelled, None)));
        }
    }
}

fn without_query(url: &Url) -> &str {
    url.as_str().split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(mparticle_shuttle))]
    use crate::delivery::captured_log::CapturedLog;

    #[test]
    fn the_address_is_that_of_the_base_url() {
        let table = [
            ("https://s2s.mparticle.com/v2", "s2s.mparticle.com", 443),
            ("http://localhost", "localhost", 80),
            ("http://127.0.0.1:8080/v2", "127.0.0.1", 8080),
            ("http://[::1]:8080", "::1", 8080),
        ];
        for (base, address, port) in table {
            let server = ServerAddress::new(&Url::parse(base).expect("a URL"));
            assert_eq!((&*server.address, server.port), (address, port), "{base}");
        }
    }

    #[cfg(not(mparticle_shuttle))]
    #[test]
    fn a_dropped_attempt_logs_that_it_was_cancelled_and_not_that_it_completed() {
        let log = CapturedLog::start_at(tracing::Level::DEBUG);
        let url = Url::parse("http://localhost/bulkevents").expect("a URL");
        let server = ServerAddress::new(&url);
        let info = AttemptInfo {
            method: &Method::POST,
            url: &url,
            operation: "bulk_upload_events",
            batches: Some(1),
            body_bytes: Some(2),
            resend_count: 0,
        };
        drop(AttemptSpan::start(&server, &info));
        AttemptSpan::start(&server, &info).end(&Ok(Accepted::new(StatusCode::ACCEPTED, None)));
        let events = log.take().into_iter().map(|line| line.split(" duration_ms").next().map(str::to_owned));
        let [cancelled, completed] =
            ["cancelled", "completed"].map(|end| format!("DEBUG mparticle::client: request {end}"));
        assert_eq!(events.collect::<Vec<_>>(), [Some(cancelled), Some(completed)]);
    }

    #[test]
    fn the_url_is_shown_without_its_query() {
        for shown in
            ["https://a.example/v2/events?user=1", "https://a.example/v2/events#1", "https://a.example/v2/events"]
        {
            assert_eq!(without_query(&Url::parse(shown).expect("a URL")), "https://a.example/v2/events");
        }
    }
}
