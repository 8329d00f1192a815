//! The one error of this crate: small, redacted, and able to answer what a caller needs to decide.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use crate::delivery::Report;
use crate::generated::types::{ApiError, Batch, RateLimit};
use crate::seal::SealedBatch;

/// Why something was not sent, or was not accepted.
///
/// Ask it questions instead of matching on it: [`is_retryable`](Self::is_retryable), [`status`](Self::status),
/// [`api_errors`](Self::api_errors), [`retry_after`](Self::retry_after). Whatever was sealed and not accepted comes back
/// through [`into_unsent`](Self::into_unsent), with its ids, so that sending it again is safe; a batch that could not be
/// sealed comes back through [`into_unsealed`](Self::into_unsealed).
///
/// Its text and its `Debug` form hold no secret, no header and nothing of the user's data.
pub struct Error(Box<Inner>);

/// What kind of trouble an [`Error`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of the client is missing or wrong, or it is used outside of a runtime. Nothing was sent.
    Config,
    /// A batch has no JSON form (it holds NaN or an infinity), or JSON of others is not a batch. Nothing was sent.
    Invalid,
    /// A documented limit would be broken. Nothing was sent.
    Limit,
    /// No connection came about: name lookup, connect or TLS handshake failed. Nothing was accepted by this last attempt; an
    /// earlier one may have failed otherwise.
    Connect,
    /// The service did not answer in time. Whether it accepted is not known; the ids make sending again safe. If the deadline
    /// of a request ended a retry, the source is the failure of the attempt before.
    Timeout,
    /// The connection broke before an answer came. Whether it was accepted is not known; the ids make sending again safe.
    Interrupted,
    /// The service refused the request or this batch. [`Error::status`] returns the status: one other than 2xx, or a 2xx, as a
    /// rule 202, whose body lists errors, by which the service refuses single batches of a request that it accepted.
    Refused,
    /// The response is not from the service: HTML, another 2xx than 202 whose body is not JSON, or the target of a redirect. A
    /// proxy, a sign-in page or a wrong base URL answers so. Nothing counts as accepted, and the same request would be
    /// answered the same way. [`Error::status`] returns the status of the response.
    UnexpectedResponse,
    /// The service had asked whoever sends with this client to wait, for longer than the caller would. Nothing was sent.
    Paused,
    /// The [`Uploader`](crate::Uploader) has no room. It did not take the batch.
    Full,
    /// The [`Uploader`](crate::Uploader) is shut down, for good. It did not take the batch.
    Closed,
    /// The [`spool`](crate::spool) cannot take or give: it is full, of a newer version, or the file system
    /// failed.
    Spool,
    /// The [`spool`](crate::spool) is open already, in another process or in this one. It can be opened when that process has
    /// ended, or the last handle of its [`Uploader`](crate::Uploader) is dropped.
    SpoolLocked,
}

impl ErrorKind {
    /// What an attempt that got no answer failed of. A connect that timed out is a connect: nothing was sent.
    pub(crate) fn of(source: &reqwest::Error) -> Self {
        match source {
            source if source.is_builder() => Self::Config,
            source if source.is_connect() => Self::Connect,
            source if source.is_timeout() => Self::Timeout,
            _ => Self::Interrupted,
        }
    }
}

struct Inner {
    kind: ErrorKind,
    message: String,
    refusal: Option<Refusal>,
    /// How long to wait, where no answer says so.
    pause: Option<Duration>,
    attempts: u32,
    unsent: Vec<SealedBatch>,
    unsealed: Option<Batch>,
    report: Option<Report>,
    /// Shared by the copies.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What an answer other than 2xx told.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) errors: Vec<ApiError>,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            refusal: None,
            pause: None,
            attempts: 0,
            unsent: Vec::new(),
            unsealed: None,
            report: None,
            source: None,
        }))
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// The time for all attempts was over in the midst of one.
    pub(crate) fn out_of_time() -> Self {
        Self::new(ErrorKind::Timeout, "the service did not answer before the deadline").with_attempts(1)
    }

    /// The connection broke.
    #[cfg(test)]
    pub(crate) fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "the connection broke before an answer came").with_attempts(1)
    }

    /// The credential waits.
    pub(crate) fn paused() -> Self {
        Self::new(ErrorKind::Paused, "the service has asked to wait longer than the deadline allows")
    }

    pub(crate) fn full(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Full, message)
    }

    /// The uploader accepts no more submissions.
    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the uploader is shut down")
    }

    /// The message may name a file of the spool, and nothing of what is in it.
    pub(crate) fn spool(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Spool, message)
    }

    pub(crate) fn spool_locked(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SpoolLocked, message)
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        let count = match refusal.errors.len() {
            0 => String::new(),
            1 => ", with 1 error".to_owned(),
            count => format!(", with {count} errors"),
        };
        Self::responded(ErrorKind::Refused, format!("the service answered {}{count}", refusal.status), refusal)
    }

    /// The service accepted the request, and listed these errors for the batch.
    pub(crate) fn refused_by_body(status: StatusCode, errors: Vec<ApiError>) -> Self {
        let count = match errors.len() {
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        let message = format!("the service answered {status} and refused the batch, with {count}");
        let refusal = Refusal { status, retry_after: None, rate_limit: None, errors };
        Self::responded(ErrorKind::Refused, message, refusal)
    }

    /// A response that something else than the service gave. The media type is shown, and nothing else of it.
    pub(crate) fn unexpected_response(status: StatusCode, content_type: &str) -> Self {
        let content_type = if content_type.is_empty() { "without a content type" } else { content_type };
        let message = format!(
            "the response is not from the Events API: {} {content_type} (a proxy, a sign-in page or a wrong base URL?)",
            status.as_u16()
        );
        let refusal = Refusal { status, retry_after: None, rate_limit: None, errors: Vec::new() };
        Self::responded(ErrorKind::UnexpectedResponse, message, refusal)
    }

    /// The body of a 2xx broke off before it was known whether it lists errors.
    pub(crate) fn body_interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "the response body broke off before its errors were known").with_attempts(1)
    }

    fn responded(kind: ErrorKind, message: String, refusal: Refusal) -> Self {
        let mut error = Self::new(kind, message);
        error.0.refusal = Some(refusal);
        error.0.attempts = 1;
        error
    }

    /// An attempt that got no answer. The URL is taken out of the error: it may hold what a user typed.
    pub(crate) fn transport(source: reqwest::Error) -> Self {
        let kind = ErrorKind::of(&source);
        let message = match kind {
            ErrorKind::Config if lacks_certificates(&source) => {
                "no usable certificate store for https: install the certificates of the system (Debian's package \
                 ca-certificates), or set SSL_CERT_FILE to a file that holds them"
            }
            ErrorKind::Config => "the request or its HTTP client could not be built",
            ErrorKind::Connect if source.is_dns() => "failed to resolve the name of the service",
            ErrorKind::Connect => "no connection to the service",
            ErrorKind::Timeout => "the service did not answer in time",
            _ => "the connection broke before an answer came",
        };
        let mut error = Self::new(kind, message);
        error.0.attempts = u32::from(kind != ErrorKind::Config);
        error.with_source(source.without_url())
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_unsent(mut self, unsent: Vec<SealedBatch>) -> Self {
        self.0.unsent = unsent;
        self
    }

    pub(crate) fn add_unsent(&mut self, unsent: &[SealedBatch]) {
        self.0.unsent.extend_from_slice(unsent);
    }

    /// The batch that it is about, which could not be sealed.
    pub(crate) fn with_unsealed(mut self, batch: Batch) -> Self {
        self.0.unsealed = Some(batch);
        self
    }

    /// What became of the others.
    pub(crate) fn with_report(mut self, report: Report) -> Self {
        self.0.report = Some(report);
        self
    }

    /// How long the credential still waits.
    pub(crate) fn with_pause(mut self, pause: Duration) -> Self {
        self.0.pause = Some(pause);
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Returns a copy that carries no batches and no report. The source is shared.
    pub(crate) fn again(&self) -> Self {
        let mut error = Self::new(self.0.kind, self.0.message.clone());
        error.0.refusal.clone_from(&self.0.refusal);
        error.0.pause = self.0.pause;
        error.0.attempts = self.0.attempts;
        error.0.source.clone_from(&self.0.source);
        error
    }

    /// The kind of trouble.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status, if the service answered.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.refusal.as_ref().map(|refusal| refusal.status)
    }

    /// What the service said, in its own words. Empty if it said nothing, or nothing that is JSON of the documented form.
    ///
    /// These words may quote what was sent; that is why the text of this error leaves them out.
    #[must_use]
    pub fn api_errors(&self) -> &[ApiError] {
        self.0.refusal.as_ref().map_or(&[], |refusal| &refusal.errors)
    }

    /// How long the service asks to wait, from its `Retry-After` in seconds or as a date. Zero if the date has passed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.pause.or(self.0.refusal.as_ref().and_then(|refusal| refusal.retry_after))
    }

    /// Which rate limit was exceeded, if the service told so with a 429. All ask to send less often, except
    /// [`RateLimit::Acceleration`], which asks to raise the speed more slowly.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.0.refusal.as_ref()?.rate_limit
    }

    /// Whether sending the same again, later, can succeed: no connection, no answer, a status of 408, 425, 429 or 5xx, a
    /// wait that the service has asked for, no room, or a spool that is open elsewhere.
    ///
    /// If it is false for an error of the credentials or an
    /// [`UnexpectedResponse`](ErrorKind::UnexpectedResponse), the [`unsent`](Self::unsent) batches are good all the same: they
    /// can be sent once the cause is fixed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect
            | ErrorKind::Timeout
            | ErrorKind::Interrupted
            | ErrorKind::Paused
            | ErrorKind::Full
            | ErrorKind::SpoolLocked => true,
            ErrorKind::Refused => self
                .status()
                .is_some_and(|status| matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()),
            ErrorKind::Config
            | ErrorKind::Invalid
            | ErrorKind::Limit
            | ErrorKind::UnexpectedResponse
            | ErrorKind::Closed
            | ErrorKind::Spool => false,
        }
    }

    /// How often the batches that it is about were sent over the network; 0 if it never came so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The sealed batches that were not accepted, in their order.
    #[must_use]
    pub fn unsent(&self) -> &[SealedBatch] {
        &self.0.unsent
    }

    /// Takes the sealed batches that were not accepted, in their order. Their ids are set: sent again, the service drops
    /// whatever it had accepted after all.
    #[must_use]
    pub fn into_unsent(self) -> Vec<SealedBatch> {
        self.0.unsent
    }

    /// The batch that it is about, if it could not be sealed. Its ids are set.
    #[must_use]
    pub fn unsealed(&self) -> Option<&Batch> {
        self.0.unsealed.as_ref()
    }

    /// Takes the batch that it is about, if it could not be sealed. Its ids are set.
    #[must_use]
    pub fn into_unsealed(self) -> Option<Batch> {
        self.0.unsealed
    }

    /// What became of the batches that are not [`unsent`](Self::unsent), if it ended the sending of several.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// Takes it apart into the sealed batches that were not accepted, and what became of the others.
    pub fn into_parts(self) -> (Vec<SealedBatch>, Report) {
        (self.0.unsent, self.0.report.unwrap_or_default())
    }
}

/// Whether an HTTP client could not be built because rustls found no certificate on this machine. The error of rustls says so
/// in its text alone.
fn lacks_certificates(source: &reqwest::Error) -> bool {
    std::iter::successors(source.source(), |&cause| cause.source())
        .any(|cause| cause.to_string().contains("No CA certificates"))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("status", &self.status())
            .field("retry_after", &self.retry_after())
            .field("attempts", &self.0.attempts)
            .field("unsent", &self.0.unsent.len())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
