//! The one thread that writes: groups of records to segments, the removal of those that are done, the cursor, dead
//! letters. A thread runs it; a test runs it step by step.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dead_letters::DeadLetterFiles;
use super::directory::Directory;
use super::file_system::Output;
use super::format::{write_record, write_segment_head};
use super::index::Dropped;
use super::range_set::RangeSet;
use super::reader::Open;
use super::receipt::Confirmation;
use super::records::Records;
use super::settings::{EvictionReason, Fsync, Settings, WhenFull};
use super::shared::{Append, PendingDeadLetter, Shared, size_on_disk, warn};

/// The time to wait after the file system failed, before segments are removed or the cursor is saved again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The number of attempts to write a dead letter whose completion somebody waits for.
const DEAD_LETTER_ATTEMPTS: u32 = 5;

/// A group takes no more on after this many bytes, so that the first in it does not wait for ever.
const GROUP_BYTES: u64 = 1 << 20;

/// The segment that is written to.
struct Active {
    file: Box<dyn Output>,
    first: u64,
    bytes: u64,
}

/// Records that are confirmed together.
struct Group {
    first: u64,
    /// The bytes of them, and of the head of a new segment, that it tried to write.
    bytes: u64,
    /// The bytes that were counted for them while they waited.
    waited: u64,
    confirmations: Vec<Confirmation>,
}

pub(super) struct Writer {
    directory: Directory,
    settings: Settings,
    shared: Arc<Shared>,
    /// A number above those of all records that it tried to write, for the cursor.
    next: u64,
    active: Option<Active>,
    /// Taken over and not written yet.
    appends: VecDeque<Append>,
    /// Since when something is written and not synced, with [`Fsync::Interval`].
    unsynced: Option<Instant>,
    dead_letters: DeadLetterFiles,
    /// Where records that are too old were read last: a segment takes several portions of dead letters.
    expiring: Option<Open>,
    /// Dead letters could not be written the last time.
    dead_letters_failing: bool,
    buffer: Vec<u8>,
    /// Held until the end.
    _lock: Box<dyn Send + Sync>,
}

/// However the writing ends, nobody waits for it after that.
impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        let unwritten = (
            std::mem::take(&mut state.appends),
            std::mem::take(&mut state.dead_letters),
            std::mem::take(&mut state.checkpoints),
        );
        drop(state);
        drop(unwritten);
    }
}

impl Writer {
    pub(super) fn new(
        directory: Directory,
        settings: Settings,
        shared: Arc<Shared>,
        next: u64,
        lock: Box<dyn Send + Sync>,
    ) -> Self {
        let dead_letters = DeadLetterFiles::new(directory.clone(), settings.max_dead_letter_bytes);
        let (active, appends, unsynced, buffer) = (None, VecDeque::new(), None, Vec::new());
        Self {
            directory,
            settings,
            shared,
            next,
            active,
            appends,
            unsynced,
            dead_letters,
            expiring: None,
            dead_letters_failing: false,
            buffer,
            _lock: lock,
        }
    }

    /// Works until the spool is closed, and until all that was appended before is written.
    pub(super) fn run(mut self) {
        loop {
            let work = self.shared.wait_for_work(self.sync_due());
            self.commit();
            if work.dead_letters {
                self.write_dead_letters();
            }
            if self.sync_due().is_some_and(|due| due <= Instant::now()) {
                self.sync();
            }
            if work.compact {
                self.compact();
            }
            if work.closing {
                return self.close();
            }
        }
    }

    pub(crate) fn close(mut self) {
        let lost = self.shared.lock().dead_letters.iter().filter(|letter| letter.number.is_none()).count();
        if lost > 0 {
            tracing::warn!(
                letters = lost,
                "the spool is closed and could not write dead letters that it held in memory"
            );
        }
        self.seal();
        self.compact();
    }

    fn sync_due(&self) -> Option<Instant> {
        match self.settings.fsync {
            Fsync::Interval(interval) => self.unsynced.and_then(|since| since.checked_add(interval)),
            Fsync::EachCommit | Fsync::Never => None,
        }
    }

    /// Writes the appends that wait, in groups with one fsync each. What comes while the last of them is made durable is left
    /// for the next call, so that under steady load everything else has its turn.
    pub(super) fn commit(&mut self) {
        self.next_append();
        if self.active.as_ref().is_some_and(|active| !self.shared.lock().index.has(active.first)) {
            // Somebody removed its file.
            self.active = None;
        }
        while let Some(append) = self.appends.front() {
            let (first, size) = (append.number, size_on_disk(&append.batch));
            if self.active.as_ref().is_some_and(|active| active.bytes + size > self.settings.segment_bytes) {
                self.seal();
            }
            let mut group = Group { first, bytes: 0, waited: 0, confirmations: Vec::new() };
            let outcome = self.write_group(&mut group);
            self.complete_group(group, &outcome);
        }
    }

    /// The append that is to be written next.
    fn next_append(&mut self) -> Option<&Append> {
        if self.appends.is_empty() {
            self.appends = std::mem::take(&mut self.shared.lock().appends).into();
        }
        self.appends.front()
    }

    /// Writes as much as one segment and one fsync take.
    ///
    /// The active segment is put back only when all went well, so one with a failed write or fsync is never written
    /// again: after a failed fsync the system may call pages clean that never came to the disk.
    fn write_group(&mut self, group: &mut Group) -> io::Result<()> {
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
        let outcome = self.write(&mut active, group).and_then(|()| self.make_durable(&active, fresh));
        if outcome.is_ok() {
            self.active = Some(active);
        } else if self.shared.lock().index.failed(active.first, group.bytes) {
            self.sync_file(&active);
        } else {
            // No receipt confirmed what may be in it.
            let removed = self.directory.remove(&self.directory.segment(active.first));
            removed.unwrap_or_else(|error| warn("remove a segment that it failed to write", &error));
        }
        outcome
    }

    fn create_segment(&self, first: u64) -> io::Result<Active> {
        Ok(Active { file: self.directory.files.create(&self.directory.segment(first))?, first, bytes: 0 })
    }

    /// Writes the buffer, and then what came in the meantime: the fsync to come is what takes time.
    fn write(&mut self, active: &mut Active, group: &mut Group) -> io::Result<()> {
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
    fn encode(&mut self, group: &mut Group, used: u64) {
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
    fn complete_group(&mut self, group: Group, outcome: &io::Result<()>) {
        // All at once, so that a record is counted in one place.
        let mut state = self.shared.lock();
        let records = group.confirmations.len() as u64;
        state.waiting -= records;
        state.waiting_bytes -= group.waited;
        if let (Ok(()), Some(active)) = (outcome, &self.active) {
            state.index.committed(active.first, self.next - 1, records, group.bytes);
        }
        let reader = state.reader.take();
        drop(state);
        // The last one first: a task that waits for one after the other is woken once, when all are complete.
        for confirmation in group.confirmations.into_iter().rev() {
            confirmation.complete(outcome);
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Does for durability what each commit does.
    fn make_durable(&mut self, active: &Active, fresh: bool) -> io::Result<()> {
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
    pub(super) fn sync(&mut self) {
        if let Some(active) = self.active.take() {
            if self.sync_file(&active) {
                self.active = Some(active);
            } else {
                self.shared.lock().index.failed(active.first, 0);
            }
        }
    }

    /// Syncs a segment if anything of it waits for an fsync. Returns whether nothing of it does any more.
    fn sync_file(&mut self, active: &Active) -> bool {
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
            if state.index.sealed() {
                state.compact_within(Duration::ZERO);
            }
        }
    }

    /// Gives up the oldest damaged segments, and then the oldest segments if that is the policy, until this many bytes fit.
    fn make_room(&mut self, bytes: u64) {
        loop {
            let mut state = self.shared.lock();
            if state.index.bytes() + bytes <= self.settings.max_bytes {
                return;
            }
            if let Some((first, bytes)) = state.index.pop_kept_aside() {
                drop(state);
                let file = self.directory.damaged_segment(first);
                tracing::warn!(file = %file.display(), bytes, "the spool is full and removes its oldest damaged segment");
                self.directory.remove(&file).unwrap_or_else(|error| warn("remove a damaged segment", &error));
                continue;
            }
            if self.settings.when_full == WhenFull::Refuse {
                return;
            }
            let Some(dropped) = state.index.drop_oldest() else { return };
            state.dropped += dropped.count();
            drop(state);
            let segment = self.directory.segment(dropped.first);
            let mut told = RangeSet::default();
            self.report(&dropped, &mut told).unwrap_or_else(|error| warn("read what it drops", &error));
            let lost = dropped.lost_beside(&told);
            self.shared.lock().dropped -= lost.count();
            self.shared.report_lost(lost, &segment, &self.settings);
            self.directory
                .remove(&segment)
                .and_then(|()| if self.settings.durably() { self.directory.sync() } else { Ok(()) })
                .unwrap_or_else(|error| warn("remove its oldest segment", &error));
        }
    }

    /// Reports the records that are evicted with their segment, and adds their numbers.
    fn report(&self, dropped: &Dropped, told: &mut RangeSet) -> io::Result<()> {
        let file = self.directory.files.open(&self.directory.segment(dropped.first))?;
        for record in Records::after(file, dropped.first.checked_sub(1), dropped.bytes()) {
            let record = record?;
            if dropped.is_lost(record.number) {
                told.insert(record.number);
                (self.settings.on_evict)(&record, EvictionReason::Capacity);
            }
        }
        Ok(())
    }

    /// Removes the segments whose records are done, and saves the cursor.
    pub(super) fn compact(&mut self) {
        let cleaned = self.remove_finished();
        let (cursor, checkpoints) = {
            let mut state = self.shared.lock();
            (state.index.cursor(self.next), std::mem::take(&mut state.checkpoints))
        };
        let saved = cursor.save(&self.directory, self.settings.durably());
        for confirmation in checkpoints {
            confirmation.complete(&saved);
        }
        for (what, result) in [("remove segments", cleaned), ("save its cursor", saved)] {
            if let Err(error) = result {
                warn(what, &error);
                self.shared.lock().compact_within(RETRY_DELAY);
            }
        }
    }

    /// Damaged ones are kept under another name. They are forgotten only when their names are gone for good: one that came back would not be in the cursor.
    fn remove_finished(&self) -> io::Result<()> {
        let finished = self.shared.lock().index.finished();
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
        if self.settings.durably() {
            self.directory.sync()?;
        }
        self.shared.lock().index.forget(&finished);
        Ok(())
    }

    /// Writes dead letters, in portions, and counts their records as done. What cannot be written is tried again later; records
    /// stay in the spool until then.
    pub(crate) fn write_dead_letters(&mut self) {
        let outcome = self.write_rejected().and_then(|()| self.write_expired());
        let mut state = self.shared.lock();
        state.dead_letters_dropped = self.dead_letters.dropped;
        state.dead_letters_due = outcome.is_err().then(|| Instant::now() + RETRY_DELAY);
        drop(state);
        match outcome {
            Ok(()) => self.dead_letters_failing = false,
            // The first of failures in a row is logged.
            Err(error) if !std::mem::replace(&mut self.dead_letters_failing, true) => {
                warn("write to the dead-letter file, and tries again", &error);
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
            let outcome = self.dead_letters.write(lines, (self.settings.clock)());
            let mut state = self.shared.lock();
            let mut settled = Vec::new();
            for mut letter in portion.into_iter().rev() {
                letter.failures += u32::from(outcome.is_err());
                // Nobody waits for one whose completion was dropped, so it is tried for as long as the spool is open.
                if outcome.is_err() && (letter.failures < DEAD_LETTER_ATTEMPTS || letter.confirmation.is_abandoned()) {
                    state.dead_letters.push_front(letter);
                    continue;
                }
                state.dead_letter_bytes -= letter.size();
                if let (Ok(()), Some(number)) = (&outcome, letter.number) {
                    state.acknowledge(number);
                }
                settled.push(letter.confirmation);
            }
            drop(state);
            for confirmation in settled {
                confirmation.complete(&outcome);
            }
            outcome?;
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

    /// Writes a portion of the records that are too old. They are read once more: memory holds their numbers alone.
    fn write_expired(&mut self) -> io::Result<()> {
        let Some((position, mut expired)) = self.shared.lock().index.expired_position() else { return Ok(()) };
        let segment = self.directory.segment(position.first);
        let mut open = match Open::at(&position, self.expiring.take(), &self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lost = self.shared.lock().index.vanished(position.first);
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
        // After a failure the portion is read again.
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
