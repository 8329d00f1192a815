//! Administration of dead letters and damaged segments. No program may have the spool open.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::directory::Directory;
use super::super::file_system::{AppendFile, Disk};
use super::super::{Receipt, Spool, SpoolFullPolicy, SpoolOptions, file_error};
use super::readers;
use crate::error::Error;

/// The size of the dead letters that are appended before waiting for the disk, in bytes.
const GROUP_BYTES: usize = 1 << 20;

/// The numbers returned by [`Spool::redrive_dead_letters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveStats {
    /// The number of dead letters that became records.
    pub records: u64,
    /// The number of lines that are not dead letters and stay in the file, for example one that a crash cut off, or one with a
    /// mistake by the person who edited it.
    pub skipped: u64,
}

impl Spool {
    /// Turns all dead letters back into records, which the next uploader on this spool delivers, and removes them from the
    /// dead-letter files. Lines that are not dead letters are counted, and stay in the file `dead-letters.ndjson`.
    ///
    /// The records count as appended now, whatever [`SpoolOptions::max_age`] is: a batch that the service accepted more than
    /// 30 days ago may be counted twice. A batch that is rejected again becomes a dead letter again.
    ///
    /// The dead letters are removed once all records are confirmed. After an error or a crash before the files are gone, some
    /// batches are in both places, and the service drops the duplicates.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file operation fails, or the spool has no room for them.
    pub fn redrive_dead_letters(dir: impl Into<PathBuf>, settings: SpoolOptions) -> Result<RedriveStats, Error> {
        let dir = dir.into();
        // No other code has this handle, and it reads no record: no dead letter is added meanwhile.
        let spool = Self::open(&dir, settings.when_full(SpoolFullPolicy::Refuse))?;
        let read_error = |error| file_error("read the dead letters", error);
        let directory = disk_directory(&dir);
        let (mut redriven, mut bytes, mut receipts) = (RedriveStats::default(), 0, Vec::new());
        let mut remaining = RemainingLines::new(&directory);
        for mut letters in readers(&directory).map_err(read_error)? {
            while let Some(letter) = letters.next() {
                let letter = match letter {
                    Ok(letter) => letter,
                    Err(error) if error.kind() == ErrorKind::InvalidData => {
                        redriven.skipped += 1;
                        remaining
                            .file()
                            .and_then(|file| letters.copy_line(file))
                            .map_err(|error| file_error("copy the lines that are not dead letters", error))?;
                        continue;
                    }
                    Err(error) => return Err(read_error(error)),
                };
                bytes += letter.batch.len();
                receipts.push(spool.append(letter.endpoint, letter.batch)?);
                redriven.records += 1;
                if bytes >= GROUP_BYTES {
                    bytes = 0;
                    wait_for_all(&mut receipts)?;
                }
            }
        }
        wait_for_all(&mut receipts)?;
        remaining.replace_all().map_err(remove_error)?;
        Ok(redriven)
    }

    /// Removes the dead-letter files permanently.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file operation fails.
    pub fn remove_dead_letters(dir: impl Into<PathBuf>) -> Result<(), Error> {
        let dir = dir.into();
        let _locked = Self::open(&dir, SpoolOptions::new())?;
        RemainingLines::new(&disk_directory(&dir)).replace_all().map_err(remove_error)
    }

    /// Removes the segments that are kept because a part of them is damaged.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file operation fails.
    pub fn remove_damaged_segments(dir: impl Into<PathBuf>) -> Result<(), Error> {
        let dir = dir.into();
        let _locked = Self::open(&dir, SpoolOptions::new())?;
        let directory = disk_directory(&dir);
        let removed = directory.damaged_segments().and_then(|segments| {
            segments.into_iter().try_for_each(|first| directory.remove(&directory.damaged_segment(first)))?;
            directory.sync()
        });
        removed.map_err(|error| file_error("remove the damaged segments", error))
    }
}

fn wait_for_all(receipts: &mut Vec<Receipt>) -> Result<(), Error> {
    receipts.drain(..).try_for_each(Receipt::wait)
}

fn disk_directory(dir: &Path) -> Directory {
    Directory::new(Arc::new(Disk), dir.to_owned())
}

fn remove_error(error: io::Error) -> Error {
    file_error("remove the dead letters", error)
}

/// The lines that stay when the dead letters are removed, in a new file that replaces all dead-letter files.
struct RemainingLines<'a> {
    directory: &'a Directory,
    file: Option<Box<dyn AppendFile>>,
}

impl<'a> RemainingLines<'a> {
    fn new(directory: &'a Directory) -> Self {
        Self { directory, file: None }
    }

    /// Returns the new file, and creates it for the first line.
    fn file(&mut self) -> io::Result<&mut dyn AppendFile> {
        if self.file.is_none() {
            let path = self.directory.new_dead_letters();
            // It can be left over from a crash or a failure.
            self.directory.remove(&path)?;
            self.file = Some(self.directory.files.create(&path)?);
        }
        Ok(self.file.as_mut().expect("it was created").as_mut())
    }

    /// Replaces the dead-letter files.
    fn replace_all(self) -> io::Result<()> {
        let Self { directory, file } = self;
        let newest = directory.dead_letters();
        if let Some(file) = file {
            file.sync()?;
            directory.files.rename(&directory.new_dead_letters(), &newest)?;
            // The new file must be durable before the other ones are removed.
            directory.sync()?;
        } else {
            directory.remove(&newest)?;
            // It can be left over from a crash or a failure.
            directory.remove(&directory.new_dead_letters())?;
        }
        directory.old_dead_letters()?.iter().try_for_each(|path| directory.remove(path))?;
        directory.sync()
    }
}
