//! Where each file of the spool lies.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use super::file_system::FileSystem;
use super::format::NUMBERS;

/// The spool's directory on its file system.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) path: PathBuf,
}

impl Directory {
    pub(super) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(super) fn cursor(&self) -> PathBuf {
        self.path.join("cursor")
    }

    /// The next cursor, until it takes the place of the last one.
    pub(super) fn new_cursor(&self) -> PathBuf {
        self.path.join("cursor.new")
    }

    pub(super) fn dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters.ndjson")
    }

    pub(super) fn old_dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters.old.ndjson")
    }

    /// A segment is named after the number of its first record, so that names sort as records do.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.log"))
    }

    /// The first numbers of all segments, in order.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        let number = |name: &str| name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok();
        let mut firsts: Vec<u64> = self.files.list(&self.path)?.iter().filter_map(|name| number(name)).collect();
        firsts.retain(|first| *first < NUMBERS);
        firsts.sort_unstable();
        Ok(firsts)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.files.sync_dir(&self.path)
    }

    /// Removes a file, or finds it removed.
    pub(super) fn remove(&self, path: &std::path::Path) -> io::Result<()> {
        match self.files.remove(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}
