//! `mparticle send`: sends files of batches to the service.
//!
//! ```text
//! input ─▶ feeder (checks, seals) ─▶ uploader of the library ─▶ tracker ─▶ checkpoint file, rejects file
//! ```
//!
//! One thread reads, the uploader's thread sends, and the main thread shows the progress and writes the checkpoint.

mod arguments;
mod checkpoint;
mod diagnostics;
mod feeder;
mod progress;
mod rejects;
mod state;
mod summary;
mod tracker;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

pub use arguments::Arguments;

use crate::connect;
use crate::exit::{self, CliError, ExitStatus};
use crate::input::{MapFile, is_dash, is_regular_file};
use crate::signals;
use crate::text::{eprint_line, path_string, printable};
use upload::{ControlMessage, FileUpload};

/// Sends the files in order.
#[expect(clippy::needless_pass_by_value, reason = "the same signature as the other commands")]
pub fn run(arguments: Arguments) -> exit::Result {
    if arguments.files.len() > 1 && arguments.rejects.is_some() {
        return Err(CliError::usage("--rejects works with only one file"));
    }
    for file in arguments.files.iter().filter(|_| arguments.resume) {
        if is_dash(file) {
            return Err(CliError::usage("--resume needs a regular file: stdin cannot be read again"));
        }
        if file.exists() && !is_regular_file(file) && !file.is_dir() {
            let name = printable(&path_string(file));
            return Err(CliError::usage(format!("--resume needs a regular file: {name} cannot be read again")));
        }
    }
    let outputs = Outputs::new(&arguments)?;
    state::prepare(&arguments)?;
    let map = arguments.csv.as_deref().map(|path| MapFile::read(path, arguments.environment)).transpose()?;
    if let Some(notice) = map.as_ref().and_then(MapFile::notice).filter(|_| !arguments.quiet) {
        eprint_line(notice);
    }
    let timeout = Duration::from_secs(arguments.give_up_after);
    let destination = if arguments.dry_run { None } else { Some(arguments.connection.destination(timeout)?) };
    let (sender, receiver) = mpsc::channel();
    listen_for_signals(sender.clone())?;
    let (mut exit, mut stopped, seen) = (ExitStatus::Success, false, Arc::default());
    for (number, file) in arguments.files.iter().enumerate() {
        let (map, destination) = (map.as_ref(), destination.as_ref());
        let (arguments, seen, sender, receiver) = (&arguments, &seen, &sender, &receiver);
        let upload = FileUpload { number, arguments, file, map, destination, seen, sender, receiver };
        if let Some(input) = outputs.input_of(file) {
            let message = format!("skipped, since it has the rejects of {}", printable(&path_string(input)));
            upload.print_unsent("skipped", &message)?;
        } else if stopped {
            upload.print_unsent("not_started", "not sent, since the run has stopped before")?;
        } else {
            match upload.run() {
                Ok((ended, is_last)) => {
                    exit = exit.max(ended);
                    stopped = is_last;
                }
                Err(error) => {
                    upload.print_error(&error)?;
                    if arguments.files.len() == 1 {
                        return Err(error);
                    }
                    eprint_line(format_args!("error: {error}"));
                    exit = exit.max(ExitStatus::IoError);
                }
            }
        }
    }
    Ok(exit)
}

/// The rejects files that are among the inputs, for example with `*.ndjson`, each with its input.
struct Outputs<'a>(Vec<(PathBuf, &'a Path)>);

impl<'a> Outputs<'a> {
    /// Finds the rejects files among the inputs. Refuses one that the user has named, or that is the map.
    fn new(arguments: &'a Arguments) -> exit::Result<Self> {
        let mut found = Vec::new();
        for file in &arguments.files {
            let rejects = state::rejects_path(file, arguments);
            let Ok(real) = rejects.canonicalize() else { continue };
            let is_same = |input: &Path| input.canonicalize().is_ok_and(|input| input == real);
            let is_input = arguments.files.iter().any(|input| is_same(input));
            let is_map = arguments.csv.as_deref().is_some_and(is_same);
            // A terminal or a device can be both input and output.
            if !real.is_file() || !(is_input || is_map) {
                continue;
            }
            if arguments.rejects.is_some() || is_map || is_same(file) {
                let name = printable(&path_string(&rejects));
                return Err(CliError::usage(format!("the rejects file is an input file: {name}")));
            }
            found.push((real, file.as_path()));
        }
        Ok(Self(found))
    }

    /// Returns the input whose rejects this file has.
    fn input_of(&self, file: &Path) -> Option<&'a Path> {
        let real = file.canonicalize().ok()?;
        self.0.iter().find(|(rejects, _)| *rejects == real).map(|(_, input)| *input)
    }
}

/// Forwards the first signal. The second one exits immediately, which is safe: the checkpoint file is at most a second old.
fn listen_for_signals(sender: Sender<ControlMessage>) -> Result<(), CliError> {
    let runtime = connect::runtime()?;
    let listen = move || {
        runtime.block_on(async {
            let _ = sender.send(ControlMessage::Signal(signals::wait_for_signal().await));
            std::process::exit(128 + i32::from(signals::wait_for_signal().await));
        });
    };
    thread::Builder::new().spawn(listen).map_err(|error| CliError::system("start a thread", &error))?;
    Ok(())
}
