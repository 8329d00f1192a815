//! `mparticle send`: the batches of files to the service.
//!
//! ```text
//! input ─▶ feed (checks, seals) ─▶ uploader of the library ─▶ account ─▶ journal, rejects file
//! ```
//!
//! A thread reads; the uploader's thread sends; the main thread watches both, and writes down how far they are.

mod account;
mod faults;
mod feed;
mod journal;
mod progress;
mod rejects;
mod sending;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueHint};
use mparticle::Environment;

use crate::connect::{self, Connection};
use crate::exit::{self, Exit, Failure};
use crate::input::{MapFile, is_dash};
use crate::signals;
use crate::text::printable;
use sending::{Sending, Told};

const EXAMPLES: &str = "\
Examples:
  mparticle send events.ndjson                     one batch a line
  zcat export.gz | mparticle send -                from a pipe; FILE may be .gz or .zst itself
  mparticle send --csv orders.toml orders.csv      rows of CSV, by a map of its columns
  mparticle send yesterday.ndjson.gz --historical  data older than 30 days
  mparticle send big.ndjson --rate 100             at most 100 batches a second
  mparticle send big.ndjson --resume               goes on where an earlier run was stopped
  jq -c .batch FILE.rejects.ndjson | mparticle send -   what was rejected, mended in between

Each batch is checked, and what is wrong goes to FILE.rejects.ndjson with its place, while the rest is sent. A batch
without a source_request_id gets one that follows from its place in the file and from what is sent: sent again, the
service drops it. The same batch at the same place of another file gets the same id, too: give batches without times an
id of your own. Nothing else is changed. Rejects of an earlier run are kept as FILE.rejects.ndjson.1.

FILE.sent.json says how far it is. --resume goes on from there if the file is sent to the same place, with the same key
and the same --historical, --environment and --csv. What is no regular file cannot be resumed, and has its rejects in
the working directory.

A row of CSV is an event; rows of one user are gathered into batches. The map is TOML:
  environment = \"development\"
  [identities]                    # identity = column
  customer_id = \"user_id\"
  [user_attributes]               # as text, or as number, boolean, list, json
  seats = { column = \"seats\", type = \"number\" }
  [event]                         # custom_event, screen_view, purchase, opt_out; without it only users are sent
  type = \"custom_event\"
  name = { column = \"action\" }
  custom_event_type = \"transaction\"
  time = { column = \"at\", format = \"rfc3339\" }   # or seconds, milliseconds, a pattern of strftime in UTC
  [event.attributes]
  note = \"comment\"";

/// Send files of batches
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// NDJSON, one JSON list, or JSON values one after the other; gzip and zstd are unpacked. `-` is stdin
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,

    /// The files are CSV, with a header: the map says which column goes where
    #[arg(long, value_name = "MAP", value_hint = ValueHint::FilePath)]
    csv: Option<PathBuf>,

    /// Send to /bulkevents/historical, for data older than 30 days
    #[arg(long)]
    historical: bool,

    /// The environment of batches that name none; those that name another are rejected
    #[arg(long, value_parser = connect::environment())]
    environment: Option<Environment>,

    /// At most this many batches a second; without it, as fast as the service lets
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// At most this many requests at once
    #[arg(long, value_name = "REQUESTS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Read and check everything, and send nothing
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,

    /// Go on where an earlier run of the same file was stopped
    #[arg(long)]
    resume: bool,

    /// Stop at the first batch that is wrong
    #[arg(long)]
    strict: bool,

    /// Where rejected batches go, instead of beside the file; for one FILE
    #[arg(long, value_name = "REJECTS", value_hint = ValueHint::FilePath)]
    rejects: Option<PathBuf>,

    /// Give up when nothing has come through for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    give_up_after: u64,

    /// Print one JSON object for each file to stdout
    #[arg(long)]
    json: bool,

    /// No progress bar, and no faults on stderr
    #[arg(long, short)]
    quiet: bool,

    // Last, since its heading would stand above what follows.
    #[command(flatten)]
    connection: Connection,
}

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
