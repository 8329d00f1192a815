//! Opening and closing: the lock, the access checks, recovery, and the writer's thread.

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
use super::{Spool, SpoolOptions, file_error};
use crate::error::Error;

/// The interval between attempts to lock the spool.
const LOCK_POLL: Duration = Duration::from_millis(50);

impl Spool {
    /// Opens the spool in this directory, and creates the directory if it does not exist. Blocks the calling thread while it
    /// reads all segments, and before that for up to [`SpoolOptions::lock_timeout`] while another process has the spool
    /// open.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the options contradict each other;
    /// [`ErrorKind::SpoolLocked`](crate::ErrorKind::SpoolLocked) if another process, or another handle in this one, still
    /// has the spool open; [`ErrorKind::Spool`](crate::ErrorKind::Spool) if the spool has a newer format version, if one of
    /// its files belongs to another user or can be written by every user, if the file system has no locks, or if a file
    /// operation fails.
    pub fn open(dir: impl Into<PathBuf>, settings: SpoolOptions) -> Result<Self, Error> {
        Self::start(Self::open_on(Arc::new(Disk), dir.into(), settings)?)
    }

    /// Starts the writer's thread.
    pub(super) fn start((mut spool, writer): (Self, Writer)) -> Result<Self, Error> {
        let guard = ThreadGuard(Arc::clone(&spool.shared));
        let thread = thread::Builder::new().name("mparticle-spool".into()).spawn(move || {
            let _guard = guard;
            // This drops the lock, before the guard marks the thread as ended.
            writer.run();
        });
        spool.thread = Some(thread.map_err(open_error)?);
        Ok(spool)
    }

    /// Opens the spool without the thread: the caller runs the writer.
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
        // Completes the removals that an earlier process left half done.
        shared.lock().compact_within(Duration::ZERO);
        let writer = Writer::new(directory.clone(), settings.clone(), Arc::clone(&shared), recovered.next, lock);
        let reader = Mutex::new(SpoolReader::new(directory.clone()));
        Ok((Self { shared, settings, directory, reader, damage: recovered.damage, thread: None }, writer))
    }
}

/// Marks the writer's thread as ended when it is dropped, also after a panic: closing then waits no longer.
struct ThreadGuard(Arc<SpoolShared>);

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        self.0.mark_ended();
    }
}

/// Writes the queued appends and saves the cursor, within [`SpoolOptions::drop_timeout`].
impl Drop for Spool {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.shared.close(self.settings.drop_timeout) {
            // The thread has ended. A panic was reported by the panic hook.
            let _ = thread.join();
        } else {
            tracing::warn!(
                "the disk of the spool did not respond in time: its thread is detached, and the spool stays locked until it ends"
            );
        }
    }
}

/// Locks the spool. Retries for up to `timeout` while another process has it locked.
fn lock(directory: &Directory, timeout: Duration) -> Result<Box<dyn Send + Sync>, Error> {
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
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            // By another process, or by another handle of this one.
            return Err(Error::spool_locked(format!("failed to open the spool in {dir}: it is open already")));
        }
        thread::sleep(LOCK_POLL.min(left));
    }
}

/// Fails if other users could have written the files, and warns if they can write to the directory.
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
    file_error("open the spool", error)
}
