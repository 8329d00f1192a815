//! The error type of this crate: small, redacted and cheap to clone.

mod details;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::generated::types::error::ConversionError;
use crate::generated::types::{ApiError, RateLimit};
use crate::limits::MAX_BATCH_BYTES;

/// The error type of this crate.
///
/// Use its methods to decide what to do: [`is_retryable`](Self::is_retryable), [`status`](Self::status),
/// [`api_errors`](Self::api_errors), [`retry_after`](Self::retry_after).
///
/// It holds no batches. A function that takes batches returns an error with those batches, which converts into this one with
/// `?`: [`UploadError`](crate::UploadError), [`SealError`](crate::SealError) and [`TrySendError`](crate::TrySendError).
///
/// Its text is a single line for a log: `upload failed after 10 attempts in 118 s: the service responded 503 Service Unavailable`.
/// Neither the text nor the `Debug` form contains a secret, a header, a URL or user data.
///
/// Cloning is cheap: the clones share the content, and the [source](StdError::source) with it.
#[derive(Clone)]
pub struct Error(Arc<ErrorInner>);

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of the client is missing or invalid, or the client is used outside of a runtime. Nothing was sent.
    Config,
    /// A batch has no JSON form (it contains NaN or an infinity), or the given JSON is not a batch. Nothing was sent.
    Invalid,
    /// A documented limit would be exceeded. Nothing was sent.
    Limit,
    /// The name lookup, the connect or the TLS handshake failed. The last attempt sent nothing; an earlier one may have failed
    /// in another way.
    Connect,
    /// The service did not respond in time. It may have accepted the request; the ids make sending again safe. If the deadline
    /// of a request interrupted a retry, the source is the failure of the previous attempt.
    Timeout,
    /// The connection was closed before a response arrived. The service may have accepted the request; the ids make sending again
    /// safe.
    ConnectionLost,
    /// The service refused the request or this batch. [`Error::status`] returns the status: one other than 2xx, or a 2xx
    /// (202 as a rule) whose body lists errors for single batches of a request that the service accepted.
    Refused,
    /// The response is not from the service: HTML, another 2xx than 202 whose body is not JSON, or the target of a redirect. A
    /// proxy, a sign-in page or a wrong base URL can cause this. No batch counts as accepted, and a retry would get the same
    /// response. [`Error::status`] returns the status of the response.
    UnexpectedResponse,
    /// The caller stopped the call: [`Client::upload_bulk_until`](crate::Client::upload_bulk_until). The service may have accepted
    /// a request that was in flight; the ids make sending again safe.
    Cancelled,
    /// The callback [`before_send`](crate::ClientBuilder::before_send) discarded the batch. Nothing was sent.
    Filtered,
    /// The client is rate limited, and the wait that the service asked for exceeds the deadline of the call. Nothing was sent.
    RateLimited,
    /// The queue of the [`Uploader`](crate::Uploader) is full: it refused a batch, or dropped one, depending on the policy.
    QueueFull,
    /// The [`Uploader`](crate::Uploader) is shut down: it refused a batch, or ended before it delivered one.
    Closed,
    /// The [`spool`](crate::spool) cannot be read or written: it is full or of a newer version, or the file system failed.
    Spool,
    /// The [`spool`](crate::spool) is already open, in another process or in this one. It can be opened once that process has
    /// exited, or the last handle of its [`Uploader`](crate::Uploader) is dropped.
    SpoolLocked,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "invalid configuration",
            Self::Invalid => "invalid data",
            Self::Limit => "limit exceeded",
            Self::Connect => "connection failed",
            Self::Timeout => "timed out",
            Self::ConnectionLost => "connection lost",
            Self::Refused => "refused by the service",
            Self::UnexpectedResponse => "unexpected response",
            Self::Cancelled => "cancelled by the caller",
            Self::Filtered => "discarded by before_send",
            Self::RateLimited => "rate limited by the service",
            Self::QueueFull => "uploader full",
            Self::Closed => "uploader shut down",
            Self::Spool => "spool failed",
            Self::SpoolLocked => "spool locked",
        })
    }
}

#[derive(Clone)]
struct ErrorInner {
    kind: ErrorKind,
    message: String,
    response: Option<ErrorResponse>,
    /// The remaining wait of a rate-limited client that has no response.
    pause: Option<Duration>,
    attempts: u32,
    /// The time from the first attempt to the failure.
    elapsed: Duration,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The parts of a response with an error.
#[derive(Clone)]
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) errors: Vec<ApiError>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(ErrorInner {
            kind,
            message: message.into(),
            response: None,
            pause: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            source: None,
        }))
    }

    /// Returns the content for modification, cloned if it is shared.
    fn inner(&mut self) -> &mut ErrorInner {
        Arc::make_mut(&mut self.0)
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

    /// Creates the error of a batch with this many bytes, which exceeds the limit.
    pub(crate) fn batch_too_large(bytes: usize) -> Self {
        Self::limit(format!("the batch is too large: {bytes} bytes, and the limit is {MAX_BATCH_BYTES}"))
    }

    /// Creates the error of an attempt that was interrupted by the deadline of all attempts.
    pub(crate) fn deadline_exceeded() -> Self {
        Self::attempted(ErrorKind::Timeout, "the service did not respond before the deadline")
    }

    #[cfg(test)]
    pub(crate) fn interrupted() -> Self {
        Self::attempted(ErrorKind::ConnectionLost, "connection closed before a response arrived")
    }

    /// Creates the error of a request that is not sent because another one received a 429.
    pub(crate) fn rate_limited() -> Self {
        Self::new(ErrorKind::RateLimited, "rate limited: the service asks to wait past the deadline")
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "the caller stopped the upload before everything was sent")
    }

    pub(crate) fn filtered() -> Self {
        Self::new(ErrorKind::Filtered, "the callback before_send discarded the batch")
    }

    pub(crate) fn queue_full() -> Self {
        Self::new(ErrorKind::QueueFull, "the queue of the uploader is full")
    }

    pub(crate) fn dropped_from_queue() -> Self {
        Self::new(ErrorKind::QueueFull, "the batch was dropped because the queue of the uploader was full")
    }

    pub(crate) fn not_delivered(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Closed, message)
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the uploader is shut down")
    }

    /// Creates an error of the spool. The message may name a file, but must not quote its content.
    pub(crate) fn spool(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Spool, message)
    }

    pub(crate) fn spool_locked(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SpoolLocked, message)
    }

    /// Creates the error of a response other than 2xx.
    pub(crate) fn refused(response: ErrorResponse) -> Self {
        let count = match response.errors.len() {
            0 => String::new(),
            count => format!(", with {}", error_count(count)),
        };
        Self::responded(ErrorKind::Refused, format!("the service responded {}{count}", response.status), response)
    }

    /// Creates the error of a batch for which the body of a 2xx lists these errors.
    pub(crate) fn refused_by_body(status: StatusCode, listed: Vec<ApiError>) -> Self {
        let message =
            format!("the service responded {status} and refused the batch, with {}", error_count(listed.len()));
        let response = ErrorResponse { status, retry_after: None, rate_limit: None, errors: listed };
        Self::responded(ErrorKind::Refused, message, response)
    }

    /// Creates the error of a response that is not from the service. Its text shows only the media type of the response.
    pub(crate) fn unexpected_response(status: StatusCode, content_type: &str) -> Self {
        let content_type = if content_type.is_empty() { "without a content type" } else { content_type };
        let message = format!(
            "the response is not from the Events API: {} {content_type} (a proxy, a sign-in page or a wrong base URL?)",
            status.as_u16()
        );
        let response = ErrorResponse { status, retry_after: None, rate_limit: None, errors: Vec::new() };
        Self::responded(ErrorKind::UnexpectedResponse, message, response)
    }

    /// Creates the error of a 2xx whose body was interrupted before its errors were known.
    pub(crate) fn body_interrupted() -> Self {
        Self::attempted(
            ErrorKind::ConnectionLost,
            "connection closed before the errors in the response body were known",
        )
    }

    fn responded(kind: ErrorKind, message: String, response: ErrorResponse) -> Self {
        let mut error = Self::attempted(kind, message);
        error.inner().response = Some(response);
        error
    }

    /// Creates the error of one attempt.
    pub(crate) fn attempted(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(kind, message).with_attempts(1, Duration::ZERO)
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.inner().source = Some(Arc::new(source));
        self
    }

    /// Sets the remaining wait of the client.
    pub(crate) fn with_pause(mut self, pause: Duration) -> Self {
        self.inner().pause = Some(pause);
        self
    }

    /// Sets the number of attempts, and the time from the first one to the failure.
    pub(crate) fn with_attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        let inner = self.inner();
        (inner.attempts, inner.elapsed) = (attempts, elapsed);
        self
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the text of the error without the number of attempts and the time.
    ///
    /// ```
    /// use mparticle::SealedBatch;
    ///
    /// let error = SealedBatch::from_json("[]").unwrap_err();
    /// assert_eq!(error.message(), "the batch is not a JSON object");
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the HTTP status, if there was a response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.response.as_ref().map(|response| response.status)
    }

    /// Returns the errors in the body of the response. Empty if there are none, or if the body is not JSON of the documented
    /// form.
    ///
    /// They may quote users' data, so the text of this error omits them.
    #[must_use]
    pub fn api_errors(&self) -> &[ApiError] {
        self.0.response.as_ref().map_or(&[], |response| &response.errors)
    }

    /// Returns the wait that the service asked for, from `Retry-After` in seconds or as a date. Zero if the date has passed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.pause.or(self.0.response.as_ref().and_then(|response| response.retry_after))
    }

    /// Returns the rate limit that was exceeded, if a 429 names it. All limit the rate of requests, except
    /// [`RateLimit::Acceleration`], which limits how fast that rate may rise.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.0.response.as_ref()?.rate_limit
    }

    /// Returns whether the same call can succeed later: after a failed or lost connection, a timeout, a status of 408, 425, 429 or
    /// 5xx, or a cancellation, while the client is rate limited, while the queue is full, or while the spool is open elsewhere.
    ///
    /// If it is false because of the credentials or an [`UnexpectedResponse`](ErrorKind::UnexpectedResponse), the batches may be
    /// valid: send them once the cause is fixed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect
            | ErrorKind::Timeout
            | ErrorKind::ConnectionLost
            | ErrorKind::Cancelled
            | ErrorKind::RateLimited
            | ErrorKind::QueueFull
            | ErrorKind::SpoolLocked => true,
            ErrorKind::Refused => self
                .status()
                .is_some_and(|status| matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()),
            ErrorKind::Config
            | ErrorKind::Invalid
            | ErrorKind::Limit
            | ErrorKind::UnexpectedResponse
            | ErrorKind::Filtered
            | ErrorKind::Closed
            | ErrorKind::Spool => false,
        }
    }

    /// Returns the number of attempts to send the batches, or 0 if nothing was sent. 0 for a call that was
    /// [cancelled](ErrorKind::Cancelled): its [`Report::requests`](crate::Report::requests) has the number.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Returns the time from the first attempt to the failure, including waits. Zero if there was no attempt, and for the
    /// error of a single attempt in [`Retry`](crate::Retry) or [`UploaderStatus`](crate::UploaderStatus).
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
}

fn error_count(count: usize) -> String {
    if count == 1 { "1 error".to_owned() } else { format!("{count} errors") }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorInner { message, attempts, elapsed, .. } = &*self.0;
        match attempts {
            0 => f.write_str(message),
            1 => write!(f, "upload failed: {message}"),
            _ => {
                let digits = usize::from(elapsed.as_secs() < 10);
                let seconds = elapsed.as_secs_f64();
                write!(f, "upload failed after {attempts} attempts in {seconds:.digits$} s: {message}")
            }
        }
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
            .field("elapsed", &self.0.elapsed)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// For the value of an enumeration that was parsed, such as that of [`Environment`](crate::Environment).
impl From<ConversionError> for Error {
    fn from(error: ConversionError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// Wraps the error, which [`io::Error::get_ref`] and [`io::Error::downcast`] return.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Config | ErrorKind::Invalid | ErrorKind::Limit => io::ErrorKind::InvalidInput,
            ErrorKind::UnexpectedResponse => io::ErrorKind::InvalidData,
            ErrorKind::Connect => io::ErrorKind::NotConnected,
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            // Not `Interrupted`: std retries a call that returns it.
            ErrorKind::ConnectionLost => io::ErrorKind::ConnectionAborted,
            ErrorKind::SpoolLocked => io::ErrorKind::ResourceBusy,
            ErrorKind::Refused
            | ErrorKind::Cancelled
            | ErrorKind::Filtered
            | ErrorKind::RateLimited
            | ErrorKind::QueueFull
            | ErrorKind::Closed
            | ErrorKind::Spool => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
