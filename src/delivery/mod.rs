//! Delivers sealed batches: packs them, sends them, retries, and bisects rejected requests until each batch is delivered or
//! rejected.
//!
//! Independent of HTTP: it knows a [`Transport`] that makes single attempts. After each attempt [`retry`], a pure function,
//! decides whether to send again; the [`rate_limiter`] decides when.

mod body;
mod call_span;
#[cfg(all(test, not(mparticle_shuttle)))]
pub(crate) mod captured_log;
mod incidents;
mod locate;
#[cfg(test)]
pub(crate) mod memory;
mod observer;
mod pack;
mod policy;
mod rate_limiter;
mod report;
mod retry;
#[cfg(test)]
mod tests;
mod transport;

use std::mem;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, timeout_at};

pub(crate) use body::join;
pub(crate) use call_span::{client_span, error_type, in_span, int, record_error, uploader_span};
pub(crate) use incidents::{Loss, LossKind, LossLog, OutageLog};
use locate::assign;
pub use observer::Retry;
pub(crate) use observer::RetryObserver;
use pack::pack;
pub use policy::RetryPolicy;
use rate_limiter::RequestState;
pub(crate) use rate_limiter::{AdaptiveConfig, AdaptiveLimiter, ClientLimiter, RateLimiter, Rates};
pub use report::{Rejected, Report};
use retry::{RetryAction, decide};
pub use transport::Accepted;
pub(crate) use transport::{ResponseBody, Transport};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::generated::types::ApiError;
use crate::limits::MAX_BATCH_BYTES;
use crate::random::Random;
use crate::seal::SealedBatch;
use crate::time::saturating_add;

/// The number of consecutive refusals after which each batch is sent alone, until one is accepted. If nearly all batches are
/// refused, bisecting would take nearly twice as many requests.
const MAX_CONSECUTIVE_REFUSALS: u32 = 16;

/// The number of times that a request is repeated because its response body was interrupted and may list errors. After that
/// its status decides.
const MAX_UNREAD_RESPONSES: u32 = 2;

/// Delivers batches over a transport, as the rate limiter allows.
#[derive(Clone)]
pub(crate) struct Deliverer<T, L> {
    pub(crate) transport: T,
    pub(crate) limiter: L,
    pub(crate) policy: RetryPolicy,
    pub(crate) observer: RetryObserver,
    pub(crate) outages: OutageLog,
}

/// The result of a batch: delivered, or rejected for good.
pub(crate) type BatchResult = Result<(), Error>;

/// The results of the batches of one call.
#[derive(Debug, Default)]
pub(crate) struct CallResult {
    /// The result of each batch, in order. `None` for a batch that was not sent, or not accepted so far.
    pub(crate) results: Vec<Option<BatchResult>>,
    /// The reason why some batches have no result.
    pub(crate) stopped: Option<Error>,
    pub(crate) requests: u32,
    /// The number of accepted requests whose errors, if any, could not be read.
    pub(crate) unread_responses: u32,
    pub(crate) accepted: Option<Accepted>,
}

impl CallResult {
    /// Creates the result of a call that sent no batch, for this reason.
    pub(crate) fn unsent(batches: usize, stopped: Error) -> Self {
        let results = std::iter::repeat_with(|| None).take(batches).collect();
        Self { results, stopped: Some(stopped), ..Self::default() }
    }
}

/// The state of one call, which may take several requests.
struct Call<P> {
    endpoint: Endpoint,
    /// The deadline of all its requests.
    deadline: Instant,
    /// The number of consecutive requests whose batches the service refused.
    consecutive_refusals: u32,
    /// The permit for the first attempt, if the caller has acquired it.
    permit: Option<P>,
}

/// The result of the last attempt of a request.
enum Disposition {
    /// The request is accepted, except for the batches that its errors are about.
    Accepted(Accepted),
    /// Its only batch is refused.
    Rejected(Error),
    /// Some batch in it is refused: it has to be bisected or split.
    Refused(RetryAction),
    Unsent(Error),
}

/// The attempts of a group of batches: their number, and the start of the first one.
#[derive(Clone, Copy, Default)]
struct Attempts {
    count: u32,
    since: Option<Instant>,
}

impl Attempts {
    fn attach_to(self, error: Error) -> Error {
        let elapsed = self.since.filter(|_| self.count > 0).map_or(Duration::ZERO, |since| since.elapsed());
        error.with_attempts(self.count, elapsed)
    }
}

/// Batches of a body that are sent together, by their indexes in the call, and their attempts.
struct BatchGroup {
    places: Vec<usize>,
    attempts: Attempts,
}

impl BatchGroup {
    /// Returns both parts in reverse order, to be pushed on a stack.
    fn split_at(mut self, middle: usize) -> [Self; 2] {
        let second = self.places.split_off(middle);
        [Self { places: second, attempts: self.attempts }, self]
    }

    fn into_halves(self) -> [Self; 2] {
        let middle = self.places.len() / 2;
        self.split_at(middle)
    }
}

impl<T> Deliverer<T, ClientLimiter> {
    pub(crate) fn new(transport: T, policy: RetryPolicy, random: Random) -> Self {
        let limiter = ClientLimiter::new(&policy, random);
        Self { transport, limiter, policy, observer: RetryObserver::default(), outages: OutageLog::default() }
    }

    /// Returns a deliverer that reports each retry to this observer.
    pub(crate) fn with_observer(self, observer: RetryObserver) -> Self {
        Self { observer, ..self }
    }
}

impl<T: Transport, L: RateLimiter> Deliverer<T, L> {
    /// Sends all batches, one request after the other, so that the batches of each user arrive in order. Stops at the first
    /// request that cannot be sent: the next one would fail too.
    pub(crate) async fn deliver(&self, endpoint: Endpoint, batches: &[SealedBatch]) -> CallResult {
        self.deliver_with(endpoint, batches, None).await
    }

    /// Sends all batches as [`deliver`](Self::deliver) does, until `stop` completes with the reason why the remaining batches
    /// were not sent. Aborts an attempt that is in flight then.
    pub(crate) async fn deliver_until(
        &self,
        endpoint: Endpoint,
        batches: &[SealedBatch],
        stop: impl Future<Output = Error>,
    ) -> CallResult {
        let mut outcome = CallResult::default();
        let stopped = tokio::select! {
            biased;
            () = self.deliver_into(endpoint, batches, None, &mut outcome) => None,
            error = stop => Some(error),
        };
        outcome.stopped = stopped.or(outcome.stopped);
        outcome
    }

    /// Sends all batches as [`deliver`](Self::deliver) does, with the permit for the first attempt if the caller has acquired it.
    pub(crate) async fn deliver_with(
        &self,
        endpoint: Endpoint,
        batches: &[SealedBatch],
        permit: Option<L::Permit>,
    ) -> CallResult {
        let mut outcome = CallResult::default();
        self.deliver_into(endpoint, batches, permit, &mut outcome).await;
        outcome
    }

    /// Records each result in `outcome` as soon as it is known, so that it is kept if this future is dropped.
    async fn deliver_into(
        &self,
        endpoint: Endpoint,
        batches: &[SealedBatch],
        permit: Option<L::Permit>,
        outcome: &mut CallResult,
    ) {
        let deadline = saturating_add(Instant::now(), self.policy.call_timeout);
        let mut call = Call { endpoint, deadline, consecutive_refusals: 0, permit };
        outcome.results = batches.iter().map(reject_too_large).collect();
        let fitting = batches.iter().enumerate().filter(|(place, _)| outcome.results[*place].is_none());
        let bodies = match endpoint {
            Endpoint::Events => fitting.map(|(place, _)| vec![place]).collect(),
            Endpoint::BulkEvents | Endpoint::HistoricalEvents => pack(fitting),
        };
        for places in bodies {
            if let Err(error) = self.deliver_body(&mut call, batches, places, outcome).await {
                outcome.stopped = Some(error);
                break;
            }
        }
    }

    /// Sends one body, and its halves if it is refused. A batch is rejected only if it was refused alone or named by an error.
    /// On success every batch has a result.
    async fn deliver_body(
        &self,
        call: &mut Call<L::Permit>,
        batches: &[SealedBatch],
        places: Vec<usize>,
        outcome: &mut CallResult,
    ) -> Result<(), Error> {
        // A stack with the first batches on top, which keeps the order of each user.
        let mut groups = vec![BatchGroup { places, attempts: Attempts::default() }];
        while let Some(mut group) = groups.pop() {
            if call.consecutive_refusals > MAX_CONSECUTIVE_REFUSALS && group.places.len() > 1 {
                groups.extend(group.split_at(1));
                continue;
            }
            let sent: Vec<_> = group.places.iter().map(|place| &batches[*place]).collect();
            match self.send_with_retries(call, &sent, &mut group.attempts, outcome).await {
                Disposition::Accepted(mut accepted) => {
                    let errors = mem::take(&mut accepted.errors);
                    let unnamed = apply_accepted(
                        &mut call.consecutive_refusals,
                        group,
                        &sent,
                        accepted.status(),
                        errors,
                        &mut outcome.results,
                    );
                    outcome.accepted = Some(accepted);
                    match unnamed {
                        Some(unnamed) if unnamed.places.len() > 1 => groups.extend(unnamed.into_halves()),
                        unnamed => groups.extend(unnamed),
                    }
                }
                Disposition::Rejected(error) => {
                    call.consecutive_refusals += 1;
                    group.places.iter().for_each(|place| outcome.results[*place] = Some(Err(error.clone())));
                }
                Disposition::Refused(action) => {
                    call.consecutive_refusals += u32::from(action == RetryAction::Bisect);
                    groups.extend(group.into_halves());
                }
                Disposition::Unsent(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends a request, and retries it until the next action is not a retry.
    async fn send_with_retries(
        &self,
        call: &mut Call<L::Permit>,
        batches: &[&SealedBatch],
        attempts: &mut Attempts,
        outcome: &mut CallResult,
    ) -> Disposition {
        let deadline = saturating_add(Instant::now(), self.policy.request_timeout).min(call.deadline);
        let mut request = RequestState::new(batches.len(), call.permit.take());
        let (mut attempt, mut unread) = (0, 0);
        let mut failed: Option<Error> = None;
        loop {
            let permit = match self.limiter.acquire(&mut request, deadline).await {
                Ok(permit) => permit,
                Err(pause) => {
                    // Reports the failure of this request, and not the rate limit that another one ran into.
                    let error = failed.unwrap_or_else(|| attempts.attach_to(Error::rate_limited()));
                    return Disposition::Unsent(error.with_pause(pause));
                }
            };
            if Instant::now() >= deadline {
                return Disposition::Unsent(failed.unwrap_or_else(|| attempts.attach_to(Error::deadline_exceeded())));
            }
            attempt += 1;
            // Counted here, because a retry that was decided may not be sent before the deadline.
            #[cfg(feature = "metrics")]
            crate::meter::add(&crate::meter::RETRIES, u64::from(attempt > 1));
            let started = Instant::now();
            attempts.since.get_or_insert(started);
            let result = timeout_at(deadline, self.transport.attempt(call.endpoint, batches, attempt - 1)).await;
            let is_cut_off = result.is_err();
            let result = result.unwrap_or_else(|_| {
                // The deadline alone does not explain why the earlier attempts failed.
                let error = Error::deadline_exceeded();
                Err(match &failed {
                    Some(cause) => error.with_source(cause.clone()),
                    None => error,
                })
            });
            self.outages.record(started, &result, is_cut_off);
            let tried = result.as_ref().map_or_else(Error::attempts, |_| 1);
            attempts.count += tried;
            outcome.requests += tried;
            let interrupted = match &result {
                Ok(accepted) if accepted.body == ResponseBody::Interrupted && unread < MAX_UNREAD_RESPONSES => {
                    unread += 1;
                    Some(Error::body_interrupted())
                }
                _ => None,
            };
            let action =
                decide(attempt, interrupted.as_ref().map_or(result.as_ref(), Err), batches.len(), &self.policy);
            // Records the result as it is: an interrupted body does not make the service unavailable.
            let wait = self.limiter.record(permit, &mut request, &result, action == RetryAction::Retry);
            let error = match (interrupted, result) {
                (None, Ok(accepted)) => {
                    if accepted.body != ResponseBody::Read {
                        outcome.unread_responses += 1;
                        tracing::warn!(
                            status = accepted.status().as_u16(),
                            "failed to read the response body: the status decides, and errors in the body are not reported"
                        );
                    }
                    return Disposition::Accepted(accepted);
                }
                (Some(error), _) | (None, Err(error)) => attempts.attach_to(error),
            };
            match action {
                RetryAction::Retry => {}
                RetryAction::Bisect | RetryAction::Split => return Disposition::Refused(action),
                RetryAction::Reject => return Disposition::Rejected(error),
                RetryAction::Accept | RetryAction::Abort | RetryAction::GiveUp => return Disposition::Unsent(error),
            }
            if request.not_before() > deadline || !self.limiter.withdraw_retry() {
                return Disposition::Unsent(error);
            }
            tracing::debug!(attempt, wait_ms = wait.as_millis(), kind = ?error.kind(), "retrying the request");
            self.observer.notify(&Retry::new(&error, attempt, wait));
            failed = Some(error);
        }
    }
}

/// Sets the results of the batches of an accepted request: delivered, or rejected if an error names the batch. If an error
/// names no batch, returns those that it may be about, to be sent again in smaller groups.
fn apply_accepted(
    consecutive_refusals: &mut u32,
    group: BatchGroup,
    sent: &[&SealedBatch],
    status: StatusCode,
    errors: Vec<ApiError>,
    results: &mut [Option<BatchResult>],
) -> Option<BatchGroup> {
    let (mut named, all_located) = assign(errors, sent);
    let mut others = BatchGroup { places: Vec::new(), attempts: group.attempts };
    for (index, place) in group.places.into_iter().enumerate() {
        match named.remove(&index) {
            Some(errors) => {
                let error = group.attempts.attach_to(Error::refused_by_body(status, errors));
                results[place] = Some(Err(error));
            }
            None => others.places.push(place),
        }
    }
    if !all_located {
        *consecutive_refusals += 1;
        return Some(others).filter(|others| !others.places.is_empty());
    }
    if !others.places.is_empty() {
        *consecutive_refusals = 0;
        others.places.iter().for_each(|place| results[*place] = Some(Ok(())));
    }
    None
}

/// Rejects a batch that is too large for any request. Only a batch that was given as JSON can be.
fn reject_too_large(batch: &SealedBatch) -> Option<BatchResult> {
    (batch.len() > MAX_BATCH_BYTES).then(|| Err(Error::batch_too_large(batch.len())))
}
