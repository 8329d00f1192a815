//! Converts errors of the HTTP client into errors of this crate.

use std::error::Error as StdError;
use std::iter;

use crate::error::{Error, ErrorKind};

/// Returns the kind of a failure without a response. A timeout while connecting is [`ErrorKind::Connect`]: nothing was sent.
pub(super) fn kind(source: &reqwest::Error) -> ErrorKind {
    match source {
        source if source.is_builder() => ErrorKind::Config,
        source if source.is_connect() => ErrorKind::Connect,
        source if source.is_timeout() => ErrorKind::Timeout,
        _ => ErrorKind::ConnectionLost,
    }
}

/// Converts the error of a client that cannot be built, or of an attempt without a response. Removes the URL, which may
/// contain user input.
pub(super) fn convert(source: reqwest::Error) -> Error {
    let kind = kind(&source);
    let error = match kind {
        ErrorKind::Config if lacks_certificates(&source) => return no_certificates(source.without_url()),
        ErrorKind::Config => Error::config("failed to build the request or its HTTP client"),
        ErrorKind::Connect if source.is_dns() => Error::attempted(kind, "failed to resolve the name of the service"),
        ErrorKind::Connect => Error::attempted(kind, "failed to connect to the service"),
        ErrorKind::Timeout => Error::attempted(kind, "the service did not respond in time"),
        _ => Error::attempted(kind, "connection closed before a response arrived"),
    };
    error.with_source(source.without_url())
}

/// Converts the error of a TLS library that found no certificate on this machine.
pub(super) fn no_certificates(source: impl StdError + Send + Sync + 'static) -> Error {
    Error::config(
        "no usable certificate store for https: install the certificates of the system (Debian's package \
         ca-certificates), or set SSL_CERT_FILE to a file that holds them",
    )
    .with_source(source)
}

/// Returns whether rustls found no certificate on this machine. Only the text of its error shows it.
fn lacks_certificates(source: &reqwest::Error) -> bool {
    iter::successors(source.source(), |&cause| cause.source())
        .any(|cause| cause.to_string().contains("No CA certificates"))
}
