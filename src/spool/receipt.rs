//! The promise that something will be on the disk, for code that awaits and for code that waits.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::completion::{self, Completion};
use crate::error::Error;

/// Tells when something is written, as durably as [`Settings::fsync`](super::Settings::fsync) says, or why it is not.
///
/// Await it, or [`wait`](Self::wait) for it: both work in any thread, inside and outside of any runtime. Dropping it
/// changes nothing about what it stands for.
#[must_use = "only the receipt tells whether it was written"]
pub struct Receipt(Completion<io::Result<u64>>);

/// The other end. Dropped without an outcome, it says that the spool was closed.
pub(super) struct Promise(completion::Completer<io::Result<u64>>);

pub(super) fn receipt() -> (Promise, Receipt) {
    let closed = || Err(io::Error::new(io::ErrorKind::BrokenPipe, "the spool is closed"));
    let (completer, completion) = completion::pair(closed);
    (Promise(completer), Receipt(completion))
}

impl Promise {
    /// Resolves the receipt. `number` is that of the record, and 0 where there is none.
    pub(super) fn settle(self, outcome: &io::Result<()>, number: u64) {
        // An io::Error is not Clone, and each receipt of a group gets its own.
        let copy = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.0.complete(outcome.as_ref().map(|()| number).map_err(copy));
    }

    /// Whether the receipt was dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }
}

impl Receipt {
    /// Blocks the thread until it is written.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if it could not be written. It may be on the disk all the same,
    /// and be read after a restart: after a failed fsync nobody knows.
    pub fn wait(self) -> Result<(), Error> {
        self.0.wait().map(drop).map_err(not_written)
    }

    /// Resolves to the number of the record.
    pub(crate) async fn number(self) -> Result<u64, Error> {
        self.0.await.map_err(not_written)
    }
}

impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_ok(drop).map_err(not_written)
    }
}

fn not_written(error: io::Error) -> Error {
    Error::spool("the spool could not write").with_source(error)
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("settled", &self.0.is_complete()).finish()
    }
}
