//! The receipts of appends, for async and for blocking code.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};

use crate::completion::{self, Completer, Completion};
use crate::error::Error;

/// A handle to the result of an append. It completes when the record is as durable as
/// [`SpoolOptions::fsync`](super::SpoolOptions::fsync) requires.
///
/// Await it in any runtime, or block the thread with [`wait`](Self::wait). Dropping it does not withdraw the record.
#[must_use = "the record is on the disk only once the receipt completes"]
pub struct Receipt {
    record_number: u64,
    appended: DateTime<Utc>,
    written: Completion<Result<(), Error>>,
}

/// The sending end of a [`Receipt`], or of the completion of a dead letter or a checkpoint. If it is dropped, the result is
/// the error that the spool is closed.
pub(super) struct Confirmation(Completer<Result<(), Error>>);

/// Creates a confirmation and its completion.
pub(super) fn confirmation_pair() -> (Confirmation, Completion<Result<(), Error>>) {
    let closed = || Err(write_error(&io::Error::new(io::ErrorKind::BrokenPipe, "the spool is closed")));
    let (completer, completion) = completion::pair(closed);
    (Confirmation(completer), completion)
}

impl Confirmation {
    pub(super) fn complete(self, result: &io::Result<()>) {
        self.0.complete(result.as_ref().copied().map_err(write_error));
    }

    /// Returns whether the completion and all of its clones were dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }
}

impl Receipt {
    pub(super) fn new(record_number: u64, appended: DateTime<Utc>, written: Completion<Result<(), Error>>) -> Self {
        Self { record_number, appended, written }
    }

    /// Returns the number of the record. It is known before the record is written, and is not reused even if the write
    /// fails.
    #[must_use]
    pub fn record_number(&self) -> u64 {
        self.record_number
    }

    /// Returns the time at which the batch was first appended, which determines its age.
    pub(crate) fn appended(&self) -> DateTime<Utc> {
        self.appended
    }

    /// Blocks the thread until the record is written.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the write failed. The record may be on the disk nevertheless, and be
    /// read after a restart: the effect of a failed fsync is unknown.
    pub fn wait(self) -> Result<(), Error> {
        self.written.wait()
    }
}

impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.written).poll(context)
    }
}

/// Copies the error for each receipt of a group: `io::Error` is not `Clone`.
fn write_error(error: &io::Error) -> Error {
    let copy = io::Error::new(error.kind(), error.to_string());
    Error::spool("the spool failed to write").with_source(copy)
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("record_number", &self.record_number)
            .field("complete", &self.written.is_complete())
            .finish_non_exhaustive()
    }
}
