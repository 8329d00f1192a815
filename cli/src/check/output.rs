//! The file of fixed batches, one per line, which appears only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::exit::{self, CliError};
use crate::files::{Replacement, with_suffix};
use crate::input::{FilePosition, is_dash};
use crate::signals;
use crate::text::{path_string, printable};

pub struct FixOutput {
    path: PathBuf,
    writer: BufWriter<Box<dyn Write>>,
    /// The file that replaces the one at `path` at the end, unless that is no regular file.
    unfinished: Option<Replacement>,
    /// The position of the next byte.
    position: FilePosition,
}

/// Returns the permissions that all inputs have in common, so that the output reveals data to no additional user.
#[cfg(unix)]
fn permissions(inputs: &[PathBuf]) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;

    use crate::files::OWNER_ONLY_MODE;

    // A pipe has no mode of its own.
    let files = inputs.iter().map(|input| fs::metadata(input).ok().filter(fs::Metadata::is_file));
    let modes = files.map(|file| file.map_or(OWNER_ONLY_MODE, |file| file.permissions().mode()));
    fs::Permissions::from_mode(modes.fold(0o666, |all, mode| all & mode))
}

/// Removes the unfinished files of earlier runs that were killed. Those of running programs are locked.
fn remove_abandoned(target: &Path) {
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else { return };
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let is_unfinished = entry.file_name().to_str().is_some_and(|found| {
            let middle = found.strip_prefix(name).and_then(|rest| rest.strip_suffix(".unfinished"));
            middle.and_then(|middle| middle.strip_prefix('.')).is_some_and(|number| number.parse::<u32>().is_ok())
        });
        if is_unfinished && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl FixOutput {
    /// Creates the output; `-` is stdout. An existing file is replaced at the end, and refused if it is an input as well.
    pub fn create(path: &Path, inputs: &[PathBuf]) -> exit::Result<Self> {
        let failure = |error| CliError::file("write", path, &error);
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(path).is_some_and(|output| inputs.iter().any(|input| real(input).as_ref() == Some(&output))) {
            let name = printable(&path_string(path));
            return Err(CliError::usage(format!("--fix cannot write to an input file: {name}")));
        }
        let (writer, unfinished): (Box<dyn Write>, _) = if is_dash(path) {
            (Box::new(io::stdout()), None)
        } else if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            // A pipe or a terminal. Opening a directory fails.
            (Box::new(File::options().write(true).open(path).map_err(failure)?), None)
        } else {
            remove_abandoned(path);
            let suffix = format!(".{}.unfinished", std::process::id());
            let unfinished = Replacement::create(path, &suffix).map_err(failure)?;
            // Shows other runs that the file is in use. File systems without locks have no such protection.
            let _ = unfinished.file().try_lock();
            signals::remove_on_signal(with_suffix(path, &suffix))?;
            let file = unfinished.file().try_clone().map_err(failure)?;
            #[cfg(unix)]
            file.set_permissions(permissions(inputs)).map_err(failure)?;
            (Box::new(file), Some(unfinished))
        };
        let position = FilePosition { offset: 0, line: 1, column: 1 };
        Ok(Self { path: path.to_owned(), writer: BufWriter::new(writer), unfinished, position })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch and returns its position. A text that is not JSON may span several lines.
    pub fn write(&mut self, text: &[u8]) -> exit::Result<FilePosition> {
        let position = self.position;
        let written = self.writer.write_all(text).and_then(|()| self.writer.write_all(b"\n"));
        self.handle_write(written)?;
        self.position.offset += text.len() as u64 + 1;
        self.position.line += memchr::memchr_iter(b'\n', text).count() as u64 + 1;
        Ok(position)
    }

    /// Puts the file in place if it is complete: an incomplete file must not replace a complete one. Returns whether the file is
    /// in place.
    pub fn finish(mut self, is_complete: bool) -> exit::Result<bool> {
        let flushed = self.writer.flush();
        self.handle_write(flushed)?;
        match self.unfinished.take() {
            None => Ok(true),
            Some(_) if !is_complete => Ok(false),
            Some(unfinished) => unfinished.finish().map_err(|error| self.failure(&error)).map(|()| true),
        }
    }

    /// Handles the result of writing. After a closed stdout, as in `mparticle check --fix - FILE | head`, the rest of the input is
    /// still checked, so that the exit code is the same as without the pipe.
    fn handle_write(&mut self, result: io::Result<()>) -> exit::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && is_dash(&self.path) => {
                self.writer = BufWriter::new(Box::new(io::sink()));
                Ok(())
            }
            result => result.map_err(|error| self.failure(&error)),
        }
    }

    fn failure(&self, error: &io::Error) -> CliError {
        CliError::file("write", &self.path, error)
    }
}
