//! Writes dead letters: batches that callers rejected, and expired records.

use std::io;
use std::time::Instant;

use super::super::options::EvictionReason;
use super::super::reader::OpenSegment;
use super::super::shared::{PendingDeadLetter, warn};
use super::{RETRY_DELAY, Writer};

/// The number of attempts to write a dead letter whose completion is awaited.
const DEAD_LETTER_ATTEMPTS: u32 = 5;

impl Writer {
    /// Writes dead letters, in portions, and marks their records as done. A failed write is retried later, and the records
    /// stay in the spool until then.
    pub(in super::super) fn write_dead_letters(&mut self) {
        let result = self.write_rejected().and_then(|()| self.write_expired());
        let mut state = self.shared.lock();
        state.dead_letters_dropped = self.dead_letters.dropped;
        state.dead_letters_due = result.is_err().then(|| Instant::now() + RETRY_DELAY);
        drop(state);
        match result {
            Ok(()) => self.dead_letters_failing = false,
            // Only the first of consecutive failures is logged.
            Err(error) if !std::mem::replace(&mut self.dead_letters_failing, true) => {
                warn("write to the dead-letter file, and will retry", &error);
            }
            Err(_) => {}
        }
    }

    /// Writes the batches that callers rejected.
    fn write_rejected(&mut self) -> io::Result<()> {
        loop {
            let portion = self.take_dead_letters();
            if portion.is_empty() {
                return Ok(());
            }
            let lines = portion.iter().map(|letter| (letter.endpoint, &letter.batch, letter.reason.as_str()));
            let result = self.dead_letters.write(lines, (self.settings.clock)());
            let mut state = self.shared.lock();
            let mut completed = Vec::new();
            for mut letter in portion.into_iter().rev() {
                letter.failures += u32::from(result.is_err());
                // If its completion was dropped, no caller would see the error, so it is retried for as long as the spool is
                // open.
                if result.is_err() && (letter.failures < DEAD_LETTER_ATTEMPTS || letter.confirmation.is_abandoned()) {
                    state.dead_letters.push_front(letter);
                    continue;
                }
                state.dead_letter_bytes -= letter.size();
                if let (Ok(()), Some(number)) = (&result, letter.number) {
                    state.acknowledge(number);
                }
                completed.push(letter.confirmation);
            }
            drop(state);
            for confirmation in completed {
                confirmation.complete(&result);
            }
            result?;
        }
    }

    fn take_dead_letters(&self) -> Vec<PendingDeadLetter> {
        let mut state = self.shared.lock();
        let (mut portion, mut bytes) = (Vec::new(), 0);
        while bytes < self.dead_letters.portion_bytes() || portion.is_empty() {
            let Some(letter) = state.dead_letters.pop_front() else { break };
            bytes += letter.size();
            portion.push(letter);
        }
        portion
    }

    /// Writes a portion of the expired records. They are read once more: memory holds only their numbers.
    fn write_expired(&mut self) -> io::Result<()> {
        let Some((position, mut expired)) = self.shared.lock().index.expired_position() else { return Ok(()) };
        let segment = self.directory.segment(position.first);
        let mut open = match OpenSegment::resume(&position, self.expiring.take(), &self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lost = self.shared.lock().index.mark_vanished(position.first);
                self.shared.report_lost(lost, &segment, &self.settings);
                return Ok(());
            }
            result => result?,
        };
        let (mut portion, mut bytes) = (Vec::new(), 0);
        while bytes < self.dead_letters.portion_bytes() || portion.is_empty() {
            let Some(record) = open.records.next().transpose()? else {
                let lost = self.shared.lock().index.lose_expired(position.first, &expired);
                self.shared.report_lost(lost, &segment, &self.settings);
                break;
            };
            if expired.remove(record.number) {
                bytes += record.batch.len() as u64;
                portion.push(record);
            }
        }
        let reason = self.settings.expiry_reason();
        let lines = portion.iter().map(|record| (record.endpoint, &record.batch, reason.as_str()));
        self.dead_letters.write(lines, (self.settings.clock)())?;
        // Kept only now: after a failure the portion is read again.
        self.expiring = Some(open);
        let mut state = self.shared.lock();
        for record in &portion {
            state.acknowledge(record.number);
        }
        state.expired += portion.len() as u64;
        drop(state);
        for record in &portion {
            (self.settings.on_evict)(record, EvictionReason::Expired);
        }
        Ok(())
    }
}
