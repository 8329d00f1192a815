//! Files that only their owner can read, and files that are replaced atomically.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The mode of a file that only its owner can read and write.
#[cfg(unix)]
pub const OWNER_ONLY_MODE: u32 = 0o600;

/// Returns options that create a file which only its owner can read.
pub fn owner_only_options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY_MODE);
    options
}

/// Returns the path of a file with a suffix added to its name.
pub fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    PathBuf::from(name)
}

/// An exclusive lock between programs, held through a file that is removed in the end.
///
/// On a file system that cannot lock, the file has no effect.
pub struct LockFile {
    path: PathBuf,
    _file: File,
}

impl LockFile {
    /// Acquires the lock; `None` if another program holds it.
    pub fn acquire(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = owner_only_options().write(true).create(true).truncate(false).open(path)?;
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Ok(None);
            }
            // The former holder may have removed the file between the two calls, so that the next program would lock another one.
            if is_at(&file, path) {
                return Ok(Some(Self { path: path.to_owned(), _file: file }));
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Elsewhere, the next program could lock a file that is being removed.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns whether the path still leads to this open file.
pub fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        file.metadata().ok().map(identity) == fs::metadata(path).ok().map(identity)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// A temporary file that atomically replaces another file once it is complete, and is removed otherwise.
pub struct Replacement {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_complete: bool,
}

impl Replacement {
    /// Creates an empty file next to the target, with this suffix. Only its owner can read it.
    pub fn create(target: &Path, suffix: &str) -> io::Result<Self> {
        let path = with_suffix(target, suffix);
        // An earlier run may have left the file. A symbolic link is removed, not followed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = owner_only_options().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, target: target.to_owned(), is_complete: false })
    }

    /// Returns the file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the file to the disk and then renames it, so that a complete file exists even if the program is killed.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_data()?;
        fs::rename(&self.path, &self.target)?;
        self.is_complete = true;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_complete {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn one_program_at_a_time_holds_a_lock_and_its_file_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.lock");
        for _ in 0..2 {
            let lock = LockFile::acquire(&path).expect("a file").expect("free");
            assert!(LockFile::acquire(&path).expect("a file").is_none());
            drop(lock);
            assert!(!path.exists() || !cfg!(unix));
        }
    }

    #[test]
    fn the_target_is_replaced_only_when_finished() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a");
        fs::write(&file, "old").expect("written");
        fs::write(dir.path().join("a.new"), "left by an earlier run").expect("written");
        let names = || dir.path().read_dir().expect("a directory").count();

        let unfinished = Replacement::create(&file, ".new").expect("a file");
        unfinished.file().write_all(b"half").expect("written");
        drop(unfinished);
        assert_eq!((fs::read_to_string(&file).expect("a file").as_str(), names()), ("old", 1));

        let complete = Replacement::create(&file, ".new").expect("a file");
        complete.file().write_all(b"new").expect("written");
        complete.finish().expect("renamed");
        assert_eq!((fs::read_to_string(&file).expect("a file").as_str(), names()), ("new", 1));
    }
}
