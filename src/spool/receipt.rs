//! The promise that a record will be on the disk, for code that awaits and for code that blocks.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};

use crate::completion::{self, Completer, Completion};
use crate::error::Error;

/// The result of writing a record: whether it is as durable as [`SpoolOptions::fsync`](super::SpoolOptions::fsync) says.
///
/// Await it, or [`wait`](Self::wait) for it: both work in any thread, inside and outside of any runtime. Dropping it
/// does not withdraw the record.
#[must_use = "only the receipt gives the result of writing the record"]
pub struct Receipt {
    record_number: u64,
    appended: DateTime<Utc>,
    written: Completion<Result<(), Error>>,
}

/// The sending end of a [`Receipt`], or of the completion of a dead letter or a checkpoint. One that is dropped says that the
/// spool was closed.
pub(super) struct Confirmation(Completer<Result<(), Error>>);

/// Creates a confirmation, and the completion that it completes.
pub(super) fn confirmation_pair() -> (Confirmation, Completion<Result<(), Error>>) {
    let closed = || Err(write_error(&io::Error::new(io::ErrorKind::BrokenPipe, "the spool is closed")));
    let (completer, completion) = completion::pair(closed);
    (Confirmation(completer), completion)
}

impl Confirmation {
    pub(super) fn complete(self, result: &io::Result<()>) {
        self.0.complete(result.as_ref().copied().map_err(write_error));
    }

    /// Returns whether nobody waits for it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }
}

impl Receipt {
    pub(super) fn new(record_number: u64, appended: DateTime<Utc>, written: Completion<Result<(), Error>>) -> Self {
        Self { record_number, appended, written }
    }

    /// Returns the number of the record. It is known before the record is written, and stands for no other record, even if
    /// writing fails.
    #[must_use]
    pub fn record_number(&self) -> u64 {
        self.record_number
    }

    /// Returns when the batch was appended first, by which it becomes too old.
    pub(crate) fn appended(&self) -> DateTime<Utc> {
        self.appended
    }

    /// Blocks the thread until the record is written.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if it could not be written. It may be on the disk all the same,
    /// and be read after a restart: after a failed fsync nobody knows.
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

/// An `io::Error` is not `Clone`, and each receipt of a group gets its own.
fn write_error(error: &io::Error) -> Error {
    let copy = io::Error::new(error.kind(), error.to_string());
    Error::spool("the spool could not write").with_source(copy)
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("record_number", &self.record_number)
            .field("complete", &self.written.is_complete())
            .finish_non_exhaustive()
    }
}
