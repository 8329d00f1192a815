//! A look into a spool from outside, without its lock: also while a program uses it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use super::cursor::Cursor;
use super::dead_letters::{self, DeadLetter};
use super::directory::Directory;
use super::file_system::Disk;
use super::format::Record;
use super::records::{Damage, Records};
use crate::error::Error;

/// Reads a spool that may be another program's. It takes no lock and writes nothing.
///
/// The results are those of the moment of reading: a running program can deliver a record right after, and the cursor that
/// says so is written up to a second later.
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
    /// Looks at the spool in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The records that are not done, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the directory cannot be read, or what is in it is of a newer
    /// version. The records err if their segment cannot be read, and go on with the next one.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record, Error>> + use<>, Error> {
        let directory = Directory::new(Arc::new(Disk), self.dir.clone());
        // The cursor first: a record that is done in between is shown, and none is hidden that is not.
        let cursor = Cursor::load(&directory).map_err(read_error)?;
        let segments = directory.segments().map_err(read_error)?;
        let records = segments.into_iter().flat_map(move |first| {
            let file = directory.files.open(&directory.segment(first));
            let (records, error) = match file {
                Ok(file) => (Some(Records::with_limits(file, first.checked_sub(1), u64::MAX)), None),
                // Its last record was delivered in between.
                Err(error) if error.kind() == ErrorKind::NotFound => (None, None),
                Err(error) => (None, Some(Err(error))),
            };
            records.into_iter().flatten().chain(error)
        });
        let done = cursor.done;
        let pending = move |record: &io::Result<Record>| !matches!(record, Ok(record) if done.contains(record.number));
        Ok(records.filter(pending).map(|record| record.map_err(read_error)))
    }

    /// Returns how much of the spool cannot be read, also in the segments that were kept aside for that. It reads all of
    /// them.
    ///
    /// # Errors
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file cannot be read, or is of a newer version.
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
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if a file exists and cannot be read. The iterator returns an error for a line
    /// that is not a dead letter, and goes on with the next line.
    pub fn dead_letters(&self) -> Result<impl Iterator<Item = Result<DeadLetter, Error>> + use<>, Error> {
        let directory = Directory::new(Arc::new(Disk), self.dir.clone());
        let letters = dead_letters::read_all(&directory).map_err(read_error)?;
        Ok(letters.map(|letter| letter.map_err(read_error)))
    }
}

fn read_error(error: io::Error) -> Error {
    Error::spool(format!("the spool cannot be read: {error}")).with_source(error)
}
