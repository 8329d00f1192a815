//! The administration of dead letters and damaged segments while no program has the spool open.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::directory::Directory;
use super::super::file_system::Disk;
use super::super::{Receipt, Spool, SpoolFullPolicy, SpoolOptions};
use super::read_all;
use crate::error::Error;

/// The bytes of dead letters that wait for one fsync.
const GROUP_BYTES: usize = 1 << 20;

/// The result of [`Spool::redrive_dead_letters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveStats {
    /// Dead letters that became records.
    pub records: u64,
    /// Lines that are no dead letters and were left out, as one that a crash cut off.
    pub skipped: u64,
}

impl Spool {
    /// Makes records of all dead letters again, to be delivered by whoever opens the spool next, and removes the
    /// dead-letter files. Lines that are no dead letters are skipped, counted, and removed with the files.
    ///
    /// They count as appended now, so [`SpoolOptions::max_age`] does not hold them back: one that the service may have
    /// accepted more than 30 days ago can be counted twice. A record that is rejected again becomes a dead letter again.
    ///
    /// The files are removed when all records are confirmed. If it breaks off before, by an error or a crash, some are
    /// in both places; sent twice, the service drops the repeat.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the file system fails, or the spool has no room for them.
    pub fn redrive_dead_letters(dir: impl Into<PathBuf>, settings: SpoolOptions) -> Result<RedriveStats, Error> {
        let dir = dir.into();
        // Nothing else has this handle, and it is not read from: no dead letter is added meanwhile.
        let spool = Self::open(&dir, settings.when_full(SpoolFullPolicy::Refuse))?;
        let read_error =
            |error: io::Error| Error::spool(format!("the dead letters cannot be read: {error}")).with_source(error);
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

    /// Removes the dead-letter files, for good.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the file system fails.
    pub fn remove_dead_letters(dir: impl Into<PathBuf>) -> Result<(), Error> {
        let dir = dir.into();
        let _locked = Self::open(&dir, SpoolOptions::new())?;
        remove(&dir)
    }
}

impl Spool {
    /// Removes the segments that are kept because a part of them cannot be read.
    ///
    /// # Errors
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if the spool is open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the file system fails.
    pub fn remove_damaged_segments(dir: impl Into<PathBuf>) -> Result<(), Error> {
        let dir = dir.into();
        let _locked = Self::open(&dir, SpoolOptions::new())?;
        let directory = disk_directory(&dir);
        let removed = directory.damaged_segments().and_then(|segments| {
            segments.into_iter().try_for_each(|first| directory.remove(&directory.damaged_segment(first)))?;
            directory.sync()
        });
        removed.map_err(|error| {
            Error::spool(format!("the damaged segments cannot be removed: {error}")).with_source(error)
        })
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
        Error::spool(format!("the dead letters cannot be removed: {error}")).with_source(error)
    })
}
