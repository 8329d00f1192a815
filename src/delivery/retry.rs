//! What follows after an attempt: one pure function, and the table that holds it.

use std::time::Duration;

use super::{Accepted, RetryPolicy};
use crate::error::{Error, ErrorKind};

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAction {
    /// It was accepted.
    Delivered,
    /// Send the same again after this long.
    Retry(Duration),
    /// As `Retry`, and nothing else goes out with this credential before.
    WaitForCredential(Duration),
    /// Something in it is refused, and only the service knows what: send each half alone.
    Bisect,
    /// It is too large: send each half alone.
    Split,
    /// This batch will never be accepted.
    Reject,
    /// It is not about the batches: nothing will be accepted until somebody looks at the settings.
    Abort,
    /// Sending it again could succeed, but it was tried often enough.
    GiveUp,
}

/// Decides after the attempt of this number, counted from 1, of a request of this many batches. `random` draws from 0 to 1,
/// and only if there is a wait: most attempts succeed, and a number is a call to the system.
pub(crate) fn decide(
    attempt: u32,
    outcome: Result<&Accepted, &Error>,
    batches: usize,
    policy: &RetryPolicy,
    random: impl FnOnce() -> f64,
) -> RetryAction {
    let Err(error) = outcome else {
        return RetryAction::Delivered;
    };
    let status = error.status().map(|status| status.as_u16());
    match status {
        // Its status is not the service's word on the batches.
        _ if error.kind() == ErrorKind::UnexpectedResponse => RetryAction::Abort,
        Some(400 | 422) if batches > 1 => RetryAction::Bisect,
        Some(413) if batches > 1 => RetryAction::Split,
        Some(400 | 413 | 422) => RetryAction::Reject,
        _ if !error.is_retryable() => RetryAction::Abort,
        _ if attempt >= policy.max_attempts => RetryAction::GiveUp,
        Some(429) => RetryAction::WaitForCredential(wait(attempt, error, policy, random())),
        _ => RetryAction::Retry(wait(attempt, error, policy, random())),
    }
}

/// What the service asks, and a little at random on top, since it asks the same of many. Otherwise full jitter: anything
/// between nothing and a bound that doubles.
fn wait(attempt: u32, error: &Error, policy: &RetryPolicy, random: f64) -> Duration {
    let asked = error.retry_after();
    let doublings = if asked.is_some() { 0 } else { attempt.saturating_sub(1).min(31) };
    let bound = policy.base.saturating_mul(1 << doublings).min(policy.cap);
    asked.unwrap_or_default().saturating_add(bound.mul_f64(random.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::RetryAction::{Abort, Bisect, Delivered, GiveUp, Reject, Retry, Split, WaitForCredential};
    use super::*;
    use crate::error::ErrorResponse;

    fn status(status: u16, retry_after: Option<u64>) -> Result<Accepted, Error> {
        let status = StatusCode::from_u16(status).expect("a status");
        if status.is_success() {
            return Ok(Accepted::new(status, None));
        }
        let retry_after = retry_after.map(Duration::from_secs);
        Err(Error::refused(ErrorResponse { status, retry_after, rate_limit: None, errors: Vec::new() }))
    }

    fn after(attempt: u32, outcome: &Result<Accepted, Error>, batches: usize, random: f64) -> RetryAction {
        decide(attempt, outcome.as_ref(), batches, &RetryPolicy::new(), || random)
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn each_status_has_its_consequence() {
        // What follows for a request of one batch, and of several.
        let table = [
            (&[200, 202, 204][..], Delivered, Delivered),
            (&[400, 422], Reject, Bisect),
            (&[413], Reject, Split),
            (&[301, 302, 307, 401, 402, 403, 404, 405, 407, 409, 410, 415, 451], Abort, Abort),
            (&[408, 425, 500, 501, 502, 503, 504, 599], Retry(ms(100)), Retry(ms(100))),
            (&[429], WaitForCredential(ms(100)), WaitForCredential(ms(100))),
        ];
        for (statuses, of_one, of_several) in table {
            for number in statuses {
                let outcome = status(*number, None);
                assert_eq!(after(1, &outcome, 1, 0.5), of_one, "{number}, one batch");
                for batches in [2, 100] {
                    assert_eq!(after(1, &outcome, batches, 0.5), of_several, "{number}, {batches} batches");
                }
            }
        }
    }

    #[test]
    fn each_failure_without_an_answer_has_its_consequence() {
        assert_eq!(after(1, &Err(Error::out_of_time()), 2, 0.5), Retry(ms(100)));
        assert_eq!(after(1, &Err(Error::config("no runtime")), 2, 0.5), Abort);
        assert_eq!(after(1, &Err(Error::limit("too large")), 1, 0.5), Abort);
    }

    #[test]
    fn a_response_that_is_not_of_the_service_refuses_no_batch_whatever_its_status() {
        for number in [200, 202, 400, 408, 413, 422, 429, 503] {
            let status = StatusCode::from_u16(number).expect("a status");
            for batches in [1, 2] {
                let outcome = Err(Error::unexpected_response(status, "text/html"));
                assert_eq!(after(1, &outcome, batches, 0.5), Abort, "{number}, {batches} batches");
            }
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_are_drawn_in_full() {
        // The attempt, and the wait at 0, at one half and just before 1.
        let table = [
            (1, 0, 100, 200),
            (2, 0, 200, 400),
            (3, 0, 400, 800),
            (4, 0, 800, 1_600),
            (5, 0, 1_600, 3_200),
            (6, 0, 3_200, 6_400),
            (7, 0, 6_400, 12_800),
            (8, 0, 12_800, 25_600),
            (9, 0, 15_000, 30_000),
        ];
        let outcome = status(503, None);
        for (attempt, least, middle, most) in table {
            for (random, wait) in [(0.0, least), (0.5, middle), (1.0, most)] {
                assert_eq!(after(attempt, &outcome, 1, random), Retry(ms(wait)), "attempt {attempt} at {random}");
            }
        }
        let endless = RetryPolicy::new().max_attempts(u32::MAX);
        for attempt in [32, 33, 1_000_000] {
            assert_eq!(decide(attempt, outcome.as_ref(), 1, &endless, || 1.0), Retry(ms(30_000)));
        }
    }

    #[test]
    fn what_the_service_asks_is_never_undercut() {
        for (attempt, random, wait) in [(1, 0.0, 7_000), (1, 0.5, 7_100), (9, 1.0, 7_200)] {
            assert_eq!(after(attempt, &status(429, Some(7)), 1, random), WaitForCredential(ms(wait)));
            assert_eq!(after(attempt, &status(503, Some(7)), 1, random), Retry(ms(wait)));
        }
        // Also beyond the cap, and beyond what a clock can say.
        assert_eq!(after(1, &status(429, Some(3600)), 1, 0.0), WaitForCredential(ms(3_600_000)));
        assert_eq!(
            after(1, &status(429, Some(u64::MAX)), 1, 1.0),
            WaitForCredential(Duration::from_secs(u64::MAX) + ms(200))
        );
    }

    #[test]
    fn attempts_end() {
        assert_eq!(after(9, &status(503, None), 1, 0.0), Retry(ms(0)));
        assert_eq!(after(10, &status(503, None), 1, 0.0), GiveUp);
        assert_eq!(after(10, &status(429, Some(1)), 1, 0.0), GiveUp);
        assert_eq!(decide(1, status(503, None).as_ref(), 1, &RetryPolicy::never(), || 0.0), GiveUp);
        // What the batches are refused for does not depend on how often they were sent.
        assert_eq!(after(10, &status(400, None), 2, 0.0), Bisect);
        assert_eq!(after(10, &status(202, None), 2, 0.0), Delivered);
    }
}
