//! Recovery: reads all segments when the spool is opened.

use std::io;

use super::cursor::Cursor;
use super::directory::Directory;
use super::index::Index;
use super::records::{Damage, Records};
use super::segment::Segment;
use super::shared::warn;

/// The state of a spool that was opened.
pub(super) struct Recovery {
    pub(super) index: Index,
    /// The number of the next record: above all that are known, so that no two records share a number.
    pub(super) next: u64,
    pub(super) damage: Damage,
}

/// Reads all segments. They are never written again, so a partial record at the end of one needs no repair.
pub(super) fn recover(directory: &Directory, syncs: bool) -> io::Result<Recovery> {
    // The directory is made durable before numbers are derived from it: a segment that was removed must not reappear later.
    directory.sync()?;
    let cursor = Cursor::load(directory)?;
    let mut found = Recovery { index: Index::default(), next: cursor.next.max(1), damage: Damage::default() };
    let mut last = None;
    for first in directory.segments()? {
        let path = directory.segment(first);
        if syncs {
            // The last process may have ended before an fsync was due.
            let synced = directory.files.append(&path).and_then(|file| file.sync());
            synced.unwrap_or_else(|error| warn("sync a segment of an earlier process", &error));
        }
        let mut records = Records::with_limits(directory.files.open(&path)?, last.max(first.checked_sub(1)), u64::MAX);
        let mut segment = Segment::default();
        for record in &mut records {
            let number =
                record.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?.number;
            segment.records += 1;
            segment.last = number;
            if cursor.done.contains(number) {
                segment.done.insert(number);
                segment.taken += 1;
            }
        }
        segment.damage = records.damage();
        segment.found = true;
        found.damage += segment.damage;
        segment.bytes = records.bytes_read();
        last = last.max(Some(segment.last.max(first)));
        found.index.insert(first, segment);
    }
    for first in directory.damaged_segments()? {
        let mut records = Records::new(directory.files.open(&directory.damaged_segment(first))?);
        let highest = records.by_ref().map_while(Result::ok).last().map_or(first, |record| record.number);
        found.damage += records.damage();
        found.index.quarantine(first, records.bytes_read());
        last = last.max(Some(highest.max(first)));
    }
    if let Some(last) = last {
        found.next = found.next.max(last + 1);
    }
    if found.damage.bytes > 0 {
        let Damage { bytes, places } = found.damage;
        tracing::warn!(bytes, places, dir = %directory.path.display(), "a part of the spool is damaged and cannot be read");
    }
    Ok(found)
}
