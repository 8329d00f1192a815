//! The way of sealed batches to the service: packed, sent, sent again, halved when they are refused, until each has its
//! one fate.
//!
//! Independent of HTTP: it knows a [`Road`] of single attempts, tokio's clock and a source of random numbers. What follows
//! after an attempt is decided by [`retry`], a pure function.

mod budget;
mod gate;
#[cfg(test)]
pub(crate) mod memory;
mod policy;
mod report;
mod retry;
mod road;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use budget::Budget;
use gate::Gate;
pub(crate) use gate::later;
pub use policy::RetryPolicy;
pub use report::{Rejected, Report};
use retry::{Decision, decide};
pub use road::Accepted;
pub(crate) use road::{Endpoint, Road};

use crate::error::Error;
use crate::limits::MAX_BATCH_BYTES;
use crate::pack::pack;
use crate::seal::SealedBatch;

/// After this many refusals in a row a refused request is not halved any more: then everything is refused, and each
/// batch would cost two requests to hear it.
const MOST_REFUSALS: u32 = 16;

/// Numbers from 0 to 1, for the waits.
pub(crate) type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Delivers batches over a road. Clones share the gate and the budget: those are of the credential.
#[derive(Clone)]
pub(crate) struct Courier<R> {
    pub(crate) road: R,
    policy: RetryPolicy,
    random: Random,
    gate: Arc<Gate>,
    budget: Arc<Budget>,
}

/// What becomes of a batch.
#[derive(Debug)]
pub(crate) enum Fate {
    Delivered,
    /// It will never be accepted. The error tells why, and has the batch.
    Rejected(Error),
}

/// What became of all of them.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// As many as there were batches, in their order. Without a fate is what was not sent, or not accepted so far.
    pub(crate) fates: Vec<Option<Fate>>,
    /// Why some have no fate.
    pub(crate) stopped: Option<Error>,
    pub(crate) requests: u32,
    pub(crate) accepted: Option<Accepted>,
}

/// What the last attempt of a request gives.
enum Verdict {
    Delivered(Accepted),
    /// Its content is refused: to be bisected, split or rejected.
    Refused(Decision, Error),
    Unsent(Error),
}

/// Batches of a body that go together, and how often they were sent.
struct Group {
    places: Range<usize>,
    attempts: u32,
}

impl<R: Road> Courier<R> {
    pub(crate) fn new(road: R, policy: RetryPolicy, random: Random) -> Self {
        let budget = Arc::new(Budget::of(policy.budget));
        Self { road, policy, random, gate: Arc::default(), budget }
    }

    /// The same, over another road.
    pub(crate) fn over<S>(&self, road: S) -> Courier<S> {
        Courier {
            road,
            policy: self.policy.clone(),
            random: Arc::clone(&self.random),
            gate: Arc::clone(&self.gate),
            budget: Arc::clone(&self.budget),
        }
    }

    /// The same, which never gives up what can succeed later. Somebody else has to see to the extra load.
    pub(crate) fn tireless(self) -> Self {
        let policy = self.policy.max_attempts(u32::MAX).deadline(Duration::MAX).budget(u32::MAX);
        Self { budget: Arc::new(Budget::of(policy.budget)), policy, ..self }
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Sends all of them, one request after the other, so that each user's batches arrive in their order. Stops at the
    /// first request that cannot be sent: the next one would fare no better.
    pub(crate) async fn deliver(&self, endpoint: Endpoint, batches: &[SealedBatch]) -> Outcome {
        let mut outcome = Outcome { fates: batches.iter().map(too_large).collect(), ..Outcome::default() };
        let fitting = batches.iter().enumerate().filter(|(place, _)| outcome.fates[*place].is_none());
        let bodies = match endpoint {
            Endpoint::Events => fitting.map(|(place, _)| vec![place]).collect(),
            Endpoint::BulkEvents | Endpoint::HistoricalEvents => pack(fitting),
        };
        for places in bodies {
            let body: Vec<_> = places.iter().map(|place| &batches[*place]).collect();
            if let Err(error) = self.deliver_body(endpoint, &body, &places, &mut outcome).await {
                outcome.stopped = Some(error);
                break;
            }
        }
        outcome
    }

    /// Sends one body, and its halves if it is refused. Only an error leaves some of its batches without a fate.
    async fn deliver_body(
        &self,
        endpoint: Endpoint,
        body: &[&SealedBatch],
        places: &[usize],
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut refusals = 0;
        // The first half stands on top, so that each user's order holds.
        let mut groups = vec![Group { places: 0..body.len(), attempts: 0 }];
        while let Some(mut group) = groups.pop() {
            let sent = &body[group.places.clone()];
            let verdict = self.settle(endpoint, sent, &mut group.attempts, &mut outcome.requests).await;
            match verdict {
                Verdict::Delivered(accepted) => {
                    refusals = 0;
                    outcome.accepted = Some(accepted);
                    group.places.for_each(|place| outcome.fates[places[place]] = Some(Fate::Delivered));
                }
                Verdict::Refused(decision, error) => {
                    refusals += u32::from(decision != Decision::Split);
                    let halve = decision != Decision::Reject && refusals <= MOST_REFUSALS;
                    if halve {
                        let Range { start, end } = group.places;
                        let middle = start.midpoint(end);
                        let half = |places| Group { places, attempts: group.attempts };
                        groups.extend([half(middle..end), half(start..middle)]);
                    } else {
                        for place in group.places {
                            outcome.fates[places[place]] = Some(rejected(&error, body[place]));
                        }
                    }
                }
                Verdict::Unsent(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends the same until something else than sending it again follows.
    async fn settle(
        &self,
        endpoint: Endpoint,
        batches: &[&SealedBatch],
        attempts: &mut u32,
        requests: &mut u32,
    ) -> Verdict {
        let deadline = later(Instant::now(), self.policy.deadline);
        let mut attempt = 0;
        loop {
            if let Err(pause) = self.gate.pass(deadline).await {
                return Verdict::Unsent(Error::paused(pause).with_attempts(*attempts));
            }
            attempt += 1;
            let result = timeout_at(deadline, self.road.attempt(endpoint, batches)).await;
            let result = result.unwrap_or_else(|_| Err(Error::out_of_time()));
            let tried = result.as_ref().map_or_else(Error::attempts, |_| 1);
            *attempts += tried;
            *requests += tried;
            let decision = decide(attempt, result.as_ref(), batches.len(), &self.policy, || (self.random)());
            let error = match result {
                Ok(accepted) => {
                    self.budget.earn();
                    return Verdict::Delivered(accepted);
                }
                Err(error) => error.with_attempts(*attempts),
            };
            if error.status() == Some(StatusCode::TOO_MANY_REQUESTS) {
                // Whether or not this is sent again, whoever else sends has to wait.
                self.gate.close_for(error.retry_after().unwrap_or_default());
            }
            let wait = match decision {
                Decision::Retry(wait) => wait,
                Decision::WaitForCredential(wait) => {
                    self.gate.close_for(wait);
                    wait
                }
                Decision::Bisect | Decision::Split | Decision::Reject => return Verdict::Refused(decision, error),
                Decision::Delivered | Decision::StopRoad | Decision::GiveUp => return Verdict::Unsent(error),
            };
            let again = later(Instant::now(), wait);
            if again > deadline || !self.budget.take() {
                return Verdict::Unsent(error);
            }
            tracing::debug!(attempt, wait_ms = wait.as_millis(), kind = ?error.kind(), "to be sent again");
            tokio::time::sleep_until(again).await;
        }
    }
}

/// A batch that no request can carry, as only one that came as JSON can be.
fn too_large(batch: &SealedBatch) -> Option<Fate> {
    let size = batch.len();
    (size > MAX_BATCH_BYTES).then(|| {
        let error =
            Error::limit(format!("the batch has {size} bytes, more than the {MAX_BATCH_BYTES} that it may have"));
        rejected(&error, batch)
    })
}

fn rejected(error: &Error, batch: &SealedBatch) -> Fate {
    Fate::Rejected(error.again().with_unsent(vec![batch.clone()]))
}

/// From the system, as ids are: a wait is drawn so seldom that a generator of its own would not pay.
pub(crate) fn random() -> Random {
    const BITS: u64 = 1 << 53;
    #[expect(clippy::cast_precision_loss, reason = "a float has 53 bits")]
    Arc::new(|| (Uuid::new_v4().as_u64_pair().1 % BITS) as f64 / BITS as f64)
}
