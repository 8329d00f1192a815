//! The few things that the spool asks of a file system: one seam, so that a test can put in a file system that forgets
//! and fails.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

pub(super) trait FileSystem: Send + Sync {
    /// Makes a directory and those above it, durably and for this user alone. One that is there stays as it is.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in a directory. Those that are not UTF-8 are not the spool's and are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes a file that is not there yet, for this user alone.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Opens a file to write at its end, and makes it if it is not there.
    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which names the directory holds. A file whose own data is synced can still be missing without it.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file against other holders, or fails with [`ErrorKind::ResourceBusy`]. Dropping the guard unlocks.
    /// [`ErrorKind::Unsupported`] says that there are no locks.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Returns who can write to the directory. A file among these that belongs to another user, or that every user can write
    /// to, is an error that names it.
    fn check_access(&self, _dir: &Path, _files: &[PathBuf]) -> io::Result<Access> {
        Ok(Access::Private)
    }
}

/// Who can write to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// This user alone, and root.
    Private,
    /// Others can add files, and do not reach those of this user.
    Sticky,
    /// Others can add, remove and replace files.
    SpoolShared,
}

/// Whether a file system says that it does not sync directories, as CIFS and some of FUSE do.
pub(super) fn is_dir_sync_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// A file that is written at its end.
pub(super) trait AppendFile: Write + Send {
    /// Makes durable what was written: fdatasync.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file off behind this many bytes.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// A file that is read.
pub(super) trait ReadFile: Read + Seek + Send {}

impl ReadFile for File {}

impl AppendFile for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// The file system of the machine.
pub(super) struct Disk;

impl FileSystem for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        self.create_dir(&parent)?;
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(dir) {
            // Another process was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
            result => result?,
        }
        match self.sync_dir(&parent) {
            Err(error) if is_dir_sync_unsupported(&error) => Ok(()),
            result => result,
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(private_options().write(true).create_new(true).open(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(private_options().append(true).create(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Only Unix opens a directory as a file, and needs it: elsewhere the system keeps its names by itself.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = private_options().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => {
                Err(io::Error::new(ErrorKind::Unsupported, format!("its file system cannot lock files ({error})")))
            }
        }
    }

    #[cfg(unix)]
    fn check_access(&self, dir: &Path, files: &[PathBuf]) -> io::Result<Access> {
        use std::os::unix::fs::MetadataExt;

        const STICKY: u32 = 0o1000;
        let refused = |file: &Path, why: String| {
            Err(io::Error::new(ErrorKind::PermissionDenied, format!("{} {why}", file.display())))
        };
        let user = Self::user(dir)?;
        for file in files {
            // A link is followed when the file is opened, so it has to be this user's as well.
            for (is_link, metadata) in [(true, fs::symlink_metadata(file)), (false, fs::metadata(file))] {
                let metadata = match metadata {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    result => result?,
                };
                if metadata.uid() != user {
                    let owner = metadata.uid();
                    return refused(file, format!("belongs to user {owner}, and this process is user {user}"));
                }
                if !is_link && metadata.mode() & 0o002 != 0 {
                    return refused(file, "can be written by every user: somebody else may have changed it".into());
                }
            }
        }
        let metadata = fs::metadata(dir)?;
        let is_others = metadata.uid() != user && metadata.uid() != 0;
        Ok(match () {
            () if metadata.mode() & 0o022 == 0 && !is_others => Access::Private,
            () if metadata.mode() & STICKY != 0 && !is_others => Access::Sticky,
            () => Access::SpoolShared,
        })
    }
}

#[cfg(unix)]
impl Disk {
    /// The user that files of this process belong to, as the file system in the directory has it.
    fn user(dir: &Path) -> io::Result<u32> {
        use std::os::unix::fs::MetadataExt;

        let probe = dir.join("owner.tmp");
        match fs::remove_file(&probe) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = match private_options().write(true).create_new(true).open(&probe) {
            // A full disk may take no new file. The lock, which is open by now, is this user's if others cannot write to it.
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                let lock = fs::symlink_metadata(dir.join("lock"))?;
                return if lock.is_file() && lock.mode() & 0o022 == 0 { Ok(lock.uid()) } else { Err(error) };
            }
            result => result?,
        };
        let user = file.metadata()?.uid();
        fs::remove_file(&probe)?;
        Ok(user)
    }
}

/// Files are made for this user alone: they hold users' data.
fn private_options() -> OpenOptions {
    #[allow(unused_mut, reason = "only Unix has modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
