//! The arguments of `mparticle send`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use mparticle::Environment;

use crate::connect::{self, Connection};

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
    pub files: Vec<PathBuf>,

    /// The files are CSV, with a header: the map says which column goes where
    #[arg(long, value_name = "MAP", value_hint = ValueHint::FilePath)]
    pub csv: Option<PathBuf>,

    /// Send to /bulkevents/historical, for data older than 30 days
    #[arg(long)]
    pub historical: bool,

    /// The environment of batches that name none; those that name another are rejected
    #[arg(long, value_parser = connect::environment_parser())]
    pub environment: Option<Environment>,

    /// At most this many batches a second; without it, as fast as the service lets
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,

    /// At most this many requests at once
    #[arg(long, value_name = "REQUESTS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// Read and check everything, and send nothing
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,

    /// Go on where an earlier run of the same file was stopped
    #[arg(long)]
    pub resume: bool,

    /// Stop at the first batch that is wrong
    #[arg(long)]
    pub strict: bool,

    /// Where rejected batches go, instead of beside the file; for one FILE
    #[arg(long, value_name = "REJECTS", value_hint = ValueHint::FilePath)]
    pub rejects: Option<PathBuf>,

    /// Give up when nothing has come through for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub give_up_after: u64,

    /// Print one JSON object for each file to stdout
    #[arg(long)]
    pub json: bool,

    /// No progress bar, and no faults on stderr
    #[arg(long, short)]
    pub quiet: bool,

    // Last, since its heading would stand above what follows.
    #[command(flatten)]
    pub connection: Connection,
}
