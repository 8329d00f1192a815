//! The submissions that wait for room, first in, first out.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::submission::Submission;

/// Strict order: nothing overtakes a submission that does not fit yet.
#[derive(Default)]
pub(super) struct Admission(VecDeque<Waiter>);

struct Waiter {
    submission: Submission,
    deadline: Option<Instant>,
}

impl Admission {
    pub(super) fn wait(&mut self, submission: Submission, deadline: Option<Instant>) {
        self.0.push_back(Waiter { submission, deadline });
    }

    /// Returns whether a submission waits, which comes first.
    pub(super) fn has_waiters(&mut self) -> bool {
        while self.0.front().is_some_and(|waiter| waiter.submission.is_withdrawn()) {
            self.0.pop_front();
        }
        !self.0.is_empty()
    }

    /// Returns when the first of the waits is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|waiter| waiter.deadline).min()
    }

    /// Submits those that have room by now, and returns those whose wait is over.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        mut submit: impl FnMut(Submission) -> Result<(), Submission>,
    ) -> Vec<Submission> {
        let (mut expired, mut is_blocked) = (Vec::new(), false);
        for Waiter { submission, deadline } in std::mem::take(&mut self.0) {
            if submission.is_withdrawn() {
                continue;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                expired.push(submission);
                continue;
            }
            let waiting = if is_blocked { Err(submission) } else { submit(submission) };
            if let Err(submission) = waiting {
                is_blocked = true;
                self.0.push_back(Waiter { submission, deadline });
            }
        }
        expired
    }

    /// Takes all of them.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Submission> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|waiter| waiter.submission)
    }
}
