//! `mparticle spec`: the OpenAPI document that this program was built from.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use mparticle::contract;

use crate::exit::{self, Exit, Failure};

/// As it is edited, with its comments.
const YAML: &str = include_str!("../../../openapi/events.yaml");

const EXAMPLES: &str = "\
Examples:
  mparticle spec > events.json                the document, as JSON
  mparticle spec --format yaml                as it was written, byte for byte
  mparticle spec --strict > strict.json       what `check` and `mock` hold data against: every object is closed
  mparticle spec --version                    the version of the document";

/// Print the OpenAPI document that this program was built from
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Form of the document
    #[arg(long, default_value = "json")]
    format: Format,

    /// Print the strict view of it, in which nothing unknown is allowed
    #[arg(long, conflicts_with = "format")]
    strict: bool,

    /// Print the version of the document, and nothing else
    #[arg(long, conflicts_with_all = ["format", "strict"])]
    version: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

pub fn run(arguments: &Arguments) -> exit::Result {
    let written = match arguments {
        Arguments { version: true, .. } => version().and_then(|version| print(&version, "\n")),
        Arguments { strict: true, .. } => print(&contract::strict_document(), "\n"),
        Arguments { format: Format::Json, .. } => print(contract::DOCUMENT, "\n"),
        Arguments { format: Format::Yaml, .. } => print(YAML, ""),
    };
    written.map_or_else(|error| Failure::output(&error), |()| Ok(Exit::Done))
}

fn version() -> io::Result<String> {
    let document: serde_json::Value = serde_json::from_str(contract::DOCUMENT)?;
    Ok(document["info"]["version"].as_str().unwrap_or_default().to_owned())
}

fn print(text: &str, end: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(end.as_bytes())?;
    stdout.flush()
}
