//! One attempt: where it goes, what it carries, and what it gives. Everything else here is independent of HTTP.

use reqwest::StatusCode;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::generated::types::ApiError;
use crate::seal::SealedBatch;

/// Takes batches to the service, once. The client does it over HTTP, and tests in memory.
pub(crate) trait Transport: Send + Sync {
    /// Sends these batches as one request. They fit into one, and the events endpoint gets one batch.
    fn attempt(
        &self,
        endpoint: Endpoint,
        batches: &[&SealedBatch],
    ) -> impl Future<Output = Result<Accepted, Error>> + Send;
}

/// The state of the body of a 2xx: read far enough to know the errors that it lists, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    /// Its errors are known, as a rule none.
    #[default]
    Read,
    /// The body broke off or stalled before its errors were known.
    Interrupted,
    /// The body is longer than what is read, and its errors are not in what was.
    TooLong,
}

/// The response to a request that the service accepted, and in which it named no error for the batch.
///
/// Acceptance is not processing: the service may still drop a batch later, without a word.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    status: StatusCode,
    rate_limit_used_percent: Option<f64>,
    /// The errors in the body, about some batches of the request. Delivery takes them out.
    pub(crate) errors: Vec<ApiError>,
    pub(crate) body: ResponseBody,
}

impl Accepted {
    pub(crate) fn new(status: StatusCode, rate_limit_used_percent: Option<f64>) -> Self {
        Self { status, rate_limit_used_percent, errors: Vec::new(), body: ResponseBody::Read }
    }

    pub(crate) fn with_body(self, errors: Vec<ApiError>, body: ResponseBody) -> Self {
        Self { errors, body, ..self }
    }

    /// The HTTP status, 202 by the service's documents.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// How much of the tightest rate limit is in use, in percent, if the service told. A sender that slows down while this
    /// nears 100 is never told to.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.rate_limit_used_percent
    }
}
