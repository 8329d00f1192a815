//! The arguments of `mparticle spool`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};

use crate::connect::Connection;

const EXAMPLES: &str = "\
Examples:
  mparticle spool list /var/lib/shop/mparticle             list waiting records, even while a program uses the spool
  mparticle spool list --dead --json /var/lib/shop/mparticle
  mparticle spool show /var/lib/shop/mparticle 42          show one batch, including user data
  mparticle spool export --dead /var/lib/shop/mparticle > rejected.ndjson
  mparticle spool retry --dead /var/lib/shop/mparticle     send everything, including dead letters
  mparticle spool purge --dead /var/lib/shop/mparticle     remove the dead letters after confirmation

Dead letters are batches that the service rejected, or that expired before they could be sent. If a part of the spool is
damaged, list, export and retry report it and exit with 1. Segments named *.log.damaged contain nothing left to send.";

/// Inspect, send and purge the batches and dead letters of a spool
#[derive(Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
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

/// List the records with number, time, endpoint, size and source_request_id, without user data
#[derive(Args)]
pub struct ListArguments {
    /// Directory of the spool
    pub dir: PathBuf,

    /// List the dead letters
    #[arg(long)]
    pub dead: bool,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// Print the JSON of one batch, including user data
#[derive(Args)]
pub struct ShowArguments {
    /// Directory of the spool
    pub dir: PathBuf,

    /// Number of the record in `list`
    pub number: u64,

    /// Show the dead letter with this number, and its reason
    #[arg(long)]
    pub dead: bool,
}

/// Print the batches as they would be sent, one per line
#[derive(Args)]
pub struct ExportArguments {
    /// Directory of the spool
    pub dir: PathBuf,

    /// Print the batches of the dead letters
    #[arg(long)]
    pub dead: bool,

    /// Print only batches for this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    pub endpoint: Option<EndpointFilter>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EndpointFilter {
    Events,
    Historical,
}

/// Send the batches in the spool
#[derive(Args)]
pub struct RetryArguments {
    /// Directory of the spool, which no other program may have open
    pub dir: PathBuf,

    /// Send the dead letters too. Those that are rejected again stay dead letters. One older than 30 days may be counted
    /// twice if the service had accepted it, since duplicates are detected for at least 30 days only
    #[arg(long)]
    pub dead: bool,

    /// Time to keep trying; unsent batches stay in the spool
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait: u64,

    /// Time to wait for a program that has the spool open
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub lock_wait: u64,

    /// Print the result as a JSON object
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

/// Permanently remove dead letters or everything
#[derive(Args)]
#[command(group(ArgGroup::new("scope").required(true).args(["dead", "all"])))]
pub struct PurgeArguments {
    /// Directory of the spool, which no other program may have open
    pub dir: PathBuf,

    /// Remove the dead letters
    #[arg(long)]
    pub dead: bool,

    /// Remove the dead letters, the unsent batches and damaged segments
    #[arg(long)]
    pub all: bool,

    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}
