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

/// After this many refusals in a row a refused request is not halved any more, and each batch goes alone until one is
/// accepted: where nearly all are refused, halves would cost nearly twice as many requests.
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

/// One call.
struct Errand {
    endpoint: Endpoint,
    /// When it ends, however many requests are left.
    until: Instant,
    /// How often in a row the service refused what is in a request.
    refusals: u32,
}

/// What the last attempt of a request gives.
enum Verdict {
    Delivered(Accepted),
    /// The one batch in it is refused.
    Rejected(Error),
    /// Something in it is refused: to be bisected or split.
    Refused(Decision),
    Unsent(Error),
}

/// Batches of a body that go together, and how often they were sent.
struct Group {
    places: Range<usize>,
    attempts: u32,
}

impl Group {
    /// Both parts, what comes first last.
    fn parted_at(self, place: usize) -> [Self; 2] {
        let part = |places| Self { places, attempts: self.attempts };
        [part(place..self.places.end), part(self.places.start..place)]
    }
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
        let policy =
            self.policy.max_attempts(u32::MAX).deadline(Duration::MAX).call_deadline(Duration::MAX).budget(u32::MAX);
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
        let until = later(Instant::now(), self.policy.call_deadline);
        let mut errand = Errand { endpoint, until, refusals: 0 };
        let mut outcome = Outcome { fates: batches.iter().map(too_large).collect(), ..Outcome::default() };
        let fitting = batches.iter().enumerate().filter(|(place, _)| outcome.fates[*place].is_none());
        let bodies = match endpoint {
            Endpoint::Events => fitting.map(|(place, _)| vec![place]).collect(),
            Endpoint::BulkEvents | Endpoint::HistoricalEvents => pack(fitting),
        };
        for places in bodies {
            let body: Vec<_> = places.iter().map(|place| &batches[*place]).collect();
            if let Err(error) = self.deliver_body(&mut errand, &body, &places, &mut outcome).await {
                outcome.stopped = Some(error);
                break;
            }
        }
        outcome
    }

    /// Sends one body, and its halves if it is refused: a batch is rejected only when it was refused alone. Only an error
    /// leaves some without a fate.
    async fn deliver_body(
        &self,
        errand: &mut Errand,
        body: &[&SealedBatch],
        places: &[usize],
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        // What comes first stands on top, so that each user's order holds.
        let mut groups = vec![Group { places: 0..body.len(), attempts: 0 }];
        while let Some(mut group) = groups.pop() {
            if errand.refusals > MOST_REFUSALS && group.places.len() > 1 {
                let first = group.places.start + 1;
                groups.extend(group.parted_at(first));
                continue;
            }
            let sent = &body[group.places.clone()];
            let verdict = self.settle(errand, sent, &mut group.attempts, &mut outcome.requests).await;
            match verdict {
                Verdict::Delivered(accepted) => {
                    errand.refusals = 0;
                    outcome.accepted = Some(accepted);
                    group.places.for_each(|place| outcome.fates[places[place]] = Some(Fate::Delivered));
                }
                Verdict::Rejected(error) => {
                    errand.refusals += 1;
                    group.places.for_each(|place| outcome.fates[places[place]] = Some(rejected(&error, body[place])));
                }
                Verdict::Refused(decision) => {
                    errand.refusals += u32::from(decision == Decision::Bisect);
                    let middle = group.places.start.midpoint(group.places.end);
                    groups.extend(group.parted_at(middle));
                }
                Verdict::Unsent(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends the same until something else than sending it again follows.
    async fn settle(
        &self,
        errand: &Errand,
        batches: &[&SealedBatch],
        attempts: &mut u32,
        requests: &mut u32,
    ) -> Verdict {
        let deadline = later(Instant::now(), self.policy.deadline).min(errand.until);
        let mut attempt = 0;
        let mut failed: Option<Error> = None;
        loop {
            // Who waits together does not go together.
            let spread = || self.policy.base.mul_f64((self.random)());
            if let Err(pause) = self.gate.pass(deadline, spread).await {
                // Of what was tried before, the wait of somebody else tells nothing.
                let error = failed.unwrap_or_else(|| Error::paused().with_attempts(*attempts));
                return Verdict::Unsent(error.with_pause(pause));
            }
            if Instant::now() >= deadline {
                return Verdict::Unsent(failed.unwrap_or_else(|| Error::out_of_time().with_attempts(*attempts)));
            }
            attempt += 1;
            let result = timeout_at(deadline, self.road.attempt(errand.endpoint, batches)).await;
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
                Decision::Bisect | Decision::Split => return Verdict::Refused(decision),
                Decision::Reject => return Verdict::Rejected(error),
                Decision::Delivered | Decision::StopRoad | Decision::GiveUp => return Verdict::Unsent(error),
            };
            let again = later(Instant::now(), wait);
            if again > deadline || !self.budget.take() {
                return Verdict::Unsent(error);
            }
            tracing::debug!(attempt, wait_ms = wait.as_millis(), kind = ?error.kind(), "to be sent again");
            failed = Some(error);
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
