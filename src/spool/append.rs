//! Appending: checks the limits, and gives a batch its number.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::receipt::confirmation_pair;
use super::shared::{SpoolState, size_on_disk, too_large_error};
use super::{Endpoint, MAX_RECORD_BYTES, Receipt, Spool, SpoolFullPolicy};
use crate::error::Error;

impl Spool {
    /// Queues a sealed batch to be written. The receipt completes when it is. A batch for [`Endpoint::Events`] is read again
    /// as one for [`Endpoint::BulkEvents`].
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool), immediately, if the spool is closed, if it is full and the policy is
    /// [`SpoolFullPolicy::Refuse`], if its write queue is full, or if the batch is larger than a segment or than
    /// [`MAX_RECORD_BYTES`].
    #[doc(hidden)]
    pub fn append(&self, endpoint: Endpoint, batch: impl Into<Bytes>) -> Result<Receipt, Error> {
        self.append_at(endpoint, batch.into(), None)
    }

    /// Appends a batch. `appended` is the time of a record that is written once more, so that it keeps its age.
    pub(crate) fn append_at(
        &self,
        endpoint: Endpoint,
        batch: Bytes,
        appended: Option<DateTime<Utc>>,
    ) -> Result<Receipt, Error> {
        let appended = appended.unwrap_or_else(|| (self.settings.clock)());
        let size = self.check_size(&batch)?;
        let mut state = self.shared.lock();
        self.reserve(&mut state, size)?;
        if self.settings.when_full == SpoolFullPolicy::Refuse && self.is_full(&state) {
            state.waiting_bytes -= size;
            return Err(Error::spool("the spool is full"));
        }
        let (confirmation, written) = confirmation_pair();
        let number = state.append(endpoint, batch, appended, confirmation);
        self.shared.wake(state);
        Ok(Receipt::new(number, appended, written))
    }

    /// Returns whether the queued appends exceed `max_bytes` even if all damaged segments are removed.
    fn is_full(&self, state: &SpoolState) -> bool {
        state.index.bytes() - state.index.quarantined_bytes() + state.waiting_bytes > self.settings.max_bytes
    }

    /// Returns whether a batch fits without evicting another.
    pub(crate) fn has_room(&self, batch: &Bytes) -> bool {
        let mut state = self.shared.lock();
        let size = size_on_disk(batch);
        state.waiting_bytes += size;
        let is_full = self.is_full(&state);
        state.waiting_bytes -= size;
        !is_full
    }

    fn check_size(&self, batch: &Bytes) -> Result<u64, Error> {
        let size = size_on_disk(batch);
        if batch.len() > MAX_RECORD_BYTES || size > self.settings.segment_bytes {
            return Err(too_large_error());
        }
        Ok(size)
    }

    /// Reserves space in the write queue.
    fn reserve(&self, state: &mut SpoolState, size: u64) -> Result<(), Error> {
        if state.closing {
            return Err(Error::spool("the spool is closed"));
        }
        if state.waiting_bytes + size > self.settings.max_waiting_bytes {
            return Err(Error::spool("the write queue of the spool is full"));
        }
        state.waiting_bytes += size;
        Ok(())
    }
}
