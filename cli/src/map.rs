//! `mparticle map`: proposes a map of the columns of a CSV file.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::exit::{self, CliError, ExitStatus};
use crate::input::{self, Source};
use crate::text;

const EXAMPLES: &str = "\
Examples:
  mparticle map orders.csv                          print a map, with examples of the cells as comments
  mparticle map orders.csv > orders.toml            write it to a file, to check and change it
  mparticle send --dry-run --csv orders.toml orders.csv   then try it

The delimiter, the types of the columns, times and identities are guessed from the header and the first rows. Lines of
which the program is not sure are comments. A file whose columns mParticle named, such as user_identities.email, needs
no map.";

/// Propose a map for a CSV file, from its header and a sample of its rows
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// CSV file, plain, gzip or zstd; - is stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

/// Prints the proposed map to stdout.
pub fn run(arguments: &Arguments) -> exit::Result {
    let source = Source::open(&arguments.file).map_err(|error| CliError::file("read", &arguments.file, &error))?;
    let map = input::propose_map(&arguments.file, source)?;
    exit::from_write(text::print(map.as_bytes()))?;
    Ok(ExitStatus::Success)
}
