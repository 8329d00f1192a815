//! Frees disk space: removes finished and evicted segments, and saves the cursor.

use std::io;

use super::super::options::{EvictionReason, SpoolFullPolicy};
use super::super::range_set::RangeSet;
use super::super::records::Records;
use super::super::segment::DroppedSegment;
use super::super::shared::warn;
use super::{RETRY_DELAY, Writer};

impl Writer {
    /// Removes the oldest damaged segments, and then the oldest segments if the policy allows it, until this many bytes fit.
    pub(super) fn make_room(&mut self, bytes: u64) {
        loop {
            let mut state = self.shared.lock();
            if state.index.bytes() + bytes <= self.settings.max_bytes {
                return;
            }
            if let Some((first, bytes)) = state.index.pop_quarantined() {
                drop(state);
                let file = self.directory.damaged_segment(first);
                tracing::warn!(file = %file.display(), bytes, "the spool is full and removes its oldest damaged segment");
                self.directory.remove(&file).unwrap_or_else(|error| warn("remove a damaged segment", &error));
                continue;
            }
            if self.settings.when_full == SpoolFullPolicy::Refuse {
                return;
            }
            let Some(dropped) = state.index.drop_oldest() else { return };
            state.dropped += dropped.count();
            drop(state);
            let segment = self.directory.segment(dropped.first);
            let mut reported = RangeSet::default();
            self.report_evicted(&dropped, &mut reported)
                .unwrap_or_else(|error| warn("read the segment that it evicts", &error));
            let lost = dropped.lost_except(&reported);
            self.shared.lock().dropped -= lost.count();
            self.shared.report_lost(lost, &segment, &self.settings);
            self.directory
                .remove(&segment)
                .and_then(|()| if self.settings.syncs() { self.directory.sync() } else { Ok(()) })
                .unwrap_or_else(|error| warn("remove its oldest segment", &error));
        }
    }

    /// Reports the records that are evicted with their segment, and adds their numbers to `reported`.
    fn report_evicted(&self, dropped: &DroppedSegment, reported: &mut RangeSet) -> io::Result<()> {
        let file = self.directory.files.open(&self.directory.segment(dropped.first))?;
        for record in Records::with_limits(file, dropped.first.checked_sub(1), dropped.bytes()) {
            let record = record?;
            if dropped.is_lost(record.number) {
                reported.insert(record.number);
                (self.settings.on_evict)(&record, EvictionReason::Capacity);
            }
        }
        Ok(())
    }

    /// Removes the segments whose records are done, and saves the cursor.
    pub(in super::super) fn compact(&mut self) {
        let removed = self.remove_finished();
        let (cursor, checkpoints) = {
            let mut state = self.shared.lock();
            (state.index.cursor(self.next), std::mem::take(&mut state.checkpoints))
        };
        let saved = cursor.save(&self.directory, self.settings.syncs());
        for confirmation in checkpoints {
            confirmation.complete(&saved);
        }
        for (action, result) in [("remove finished segments", removed), ("save its cursor", saved)] {
            if let Err(error) = result {
                warn(action, &error);
                self.shared.lock().compact_within(RETRY_DELAY);
            }
        }
    }

    /// Removes the segments whose records are done. Damaged ones are kept under another name. The index drops them only when
    /// that is durable: the cursor would not cover a segment that reappeared.
    fn remove_finished(&self) -> io::Result<()> {
        let finished = self.shared.lock().index.finished_segments();
        if finished.is_empty() {
            return Ok(());
        }
        for first in &finished {
            let segment = self.directory.segment(*first);
            if self.shared.lock().index.is_damaged(*first) {
                match self.directory.files.rename(&segment, &self.directory.damaged_segment(*first)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            } else {
                self.directory.remove(&segment)?;
            }
        }
        if self.settings.syncs() {
            self.directory.sync()?;
        }
        self.shared.lock().index.remove_finished(&finished);
        Ok(())
    }
}
