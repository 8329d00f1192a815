//! Accounting of submissions: each has exactly one state, and all numbers are of one moment.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use serde::Serialize;

use super::delivery_error::DeliveryError;
use super::entry::{Amount, Entry, Stage, SubmissionState, SubmissionToken};
use super::report::DeliveryStatus;
use super::room::free_map_room;
use crate::completion::Completer;

/// The numbers of submissions by their state, all of one moment. A submission is one batch that was sent, or one event that
/// was tracked.
///
/// Always `accepted + recovered == delivered + rejected + dropped + spooled + pending`.
///
/// ```
/// # let server = mparticle::mock::MockServer::builder().credentials("key", "secret").start_blocking();
/// # let client = mparticle::Client::builder(mparticle::Credentials::new("key", "secret")).base_url(server.url()).build()?;
/// # let uploader = mparticle::Uploader::builder(client).start()?;
/// let stats = uploader.shutdown(std::time::Duration::from_secs(10)).wait();
/// if !stats.is_drained() || stats.lost() > 0 {
///     eprintln!("not everything was delivered: {stats}");
/// }
/// # assert_eq!(serde_json::to_value(stats).unwrap()["delivered"], 0);
/// # Ok::<(), mparticle::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UploaderStats {
    /// The number of submissions that the uploader has accepted since it was started.
    pub accepted: u64,
    /// The number of batches that were in the spool when the uploader was started, however many events each has.
    pub recovered: u64,
    /// Submissions that the service accepted.
    pub delivered: u64,
    /// Submissions that were rejected: the service will never accept them unchanged.
    pub rejected: u64,
    /// Submissions that were dropped: because the queue or the spool was full and the policy is to drop, because they
    /// expired in the spool or were not a batch (they are dead letters then), or because their record vanished from the
    /// disk, which is logged.
    pub dropped: u64,
    /// Submissions on the disk that are not delivered yet. The next uploader on the same spool sends them.
    pub spooled: u64,
    /// Submissions in memory only that are not delivered yet, including those in flight.
    pub pending: u64,
    /// Discarded by [`before_send`](super::UploaderBuilder::before_send) before they were accepted. They count nowhere else.
    pub filtered: u64,
    /// Requests (not submissions) that count as accepted by their status alone: the response body was cut off, also when the
    /// request was repeated, or longer than 64 KiB, before it was known whether it lists errors. 0 as a rule.
    pub unread_responses: u64,
}

impl UploaderStats {
    /// Returns whether nothing is left to deliver, in memory or in the spool.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.spooled == 0 && self.pending == 0
    }

    /// Returns the number of submissions that will never be delivered: the rejected and the dropped ones.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rejected + self.dropped
    }

    /// Returns whether every submission is counted in exactly one state.
    #[cfg(test)]
    pub(super) fn adds_up(&self) -> bool {
        self.accepted + self.recovered == self.delivered + self.lost() + self.spooled + self.pending
    }

    fn count_mut(&mut self, state: SubmissionState) -> &mut u64 {
        match state {
            SubmissionState::Memory => &mut self.pending,
            SubmissionState::Spool => &mut self.spooled,
            SubmissionState::Delivered => &mut self.delivered,
            SubmissionState::Dropped => &mut self.dropped,
            SubmissionState::Rejected => &mut self.rejected,
        }
    }
}

/// Writes the numbers as one line, for a log.
impl fmt::Display for UploaderStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, recovered, delivered, rejected, dropped, spooled, pending, filtered, unread_responses } =
            self;
        write!(f, "{accepted} accepted, {recovered} recovered, {delivered} delivered, {rejected} rejected, ")?;
        write!(f, "{dropped} dropped, {spooled} spooled, {pending} pending, {filtered} filtered, ")?;
        write!(f, "{unread_responses} responses unread")
    }
}

/// A submission that is split, tagged or awaited.
struct TrackedSubmission {
    /// The number of its parts by their states.
    parts: [u32; 5],
    tag: Option<u64>,
    delivered: Option<Completer<Result<(), DeliveryError>>>,
    /// The reason why a part of it was not delivered. A rejection takes precedence over a drop.
    failure: Option<DeliveryError>,
}

impl TrackedSubmission {
    fn state(&self) -> SubmissionState {
        let first = SubmissionState::ALL.into_iter().find(|state| self.parts[*state as usize] > 0);
        first.unwrap_or(SubmissionState::Delivered)
    }

    fn result(self) -> Option<DeliveryCompletion> {
        let undelivered = match self.state() {
            SubmissionState::Memory => Some(DeliveryError::Pending),
            SubmissionState::Spool => Some(DeliveryError::Spooled),
            SubmissionState::Rejected | SubmissionState::Dropped | SubmissionState::Delivered => None,
        };
        let result = self.failure.or(undelivered).map_or(Ok(()), Err);
        self.delivered.map(|delivered| (delivered, result))
    }
}

/// A result and the completer that awaits it.
pub(super) type DeliveryCompletion = (Completer<Result<(), DeliveryError>>, Result<(), DeliveryError>);

#[derive(Default)]
pub(super) struct Accounting {
    stats: UploaderStats,
    /// The numbers of open submissions by epoch, beginning with the oldest epoch that has any.
    open: VecDeque<u64>,
    oldest_epoch: u32,
    tracked: HashMap<u64, TrackedSubmission>,
    last_id: u64,
    /// The batches in memory, by stage: writing, deferred, queued, blocked, in flight.
    amounts: [Amount; 5],
    /// The batches that are in memory only, except those that the journal is writing.
    held: Amount,
    /// The results to publish once no lock is held.
    pub(super) results: Vec<DeliveryCompletion>,
}

impl Accounting {
    pub(super) fn stats(&self) -> UploaderStats {
        self.stats
    }

    pub(super) fn amount(&self, stage: Stage) -> Amount {
        stage.slot().map_or(Amount::default(), |slot| self.amounts[slot])
    }

    /// Returns the amount of batches that are in memory only, except those that the journal is writing.
    pub(super) fn held(&self) -> Amount {
        self.held
    }

    /// Moves an entry to another stage, with its bytes and its counts. This is the only place that does. The entry's
    /// `record` must be up to date: it decides whether the entry counts as spooled.
    pub(super) fn set_stage(&mut self, entry: &mut Entry, stage: Stage) {
        let amount = entry.amount();
        if let Some(slot) = entry.stage.slot() {
            self.amounts[slot] -= amount;
        }
        if entry.is_held() {
            self.held -= amount;
        }
        let counted_as = match stage {
            Stage::Ended(end) => end,
            _ if entry.record.is_some() => SubmissionState::Spool,
            _ => SubmissionState::Memory,
        };
        if counted_as != entry.state {
            self.count(entry.token, entry.state, counted_as);
        }
        (entry.stage, entry.state) = (stage, counted_as);
        if let Some(slot) = stage.slot() {
            self.amounts[slot] += amount;
        }
        if entry.is_held() {
            self.held += amount;
        }
    }

    /// Counts a submission that `before_send` discarded.
    pub(super) fn add_filtered(&mut self) {
        self.stats.filtered += 1;
    }

    /// Counts requests whose response bodies could not be read.
    pub(super) fn add_unread_responses(&mut self, responses: u32) {
        self.stats.unread_responses += u64::from(responses);
    }

    /// Counts a new submission of this many parts, which are in memory, and returns their token.
    pub(super) fn accept(
        &mut self,
        parts: usize,
        tag: Option<u64>,
        delivered: Option<Completer<Result<(), DeliveryError>>>,
    ) -> SubmissionToken {
        self.stats.accepted += 1;
        self.stats.pending += 1;
        let epoch = self.epoch();
        *self.open_count_mut(epoch) += 1;
        let mut token = SubmissionToken { submissions: 1, epoch, id: 0 };
        if parts > 1 || tag.is_some() || delivered.is_some() {
            self.last_id += 1;
            token.id = self.last_id;
            let parts = [u32::try_from(parts).unwrap_or(u32::MAX), 0, 0, 0, 0];
            self.tracked.insert(token.id, TrackedSubmission { parts, tag, delivered, failure: None });
        }
        token
    }

    /// Counts a submission that joins those of a token. The token must be in memory and of the current epoch.
    pub(super) fn join(&mut self, token: &mut SubmissionToken) {
        self.stats.accepted += 1;
        self.stats.pending += 1;
        token.submissions += 1;
        *self.open_count_mut(token.epoch) += 1;
    }

    /// Counts records that were found in the spool. Their token is [`RECOVERED`](SubmissionToken::RECOVERED).
    pub(super) fn record_recovered(&mut self, records: u64) {
        self.stats.recovered += records;
        self.stats.spooled += records;
        *self.open_count_mut(self.oldest_epoch) += records;
    }

    /// Returns the tag of an open submission.
    pub(super) fn tag(&self, token: SubmissionToken) -> Option<u64> {
        if token.id == 0 { None } else { self.tracked.get(&token.id)?.tag }
    }

    /// Stops tracking a submission that is neither split, tagged nor awaited any more, and returns the token that it has
    /// from now on.
    pub(super) fn forget_unawaited(&mut self, token: SubmissionToken) -> SubmissionToken {
        let token = SubmissionToken { epoch: token.epoch.max(self.oldest_epoch), ..token };
        let is_unawaited = |tracked: &TrackedSubmission| {
            let is_awaited = tracked.delivered.as_ref().is_some_and(|delivered| !delivered.is_abandoned());
            tracked.tag.is_none() && !is_awaited && tracked.parts.iter().sum::<u32>() == 1
        };
        if token.id != 0 && self.tracked.get(&token.id).is_some_and(is_unawaited) {
            self.tracked.remove(&token.id);
            free_map_room(&mut self.tracked);
            return SubmissionToken { id: 0, ..token };
        }
        token
    }

    /// Records why a part that ends now is not delivered, and returns the tag of its submission.
    pub(super) fn record_end(&mut self, token: SubmissionToken, status: &DeliveryStatus) -> Option<u64> {
        let tracked = if token.id == 0 { None } else { self.tracked.get_mut(&token.id) }?;
        match status {
            DeliveryStatus::Rejected(error) if !matches!(tracked.failure, Some(DeliveryError::Rejected(_))) => {
                tracked.failure = Some(DeliveryError::Rejected(error.clone()));
            }
            DeliveryStatus::Dropped(error) if tracked.failure.is_none() => {
                tracked.failure = Some(DeliveryError::Dropped(error.clone()));
            }
            _ => {}
        }
        tracked.tag
    }

    /// Counts a part of the token's submissions in another state.
    pub(super) fn count(&mut self, token: SubmissionToken, from: SubmissionState, to: SubmissionState) {
        let (mut from, mut to) = (from, to);
        if token.id != 0
            && let Some(tracked) = self.tracked.get_mut(&token.id)
        {
            let before = tracked.state();
            tracked.parts[from as usize] -= 1;
            tracked.parts[to as usize] += 1;
            (from, to) = (before, tracked.state());
            if !to.is_open() {
                let ended = self.tracked.remove(&token.id);
                free_map_room(&mut self.tracked);
                self.results.extend(ended.and_then(TrackedSubmission::result));
            }
        }
        let submissions = u64::from(token.submissions);
        *self.stats.count_mut(from) -= submissions;
        *self.stats.count_mut(to) += submissions;
        if from.is_open() && !to.is_open() {
            *self.open_count_mut(token.epoch) -= submissions;
            self.forget_ended();
        }
    }

    /// Completes all open submissions at the end of the shutdown.
    pub(super) fn close(&mut self) {
        let tracked = self.tracked.drain().filter_map(|(_, tracked)| tracked.result());
        self.results.extend(tracked);
    }

    /// Ends the epoch and returns it. Later submissions belong to the next one.
    pub(super) fn end_epoch(&mut self) -> u32 {
        let ended = self.epoch();
        self.open.push_back(0);
        self.forget_ended();
        ended
    }

    /// Removes the oldest epochs as long as they have no open submissions.
    fn forget_ended(&mut self) {
        while self.open.len() > 1 && self.open[0] == 0 {
            self.open.pop_front();
            self.oldest_epoch += 1;
        }
    }

    /// Returns whether this epoch and the earlier ones have no open submissions.
    pub(super) fn is_over(&self, epoch: u32) -> bool {
        let epochs = epoch.checked_sub(self.oldest_epoch).map_or(0, |ahead| ahead as usize + 1);
        self.open.iter().take(epochs).all(|open| *open == 0)
    }

    /// Merges all epochs, once no flush waits for an earlier one, so that their number does not grow with the number of
    /// flushes.
    pub(super) fn join_epochs(&mut self) {
        let (newest, open) = (self.epoch(), self.open.drain(..).sum());
        (self.oldest_epoch, self.open) = (newest, VecDeque::from([open]));
    }

    fn epoch(&mut self) -> u32 {
        if self.open.is_empty() {
            self.open.push_back(0);
        }
        self.oldest_epoch + u32::try_from(self.open.len() - 1).unwrap_or(u32::MAX)
    }

    fn open_count_mut(&mut self, epoch: u32) -> &mut u64 {
        self.epoch();
        // A recovered record belongs to whichever epoch is the oldest one.
        let index = epoch.saturating_sub(self.oldest_epoch) as usize;
        &mut self.open[index]
    }
}

#[cfg(all(test, not(mparticle_shuttle)))]
mod tests;
