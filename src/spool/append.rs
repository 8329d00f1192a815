//! Appending: the bounds that a batch is held to, and its number.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::receipt::confirmation_pair;
use super::shared::{SpoolState, size_on_disk, too_large_error};
use super::{Endpoint, MAX_RECORD_BYTES, Receipt, Spool, SpoolFullPolicy};
use crate::error::Error;

impl Spool {
    /// Hands a sealed batch to the spool. The receipt completes when it is written.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool), at once, if the spool is full and [`SpoolFullPolicy::Refuse`] is set, if
    /// too much waits for the disk already, or if the batch is larger than a segment or than [`MAX_RECORD_BYTES`].
    pub fn append(&self, endpoint: Endpoint, batch: impl Into<Bytes>) -> Result<Receipt, Error> {
        self.append_at(endpoint, batch.into(), None)
    }

    /// Appends a batch. One that was in the spool before keeps the time from then, by which it becomes too old.
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

    /// Returns whether what waits for the disk is more than there is room for, if nothing but damaged segments gives way.
    fn is_full(&self, state: &SpoolState) -> bool {
        state.index.bytes() - state.index.quarantined_bytes() + state.waiting_bytes > self.settings.max_bytes
    }

    /// Returns whether there is room for a batch without giving up another.
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

    /// Counts these bytes as waiting for the disk.
    fn reserve(&self, state: &mut SpoolState, size: u64) -> Result<(), Error> {
        if state.closing {
            return Err(Error::spool("the spool is closed"));
        }
        if state.waiting_bytes + size > self.settings.max_waiting_bytes {
            return Err(Error::spool("too much waits for the disk of the spool"));
        }
        state.waiting_bytes += size;
        Ok(())
    }
}
