//! Admission: a FIFO queue of the submissions that wait for room.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::submission::Submission;

/// A strict FIFO queue: nothing overtakes a submission that does not fit yet.
#[derive(Default)]
pub(super) struct Admission {
    waiters: VecDeque<Waiter>,
    /// Withdrawn submissions, to be dropped once no lock is held: dropping them can run wakers.
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

    /// Returns whether a submission is waiting. Removes withdrawn ones from the front.
    pub(super) fn has_waiters(&mut self) -> bool {
        while self.waiters.front().is_some_and(|waiter| waiter.submission.is_withdrawn()) {
            self.withdrawn.extend(self.waiters.pop_front().map(|waiter| waiter.submission));
        }
        !self.waiters.is_empty()
    }

    /// Returns the number of waiting submissions, including withdrawn ones that are not removed yet.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Returns the earliest deadline of a waiting submission.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiters.iter().filter_map(|waiter| waiter.deadline).min()
    }

    /// Submits those that fit now, and returns those whose deadline has passed.
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

    /// Removes and returns all waiting submissions.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Submission> + use<> {
        std::mem::take(&mut self.waiters).into_iter().map(|waiter| waiter.submission)
    }
}
