//! Group commit: appends that are written together, made durable with one fsync, and confirmed together.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::super::format::{write_record, write_segment_head};
use super::super::options::Fsync;
use super::super::receipt::Confirmation;
use super::super::shared::{PendingAppend, size_on_disk, warn};
use super::Writer;
use super::active::ActiveSegment;

/// The size from which a group takes no more appends, in bytes, so that its first one does not wait forever.
const GROUP_BYTES: u64 = 1 << 20;

/// Records that are confirmed together.
struct CommitGroup {
    first: u64,
    /// The number of bytes that it tried to write, including the head of a new segment.
    bytes: u64,
    /// The number of bytes that were reserved for them in the write queue.
    waited: u64,
    confirmations: Vec<Confirmation>,
}

impl Writer {
    /// Writes the queued appends, in groups with one fsync each. Appends that arrive during the last fsync are left for the
    /// next call, so that under steady load all other work has its turn.
    pub(in super::super) fn commit(&mut self) {
        self.next_append();
        if self.active.as_ref().is_some_and(|active| !self.shared.lock().index.has_segment(active.first)) {
            // Its file was removed by another program.
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

    /// Returns the next append to write.
    fn next_append(&mut self) -> Option<&PendingAppend> {
        if self.appends.is_empty() {
            self.appends = std::mem::take(&mut self.shared.lock().appends).into();
        }
        self.appends.front()
    }

    /// Writes as much as one segment and one fsync take.
    ///
    /// The active segment is put back only on success, so one with a failed write or fsync is never written again: after a
    /// failed fsync, the system may consider pages clean that never reached the disk.
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
            // No record in it was confirmed.
            let removed = self.directory.remove(&self.directory.segment(active.first));
            removed.unwrap_or_else(|error| warn("remove a segment that it failed to write", &error));
        }
        result
    }

    fn create_segment(&self, first: u64) -> io::Result<ActiveSegment> {
        Ok(ActiveSegment { file: self.directory.files.create(&self.directory.segment(first))?, first, bytes: 0 })
    }

    /// Writes the buffer, and then the appends that arrived in the meantime: the fsync that follows is what takes time.
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

    /// Encodes appends into the buffer while they fit into the segment after the bytes that are used.
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

    /// Counts a group whose write has succeeded or failed, and completes its receipts.
    fn complete_group(&mut self, group: CommitGroup, result: &io::Result<()>) {
        // Under one lock, so that a record is always counted in exactly one place.
        let mut state = self.shared.lock();
        let records = group.confirmations.len() as u64;
        state.waiting -= records;
        state.waiting_bytes -= group.waited;
        if let (Ok(()), Some(active)) = (result, &self.active) {
            state.index.record_commit(active.first, self.next - 1, records, group.bytes);
        }
        let reader = state.reader.take();
        drop(state);
        // In reverse order: a task that awaits one after the other is woken once, when all are complete.
        for confirmation in group.confirmations.into_iter().rev() {
            confirmation.complete(result);
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Syncs the group, or notes that a sync is due, as the policy says.
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

    /// Syncs the active segment, and seals it if that fails.
    pub(in super::super) fn sync(&mut self) {
        if let Some(active) = self.active.take() {
            if self.sync_file(&active) {
                self.active = Some(active);
            } else {
                self.shared.lock().index.record_failed_write(active.first, 0);
            }
        }
    }

    /// Syncs a segment if it has unsynced data. Returns whether all of its data is synced.
    fn sync_file(&mut self, active: &ActiveSegment) -> bool {
        if self.unsynced.take().is_none() {
            return true;
        }
        let synced = active.file.sync().and_then(|()| self.directory.sync());
        synced.inspect_err(|error| warn("sync its active segment", error)).is_ok()
    }

    /// Seals the active segment.
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
