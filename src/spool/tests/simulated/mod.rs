//! A file system in memory that loses unsynced data at a simulated power loss, and fails on demand.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::super::file_system::{Access, AppendFile, FileSystem, ReadFile};
use files::{Handle, OpenFile};

#[derive(Clone, Default)]
pub(super) struct Simulated(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    dirs: BTreeSet<PathBuf>,
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    /// The names as of the last fsync of the directory.
    durable_names: BTreeMap<PathBuf, usize>,
    lock: Weak<()>,
    calls: u64,
    read: u64,
    faults: Faults,
    fired: u64,
    meanwhile: Option<Meanwhile>,
}

/// An action that runs while a file is being synced.
type Meanwhile = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Contents {
    bytes: Vec<u8>,
    /// The number of bytes that survive a power loss.
    durable: usize,
    /// The ranges that an fsync failed to write. The system considers them written after that, and a later fsync does not
    /// save them.
    lost: Vec<Range<usize>>,
    /// Set once a write or fsync failed: the file must not be written again.
    broken: bool,
}

#[derive(Default)]
struct Faults {
    /// The number of the call that fails, and of the first one if all later calls fail as well.
    at: Option<u64>,
    forever: bool,
    capacity: Option<usize>,
    read_only: bool,
    /// The error of syncing a directory, which keeps the names nevertheless.
    sync_dir: Option<ErrorKind>,
    no_locks: bool,
    access: Option<Access>,
}

/// A small random number generator, so that a crash is reproducible by its seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

impl Simulated {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test panics in here")
    }

    /// Makes the call after this many others fail.
    pub(super) fn fail_after(&self, calls: u64) {
        let mut world = self.world();
        world.faults.at = Some(world.calls + calls);
    }

    /// Makes the call after this many others fail, and all calls after it: the process is about to end.
    pub(super) fn stop_after(&self, calls: u64) {
        self.fail_after(calls);
        self.world().faults.forever = true;
    }

    pub(super) fn clear_faults(&self) {
        self.world().faults = Faults::default();
    }

    pub(super) fn make_read_only(&self) {
        self.world().faults.read_only = true;
    }

    /// Makes syncing a directory return this error, although the names are kept.
    pub(super) fn fail_sync_dir(&self, kind: ErrorKind) {
        self.world().faults.sync_dir = Some(kind);
    }

    pub(super) fn refuse_locks(&self) {
        self.world().faults.no_locks = true;
    }

    /// Sets the users who can write to the directory.
    pub(super) fn set_access(&self, access: Access) {
        self.world().faults.access = Some(access);
    }

    /// Sets the capacity of the disk, in bytes.
    pub(super) fn set_capacity(&self, bytes: usize) {
        self.world().faults.capacity = Some(bytes);
    }

    /// Sets an action that runs each time a file is synced.
    pub(super) fn on_sync(&self, act: impl Fn() + Send + Sync + 'static) {
        self.world().meanwhile = Some(Arc::new(act));
    }

    /// Returns the number of calls that failed on demand.
    pub(super) fn failed_calls(&self) -> u64 {
        self.world().fired
    }

    pub(super) fn calls(&self) -> u64 {
        self.world().calls
    }

    /// Returns the number of bytes that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.world().read
    }

    pub(super) fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        self.world().names.keys().map(name).collect()
    }

    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        let world = self.world();
        world.files[world.names[path]].bytes.clone()
    }

    /// Replaces a file by these bytes, durably.
    pub(super) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut world = self.world();
        let file = world.files.len();
        world.files.push(Contents { durable: bytes.len(), bytes, ..Contents::default() });
        world.names.insert(path.to_owned(), file);
        world.durable_names.insert(path.to_owned(), file);
    }

    /// Removes the name of a file, like another program.
    pub(super) fn unlink(&self, path: &Path) {
        let mut world = self.world();
        world.names.remove(path);
        world.durable_names.remove(path);
    }

    /// Changes the contents of a file, like an incomplete write.
    pub(super) fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let file = world.names[path];
        change(&mut world.files[file].bytes);
    }

    /// Returns the paths of all segments.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        self.world().segments().map(|(path, _)| path.clone()).collect()
    }

    /// Returns the total size of all segments, in bytes.
    pub(super) fn segment_bytes(&self) -> u64 {
        let world = self.world();
        world.segments().map(|(_, file)| world.files[*file].bytes.len() as u64).sum()
    }

    /// Ends the process but not the machine: all written data is kept.
    pub(super) fn kill_process(&self) {
        self.world().lock = Weak::new();
        self.clear_faults();
    }

    /// Simulates a power loss: unsynced data is kept in part, lost, or replaced by other bytes.
    pub(super) fn stop_machine(&self, seed: u64) {
        self.kill_process();
        let mut world = self.world();
        let mut dice = Dice(seed);
        for file in &mut world.files {
            let kept = dice.below(file.bytes.len() - file.durable + 1);
            file.bytes.truncate(file.durable + kept);
            let unsynced = &mut file.bytes[file.durable..];
            match dice.below(3) {
                0 => unsynced.fill(0),
                1 if kept > 0 => unsynced[dice.below(kept)] ^= 1 << dice.below(8),
                _ => {}
            }
            for lost in file.lost.drain(..) {
                file.bytes[lost].fill(0);
            }
            file.durable = file.bytes.len();
        }
        let mut names = BTreeMap::new();
        for path in world.names.keys().chain(world.durable_names.keys()) {
            let (new, old) = (world.names.get(path), world.durable_names.get(path));
            if let Some(file) = if dice.below(2) == 0 { new } else { old } {
                names.entry(path.clone()).or_insert(*file);
            }
        }
        world.durable_names.clone_from(&names);
        world.names = names;
    }
}

impl World {
    fn segments(&self) -> impl Iterator<Item = (&PathBuf, &usize)> {
        self.names.iter().filter(|(path, _)| path.extension().is_some_and(|name| name == "log"))
    }

    /// Counts a call, which may fail.
    fn step(&mut self) -> io::Result<()> {
        let call = self.calls;
        self.calls += 1;
        if self.faults.at.is_some_and(|at| call == at || (call > at && self.faults.forever)) {
            self.fired += 1;
            return Err(io::Error::other("the disk fails on purpose"));
        }
        Ok(())
    }

    fn step_to_write(&mut self) -> io::Result<()> {
        if self.faults.read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        self.step()
    }

    fn add(&mut self, path: &Path) -> usize {
        self.files.push(Contents::default());
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl FileSystem for Simulated {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.dirs.contains(dir) {
            world.step_to_write()?;
            world.dirs.insert(dir.to_owned());
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.world().step()?;
        assert_eq!(dir, Path::new(super::DIR));
        Ok(self.names())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut world = self.world();
        world.step_to_write()?;
        if world.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = world.add(path);
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut world = self.world();
        world.step_to_write()?;
        let file = world.find(path).unwrap_or_else(|_| world.add(path));
        world.files[file].broken = false;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let mut world = self.world();
        world.step()?;
        let file = world.find(path)?;
        Ok(Box::new(OpenFile { disk: self.clone(), file, at: 0 }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step_to_write()?;
        let file = world.find(from)?;
        world.names.remove(from);
        world.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step_to_write()?;
        world.find(path)?;
        world.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        world.durable_names = world.names.clone();
        world.faults.sync_dir.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn check_access(&self, _: &Path, _: &[PathBuf]) -> io::Result<Access> {
        Ok(self.world().faults.access.unwrap_or(Access::Private))
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut world = self.world();
        world.step_to_write()?;
        if world.faults.no_locks {
            return Err(io::Error::new(ErrorKind::Unsupported, "its file system cannot lock files (ENOLCK)"));
        }
        if world.lock.strong_count() > 0 {
            return Err(ErrorKind::ResourceBusy.into());
        }
        let guard = Arc::new(());
        world.lock = Arc::downgrade(&guard);
        Ok(Box::new(guard))
    }
}
