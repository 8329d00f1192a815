//! `mparticle spool`: a look into a spool and its dead letters, and what to do with them.

mod act;
mod look;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};

use crate::connect::Connection;
use crate::exit::{self, Failure};

const EXAMPLES: &str = "\
Examples:
  mparticle spool list /var/lib/shop/mparticle             what waits, also while a program uses it
  mparticle spool list --dead --json /var/lib/shop/mparticle
  mparticle spool show /var/lib/shop/mparticle 42          one batch, with the user's data
  mparticle spool export --dead /var/lib/shop/mparticle > rejected.ndjson
  mparticle spool retry --dead /var/lib/shop/mparticle     sends all of it, the dead letters too
  mparticle spool purge --dead /var/lib/shop/mparticle     removes the dead letters, after asking

Dead letters are the batches that the service rejected, or that were too old to be sent. If a part of the spool is damaged,
list, export and retry say so and end with 1; segments named *.log.damaged hold nothing that is still to be sent.";

/// Look into a spool and its dead letters, send them, remove them
#[derive(Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(List),
    Show(Show),
    Export(Export),
    Retry(Retry),
    Purge(Purge),
}

impl Action {
    fn dir(&self) -> &Path {
        match self {
            Self::List(List { dir, .. })
            | Self::Show(Show { dir, .. })
            | Self::Export(Export { dir, .. })
            | Self::Retry(Retry { dir, .. })
            | Self::Purge(Purge { dir, .. }) => dir,
        }
    }
}

/// Print a line for each record: number, time, endpoint, bytes, source_request_id. No user's data
#[derive(Args)]
struct List {
    /// Directory of the spool
    dir: PathBuf,

    /// List the dead letters
    #[arg(long)]
    dead: bool,

    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

/// Print the JSON of one batch, with the user's data
#[derive(Args)]
struct Show {
    /// Directory of the spool
    dir: PathBuf,

    /// Number of the record, as `list` prints it
    number: u64,

    /// The number is of a dead letter: shows why it is one, too
    #[arg(long)]
    dead: bool,
}

/// Print the batches, one a line, as they would be sent
#[derive(Args)]
struct Export {
    /// Directory of the spool
    dir: PathBuf,

    /// Print the dead letters' batches
    #[arg(long)]
    dead: bool,

    /// Only what is for this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<Endpoint>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Endpoint {
    Events,
    Historical,
}

/// Send what is in the spool
#[derive(Args)]
struct Retry {
    /// Directory of the spool; no program may have it open
    dir: PathBuf,

    /// Send the dead letters too; those that are rejected again become dead letters again. One older than 30 days could be
    /// counted twice, if the service had taken it after all: it knows ids no longer than that for certain
    #[arg(long)]
    dead: bool,

    /// How long to try; what is left then stays in the spool
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,

    /// How long to wait for a program that has the spool open to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    lock_wait: u64,

    /// Print what became of it as a JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Remove dead letters, or everything, for good
#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["dead", "all"])))]
struct Purge {
    /// Directory of the spool; no program may have it open
    dir: PathBuf,

    /// Remove the dead letters
    #[arg(long)]
    dead: bool,

    /// Remove the dead letters, the batches that were not sent, and damaged segments
    #[arg(long)]
    all: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub fn run(arguments: Arguments) -> exit::Result {
    is_a_spool(arguments.action.dir())?;
    match arguments.action {
        Action::List(List { dir, dead: false, json }) => look::list(&dir, json),
        Action::List(List { dir, dead: true, json }) => look::list_dead(&dir, json),
        Action::Show(Show { dir, number, dead: false }) => look::show(&dir, number),
        Action::Show(Show { dir, number, dead: true }) => look::show_dead(&dir, number),
        Action::Export(Export { dir, dead, endpoint }) => look::export(&dir, dead, endpoint),
        Action::Retry(retry) => act::retry(&retry),
        Action::Purge(purge) => act::purge(&purge),
    }
}

/// A mistyped name is told: what opens a spool would make one there, and what looks into it would find nothing. What a spool
/// has once something was put into it, also when it was copied or all is done, is a segment, a cursor, or dead letters.
fn is_a_spool(dir: &Path) -> exit::Result<()> {
    let no_spool = |why: String| Failure::usage(format!("there is no spool in {}{why}", dir.display()));
    let entries = dir.read_dir().map_err(|error| no_spool(format!(": {error}")))?;
    let is_of_a_spool = |name: &str| {
        let name = name.strip_suffix(".damaged").unwrap_or(name);
        let is_segment =
            name.strip_suffix(".log").is_some_and(|number| number.len() == 20 && number.parse::<u64>().is_ok());
        is_segment || name == "cursor" || (name.starts_with("dead-letters.") && name.ends_with("ndjson"))
    };
    if entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_of_a_spool)) {
        return Ok(());
    }
    Err(no_spool(", or nothing was put into it so far".into()))
}
