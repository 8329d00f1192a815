//! The status of delivery.

use std::fmt;

use crate::error::Error;

/// The status of the delivery of an [`Uploader`](super::Uploader): [`Uploader::status`](super::Uploader::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UploaderStatus {
    /// It delivers, or has nothing to deliver.
    Running,
    /// The last request failed and is retried: no connection, no response in time, a 5xx, a 429. It ends with the next response
    /// that is none of these; an uploader never gives up by itself. [`Error::retry_after`] is the wait that the service asks for,
    /// and the source of the error the reason of the operating system.
    Retrying(Error),
    /// It has stopped sending and keeps everything: the service refuses the credentials (401, 403), the base URL is wrong (404
    /// and the like), or something else than the service responds, such as the sign-in page of a network
    /// ([`ErrorKind::UnexpectedResponse`](crate::ErrorKind::UnexpectedResponse)).
    ///
    /// It is logged as an error by `tracing`. Nothing is sent until [`resume`](super::Uploader::resume) is called, even if the cause
    /// has passed. After a shutdown the status stays as it is: what is left was not sent for this reason.
    Stopped(Error),
    /// It is shut down. The error is that of the last request, if that failed and was to be retried.
    ShutDown(Option<Error>),
}

impl UploaderStatus {
    /// Returns why batches are not delivered at the moment, or were not at the end.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Retrying(error) | Self::Stopped(error) => Some(error),
            Self::ShutDown(error) => error.as_ref(),
            Self::Running => None,
        }
    }

    /// Returns the error of an uploader that has [stopped](Self::Stopped).
    #[must_use]
    pub fn into_stopped(self) -> Option<Error> {
        match self {
            Self::Stopped(error) => Some(error),
            Self::Running | Self::Retrying(_) | Self::ShutDown(_) => None,
        }
    }
}

/// One line for a log.
impl fmt::Display for UploaderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Retrying(error) => write!(f, "retrying: {error}"),
            Self::Stopped(error) => write!(f, "stopped: {error}"),
            Self::ShutDown(None) => f.write_str("shut down"),
            Self::ShutDown(Some(error)) => write!(f, "shut down: {error}"),
        }
    }
}
