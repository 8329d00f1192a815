//! Opening and closing: the lock, who can write to the files, recovery, the writer's thread.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::file_system::{Access, Disk, FileSystem};
use super::reader::SpoolReader;
use super::recovery::recover;
use super::shared::SpoolShared;
use super::writer::Writer;
use super::{Spool, SpoolOptions};
use crate::error::Error;

/// How long to wait before trying again to lock the spool.
const LOCK_POLL: Duration = Duration::from_millis(50);

impl Spool {
    /// Opens the spool in this directory, which is made if it is not there. Reads all that is in it, and blocks the calling
    /// thread for that, and for [`SpoolOptions::lock_timeout`] while another process has it open.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the settings contradict each other;
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if another process, or another
    /// handle of this one, still has it open;
    /// [`ErrorKind::Spool`](crate::ErrorKind::Spool) if it is of a newer version, if a file of it belongs to another user or
    /// can be written by every user, if the file system has no locks, or if it fails.
    pub fn open(dir: impl Into<PathBuf>, settings: SpoolOptions) -> Result<Self, Error> {
        Self::start(Self::open_on(Arc::new(Disk), dir.into(), settings)?)
    }

    /// Starts the thread.
    pub(super) fn start((mut spool, writer): (Self, Writer)) -> Result<Self, Error> {
        let guard = ThreadGuard(Arc::clone(&spool.shared));
        let thread = thread::Builder::new().name("mparticle-spool".into()).spawn(move || {
            let _guard = guard;
            // It unlocks the spool before that is told.
            writer.run();
        });
        spool.thread = Some(thread.map_err(open_error)?);
        Ok(spool)
    }

    /// Opens it without the thread: whoever calls runs the writer.
    pub(super) fn open_on(
        files: Arc<dyn FileSystem>,
        path: PathBuf,
        settings: SpoolOptions,
    ) -> Result<(Self, Writer), Error> {
        settings.check()?;
        let directory = Directory::new(files, path);
        directory.files.create_dir(&directory.path).map_err(open_error)?;
        let lock = lock(&directory, settings.lock_timeout)?;
        check_access(&directory, settings.require_private_dir).map_err(open_error)?;
        let recovered = recover(&directory, settings.syncs()).map_err(open_error)?;
        let shared = Arc::new(SpoolShared::new(recovered.index, recovered.next));
        // What an earlier process left half done.
        shared.lock().compact_within(Duration::ZERO);
        let writer = Writer::new(directory.clone(), settings.clone(), Arc::clone(&shared), recovered.next, lock);
        let reader = Mutex::new(SpoolReader::new(directory.clone()));
        Ok((Self { shared, settings, directory, reader, damage: recovered.damage, thread: None }, writer))
    }
}

/// However the writer's thread ends, nobody waits for it after that.
struct ThreadGuard(Arc<SpoolShared>);

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        self.0.mark_ended();
    }
}

/// Writes what was appended before, and saves what was acknowledged, within [`SpoolOptions::drop_timeout`].
impl Drop for Spool {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.shared.close(self.settings.drop_timeout) {
            // It has ended. If it panicked, that was reported.
            let _ = thread.join();
        } else {
            tracing::warn!(
                "the disk of the spool hangs: its thread is left to itself, and the spool stays locked until then"
            );
        }
    }
}

/// Locks the spool, as soon as no other process has it locked.
fn lock(directory: &Directory, wait: Duration) -> Result<Box<dyn Send + Sync>, Error> {
    let start = Instant::now();
    loop {
        let error = match directory.files.lock(&directory.lock()) {
            Ok(lock) => return Ok(lock),
            Err(error) => error,
        };
        let dir = directory.path.display();
        match error.kind() {
            io::ErrorKind::ResourceBusy => {}
            io::ErrorKind::Unsupported => {
                let text =
                    format!("failed to lock the spool in {dir}: {error}; use a directory on a local file system");
                return Err(Error::spool(text).with_source(error));
            }
            _ => return Err(open_error(error)),
        }
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            // By another process, or by another handle of this one.
            return Err(Error::spool_locked(format!("failed to open the spool in {dir}: it is open already")));
        }
        thread::sleep(LOCK_POLL.min(left));
    }
}

/// Refuses files that others could have written, and warns of a directory in which they could.
fn check_access(directory: &Directory, require_private_dir: bool) -> io::Result<()> {
    let access = directory.files.check_access(&directory.path, &directory.data_files()?)?;
    let dir = directory.path.display();
    if require_private_dir && access != Access::Private {
        let text = format!("other users can write to {dir}; remove that permission, or use another directory");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if access == Access::SpoolShared {
        tracing::warn!(%dir, "other users can write to the directory of the spool, and could read or replace users' data");
    }
    Ok(())
}

fn open_error(error: io::Error) -> Error {
    Error::spool(format!("the spool cannot be opened: {error}")).with_source(error)
}
