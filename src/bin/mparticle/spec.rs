//! `mparticle spec`: the OpenAPI document that this program was built from.

use std::io;

use clap::{Args, ValueEnum};
use mparticle::contract;

use crate::exit;
use crate::text;

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
    exit::written(match arguments {
        Arguments { version: true, .. } => version().and_then(text::line),
        Arguments { strict: true, .. } => text::line(contract::strict_document()),
        Arguments { format: Format::Json, .. } => text::line(contract::DOCUMENT),
        Arguments { format: Format::Yaml, .. } => text::print(YAML.as_bytes()),
    })
}

fn version() -> io::Result<String> {
    let document: serde_json::Value = serde_json::from_str(contract::DOCUMENT)?;
    Ok(document["info"]["version"].as_str().unwrap_or_default().to_owned())
}
