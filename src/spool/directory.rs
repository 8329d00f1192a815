//! The paths of the spool's files.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file_system::{FileSystem, is_dir_sync_unsupported};
use super::format::NUMBERS;

/// The spool's directory on its file system.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) path: PathBuf,
    /// Set once it was logged that the file system does not sync directories.
    warned: Arc<AtomicBool>,
}

impl Directory {
    pub(super) fn new(files: Arc<dyn FileSystem>, path: PathBuf) -> Self {
        Self { files, path, warned: Arc::default() }
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(super) fn cursor(&self) -> PathBuf {
        self.path.join("cursor")
    }

    /// Returns the path of the new cursor, until it is renamed over the saved one.
    pub(super) fn new_cursor(&self) -> PathBuf {
        self.path.join("cursor.new")
    }

    pub(super) fn dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters.ndjson")
    }

    /// Returns the path of a new dead-letter file, until it is renamed over the newest one.
    pub(super) fn new_dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters.new")
    }

    /// Returns the path of an older dead-letter file. Generation 1 is the newest of them.
    pub(super) fn dead_letter_generation(&self, generation: u32) -> PathBuf {
        self.path.join(format!("dead-letters.{generation}.ndjson"))
    }

    /// Returns the generations of the older dead-letter files, the newest first.
    pub(super) fn dead_letter_generations(&self) -> io::Result<Vec<u32>> {
        let number = |name: &String| {
            let number = name.strip_prefix("dead-letters.")?.strip_suffix(".ndjson")?;
            number.parse().ok().filter(|parsed: &u32| *parsed > 0 && parsed.to_string() == number)
        };
        let mut generations: Vec<u32> = self.files.list(&self.path)?.iter().filter_map(number).collect();
        generations.sort_unstable();
        Ok(generations)
    }

    /// Returns the paths of the older dead-letter files, the oldest first.
    pub(super) fn old_dead_letters(&self) -> io::Result<Vec<PathBuf>> {
        let generations = self.dead_letter_generations()?;
        Ok(generations.into_iter().rev().map(|generation| self.dead_letter_generation(generation)).collect())
    }

    /// Returns the path of a segment. It is named after the number of its first record, so that names sort like records.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.log"))
    }

    /// Returns the path that a damaged segment is renamed to when its records are done.
    pub(super) fn damaged_segment(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.log.damaged"))
    }

    /// Returns the first record numbers of all segments, in ascending order.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        self.list_numbered(".log")
    }

    /// Returns the first record numbers of the segments that are kept because they are damaged, in ascending order.
    pub(super) fn damaged_segments(&self) -> io::Result<Vec<u64>> {
        self.list_numbered(".log.damaged")
    }

    fn list_numbered(&self, suffix: &str) -> io::Result<Vec<u64>> {
        let number = |name: &str| name.strip_suffix(suffix).filter(|digits| digits.len() == 20)?.parse().ok();
        let mut firsts: Vec<u64> = self.files.list(&self.path)?.iter().filter_map(|name| number(name)).collect();
        firsts.retain(|first| *first < NUMBERS);
        firsts.sort_unstable();
        Ok(firsts)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match self.files.sync_dir(&self.path) {
            Err(error) if is_dir_sync_unsupported(&error) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        dir = %self.path.display(),
                        %error,
                        "the file system does not sync directories: after a power loss, new files of the spool may be missing"
                    );
                }
                Ok(())
            }
            result => result,
        }
    }

    /// Returns the paths of all files that the spool reads. Any other file in the directory is ignored.
    pub(super) fn data_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = self.old_dead_letters()?;
        files.extend([self.dead_letters(), self.cursor()]);
        files.extend(self.segments()?.into_iter().map(|first| self.segment(first)));
        files.extend(self.damaged_segments()?.into_iter().map(|first| self.damaged_segment(first)));
        Ok(files)
    }

    /// Removes a file. Succeeds if it does not exist.
    pub(super) fn remove(&self, path: &std::path::Path) -> io::Result<()> {
        match self.files.remove(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}
