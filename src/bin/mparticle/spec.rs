//! `mparticle spec`: the OpenAPI document that this program was built from.

use std::io;

use clap::{Args, ValueEnum};
use mparticle::contract;

use crate::exit;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  mparticle spec > events.json                the document, as JSON
  mparticle spec --format yaml                as it was written, byte for byte
  mparticle spec --strict > strict.json       what `check` and `mock` hold data against: every object is closed
  mparticle spec --version                    the version of the document

The document is the one of this program, unless MPARTICLE_OPENAPI named another one when it was built. Then a line on stderr
says so, and --version too.";

/// Print the OpenAPI document that this program was built from
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Form of the document
    #[arg(long, default_value = "json")]
    format: DocumentFormat,

    /// Print the strict view of it, in which nothing unknown is allowed
    #[arg(long, conflicts_with = "format")]
    strict: bool,

    /// Print the version of the document, and nothing else
    #[arg(long, conflicts_with_all = ["format", "strict"])]
    version: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum DocumentFormat {
    Json,
    Yaml,
}

pub fn run(arguments: &Arguments) -> exit::Result {
    if let Some(message) = origin_notice(contract::IS_CUSTOM_DOCUMENT).filter(|_| !arguments.version) {
        text::eprint_line(message);
    }
    exit::from_write(match arguments {
        Arguments { version: true, .. } => {
            document_version().and_then(|stated| text::print_line(version(&stated, contract::IS_CUSTOM_DOCUMENT)))
        }
        Arguments { strict: true, .. } => text::print_line(contract::strict_document()),
        Arguments { format: DocumentFormat::Json, .. } => text::print_line(contract::DOCUMENT),
        Arguments { format: DocumentFormat::Yaml, .. } => text::print(contract::DOCUMENT_YAML.as_bytes()),
    })
}

fn document_version() -> io::Result<String> {
    let document: serde_json::Value = serde_json::from_str(contract::DOCUMENT)?;
    Ok(document["info"]["version"].as_str().unwrap_or_default().to_owned())
}

/// Returns the version of the document, marked if the document is a custom one.
fn version(version: &str, is_custom: bool) -> String {
    if is_custom { format!("{version} (custom document)") } else { version.to_owned() }
}

/// Returns the line for stderr that says where a custom document comes from.
fn origin_notice(is_custom: bool) -> Option<&'static str> {
    is_custom.then_some("built from a custom document, which MPARTICLE_OPENAPI named")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_document_is_named_beside_its_version_and_on_stderr() {
        assert_eq!((version("2.0", false).as_str(), origin_notice(false)), ("2.0", None));
        let message = origin_notice(true).expect("a line");
        assert!(message.contains("custom document") && !message.contains('\n'), "{message}");
        assert_eq!(version("2.0", true), "2.0 (custom document)");
    }
}
