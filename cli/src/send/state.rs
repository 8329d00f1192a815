//! The files that an upload keeps beside its input, or in `--state-dir`: the checkpoint and the rejects.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use super::checkpoint::{Checkpoint, CheckpointFile, LOCK_SUFFIX};
use super::upload::FileUpload;
use crate::connect::Destination;
use crate::exit::{self, CliError};
use crate::files::with_suffix;
use crate::input::{BatchReader, is_dash, is_regular_file};
use crate::text::{eprint_line, path_string, printable};

/// Returns the path of the rejects file: the requested one, or beside the input. The rejects of an input that is not a regular
/// file go to the working directory.
pub fn rejects_path(file: &Path, arguments: &Arguments) -> PathBuf {
    match &arguments.rejects {
        Some(requested) => requested.clone(),
        None => with_suffix(&base(file, arguments), ".rejects.ndjson"),
    }
}

/// Returns the path of the checkpoint of a regular file.
fn checkpoint_path(file: &Path, arguments: &Arguments) -> PathBuf {
    with_suffix(&base(file, arguments), ".sent.json")
}

/// Returns the path to which the suffixes are added.
fn base(file: &Path, arguments: &Arguments) -> PathBuf {
    let name = match file.file_name() {
        _ if is_dash(file) => Path::new("stdin"),
        Some(name) => Path::new(name),
        None => file,
    };
    match &arguments.state_dir {
        Some(dir) => dir.join(name),
        None if is_regular_file(file) && !is_dash(file) => file.to_owned(),
        None => name.to_owned(),
    }
}

/// Returns whether two paths, of which neither may exist yet, are those of one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        path.canonicalize()
            .or_else(|_| Ok::<_, io::Error>(parent.canonicalize()?.join(path.file_name().unwrap_or_default())))
    };
    a == b || real(a).is_ok_and(|a| real(b).is_ok_and(|b| a == b))
}

/// Creates `--state-dir`, which only its owner can read, and refuses files of the same name in it.
pub fn prepare(arguments: &Arguments) -> exit::Result<()> {
    for file in &arguments.files {
        let (rejects, checkpoint) = (rejects_path(file, arguments), checkpoint_path(file, arguments));
        if [&checkpoint, &with_suffix(&checkpoint, LOCK_SUFFIX)].into_iter().any(|path| is_same(path, &rejects)) {
            let name = printable(&path_string(&rejects));
            return Err(CliError::usage(format!("--rejects {name} is the file in which the progress is recorded")));
        }
    }
    let Some(dir) = &arguments.state_dir else { return Ok(()) };
    let mut paths: Vec<_> = arguments.files.iter().map(|file| checkpoint_path(file, arguments)).collect();
    paths.sort();
    if let Some(same) = paths.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &pair[0]) {
        return Err(CliError::usage(format!(
            "several files would have the same checkpoint {}; send them one by one, each with its own --state-dir",
            printable(&path_string(same))
        )));
    }
    if arguments.dry_run {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| CliError::file("create", dir, &error))
}

impl FileUpload<'_> {
    /// Locks the checkpoint file, if the upload can be resumed, and returns the checkpoint to start from.
    pub fn checkpoint_file(&self) -> Result<(Option<CheckpointFile>, Checkpoint), CliError> {
        let Self { arguments, file, .. } = self;
        let start = Checkpoint { line: 1, column: 1, ..Checkpoint::default() };
        let Some(destination) = self.destination.filter(|_| self.is_resumable()) else { return Ok((None, start)) };
        let path = checkpoint_path(file, arguments);
        let checkpoint_file = CheckpointFile::lock(path.clone(), self.describe(destination))
            .map_err(|error| self.with_state_hint(CliError::file("write", &path, &error)))?
            .ok_or_else(|| CliError::in_use(file))?;
        let checkpoint = match checkpoint_file.read(&self.rejects_path()) {
            Ok(checkpoint) if arguments.resume => checkpoint.unwrap_or(start),
            Err(error) if arguments.resume => {
                return Err(CliError::file("resume from", checkpoint_file.path(), &error));
            }
            Ok(Some(checkpoint)) if !checkpoint.complete && !arguments.quiet => {
                eprint_line(format_args!(
                    "{}: an earlier run stopped at line {}; if the file is the same, --resume continues there",
                    self.name(),
                    checkpoint.line
                ));
                start
            }
            _ => start,
        };
        Ok((Some(checkpoint_file), checkpoint))
    }

    /// Names everything that has to be the same in a resumed run.
    fn describe(&self, Destination { address, key_hash, .. }: &Destination) -> String {
        let endpoint = if self.arguments.historical { "historical" } else { "events" };
        let mut destination = format!("{endpoint} to {address} with the key {key_hash}");
        if let Some(environment) = self.arguments.environment {
            destination += &format!(", in {environment}");
        }
        if let Some(map) = self.map {
            destination += &format!(", with the map {}", map.fingerprint());
        }
        destination
    }

    /// Continues behind the checkpoint, if the file has the same bytes before it.
    pub fn skip_to(&self, batches: &mut BatchReader, checkpoint: &Checkpoint) -> exit::Result<()> {
        if checkpoint.offset == 0 {
            return Ok(());
        }
        let cannot_resume = |error: io::Error| CliError::file("resume", self.file, &error);
        let changed = |what: &str| {
            let line = checkpoint.line;
            let message = format!(
                "the file has changed: it {what} line {line}, up to which it was sent; send without --resume to start over"
            );
            cannot_resume(io::Error::new(io::ErrorKind::InvalidData, message))
        };
        match batches.skip_to(checkpoint.position()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed("ends before")),
            Err(error) => return Err(cannot_resume(error)),
        }
        if batches.source().prefix_hash(checkpoint.offset) != Some(checkpoint.hash) {
            return Err(changed("has other data before"));
        }
        Ok(())
    }

    /// Says how a file in a directory that cannot be written is sent.
    pub fn with_state_hint(&self, error: CliError) -> CliError {
        if self.arguments.state_dir.is_some() || self.arguments.rejects.is_some() {
            return error;
        }
        error.with_hint("--state-dir DIR keeps the checkpoint and the rejects elsewhere")
    }
}
