//! The mock without its sockets: authentication, faults, responses and the record of requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::body::ReceivedBody;
use super::fault::Fault;
use super::partial::Refusals;
use super::plan::FaultPlan;
use super::protocol::{self, Auth, MockResponse, ParsedRequest, Route};
use super::quota::Quota;
use super::received::{ReceivedRequest, into_batches};
use super::store::Store;
use crate::contract::Operations;
use crate::diagnostics::{Diagnostic, Severity, rules};
use crate::endpoint::Endpoint;

/// The maximum number of live pages that listen at the same time.
const MAX_LISTENERS: usize = 32;

/// The settings of a running mock.
pub(super) struct EngineSettings {
    /// Pairs of key and secret.
    pub(super) credentials: Vec<(String, String)>,
    pub(super) lenient: bool,
    pub(super) deny_warnings: bool,
    pub(super) partial_responses: bool,
    pub(super) rate: Option<u32>,
    /// The operations of the document except those that accept batches.
    pub(super) operations: Arc<Operations>,
    pub(super) clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

pub(super) struct Engine {
    pub(super) settings: EngineSettings,
    /// Distinguishes this mock from an earlier one on the same address.
    pub(super) session: Uuid,
    /// The permits of the live pages.
    pub(super) listeners: Arc<Semaphore>,
    started: Instant,
    state: Mutex<EngineState>,
}

/// The mutable state, under one lock.
pub(super) struct EngineState {
    pub(super) store: Store,
    pub(super) faults: FaultPlan,
    random: fastrand::Rng,
    quota: Option<Quota>,
}

impl Engine {
    pub(super) fn new(
        settings: EngineSettings,
        store: Store,
        faults: FaultPlan,
        seed: u64,
        quota: Option<Quota>,
    ) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            settings,
            session: Uuid::new_v4(),
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
            started: Instant::now(),
            state: Mutex::new(EngineState { store, faults, random, quota }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, EngineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the fault of the next request to an operation.
    pub(super) fn next_fault(&self) -> Option<Fault> {
        let mut state = self.state();
        let random = state.random.f64();
        state.faults.next(random)
    }

    /// Returns the used share of the rate limit in percent, or `None` without a limit.
    pub(super) fn rate_limit_used_percent(&self) -> Option<f64> {
        let now = self.started.elapsed();
        self.state().quota.as_mut().map(|quota| quota.used_percent(now))
    }

    /// Responds as the service would, and records the request.
    pub(super) fn respond(&self, head: &Parts, body: &ReceivedBody, fault: Option<&Fault>) -> MockResponse {
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let auth = self.authenticate(&head.headers);
        let bytes = match body {
            ReceivedBody::Whole(bytes) => Some(&bytes[..]),
            ReceivedBody::TooLarge => None,
            ReceivedBody::Unread => Some(&b""[..]),
        };
        let request = protocol::RawRequest {
            method: head.method.as_str(),
            path: head.uri.path(),
            auth,
            content_type: text(CONTENT_TYPE),
            content_encoding: text(CONTENT_ENCODING),
            body: bytes,
        };
        let mut received = self.build_record(head, body, fault);
        let (response, batches) = match protocol::parse(&self.settings.operations, request) {
            Ok(ParsedRequest::Batches(endpoint, body)) => {
                self.respond_to_batches(endpoint, body, bytes.unwrap_or_default(), fault, &mut received)
            }
            Ok(ParsedRequest::Other(operation, violations)) => {
                received.violations = violations;
                let errors = self.refusal_messages(&received.violations);
                received.accepted = errors.is_empty();
                let accepted =
                    || MockResponse { body: operation.example.clone(), ..MockResponse::bare(operation.status) };
                (if received.accepted { accepted() } else { MockResponse::bad_request(errors) }, Vec::new())
            }
            Err(response) => (response, Vec::new()),
        };
        received.status = Some(response.status);
        let key = if let Auth::Valid(key) = auth { key } else { "" };
        self.state().store.add(received, key, &batches);
        response
    }

    /// Records a request to which a fault responded, or whose response it withheld.
    pub(super) fn record(&self, head: &Parts, body: &ReceivedBody, fault: &Fault, status: Option<u16>) {
        let received = ReceivedRequest { status, ..self.build_record(head, body, Some(fault)) };
        self.state().store.add(received, "", &[]);
    }

    fn respond_to_batches(
        &self,
        endpoint: Endpoint,
        body: Value,
        bytes: &[u8],
        fault: Option<&Fault>,
        received: &mut ReceivedRequest,
    ) -> (MockResponse, Vec<Value>) {
        let count = body.as_array().map_or(1, Vec::len);
        let used = match self.state().quota.as_mut().map(|quota| quota.try_acquire(count, self.started.elapsed())) {
            None => 0.0,
            Some(Ok(used)) => used,
            Some(Err(exceeded)) => {
                let response = MockResponse::bare(429).header("x-mp-rate-limit-exceeded", exceeded.limit);
                let response = match exceeded.retry_after {
                    Some(wait) => response.header("retry-after", wait.as_secs().to_string()),
                    None => response,
                };
                return (response, Vec::new());
            }
        };
        received.violations = protocol::check(endpoint, &body, bytes, received.time);
        let errors = self.refusal_messages(&received.violations);
        let mut refusals = Refusals::from_fault(fault, endpoint, bytes);
        let is_named_by_fault = !refusals.is_empty();
        if !errors.is_empty() {
            let is_partial = is_named_by_fault || (self.settings.partial_responses && endpoint != Endpoint::Events);
            let violations = &received.violations;
            let is_located = is_partial
                && refusals.add_violations(endpoint, &body, bytes, violations, |v| self.is_refused(v)).is_some();
            if !is_located || (!is_named_by_fault && refusals.indices().len() == count) {
                return (MockResponse::bad_request(errors), into_batches(body));
            }
        }
        received.accepted = true;
        received.refused = refusals.indices();
        let batches = into_batches(body);
        if endpoint == Endpoint::HistoricalEvents {
            let is_ignored = |index: &usize, batch| {
                !received.refused.contains(index) && !rules::check_historical(batch, received.time).is_empty()
            };
            let ignored = batches.iter().enumerate().filter(|(index, batch)| is_ignored(index, batch));
            received.ignored = ignored.map(|(index, _)| index).collect();
        }
        let response = if refusals.is_empty() {
            MockResponse::bare(202)
        } else {
            MockResponse::with_errors(202, refusals.into_messages())
        };
        // The service reports whole percents.
        (response.header("x-mp-rate-limit-percentage-used", format!("{used:.0}")), batches)
    }

    fn is_refused(&self, violation: &Diagnostic) -> bool {
        violation.severity == Severity::Error && (!self.settings.lenient || protocol::is_refused_by_service(violation))
    }

    /// Returns the messages of the errors for which a request is refused.
    fn refusal_messages(&self, violations: &[Diagnostic]) -> Vec<String> {
        violations.iter().filter(|violation| self.is_refused(violation)).map(ToString::to_string).collect()
    }

    /// Returns whether there is an operation at the path of a request.
    pub(super) fn has_operation(&self, head: &Parts) -> bool {
        let found = protocol::route(&self.settings.operations, head.method.as_str(), head.uri.path());
        found.map_or_else(|methods| !methods.is_empty(), |_| true)
    }

    fn build_record(&self, head: &Parts, body: &ReceivedBody, fault: Option<&Fault>) -> ReceivedRequest {
        ReceivedRequest {
            number: 0,
            time: (self.settings.clock)(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            headers: visible_headers(&head.headers),
            body: if let ReceivedBody::Whole(bytes) = body { bytes.clone() } else { Bytes::new() },
            status: None,
            accepted: false,
            fault: fault.map(ToString::to_string),
            violations: Vec::new(),
            duplicates: Vec::new(),
            ignored: Vec::new(),
            refused: Vec::new(),
            has_batches: !matches!(
                protocol::route(&self.settings.operations, head.method.as_str(), head.uri.path()),
                Ok(Route::Operation(_))
            ),
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Auth<'_> {
        let encoded = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let Some(pair) = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok()) else {
            return Auth::Missing;
        };
        let Some(colon) = pair.iter().position(|byte| *byte == b':') else {
            return Auth::Missing;
        };
        let (key, secret) = (&pair[..colon], &pair[colon + 1..]);
        let known = self.settings.credentials.iter().find(|(k, s)| k.as_bytes() == key && s.as_bytes() == secret);
        known.map_or(Auth::Invalid, |(key, _)| Auth::Valid(key))
    }
}

/// Returns the headers without the credentials.
fn visible_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| *name != AUTHORIZATION)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
