//! A transport in memory, for tests under virtual time. It responds as configured, and records the requests.

#![cfg_attr(mparticle_shuttle, allow(dead_code, reason = "most of it is used by the tests under virtual time"))]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::{Accepted, ResponseBody, Transport};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorResponse};
use crate::generated::types::ApiError;
use crate::seal::SealedBatch;

type AttemptResult = Result<Accepted, Error>;

pub(crate) struct MemoryTransport {
    #[expect(clippy::type_complexity, reason = "a delay and a response for each request")]
    response: Box<dyn Fn(&MemoryRequest) -> (Duration, AttemptResult) + Send + Sync>,
    requests: Mutex<Vec<MemoryRequest>>,
}

/// A request that the transport received.
#[derive(Clone, Debug)]
pub(crate) struct MemoryRequest {
    /// Counted from 0.
    pub(crate) number: usize,
    pub(crate) at: Instant,
    pub(crate) ids: Vec<String>,
    pub(crate) batches: Vec<SealedBatch>,
    pub(crate) resend_count: u32,
    pub(crate) accepted: bool,
}

impl MemoryTransport {
    /// Creates a transport that responds immediately.
    pub(crate) fn responding(response: impl Fn(&MemoryRequest) -> AttemptResult + Send + Sync + 'static) -> Self {
        Self::delayed(move |request| (Duration::ZERO, response(request)))
    }

    /// Creates a transport that responds after a delay.
    pub(crate) fn delayed(
        response: impl Fn(&MemoryRequest) -> (Duration, AttemptResult) + Send + Sync + 'static,
    ) -> Self {
        Self { response: Box::new(response), requests: Mutex::default() }
    }

    pub(crate) fn requests(&self) -> Vec<MemoryRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the ids of the accepted batches in order, with repetitions.
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.requests().into_iter().filter(|request| request.accepted).flat_map(|request| request.ids).collect()
    }
}

impl Transport for std::sync::Arc<MemoryTransport> {
    async fn attempt(&self, endpoint: Endpoint, batches: &[&SealedBatch], resend_count: u32) -> AttemptResult {
        (&**self).attempt(endpoint, batches, resend_count).await
    }
}

impl Transport for &MemoryTransport {
    async fn attempt(&self, _: Endpoint, batches: &[&SealedBatch], resend_count: u32) -> AttemptResult {
        let ids = batches.iter().map(|batch| batch.source_request_id().to_owned()).collect();
        let (time, response) = {
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = batches.iter().map(|batch| (*batch).clone()).collect();
            let number = requests.len();
            let mut request =
                MemoryRequest { number, at: Instant::now(), ids, batches: sent, resend_count, accepted: false };
            let (time, response) = (self.response)(&request);
            // A test itself decides which batches are accepted by a response that lists errors.
            request.accepted = response.as_ref().is_ok_and(|accepted| accepted.errors.is_empty());
            requests.push(request);
            (time, response)
        };
        if !time.is_zero() {
            sleep(time).await;
        }
        response
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the same type as the other responses")]
pub(crate) fn accepted() -> AttemptResult {
    Ok(Accepted::new(StatusCode::ACCEPTED, None))
}

#[expect(clippy::unnecessary_wraps, reason = "the same type as the other responses")]
pub(crate) fn accepted_using(percent: f64) -> AttemptResult {
    Ok(Accepted::new(StatusCode::ACCEPTED, Some(percent)))
}

/// Returns a 202 whose body lists errors with these messages.
#[expect(clippy::unnecessary_wraps, reason = "the same type as the other responses")]
pub(crate) fn accepted_with_errors(messages: impl IntoIterator<Item = String>) -> AttemptResult {
    let errors = messages.into_iter().map(|message| ApiError::with_required("BAD_REQUEST", message)).collect();
    Ok(Accepted::new(StatusCode::ACCEPTED, None).with_body(errors, ResponseBody::Read))
}

/// Returns a 202 whose body was not read.
#[expect(clippy::unnecessary_wraps, reason = "the same type as the other responses")]
pub(crate) fn accepted_unread(body: ResponseBody) -> AttemptResult {
    Ok(Accepted::new(StatusCode::ACCEPTED, None).with_body(Vec::new(), body))
}

pub(crate) fn refused(status: u16) -> AttemptResult {
    refusal(status, None)
}

pub(crate) fn refused_for(status: u16, wait: Duration) -> AttemptResult {
    refusal(status, Some(wait))
}

fn refusal(status: u16, retry_after: Option<Duration>) -> AttemptResult {
    let errors = vec![ApiError::with_required("SAID", format!("no to {status}"))];
    let status = StatusCode::from_u16(status).expect("a status");
    Err(Error::refused(ErrorResponse { status, retry_after, rate_limit: None, errors }))
}

/// Creates `count` batches with the ids `0`, `1`, ..., which belong to `users` users in turn.
pub(crate) fn batches(count: usize, users: usize) -> Vec<SealedBatch> {
    let json = |place| format!(r#"{{"source_request_id":"{place}","mpid":{}}}"#, place % users);
    (0..count).map(|place| SealedBatch::from_json(json(place)).expect("a batch")).collect()
}
