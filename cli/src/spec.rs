//! `mparticle spec`: the OpenAPI document that this program was built from.

use std::io;

use clap::{Args, ValueEnum};
use mparticle::contract;

use crate::exit::{self, ExitStatus};
use crate::text;

const EXAMPLES: &str = "\
Examples:
  mparticle spec > events.json                the document as JSON
  mparticle spec --format yaml                the original YAML, byte for byte
  mparticle spec --strict > strict.json       the strict schema that `check` and `mock` validate against
  mparticle spec --version                    the version of the document

A program that was built with MPARTICLE_OPENAPI prints its custom document. It says so on stderr and in --version.";

/// Print the OpenAPI document that this program was built from
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Format of the document
    #[arg(long, default_value = "json")]
    format: DocumentFormat,

    /// Print the strict view of the document, which allows no unknown fields
    #[arg(long, conflicts_with = "format")]
    strict: bool,

    /// Print only the version of the document
    #[arg(long, conflicts_with_all = ["format", "strict"])]
    version: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum DocumentFormat {
    Json,
    Yaml,
}

pub fn run(arguments: &Arguments) -> exit::Result {
    if let Some(notice) = origin_notice(contract::IS_CUSTOM_DOCUMENT).filter(|_| !arguments.version) {
        text::eprint_line(notice);
    }
    let written = match arguments {
        Arguments { version: true, .. } => document_version()
            .and_then(|version| text::print_line(format_version(&version, contract::IS_CUSTOM_DOCUMENT))),
        Arguments { strict: true, .. } => text::print_line(contract::strict_document()),
        Arguments { format: DocumentFormat::Json, .. } => text::print_line(contract::DOCUMENT),
        Arguments { format: DocumentFormat::Yaml, .. } => text::print(contract::DOCUMENT_YAML.as_bytes()),
    };
    exit::from_write(written)?;
    Ok(ExitStatus::Success)
}

fn document_version() -> io::Result<String> {
    let document: serde_json::Value = serde_json::from_str(contract::DOCUMENT)?;
    Ok(document["info"]["version"].as_str().unwrap_or_default().to_owned())
}

/// Returns the version of the document, marked if the document is custom.
fn format_version(version: &str, is_custom: bool) -> String {
    if is_custom { format!("{version} (custom document)") } else { version.to_owned() }
}

/// Returns the notice about a custom document.
fn origin_notice(is_custom: bool) -> Option<&'static str> {
    is_custom.then_some("built from a custom document, set by MPARTICLE_OPENAPI")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_a_custom_document_in_its_version_and_on_stderr() {
        assert_eq!((format_version("2.0", false).as_str(), origin_notice(false)), ("2.0", None));
        let message = origin_notice(true).expect("a line");
        assert!(message.contains("custom document") && !message.contains('\n'), "{message}");
        assert_eq!(format_version("2.0", true), "2.0 (custom document)");
    }
}
