//! Reads records in order, each once.

use std::io::{self, ErrorKind};

use super::directory::Directory;
use super::file_system::ReadFile;
use super::format::Record;

use super::options::SpoolOptions;
use super::records::Records;
use super::segment::Position;
use super::shared::SpoolShared;

/// A segment that is being read.
pub(super) struct OpenSegment {
    first: u64,
    /// The number of bytes that may be read so far.
    bytes: u64,
    pub(super) records: Records<Box<dyn ReadFile>>,
    /// A record that was read, but still counts as unread because its number reached the caller's limit.
    ahead: Option<Record>,
}

impl OpenSegment {
    /// Opens the segment of this position, or continues with `open` if it is that segment.
    pub(super) fn resume(position: &Position, open: Option<Self>, directory: &Directory) -> io::Result<Self> {
        let mut open = if let Some(open) = open.filter(|open| open.first == position.first) {
            open
        } else {
            let file = directory.files.open(&directory.segment(position.first))?;
            Self {
                first: position.first,
                bytes: 0,
                records: Records::with_limits(file, position.after, 0),
                ahead: None,
            }
        };
        open.records.extend(position.bytes - open.bytes);
        open.bytes = position.bytes;
        Ok(open)
    }

    fn next(&mut self) -> io::Result<Option<Record>> {
        match self.ahead.take() {
            None => self.records.next().transpose(),
            ahead => Ok(ahead),
        }
    }
}

pub(super) struct SpoolReader {
    directory: Directory,
    open: Option<OpenSegment>,
}

impl SpoolReader {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, open: None }
    }

    /// Returns the next committed record whose number is below the limit. Marks the records on the way that are too old as
    /// expired.
    pub(super) fn next(
        &mut self,
        limit: Option<u64>,
        shared: &SpoolShared,
        settings: &SpoolOptions,
    ) -> io::Result<Option<Record>> {
        let is_beyond = |number| limit.is_some_and(|limit| number >= limit);
        loop {
            let position = shared.lock().index.read_position();
            let Some(position) = position.filter(|position| !is_beyond(position.first)) else { return Ok(None) };
            let mut open = match OpenSegment::resume(&position, self.open.take(), &self.directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let lost = shared.lock().index.mark_vanished(position.first);
                    shared.report_lost(lost, &self.directory.segment(position.first), settings);
                    continue;
                }
                result => result?,
            };
            // After an error the segment is opened again, and taken records are skipped.
            match open.next()? {
                None => {
                    let lost =
                        shared.lock().index.mark_exhausted(position.first, position.bytes, open.records.damage());
                    shared.report_lost(lost, &self.directory.segment(position.first), settings);
                }
                Some(record) if is_beyond(record.number) => {
                    open.ahead = Some(record);
                    self.open = Some(open);
                    return Ok(None);
                }
                Some(record) => {
                    self.open = Some(open);
                    if let Some(record) = take(position.first, record, shared, settings) {
                        return Ok(Some(record));
                    }
                }
            }
        }
    }
}

/// Marks a record as taken, or as expired if it is too old. Returns it unless it is expired or was taken before.
fn take(first: u64, record: Record, shared: &SpoolShared, settings: &SpoolOptions) -> Option<Record> {
    let age = (settings.clock)() - record.appended;
    let mut state = shared.lock();
    // A negative age, after the clock was set back, is not too old.
    if age.to_std().is_ok_and(|age| age > settings.max_age) {
        // The writer reads it again for the dead letters: expired records take no memory, however many there are.
        if state.index.expire(first, record.number) {
            shared.wake(state);
        }
        return None;
    }
    state.index.take(first, record.number).then_some(record)
}
