//! `mparticle spool`: a look into a spool and its dead letters, and what to do with them.

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

/// A mistyped name is told: what opens a spool would make one there, and what looks into it would find nothing. What a spool
/// has once something was put into it, also when it was copied or all is done, is a segment, a cursor, or dead letters.
fn check_is_spool(dir: &Path) -> exit::Result<()> {
    let no_spool = |why: String| CliError::usage(format!("there is no spool in {}{why}", dir.display()));
    let entries = dir.read_dir().map_err(|error| no_spool(format!(": {error}")))?;
    let is_of_a_spool = |name: &str| {
        let name = name.strip_suffix(".damaged").unwrap_or(name);
        let is_segment =
            name.strip_suffix(".log").is_some_and(|number| number.len() == 20 && number.parse::<u64>().is_ok());
        is_segment || name == "cursor" || (name.starts_with("dead-letters.") && name.ends_with("ndjson"))
    };
    if entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_of_a_spool)) {
        return Ok(());
    }
    Err(no_spool(", or nothing was put into it so far".into()))
}
