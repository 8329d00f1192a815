//! Inspection of a spool without its lock, also while a program uses it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use super::cursor::Cursor;
use super::dead_letters::{self, DeadLetter};
use super::directory::Directory;
use super::file_error;
use super::file_system::Disk;
use super::format::Record;
use super::records::{Damage, Records};
use crate::error::Error;

/// Reads a spool that another program may have open. It takes no lock and writes nothing.
///
/// The results are a snapshot. A running program saves up to a second later which records are done, so a record that it has
/// just delivered can still be listed.
///
/// ```no_run
/// let spool = mparticle::spool::Inspector::new("/var/lib/shop/mparticle");
/// for record in spool.records()? {
///     let record = record?;
///     println!("{} {} {} bytes", record.number, record.appended, record.batch.len());
/// }
/// # Ok::<(), mparticle::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inspector {
    dir: PathBuf,
}

impl Inspector {
    /// Creates an inspector for the spool in this directory. It reads nothing yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the records that are not done, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the directory or the cursor cannot be read, or the cursor has a
    /// newer format version. The iterator returns an error for a segment that cannot be read or has a newer version, and
    /// continues with the next segment.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record, Error>> + use<>, Error> {
        let directory = Directory::new(Arc::new(Disk), self.dir.clone());
        // The cursor is read first: a record that becomes done in between is listed, and no pending one is omitted.
        let cursor = Cursor::load(&directory).map_err(read_error)?;
        let segments = directory.segments().map_err(read_error)?;
        let records = segments.into_iter().flat_map(move |first| {
            let file = directory.files.open(&directory.segment(first));
            let (records, error) = match file {
                Ok(file) => (Some(Records::with_limits(file, first.checked_sub(1), u64::MAX)), None),
                // Its last record was acknowledged in between.
                Err(error) if error.kind() == ErrorKind::NotFound => (None, None),
                Err(error) => (None, Some(Err(error))),
            };
            records.into_iter().flatten().chain(error)
        });
        let done = cursor.done;
        let pending = move |record: &io::Result<Record>| !matches!(record, Ok(record) if done.contains(record.number));
        Ok(records.filter(pending).map(|record| record.map_err(read_error)))
    }

    /// Returns how much of the spool is damaged, including the segments that are kept because of it. Reads all segments.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file cannot be read, or has a newer format version.
    pub fn damage(&self) -> Result<Damage, Error> {
        let directory = Directory::new(Arc::new(Disk), self.dir.clone());
        let mut damage = Damage::default();
        let segments =
            directory.segments().map_err(read_error)?.into_iter().map(|first| (first, directory.segment(first)));
        let quarantined = directory.damaged_segments().map_err(read_error)?.into_iter();
        for (first, path) in segments.chain(quarantined.map(|first| (first, directory.damaged_segment(first)))) {
            let file = match directory.files.open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                result => result.map_err(read_error)?,
            };
            let mut records = Records::with_limits(file, first.checked_sub(1), u64::MAX);
            records.by_ref().try_for_each(|record| record.map(drop)).map_err(read_error)?;
            damage += records.damage();
        }
        Ok(damage)
    }

    /// Returns the dead letters, those of the oldest file first.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file exists and cannot be read. The iterator returns an error for
    /// a line that is not a dead letter, and continues with the next line.
    pub fn dead_letters(&self) -> Result<impl Iterator<Item = Result<DeadLetter, Error>> + use<>, Error> {
        let directory = Directory::new(Arc::new(Disk), self.dir.clone());
        let letters = dead_letters::read_all(&directory).map_err(read_error)?;
        Ok(letters.map(|letter| letter.map_err(read_error)))
    }
}

fn read_error(error: io::Error) -> Error {
    file_error("read the spool", error)
}
