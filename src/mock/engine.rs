//! The mock without its sockets: who gets in, which fault is next, what is answered, what is remembered.

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

use super::body::Body;
use super::fault::Fault;
use super::partial::Refusals;
use super::plan::FaultPlan;
use super::quota::Quota;
use super::received::{ReceivedRequest, into_batches};
use super::reply::{self, Answer, Auth, Target, Understood};
use super::store::Store;
use crate::contract::Operations;
use crate::diagnostics::{Diagnostic, Severity, rules};
use crate::endpoint::Endpoint;

/// The most live pages that listen at a time.
const MAX_LISTENERS: usize = 32;

/// The settings of a running mock.
pub(super) struct Settings {
    /// Pairs of key and secret.
    pub(super) credentials: Vec<(String, String)>,
    pub(super) lenient: bool,
    pub(super) partial_responses: bool,
    pub(super) rate: Option<u32>,
    /// The operations of the document, besides those that take batches.
    pub(super) operations: Arc<Operations>,
    pub(super) clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

pub(super) struct Engine {
    pub(super) settings: Settings,
    /// Told apart from the mock that listened here before.
    pub(super) session: Uuid,
    /// A permit for each live page that may listen.
    pub(super) listeners: Arc<Semaphore>,
    started: Instant,
    state: Mutex<State>,
}

/// All that changes, under one lock.
pub(super) struct State {
    pub(super) store: Store,
    pub(super) faults: FaultPlan,
    random: fastrand::Rng,
    quota: Option<Quota>,
}

impl Engine {
    pub(super) fn new(settings: Settings, store: Store, faults: FaultPlan, seed: u64, quota: Option<Quota>) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            settings,
            session: Uuid::new_v4(),
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
            started: Instant::now(),
            state: Mutex::new(State { store, faults, random, quota }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault of the next request to an endpoint.
    pub(super) fn next_fault(&self) -> Option<Fault> {
        let mut state = self.state();
        let random = state.random.f64();
        state.faults.next(random)
    }

    /// How much of the rate limit is in use, in percent. `None` without a limit.
    pub(super) fn rate_limit_used_percent(&self) -> Option<f64> {
        let now = self.started.elapsed();
        self.state().quota.as_mut().map(|quota| quota.used(now))
    }

    /// Answers as the service would, and remembers the request.
    pub(super) fn answer(&self, head: &Parts, body: &Body, fault: Option<&Fault>) -> Answer {
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let auth = self.auth(&head.headers);
        let bytes = match body {
            Body::Whole(bytes) => Some(&bytes[..]),
            Body::TooLarge => None,
            Body::Unread => Some(&b""[..]),
        };
        let request = reply::Request {
            method: head.method.as_str(),
            path: head.uri.path(),
            auth,
            content_type: text(CONTENT_TYPE),
            content_encoding: text(CONTENT_ENCODING),
            body: bytes,
        };
        let mut received = self.received(head, body, fault);
        let (answer, batches) = match reply::read(&self.settings.operations, request) {
            Ok(Understood::Batches(endpoint, body)) => {
                self.judge(endpoint, body, bytes.unwrap_or_default(), fault, &mut received)
            }
            Ok(Understood::Other(operation, violations)) => {
                received.violations = violations;
                let errors = self.refused(&received.violations);
                received.accepted = errors.is_empty();
                let accepted = || Answer { body: operation.example.clone(), ..Answer::bare(operation.status) };
                (if received.accepted { accepted() } else { Answer::bad_request(errors) }, Vec::new())
            }
            Err(answer) => (answer, Vec::new()),
        };
        received.status = Some(answer.status);
        let key = if let Auth::Right(key) = auth { key } else { "" };
        self.state().store.add(received, key, &batches);
        answer
    }

    /// Remembers a request that a fault answered, or kept from being answered.
    pub(super) fn remember(&self, head: &Parts, body: &Body, fault: &Fault, status: Option<u16>) {
        let received = ReceivedRequest { status, ..self.received(head, body, Some(fault)) };
        self.state().store.add(received, "", &[]);
    }

    fn judge(
        &self,
        endpoint: Endpoint,
        body: Value,
        bytes: &[u8],
        fault: Option<&Fault>,
        received: &mut ReceivedRequest,
    ) -> (Answer, Vec<Value>) {
        let count = body.as_array().map_or(1, Vec::len);
        let used = match self.state().quota.as_mut().map(|quota| quota.take(count, self.started.elapsed())) {
            None => 0.0,
            Some(Ok(used)) => used,
            Some(Err(exceeded)) => {
                let answer = Answer::bare(429).header("x-mp-rate-limit-exceeded", exceeded.limit);
                let answer = match exceeded.retry_after {
                    Some(wait) => answer.header("retry-after", wait.as_secs().to_string()),
                    None => answer,
                };
                return (answer, Vec::new());
            }
        };
        received.violations = reply::check(endpoint, &body, bytes, received.time);
        let errors = self.refused(&received.violations);
        let mut refusals = Refusals::of_fault(fault, endpoint, bytes);
        let is_named_by_fault = !refusals.is_empty();
        if !errors.is_empty() {
            let is_partial = is_named_by_fault || (self.settings.partial_responses && endpoint != Endpoint::Events);
            let violations = &received.violations;
            let is_located = is_partial
                && refusals.add_violations(endpoint, &body, bytes, violations, |v| self.is_refused(v)).is_some();
            if !is_located || (!is_named_by_fault && refusals.indices().len() == count) {
                return (Answer::bad_request(errors), into_batches(body));
            }
        }
        received.accepted = true;
        received.refused = refusals.indices();
        let batches = into_batches(body);
        if endpoint == Endpoint::HistoricalEvents {
            let is_ignored = |index: &usize, batch| {
                !received.refused.contains(index) && !rules::historical(batch, received.time).is_empty()
            };
            let ignored = batches.iter().enumerate().filter(|(index, batch)| is_ignored(index, batch));
            received.ignored = ignored.map(|(index, _)| index).collect();
        }
        let answer =
            if refusals.is_empty() { Answer::bare(202) } else { Answer::with_errors(202, refusals.into_messages()) };
        // The service tells whole percents.
        (answer.header("x-mp-rate-limit-percentage-used", format!("{used:.0}")), batches)
    }

    fn is_refused(&self, violation: &Diagnostic) -> bool {
        violation.severity == Severity::Error && (!self.settings.lenient || reply::is_refused_by_the_service(violation))
    }

    /// Returns the errors for which a request is refused, in words.
    fn refused(&self, violations: &[Diagnostic]) -> Vec<String> {
        violations.iter().filter(|violation| self.is_refused(violation)).map(ToString::to_string).collect()
    }

    /// Returns whether there is an operation at the path of a request.
    pub(super) fn is_known(&self, head: &Parts) -> bool {
        let found = reply::find(&self.settings.operations, head.method.as_str(), head.uri.path());
        found.map_or_else(|methods| !methods.is_empty(), |_| true)
    }

    fn received(&self, head: &Parts, body: &Body, fault: Option<&Fault>) -> ReceivedRequest {
        ReceivedRequest {
            number: 0,
            time: (self.settings.clock)(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            headers: shown(&head.headers),
            body: if let Body::Whole(bytes) = body { bytes.clone() } else { Bytes::new() },
            status: None,
            accepted: false,
            fault: fault.map(ToString::to_string),
            violations: Vec::new(),
            duplicates: Vec::new(),
            ignored: Vec::new(),
            refused: Vec::new(),
            has_batches: !matches!(
                reply::find(&self.settings.operations, head.method.as_str(), head.uri.path()),
                Ok(Target::Operation(_))
            ),
        }
    }

    fn auth(&self, headers: &HeaderMap) -> Auth<'_> {
        let encoded = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let Some(pair) = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok()) else {
            return Auth::Missing;
        };
        let Some(colon) = pair.iter().position(|byte| *byte == b':') else {
            return Auth::Missing;
        };
        let (key, secret) = (&pair[..colon], &pair[colon + 1..]);
        let known = self.settings.credentials.iter().find(|(k, s)| k.as_bytes() == key && s.as_bytes() == secret);
        known.map_or(Auth::Wrong, |(key, _)| Auth::Right(key))
    }
}

/// The headers that may be shown: all but the credentials.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| *name != AUTHORIZATION)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
