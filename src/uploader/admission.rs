//! The submissions that wait for room, first in, first out.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::submission::Submission;

/// Strict order: nothing overtakes a submission that does not fit yet.
#[derive(Default)]
pub(super) struct Admission {
    waiters: VecDeque<Waiter>,
    /// To be dropped when no lock is held: that wakes those who once awaited them.
    pub(super) withdrawn: Vec<Submission>,
}

struct Waiter {
    submission: Submission,
    deadline: Option<Instant>,
}

impl Admission {
    pub(super) fn wait(&mut self, submission: Submission, deadline: Option<Instant>) {
        self.waiters.push_back(Waiter { submission, deadline });
    }

    /// Returns whether a submission waits, which comes first.
    pub(super) fn has_waiters(&mut self) -> bool {
        while self.waiters.front().is_some_and(|waiter| waiter.submission.is_withdrawn()) {
            self.withdrawn.extend(self.waiters.pop_front().map(|waiter| waiter.submission));
        }
        !self.waiters.is_empty()
    }

    /// Returns the number of submissions that wait, those included that were withdrawn and not noticed so far.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Returns when the first of the waits is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiters.iter().filter_map(|waiter| waiter.deadline).min()
    }

    /// Submits those that have room by now, and returns those whose wait is over.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        mut submit: impl FnMut(Submission) -> Result<(), Submission>,
    ) -> Vec<Submission> {
        let (mut expired, mut is_blocked) = (Vec::new(), false);
        for Waiter { submission, deadline } in std::mem::take(&mut self.waiters) {
            if submission.is_withdrawn() {
                self.withdrawn.push(submission);
                continue;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                expired.push(submission);
                continue;
            }
            let waiting = if is_blocked { Err(submission) } else { submit(submission) };
            if let Err(submission) = waiting {
                is_blocked = true;
                self.waiters.push_back(Waiter { submission, deadline });
            }
        }
        expired
    }

    /// Takes all of them.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Submission> + use<> {
        std::mem::take(&mut self.waiters).into_iter().map(|waiter| waiter.submission)
    }
}
