//! The files of the simulated file system.

use std::io::{self, Cursor, ErrorKind, Write};

use super::super::super::file_system::{AppendFile, ReadFile};
use super::Simulated;

/// A file that is open for writing.
pub(super) struct Handle {
    pub(super) disk: Simulated,
    pub(super) file: usize,
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.disk.world();
        let used: usize = world.names.values().map(|file| world.files[*file].bytes.len()).sum();
        let room = world.faults.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used));
        assert!(!world.files[self.file].broken, "a file that failed is written again");
        let result = match world.step_to_write() {
            Err(error) => Err(error),
            Ok(()) if room == 0 => Err(ErrorKind::StorageFull.into()),
            Ok(()) => Ok(bytes.len().min(room)),
        };
        let file = &mut world.files[self.file];
        file.broken = result.is_err();
        // A failed write may have written a part.
        let written = *result.as_ref().unwrap_or(&(bytes.len().min(room) / 2));
        file.bytes.extend_from_slice(&bytes[..written]);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AppendFile for Handle {
    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step_to_write()?;
        let file = &mut world.files[self.file];
        file.bytes.truncate(usize::try_from(bytes).expect("a small file"));
        file.durable = file.durable.min(file.bytes.len());
        let length = file.bytes.len();
        file.lost.retain_mut(|lost| {
            lost.end = lost.end.min(length);
            lost.start < lost.end
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let meanwhile = self.disk.world().meanwhile.clone();
        if let Some(act) = meanwhile {
            act();
        }
        let mut world = self.disk.world();
        let result = world.step_to_write();
        let file = &mut world.files[self.file];
        if result.is_err() {
            file.lost.push(file.durable..file.bytes.len());
            file.broken = true;
        }
        file.durable = file.bytes.len();
        result
    }
}

/// A file that is open for reading.
pub(super) struct OpenFile {
    pub(super) disk: Simulated,
    pub(super) file: usize,
    pub(super) at: u64,
}

impl io::Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.step()?;
        let mut cursor = Cursor::new(&world.files[self.file].bytes);
        cursor.set_position(self.at);
        let read = cursor.read(buffer)?;
        self.at += read as u64;
        world.read += read as u64;
        Ok(read)
    }
}

impl io::Seek for OpenFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let world = self.disk.world();
        let mut cursor = Cursor::new(&world.files[self.file].bytes);
        cursor.set_position(self.at);
        self.at = cursor.seek(to)?;
        Ok(self.at)
    }
}

impl ReadFile for OpenFile {}
