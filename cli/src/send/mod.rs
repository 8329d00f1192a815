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
mod summary;
mod tracker;
mod upload;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

pub use arguments::Arguments;

use crate::connect;
use crate::exit::{self, CliError, ExitStatus};
use crate::input::{MapFile, is_dash};
use crate::signals;
use crate::text::printable;
use upload::{ControlMessage, FileUpload};

/// Sends the files in order.
#[expect(clippy::needless_pass_by_value, reason = "the same signature as the other commands")]
pub fn run(arguments: Arguments) -> exit::Result {
    if arguments.files.len() > 1 && arguments.rejects.is_some() {
        return Err(CliError::usage("--rejects works with only one file"));
    }
    for file in &arguments.files {
        if arguments.resume && is_dash(file) {
            return Err(CliError::usage("--resume needs a regular file: stdin cannot be read again"));
        }
        if arguments.resume && file.exists() && !file.is_file() {
            let name = printable(&file.to_string_lossy());
            return Err(CliError::usage(format!("--resume needs a regular file: {name} cannot be read again")));
        }
        check_not_an_input(&arguments, &rejects::rejects_path(file, arguments.rejects.as_deref()))?;
    }
    let map = arguments.csv.as_deref().map(|path| MapFile::read(path, arguments.environment)).transpose()?;
    let timeout = Duration::from_secs(arguments.give_up_after);
    let destination = if arguments.dry_run { None } else { Some(arguments.connection.destination(timeout)?) };
    let (sender, receiver) = mpsc::channel();
    listen_for_signals(sender.clone())?;
    let (mut exit, seen) = (ExitStatus::Success, Arc::default());
    for file in &arguments.files {
        let (map, destination) = (map.as_ref(), destination.as_ref());
        let (arguments, seen, sender, receiver) = (&arguments, &seen, &sender, &receiver);
        let upload = FileUpload { arguments, file, map, destination, seen, sender, receiver };
        exit = exit.max(upload.run()?);
        if exit >= ExitStatus::Unavailable {
            break;
        }
    }
    Ok(exit)
}

/// Refuses a rejects file that is an input.
fn check_not_an_input(arguments: &Arguments, rejects: &Path) -> exit::Result<()> {
    let Ok(real) = rejects.canonicalize() else { return Ok(()) };
    let mut inputs = arguments.files.iter().chain(&arguments.csv);
    // A terminal or a device can be both input and output.
    if real.is_file() && inputs.any(|input| input.canonicalize().is_ok_and(|input| input == real)) {
        let name = printable(&rejects.to_string_lossy());
        return Err(CliError::usage(format!("the rejects file is an input file: {name}")));
    }
    Ok(())
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
