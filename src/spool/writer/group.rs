//! Groups: the appends that are written with one write, made durable with one fsync, and confirmed together.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::super::format::{write_record, write_segment_head};
use super::super::options::Fsync;
use super::super::receipt::Confirmation;
use super::super::shared::{PendingAppend, size_on_disk, warn};
use super::Writer;
use super::active::ActiveSegment;

/// A group takes no more on after this many bytes, so that the first in it does not wait for ever.
const GROUP_BYTES: u64 = 1 << 20;

/// Records that are confirmed together.
struct CommitGroup {
    first: u64,
    /// The bytes of them, and of the head of a new segment, that it tried to write.
    bytes: u64,
    /// The bytes that were counted for them while they waited.
    waited: u64,
    confirmations: Vec<Confirmation>,
}

impl Writer {
    /// Writes the appends that wait, in groups with one fsync each. What comes while the last of them is made durable is left
    /// for the next call, so that under steady load everything else has its turn.
    pub(in super::super) fn commit(&mut self) {
        self.next_append();
        if self.active.as_ref().is_some_and(|active| !self.shared.lock().index.has_segment(active.first)) {
            // Somebody removed its file.
            self.active = None;
        }
        while let Some(append) = self.appends.front() {
            let (first, size) = (append.number, size_on_disk(&append.batch));
            if self.active.as_ref().is_some_and(|active| active.bytes + size > self.settings.segment_bytes) {
                self.seal();
            }
            let mut group = CommitGroup { first, bytes: 0, waited: 0, confirmations: Vec::new() };
            let result = self.write_group(&mut group);
            self.complete_group(group, &result);
        }
    }

    /// Returns the append that is to be written next.
    fn next_append(&mut self) -> Option<&PendingAppend> {
        if self.appends.is_empty() {
            self.appends = std::mem::take(&mut self.shared.lock().appends).into();
        }
        self.appends.front()
    }

    /// Writes as much as one segment and one fsync take.
    ///
    /// The active segment is put back only when all went well, so one with a failed write or fsync is never written
    /// again: after a failed fsync the system may call pages clean that never came to the disk.
    fn write_group(&mut self, group: &mut CommitGroup) -> io::Result<()> {
        let fresh = self.active.is_none();
        self.buffer.clear();
        if fresh {
            write_segment_head(&mut self.buffer, group.first);
        }
        self.encode(group, self.active.as_ref().map_or(0, |active| active.bytes));
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.create_segment(group.first)?,
        };
        let result = self.write(&mut active, group).and_then(|()| self.make_durable(&active, fresh));
        if result.is_ok() {
            self.active = Some(active);
        } else if self.shared.lock().index.record_failed_write(active.first, group.bytes) {
            self.sync_file(&active);
        } else {
            // No receipt confirmed what may be in it.
            let removed = self.directory.remove(&self.directory.segment(active.first));
            removed.unwrap_or_else(|error| warn("remove a segment that it failed to write", &error));
        }
        result
    }

    fn create_segment(&self, first: u64) -> io::Result<ActiveSegment> {
        Ok(ActiveSegment { file: self.directory.files.create(&self.directory.segment(first))?, first, bytes: 0 })
    }

    /// Writes the buffer, and then what came in the meantime: the fsync to come is what takes time.
    fn write(&mut self, active: &mut ActiveSegment, group: &mut CommitGroup) -> io::Result<()> {
        while !self.buffer.is_empty() {
            let bytes = self.buffer.len() as u64;
            group.bytes += bytes;
            self.make_room(group.bytes);
            active.file.write_all(&self.buffer)?;
            active.bytes += bytes;
            self.buffer.clear();
            if group.bytes < GROUP_BYTES {
                self.encode(group, active.bytes);
            }
        }
        Ok(())
    }

    /// Puts appends into the buffer while they fit into the segment behind the bytes that are used.
    fn encode(&mut self, group: &mut CommitGroup, used: u64) {
        while let Some(append) = self.next_append() {
            let size = size_on_disk(&append.batch);
            if !group.confirmations.is_empty() && used + self.buffer.len() as u64 + size > self.settings.segment_bytes {
                return;
            }
            let Some(append) = self.appends.pop_front() else { return };
            write_record(&mut self.buffer, append.number, append.appended, append.endpoint, &append.batch);
            self.next = append.number + 1;
            group.waited += size;
            group.confirmations.push(append.confirmation);
        }
    }

    /// Counts a group that was written, or could not be, and completes its receipts.
    fn complete_group(&mut self, group: CommitGroup, result: &io::Result<()>) {
        // All at once, so that a record is counted in one place.
        let mut state = self.shared.lock();
        let records = group.confirmations.len() as u64;
        state.waiting -= records;
        state.waiting_bytes -= group.waited;
        if let (Ok(()), Some(active)) = (result, &self.active) {
            state.index.record_commit(active.first, self.next - 1, records, group.bytes);
        }
        let reader = state.reader.take();
        drop(state);
        // The last one first: a task that waits for one after the other is woken once, when all are complete.
        for confirmation in group.confirmations.into_iter().rev() {
            confirmation.complete(result);
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Does for durability what each commit does.
    fn make_durable(&mut self, active: &ActiveSegment, fresh: bool) -> io::Result<()> {
        match self.settings.fsync {
            Fsync::EachCommit => {
                active.file.sync()?;
                if fresh {
                    self.directory.sync()?;
                }
            }
            Fsync::Interval(_) => _ = self.unsynced.get_or_insert_with(Instant::now),
            Fsync::Never => {}
        }
        Ok(())
    }

    /// Makes durable what waits for it; the segment is sealed if that fails.
    pub(in super::super) fn sync(&mut self) {
        if let Some(active) = self.active.take() {
            if self.sync_file(&active) {
                self.active = Some(active);
            } else {
                self.shared.lock().index.record_failed_write(active.first, 0);
            }
        }
    }

    /// Syncs a segment if anything of it waits for an fsync. Returns whether nothing of it does any more.
    fn sync_file(&mut self, active: &ActiveSegment) -> bool {
        if self.unsynced.take().is_none() {
            return true;
        }
        let synced = active.file.sync().and_then(|()| self.directory.sync());
        synced.inspect_err(|error| warn("make durable what it wrote", error)).is_ok()
    }

    /// Ends the active segment.
    pub(super) fn seal(&mut self) {
        self.sync();
        if self.active.take().is_some() {
            let mut state = self.shared.lock();
            if state.index.seal_active() {
                state.compact_within(Duration::ZERO);
            }
        }
    }
}
