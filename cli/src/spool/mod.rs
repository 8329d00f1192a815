//! `mparticle spool`: inspects, sends and purges a spool and its dead letters.

mod arguments;
mod inspect;
mod modify;

use std::path::Path;

pub use arguments::Arguments;

use crate::exit::{self, CliError};
use arguments::{ExportArguments, ListArguments, ShowArguments, SpoolCommand};

pub fn run(arguments: Arguments) -> exit::Result {
    check_is_spool(arguments.action.dir())?;
    match arguments.action {
        SpoolCommand::List(ListArguments { dir, dead: false, json }) => inspect::list(&dir, json),
        SpoolCommand::List(ListArguments { dir, dead: true, json }) => inspect::list_dead(&dir, json),
        SpoolCommand::Show(ShowArguments { dir, number, dead: false }) => inspect::show(&dir, number),
        SpoolCommand::Show(ShowArguments { dir, number, dead: true }) => inspect::show_dead(&dir, number),
        SpoolCommand::Export(ExportArguments { dir, dead, endpoint }) => inspect::export(&dir, dead, endpoint),
        SpoolCommand::Retry(retry) => modify::retry(&retry),
        SpoolCommand::Purge(purge) => modify::purge(&purge),
    }
}

/// Refuses a directory that is not a spool, for example because of a typing error: opening it would create a spool, and
/// inspecting it would find nothing. A spool that was ever used has a segment, a cursor or dead letters.
fn check_is_spool(dir: &Path) -> exit::Result<()> {
    let no_spool = |reason: String| CliError::usage(format!("no spool in {}{reason}", dir.display()));
    let entries = dir.read_dir().map_err(|error| no_spool(format!(": {error}")))?;
    let is_spool_file = |name: &str| {
        let name = name.strip_suffix(".damaged").unwrap_or(name);
        let is_segment =
            name.strip_suffix(".log").is_some_and(|number| number.len() == 20 && number.parse::<u64>().is_ok());
        is_segment || name == "cursor" || (name.starts_with("dead-letters.") && name.ends_with("ndjson"))
    };
    if entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_spool_file)) {
        return Ok(());
    }
    Err(no_spool(", or it was never used".into()))
}
