//! The file operations that the spool needs. A trait, so that tests can substitute a file system that fails and loses
//! unsynced data.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

pub(super) trait FileSystem: Send + Sync {
    /// Creates a directory and its missing parents, durably and accessible to this user only. Leaves an existing one
    /// unchanged.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Returns the names in a directory. Names that are not UTF-8 are omitted: none of them is the spool's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a new file, accessible to this user only.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Opens a file for appending, and creates it if it does not exist.
    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in the directory durable. Without it, a file can be missing although its data is synced.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file exclusively. Dropping the guard unlocks it. Fails with [`ErrorKind::ResourceBusy`] if the file is locked
    /// already, and with [`ErrorKind::Unsupported`] if the file system has no locks.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Returns which users can write to the directory. Fails if one of the files belongs to another user or can be written
    /// by every user, and names the file.
    fn check_access(&self, _dir: &Path, _files: &[PathBuf]) -> io::Result<Access> {
        Ok(Access::Private)
    }
}

/// The users who can write to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Only this user and root.
    Private,
    /// Others can add files, but neither remove nor replace those of this user.
    Sticky,
    /// Others can add, remove and replace files.
    SpoolShared,
}

/// Returns whether an error means that the file system does not sync directories, as with CIFS and some FUSE file systems.
pub(super) fn is_dir_sync_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// A file that is open for appending.
pub(super) trait AppendFile: Write + Send {
    /// Makes the written data durable, with fdatasync.
    fn sync(&self) -> io::Result<()>;

    /// Truncates the file to this many bytes.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// A file that is open for reading.
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

/// The file system of the operating system.
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
            // Another process created it first.
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

    /// Does nothing outside of Unix: only there can a directory be synced, and only there is it necessary.
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
        let refuse = |file: &Path, why: String| {
            Err(io::Error::new(ErrorKind::PermissionDenied, format!("{} {why}", file.display())))
        };
        let user = Self::user(dir)?;
        for file in files {
            // A link is followed when the file is opened, so it must belong to this user as well.
            for (is_link, metadata) in [(true, fs::symlink_metadata(file)), (false, fs::metadata(file))] {
                let metadata = match metadata {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    result => result?,
                };
                if metadata.uid() != user {
                    let owner = metadata.uid();
                    return refuse(file, format!("belongs to user {owner}, but this process runs as user {user}"));
                }
                if !is_link && metadata.mode() & 0o002 != 0 {
                    return refuse(file, "can be written by every user, and may have been changed by one".into());
                }
            }
        }
        let metadata = fs::metadata(dir)?;
        let belongs_to_another = metadata.uid() != user && metadata.uid() != 0;
        Ok(match () {
            () if metadata.mode() & 0o022 == 0 && !belongs_to_another => Access::Private,
            () if metadata.mode() & STICKY != 0 && !belongs_to_another => Access::Sticky,
            () => Access::SpoolShared,
        })
    }
}

#[cfg(unix)]
impl Disk {
    /// Returns the owner of the files that this process creates in the directory, as the file system reports it.
    fn user(dir: &Path) -> io::Result<u32> {
        use std::os::unix::fs::MetadataExt;

        let probe = dir.join("owner.tmp");
        match fs::remove_file(&probe) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = match private_options().write(true).create_new(true).open(&probe) {
            // A full disk may accept no new file. The lock file, which is open by now, is this user's if others cannot write
            // to it.
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

/// Returns options that create files accessible to this user only: they contain user data.
fn private_options() -> OpenOptions {
    #[allow(unused_mut, reason = "only Unix has modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
