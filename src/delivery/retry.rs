//! Decides whether to retry a request: one pure function, and the table that tests it. The
//! [`rate_limiter`](super::rate_limiter) decides when.

use super::{Accepted, RetryPolicy};
use crate::error::{Error, ErrorKind};

/// The action after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAction {
    /// The request was accepted.
    Accept,
    /// Send the same request again.
    Retry,
    /// The service refused an unknown part of the request: send each half alone.
    Bisect,
    /// The request is too large: send each half alone.
    Split,
    /// The batch will never be accepted.
    Reject,
    /// The failure is not about the batches: no request will be accepted until the configuration is fixed.
    Abort,
    /// A retry could succeed, but the attempts are used up.
    GiveUp,
}

/// Returns the action after an attempt of a request with `batches` batches. `attempt` is counted from 1.
pub(crate) fn decide(
    attempt: u32,
    result: Result<&Accepted, &Error>,
    batches: usize,
    policy: &RetryPolicy,
) -> RetryAction {
    let Err(error) = result else {
        return RetryAction::Accept;
    };
    let status = error.status().map(|status| status.as_u16());
    match status {
        // The status is not from the service, so it decides nothing about the batches.
        _ if error.kind() == ErrorKind::UnexpectedResponse => RetryAction::Abort,
        Some(400 | 422) if batches > 1 => RetryAction::Bisect,
        Some(413) if batches > 1 => RetryAction::Split,
        Some(400 | 413 | 422) => RetryAction::Reject,
        _ if !error.is_retryable() => RetryAction::Abort,
        _ if attempt >= policy.max_attempts => RetryAction::GiveUp,
        _ => RetryAction::Retry,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::RetryAction::{Abort, Accept, Bisect, GiveUp, Reject, Retry, Split};
    use super::*;
    use crate::error::ErrorResponse;

    fn status(status: u16) -> Result<Accepted, Error> {
        let status = StatusCode::from_u16(status).expect("a status");
        if status.is_success() {
            return Ok(Accepted::new(status, None));
        }
        Err(Error::refused(ErrorResponse { status, retry_after: None, rate_limit: None, errors: Vec::new() }))
    }

    fn after(attempt: u32, outcome: &Result<Accepted, Error>, batches: usize) -> RetryAction {
        decide(attempt, outcome.as_ref(), batches, &RetryPolicy::new())
    }

    #[test]
    fn each_status_has_its_action() {
        // The action for a request with one batch, and with several.
        let table = [
            (&[200, 202, 204][..], Accept, Accept),
            (&[400, 422], Reject, Bisect),
            (&[413], Reject, Split),
            (&[301, 302, 307, 401, 402, 403, 404, 405, 407, 409, 410, 415, 451], Abort, Abort),
            (&[408, 425, 500, 501, 502, 503, 504, 599], Retry, Retry),
            (&[429], Retry, Retry),
        ];
        for (statuses, of_one, of_several) in table {
            for number in statuses {
                let outcome = status(*number);
                assert_eq!(after(1, &outcome, 1), of_one, "{number}, one batch");
                for batches in [2, 100] {
                    assert_eq!(after(1, &outcome, batches), of_several, "{number}, {batches} batches");
                }
            }
        }
    }

    #[test]
    fn each_failure_without_a_response_has_its_action() {
        assert_eq!(after(1, &Err(Error::deadline_exceeded()), 2), Retry);
        assert_eq!(after(1, &Err(Error::config("no runtime")), 2), Abort);
        assert_eq!(after(1, &Err(Error::limit("too large")), 1), Abort);
    }

    #[test]
    fn a_response_that_is_not_from_the_service_rejects_no_batch() {
        for number in [200, 202, 400, 408, 413, 422, 429, 503] {
            let status = StatusCode::from_u16(number).expect("a status");
            for batches in [1, 2] {
                let outcome = Err(Error::unexpected_response(status, "text/html"));
                assert_eq!(after(1, &outcome, batches), Abort, "{number}, {batches} batches");
            }
        }
    }

    #[test]
    fn gives_up_after_the_maximum_number_of_attempts() {
        assert_eq!(after(9, &status(503), 1), Retry);
        assert_eq!(after(10, &status(503), 1), GiveUp);
        assert_eq!(after(10, &status(429), 1), GiveUp);
        assert_eq!(decide(1, status(503).as_ref(), 1, &RetryPolicy::never()), GiveUp);
        // A refusal of the batches does not depend on the number of attempts.
        assert_eq!(after(10, &status(400), 2), Bisect);
        assert_eq!(after(10, &status(202), 2), Accept);
    }
}
