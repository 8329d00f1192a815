//! The transport, which makes one attempt, and its result. The rest of delivery is independent of HTTP.

use reqwest::StatusCode;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::generated::types::ApiError;
use crate::seal::SealedBatch;

/// Sends batches to the service, without retries. The client does so over HTTP, tests in memory.
pub(crate) trait Transport: Send + Sync {
    /// Sends these batches as one request. They must fit into one; the events endpoint takes a single batch. `resend_count` is
    /// the number of earlier attempts of the same request.
    fn attempt(
        &self,
        endpoint: Endpoint,
        batches: &[&SealedBatch],
        resend_count: u32,
    ) -> impl Future<Output = Result<Accepted, Error>> + Send;
}

/// The state of the body of a 2xx: read far enough to know its errors, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    /// Its errors, normally none, are known.
    #[default]
    Read,
    /// The body was truncated or stalled before its errors were known.
    Interrupted,
    /// The body exceeds the size that is read, and no errors were found in that part.
    TooLong,
}

/// The response to an accepted request that lists no error for the batch.
///
/// Acceptance is not processing: the service may still silently drop a batch later.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    status: StatusCode,
    rate_limit_used_percent: Option<f64>,
    /// The errors in the body, each about some batch of the request. Delivery removes them.
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

    /// Returns the HTTP status. The service documents 202.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the used share of the tightest rate limit, in percent, or `None` if the service did not report it. Slow down as
    /// this approaches 100, and the service will not need to rate-limit you.
    #[must_use]
    pub fn rate_limit_used_percent(&self) -> Option<f64> {
        self.rate_limit_used_percent
    }
}
