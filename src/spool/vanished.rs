//! Losses from outside: segments that somebody removed or shortened while the spool is open.

use std::io::{self, Seek};
use std::path::Path;

use super::directory::Directory;
use super::range_set::RangeSet;
use super::shared::warn;
use super::{Records, Spool};

impl Spool {
    /// Looks for segments that somebody removed or shortened. What vanished unread is counted as lost, and what was read is no
    /// longer [contained](Self::contains). Without it, a loss is noticed when the reader comes there.
    pub(crate) fn find_vanished(&self) {
        let needed = self.shared.lock().index.unfinished_segments();
        for (first, bytes) in needed {
            let segment = self.directory.segment(first);
            let lost = match present_records(&self.directory, &segment, bytes) {
                Ok(None) => continue,
                Ok(Some(present)) => self.shared.lock().index.mark_shortened(first, bytes, &present),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.shared.lock().index.mark_vanished(first),
                Err(error) => {
                    warn("look for what vanished", &error);
                    continue;
                }
            };
            self.shared.report_lost(lost, &segment, &self.settings);
        }
    }
}

/// Returns the records of a segment that is shorter than what was committed, and nothing for one that is not.
fn present_records(directory: &Directory, segment: &Path, bytes: u64) -> io::Result<Option<RangeSet>> {
    let mut file = directory.files.open(segment)?;
    if file.seek(io::SeekFrom::End(0))? >= bytes {
        return Ok(None);
    }
    file.rewind()?;
    let mut present = RangeSet::default();
    for record in Records::with_limits(file, None, bytes) {
        present.insert(record?.number);
    }
    Ok(Some(present))
}
