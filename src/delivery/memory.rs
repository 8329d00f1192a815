//! A transport in memory, for tests under virtual time: it responds as configured, and records the requests.

#![cfg_attr(mparticle_shuttle, allow(dead_code, reason = "most of it is for the tests under virtual time"))]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::{Accepted, ResponseBody, Transport};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorResponse};
use crate::generated::types::ApiError;
use crate::seal::SealedBatch;

type Answer = Result<Accepted, Error>;

pub(crate) struct Memory {
    #[expect(clippy::type_complexity, reason = "a time and an answer to each request")]
    answer: Box<dyn Fn(&Request) -> (Duration, Answer) + Send + Sync>,
    requests: Mutex<Vec<Request>>,
}

/// What came, and when.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Counted from 0.
    pub(crate) number: usize,
    pub(crate) at: Instant,
    pub(crate) ids: Vec<String>,
    pub(crate) batches: Vec<SealedBatch>,
    pub(crate) accepted: bool,
}

impl Memory {
    /// Answers at once.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::taking(move |request| (Duration::ZERO, answer(request)))
    }

    /// Answers after a time.
    pub(crate) fn taking(answer: impl Fn(&Request) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), requests: Mutex::default() }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ids of the batches that were accepted, in order; of one that was accepted twice, twice.
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.requests().into_iter().filter(|request| request.accepted).flat_map(|request| request.ids).collect()
    }
}

impl Transport for std::sync::Arc<Memory> {
    async fn attempt(&self, endpoint: Endpoint, batches: &[&SealedBatch]) -> Answer {
        (&**self).attempt(endpoint, batches).await
    }
}

impl Transport for &Memory {
    async fn attempt(&self, _: Endpoint, batches: &[&SealedBatch]) -> Answer {
        let ids = batches.iter().map(|batch| batch.source_request_id().to_owned()).collect();
        let (time, answer) = {
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = batches.iter().map(|batch| (*batch).clone()).collect();
            let number = requests.len();
            let mut request = Request { number, at: Instant::now(), ids, batches: sent, accepted: false };
            let (time, answer) = (self.answer)(&request);
            // Of a request that is answered with errors, nothing is taken for accepted here: a test knows better.
            request.accepted = answer.as_ref().is_ok_and(|accepted| accepted.errors.is_empty());
            requests.push(request);
            (time, answer)
        };
        if !time.is_zero() {
            sleep(time).await;
        }
        answer
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an answer as the others")]
pub(crate) fn accepted() -> Answer {
    Ok(Accepted::new(StatusCode::ACCEPTED, None))
}

#[expect(clippy::unnecessary_wraps, reason = "an answer as the others")]
pub(crate) fn accepted_using(percent: f64) -> Answer {
    Ok(Accepted::new(StatusCode::ACCEPTED, Some(percent)))
}

/// A 202 with these messages in its body.
#[expect(clippy::unnecessary_wraps, reason = "an answer as the others")]
pub(crate) fn accepted_but(messages: impl IntoIterator<Item = String>) -> Answer {
    let errors = messages.into_iter().map(|message| ApiError::with_required("BAD_REQUEST", message)).collect();
    Ok(Accepted::new(StatusCode::ACCEPTED, None).with_body(errors, ResponseBody::Read))
}

/// A 202 whose body is not known.
#[expect(clippy::unnecessary_wraps, reason = "an answer as the others")]
pub(crate) fn accepted_unread(body: ResponseBody) -> Answer {
    Ok(Accepted::new(StatusCode::ACCEPTED, None).with_body(Vec::new(), body))
}

pub(crate) fn refused(status: u16) -> Answer {
    refusal(status, None)
}

pub(crate) fn refused_for(status: u16, wait: Duration) -> Answer {
    refusal(status, Some(wait))
}

fn refusal(status: u16, retry_after: Option<Duration>) -> Answer {
    let errors = vec![ApiError::with_required("SAID", format!("no to {status}"))];
    let status = StatusCode::from_u16(status).expect("a status");
    Err(Error::refused(ErrorResponse { status, retry_after, rate_limit: None, errors }))
}

/// So many batches with the ids `0`, `1`, ..., each of one of these many users in turn.
pub(crate) fn batches(count: usize, users: usize) -> Vec<SealedBatch> {
    let json = |place| format!(r#"{{"source_request_id":"{place}","mpid":{}}}"#, place % users);
    (0..count).map(|place| SealedBatch::from_json(json(place)).expect("a batch")).collect()
}
