//! Detection of segments that another program removes or truncates while the spool is open.

use std::io::{self, Seek};
use std::path::Path;

use super::directory::Directory;
use super::range_set::RangeSet;
use super::shared::warn;
use super::{Records, Spool};

impl Spool {
    /// Looks for segments that another program has removed or truncated. Unread records that vanished count as lost, and
    /// taken ones are no longer [contained](Self::contains). Otherwise a loss is noticed only when the reader reaches it.
    pub(crate) fn find_vanished(&self) {
        let needed = self.shared.lock().index.unfinished_segments();
        for (first, bytes) in needed {
            let segment = self.directory.segment(first);
            let lost = match present_records(&self.directory, &segment, bytes) {
                Ok(None) => continue,
                Ok(Some(present)) => self.shared.lock().index.mark_shortened(first, bytes, &present),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.shared.lock().index.mark_vanished(first),
                Err(error) => {
                    warn("check a segment for truncation", &error);
                    continue;
                }
            };
            self.shared.report_lost(lost, &segment, &self.settings);
        }
    }
}

/// Returns the records that are left of a segment that is shorter than its committed size, and `None` if it is not.
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
