//! Reads records in order, each once.

use std::io::{self, ErrorKind};

use super::directory::Directory;
use super::file_system::ReadFile;
use super::format::Record;

use super::options::SpoolOptions;
use super::records::Records;
use super::segment::Position;
use super::shared::SpoolShared;

/// The segment that is read.
pub(super) struct OpenSegment {
    first: u64,
    /// The number of its bytes that may be read so far.
    bytes: u64,
    pub(super) records: Records<Box<dyn ReadFile>>,
    /// A record that was read and stays unread, since the caller wanted none from its number on.
    ahead: Option<Record>,
}

impl OpenSegment {
    /// Returns the segment of this position, which may be open already and is read on then.
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

    /// Returns the next record that is committed and whose number is below the limit. Dead-letters each record on the way that is
    /// too old.
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
            // After an error the segment is opened again, and what was taken is passed over.
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

/// Counts a record as taken, or as expired if it is too old. Returns it if the caller is to have it.
fn take(first: u64, record: Record, shared: &SpoolShared, settings: &SpoolOptions) -> Option<Record> {
    let age = (settings.clock)() - record.appended;
    let mut state = shared.lock();
    // A clock that was set back makes no record old.
    if age.to_std().is_ok_and(|age| age > settings.max_age) {
        // The writer reads it again for the dead letters, so that any number of such records takes no memory.
        if state.index.expire(first, record.number) {
            shared.wake(state);
        }
        return None;
    }
    state.index.take(first, record.number).then_some(record)
}
