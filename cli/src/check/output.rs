//! The file of fixed batches, one per line, which appears only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::exit::{self, CliError};
use crate::files::Replacement;
use crate::input::{FilePosition, is_dash};

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

impl FixOutput {
    /// Creates the output; `-` is stdout. An existing file is replaced at the end, and refused if it is an input as well.
    pub fn create(path: &Path, inputs: &[PathBuf]) -> exit::Result<Self> {
        let failure = |error| CliError::file("write", path, &error);
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(path).is_some_and(|output| inputs.iter().any(|input| real(input).as_ref() == Some(&output))) {
            return Err(CliError::usage(format!("--fix cannot write to an input file: {}", path.display())));
        }
        let (writer, unfinished): (Box<dyn Write>, _) = if is_dash(path) {
            (Box::new(io::stdout()), None)
        } else if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            // A pipe or a terminal. Opening a directory fails.
            (Box::new(File::options().write(true).open(path).map_err(failure)?), None)
        } else {
            let unfinished =
                Replacement::create(path, &format!(".{}.unfinished", std::process::id())).map_err(failure)?;
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
        written.map_err(|error| self.failure(&error))?;
        self.position.offset += text.len() as u64 + 1;
        self.position.line += memchr::memchr_iter(b'\n', text).count() as u64 + 1;
        Ok(position)
    }

    /// Puts the file in place if it is complete: an incomplete file must not replace a complete one. Returns whether the file is
    /// in place.
    pub fn finish(mut self, is_complete: bool) -> exit::Result<bool> {
        self.writer.flush().map_err(|error| self.failure(&error))?;
        match self.unfinished.take() {
            None => Ok(true),
            Some(_) if !is_complete => Ok(false),
            Some(unfinished) => unfinished.finish().map_err(|error| self.failure(&error)).map(|()| true),
        }
    }

    fn failure(&self, error: &io::Error) -> CliError {
        CliError::file("write", &self.path, error)
    }
}
