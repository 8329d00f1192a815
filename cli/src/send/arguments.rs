//! The arguments of `mparticle send`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use mparticle::Environment;

use crate::connect::{self, Connection};

const EXAMPLES: &str = "\
Examples:
  mparticle send events.ndjson                     one batch per line
  zcat export.gz | mparticle send -                from a pipe; FILE itself may be .gz or .zst
  mparticle send --csv orders.toml orders.csv      rows of CSV, with a map that `mparticle map` proposes
  mparticle send yesterday.ndjson.gz --historical  data older than 30 days
  mparticle send --export-form bucket/*.txt        batches that mParticle exported to a bucket
  mparticle send big.ndjson --rate 100             at most 100 batches per second
  mparticle send big.ndjson --resume               continue an interrupted run
  mparticle send events.ndjson.rejects.ndjson      the rejected batches again, after fixing them in that file

JSON batches are one per line, touching, separated by commas or blanks, pretty-printed, or in lists; UTF-8, or UTF-16 with a
byte-order mark. A batch that is cut or malformed is rejected, and reading goes on at the next one.

Each batch is checked. Invalid and rejected batches go to FILE.rejects.ndjson with their positions, and the rest is sent.
A batch without a source_request_id gets one derived from its position in the file and its content, so that the service
drops it as a duplicate when it is sent again. The same batch at the same position of another file gets the same ID, so
give batches without times an ID of their own. Nothing else is changed. An existing rejects file of an earlier run is
renamed to FILE.rejects.ndjson.1.

A source_request_id that a different batch of the run has is a warning with both places; the last 1,000,000 IDs are
compared, and memory does not grow beyond them.

A line of a rejects file has the batch as `batch`, or as `text` or `base64` if it is not JSON. A text of more than 1 MiB is
not kept; `omitted_at` is its offset in FILE. Correct `batch` or `text`, and send the rejects file itself; a row of CSV is
corrected in FILE.

FILE.sent.json records the progress. --resume continues from there, provided that the destination, the key, --historical,
--environment and --csv are the same, and that FILE has not changed before that position; it may have grown. One run at a
time can send a file. An input that is not a regular file cannot be resumed, and its rejects go to the working directory.
With --state-dir, both files are in that directory, for example if that of FILE is read-only; files of the same name
need a directory each.

If a FILE cannot be read, the others are sent nevertheless. After a network failure, or with --strict, the run stops, and
names the files that it did not send.

Each row of CSV is an event; rows of the same user are gathered into batches, and rows with one transaction_id are one
purchase. mParticle's own CSV, with columns such as user_identities.email, needs no map. `mparticle map` proposes one:
  environment = \"development\"
  [csv]                           # only if it differs: delimiter, quote, decimal, null
  decimal = \",\"                 # 1.234,50; null = [\"\\\\N\", \"NULL\", \"nan\", ...] lists cells without a value
  [identities]                    # identity = column; [device] maps ids and fields of the device
  customer_id = \"user_id\"
  [user_attributes]               # text by default; or number, boolean, list, json
  seats = { column = \"seats\", type = \"number\" }
  [event]                         # custom_event, screen_view, purchase, opt_out; omit to send users only
  type = \"custom_event\"
  name = { column = \"action\" }
  custom_event_type = \"transaction\"
  time = { column = \"at\", format = \"rfc3339\" }   # or seconds, milliseconds, a strftime pattern with
                                                  # zone = \"Europe/Berlin\" (UTC without a zone)
  [event.attributes]
  note = \"comment\"";

/// Send files of batches
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent switch")]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Files to send: JSON batches in any arrangement, or CSV; plain, gzip or zstd. `-` is stdin
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// Read the files as CSV with a header, using this map of the columns
    #[arg(long, value_name = "MAP", value_hint = ValueHint::FilePath)]
    pub csv: Option<PathBuf>,

    /// Send to /bulkevents/historical, for data older than 30 days
    #[arg(long)]
    pub historical: bool,

    /// Environment of batches without one; batches of another environment are rejected
    #[arg(long, value_parser = connect::environment_parser())]
    pub environment: Option<Environment>,

    /// Convert batches that mParticle exported to a bucket, and fix them as `check --fix` does
    #[arg(long, conflicts_with = "csv")]
    pub export_form: bool,

    /// Maximum rate, in batches per second [default: as fast as the service allows]
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,

    /// Maximum number of concurrent requests
    #[arg(long, value_name = "REQUESTS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// Read and check everything without sending
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,

    /// Continue an interrupted run of the same file
    #[arg(long)]
    pub resume: bool,

    /// Stop at the first invalid batch
    #[arg(long)]
    pub strict: bool,

    /// Write rejected batches to this file [default: FILE.rejects.ndjson]; works with only one FILE
    #[arg(long, value_name = "REJECTS", value_hint = ValueHint::FilePath)]
    pub rejects: Option<PathBuf>,

    /// Directory of the checkpoint and the rejects, instead of that of FILE; created if missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,

    /// Give up after this many seconds without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub give_up_after: u64,

    /// Print a JSON object for each file to stdout
    #[arg(long)]
    pub json: bool,

    /// Do not print a progress bar or diagnostics
    #[arg(long, short)]
    pub quiet: bool,

    // Last, since later arguments would appear under its heading.
    #[command(flatten)]
    pub connection: Connection,
}
