//! Administration of dead letters and damaged segments. No program may have the spool open.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::directory::Directory;
use super::super::file_system::Disk;
use super::super::{Receipt, Spool, SpoolFullPolicy, SpoolOptions};
use super::read_all;
use crate::error::Error;

/// The size of the dead letters that are appended before waiting for the disk, in bytes.
const GROUP_BYTES: usize = 1 << 20;

/// The numbers returned by [`Spool::redrive_dead_letters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveStats {
    /// The number of dead letters that became records.
    pub records: u64,
    /// The number of lines that were skipped because they are not dead letters, for example one that a crash cut off.
    pub skipped: u64,
}

impl Spool {
    /// Turns all dead letters back into records, which the next uploader on this spool delivers, and removes the dead-letter
    /// files. Lines that are not dead letters are skipped, counted, and removed with the files.
    ///
    /// The records count as appended now, whatever [`SpoolOptions::max_age`] is: a batch that the service accepted more than
    /// 30 days ago may be counted twice. A batch that is rejected again becomes a dead letter again.
    ///
    /// The files are removed once all records are confirmed. After an error or a crash before that, some batches are in both
    /// places, and the service drops the duplicates.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file operation fails, or the spool has no room for them.
    pub fn redrive_dead_letters(dir: impl Into<PathBuf>, settings: SpoolOptions) -> Result<RedriveStats, Error> {
        let dir = dir.into();
        // No other code has this handle, and it reads no record: no dead letter is added meanwhile.
        let spool = Self::open(&dir, settings.when_full(SpoolFullPolicy::Refuse))?;
        let read_error =
            |error: io::Error| Error::spool(format!("failed to read the dead letters: {error}")).with_source(error);
        let (mut redriven, mut bytes, mut receipts) = (RedriveStats::default(), 0, Vec::new());
        for letter in read_all(&disk_directory(&dir)).map_err(read_error)? {
            let letter = match letter {
                Ok(letter) => letter,
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    redriven.skipped += 1;
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
        wait_for_all(&mut receipts)?;
        remove(&dir)?;
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
        remove(&dir)
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
        removed
            .map_err(|error| Error::spool(format!("failed to remove the damaged segments: {error}")).with_source(error))
    }
}

fn wait_for_all(receipts: &mut Vec<Receipt>) -> Result<(), Error> {
    receipts.drain(..).try_for_each(Receipt::wait)
}

fn disk_directory(dir: &Path) -> Directory {
    Directory::new(Arc::new(Disk), dir.to_owned())
}

fn remove(dir: &Path) -> Result<(), Error> {
    let directory = disk_directory(dir);
    let files = directory.old_dead_letters();
    let removed = files.and_then(|files| {
        files.iter().chain([&directory.dead_letters()]).try_for_each(|path| directory.remove(path))?;
        directory.sync()
    });
    removed.map_err(|error: io::Error| {
        Error::spool(format!("failed to remove the dead letters: {error}")).with_source(error)
    })
}
