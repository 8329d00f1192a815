//! `mparticle send`: the batches of files to the service.
//!
//! ```text
//! input ─▶ feed (checks, seals) ─▶ uploader of the library ─▶ account ─▶ journal, rejects file
//! ```
//!
//! A thread reads; the uploader's thread sends; the main thread watches both, and writes down how far they are.

mod account;
mod arguments;
mod faults;
mod feed;
mod journal;
mod progress;
mod rejects;
mod sending;

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

pub use arguments::Arguments;

use crate::connect;
use crate::exit::{self, Exit, Failure};
use crate::input::{MapFile, is_dash};
use crate::signals;
use crate::text::printable;
use sending::{Sending, Told};

/// Sends the files one after the other.
#[expect(clippy::needless_pass_by_value, reason = "as every command")]
pub fn run(arguments: Arguments) -> exit::Result {
    if arguments.files.len() > 1 && arguments.rejects.is_some() {
        return Err(Failure::usage("--rejects is for one file"));
    }
    for file in &arguments.files {
        if arguments.resume && is_dash(file) {
            return Err(Failure::usage("--resume needs a file: stdin cannot be read again"));
        }
        if arguments.resume && file.exists() && !file.is_file() {
            let name = printable(&file.to_string_lossy());
            return Err(Failure::usage(format!("--resume needs a file: {name} cannot be read again")));
        }
        are_no_inputs(&arguments, &rejects::path(file, arguments.rejects.as_deref()))?;
    }
    let map = arguments.csv.as_deref().map(|path| MapFile::read(path, arguments.environment)).transpose()?;
    let patience = Duration::from_secs(arguments.give_up_after);
    let service = if arguments.dry_run { None } else { Some(arguments.connection.service(patience)?) };
    let (teller, told) = mpsc::channel();
    listen_for_signals(teller.clone())?;
    let mut exit = Exit::Done;
    for file in &arguments.files {
        let (map, service) = (map.as_ref(), service.as_ref());
        let sending = Sending { arguments: &arguments, file, map, service, teller: &teller, told: &told };
        exit = exit.max(sending.run()?);
        if exit >= Exit::Unsent {
            break;
        }
    }
    Ok(exit)
}

/// Rejects are not written over what is read.
fn are_no_inputs(arguments: &Arguments, rejects: &Path) -> exit::Result<()> {
    let Ok(real) = rejects.canonicalize() else { return Ok(()) };
    let mut inputs = arguments.files.iter().chain(&arguments.csv);
    // A terminal or a device can be both.
    if real.is_file() && inputs.any(|input| input.canonicalize().is_ok_and(|input| input == real)) {
        let name = printable(&rejects.to_string_lossy());
        return Err(Failure::usage(format!("the rejects do not go to a file that is read: {name}")));
    }
    Ok(())
}

/// The second signal ends the program at once: the journal is of the last second, and that is safe.
fn listen_for_signals(teller: Sender<Told>) -> Result<(), Failure> {
    let runtime = connect::runtime()?;
    let listen = move || {
        runtime.block_on(async {
            let _ = teller.send(Told::Signal(signals::ended().await));
            std::process::exit(128 + i32::from(signals::ended().await));
        });
    };
    thread::Builder::new().spawn(listen).map_err(|error| Failure::system("start a thread", &error))?;
    Ok(())
}
