//! The file of mended batches: one a line, and there only when it is whole.

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
    /// Of the next byte.
    position: FilePosition,
}

/// Whoever may not read one of the inputs may not read it mended.
#[cfg(unix)]
fn permissions(inputs: &[PathBuf]) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;

    use crate::files::OWNER_ONLY_MODE;

    // A pipe does not say who may read its data.
    let files = inputs.iter().map(|input| fs::metadata(input).ok().filter(fs::Metadata::is_file));
    let modes = files.map(|file| file.map_or(OWNER_ONLY_MODE, |file| file.permissions().mode()));
    fs::Permissions::from_mode(modes.fold(0o666, |all, mode| all & mode))
}

impl FixOutput {
    /// `-` is standard output. What is there already is replaced at the end, unless it is read as well.
    pub fn create(path: &Path, inputs: &[PathBuf]) -> exit::Result<Self> {
        let failure = |error| CliError::file("write", path, &error);
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(path).is_some_and(|output| inputs.iter().any(|input| real(input).as_ref() == Some(&output))) {
            return Err(CliError::usage(format!("--fix does not write to a file that it reads: {}", path.display())));
        }
        let (writer, unfinished): (Box<dyn Write>, _) = if is_dash(path) {
            (Box::new(io::stdout()), None)
        } else if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            // A pipe or a terminal; a directory says for itself that it is one.
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

    /// Writes a batch, and gives the place where it stands. What is not JSON may have several lines, and keeps them.
    pub fn write(&mut self, text: &[u8]) -> exit::Result<FilePosition> {
        let position = self.position;
        let written = self.writer.write_all(text).and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|error| self.failure(&error))?;
        self.position.offset += text.len() as u64 + 1;
        self.position.line += memchr::memchr_iter(b'\n', text).count() as u64 + 1;
        Ok(position)
    }

    /// The file is there from now on, if it has all: half of the batches are not to take the place of what may have all of
    /// them. Gives whether it is there.
    pub fn finish(mut self, has_all: bool) -> exit::Result<bool> {
        self.writer.flush().map_err(|error| self.failure(&error))?;
        match self.unfinished.take() {
            None => Ok(true),
            Some(_) if !has_all => Ok(false),
            Some(unfinished) => unfinished.finish().map_err(|error| self.failure(&error)).map(|()| true),
        }
    }

    fn failure(&self, error: &io::Error) -> CliError {
        CliError::file("write", &self.path, error)
    }
}
