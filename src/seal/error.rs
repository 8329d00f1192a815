//! The error of sealing, which returns the batch.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;

use crate::error::Error;
use crate::generated::types::Batch;

/// The error of a batch that cannot be sealed. It returns the batch, with its ids set.
///
/// It derefs to [`Error`], and converts into it with `?`, which drops the batch.
///
/// ```
/// use mparticle::{Batch, Environment};
///
/// let batch = Batch::new(Environment::Development).user_attribute("score", f64::NAN);
/// let error = batch.seal().unwrap_err();
/// assert_eq!(error.to_string(), "/user_attributes/score is NaN or infinite, which JSON cannot represent");
/// let batch = error.into_batch().user_attribute("score", 0);
/// # batch.seal()?;
/// # Ok::<(), mparticle::Error>(())
/// ```
#[derive(Clone)]
pub struct SealError {
    error: Error,
    /// Boxed, because a batch is large and a `Result` is as large as its error.
    batch: Box<Batch>,
}

impl SealError {
    pub(crate) fn new(error: Error, batch: Batch) -> Self {
        Self { error, batch: Box::new(batch) }
    }

    /// Returns the reason.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the batch.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Returns the batch, and drops the reason.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        *self.batch
    }

    /// Returns the reason and the batch.
    #[must_use]
    pub fn into_parts(self) -> (Error, Batch) {
        (self.error, *self.batch)
    }
}

impl Deref for SealError {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.error
    }
}

/// Drops the batch.
impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        error.error
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealError").field("error", &self.error).field("events", &self.batch.events.len()).finish()
    }
}

impl StdError for SealError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}
