//! The arguments of `mparticle spool`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};

use crate::connect::Connection;

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
    pub action: SpoolCommand,
}

#[derive(Subcommand)]
pub enum SpoolCommand {
    List(ListArguments),
    Show(ShowArguments),
    Export(ExportArguments),
    Retry(RetryArguments),
    Purge(PurgeArguments),
}

impl SpoolCommand {
    /// Returns the directory of the spool.
    pub fn dir(&self) -> &Path {
        match self {
            Self::List(ListArguments { dir, .. })
            | Self::Show(ShowArguments { dir, .. })
            | Self::Export(ExportArguments { dir, .. })
            | Self::Retry(RetryArguments { dir, .. })
            | Self::Purge(PurgeArguments { dir, .. }) => dir,
        }
    }
}

/// Print a line for each record: number, time, endpoint, bytes, source_request_id. No user's data
#[derive(Args)]
pub struct ListArguments {
    /// Directory of the spool
    pub dir: PathBuf,

    /// List the dead letters
    #[arg(long)]
    pub dead: bool,

    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Print the JSON of one batch, with the user's data
#[derive(Args)]
pub struct ShowArguments {
    /// Directory of the spool
    pub dir: PathBuf,

    /// Number of the record, as `list` prints it
    pub number: u64,

    /// The number is of a dead letter: shows why it is one, too
    #[arg(long)]
    pub dead: bool,
}

/// Print the batches, one a line, as they would be sent
#[derive(Args)]
pub struct ExportArguments {
    /// Directory of the spool
    pub dir: PathBuf,

    /// Print the dead letters' batches
    #[arg(long)]
    pub dead: bool,

    /// Only what is for this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    pub endpoint: Option<EndpointFilter>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EndpointFilter {
    Events,
    Historical,
}

/// Send what is in the spool
#[derive(Args)]
pub struct RetryArguments {
    /// Directory of the spool; no program may have it open
    pub dir: PathBuf,

    /// Send the dead letters too; those that are rejected again become dead letters again. One older than 30 days could be
    /// counted twice, if the service had taken it after all: it knows ids no longer than that for certain
    #[arg(long)]
    pub dead: bool,

    /// How long to try; what is left then stays in the spool
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait: u64,

    /// How long to wait for a program that has the spool open to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub lock_wait: u64,

    /// Print what became of it as a JSON object
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

/// Remove dead letters, or everything, for good
#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["dead", "all"])))]
pub struct PurgeArguments {
    /// Directory of the spool; no program may have it open
    pub dir: PathBuf,

    /// Remove the dead letters
    #[arg(long)]
    pub dead: bool,

    /// Remove the dead letters, the batches that were not sent, and damaged segments
    #[arg(long)]
    pub all: bool,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}
