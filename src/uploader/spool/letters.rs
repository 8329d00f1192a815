//! What a person does with dead letters while no program has the spool open: sends them once more, or removes them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::Directory;
use super::file_system::Disk;
use super::{Inspector, Receipt, Settings, Spool, WhenFull};
use crate::error::Error;

/// So many bytes of letters wait for one fsync.
const GROUP_BYTES: usize = 1 << 20;

impl Spool {
    /// Makes records of all dead letters again, to be delivered by whoever opens the spool next, and removes the
    /// dead-letter files. Gives how many there were.
    ///
    /// They count as appended now, so [`Settings::max_age`] does not hold them back: one that the service may have
    /// accepted more than 30 days ago can be counted twice. What is rejected again becomes a dead letter again.
    ///
    /// The files are removed when all records are confirmed. If it breaks off before, by an error or a crash, some are
    /// in both places; sent twice, the service drops the repeat.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a process has the spool open, a line is no dead letter (nothing is
    /// done then), or the spool has no room for them.
    pub fn revive_dead_letters(dir: impl Into<PathBuf>, settings: Settings) -> Result<u64, Error> {
        let dir = dir.into();
        // Nothing else has this handle, and it is not read from: no letter comes while we look.
        let spool = Self::open(&dir, settings.when_full(WhenFull::Refuse))?;
        let inspector = Inspector::new(&dir);
        for letter in inspector.dead_letters()? {
            letter?;
        }
        let (mut revived, mut bytes, mut receipts) = (0, 0, Vec::new());
        for letter in inspector.dead_letters()? {
            let letter = letter?;
            bytes += letter.batch.len();
            receipts.push(spool.append(letter.endpoint, letter.batch)?);
            revived += 1;
            if bytes >= GROUP_BYTES {
                bytes = 0;
                confirmed(&mut receipts)?;
            }
        }
        confirmed(&mut receipts)?;
        remove(&dir)?;
        Ok(revived)
    }

    /// Removes the dead-letter files, for good.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a process has the spool open, or the file system fails.
    pub fn remove_dead_letters(dir: impl Into<PathBuf>) -> Result<(), Error> {
        let dir = dir.into();
        let _locked = Self::open(&dir, Settings::new())?;
        remove(&dir)
    }
}

fn confirmed(receipts: &mut Vec<Receipt>) -> Result<(), Error> {
    receipts.drain(..).try_for_each(Receipt::wait)
}

fn remove(dir: &Path) -> Result<(), Error> {
    let directory = Directory { files: Arc::new(Disk), path: dir.to_owned() };
    let removed = [directory.old_dead_letters(), directory.dead_letters()]
        .iter()
        .try_for_each(|path| directory.remove(path))
        .and_then(|()| directory.sync());
    removed.map_err(|error: io::Error| {
        Error::spool(format!("the dead letters cannot be removed: {error}")).with_source(error)
    })
}
