//! `mparticle spool`: a look into a spool and its dead letters, and what to do with them.

mod act;
mod arguments;
mod look;

use std::path::Path;

pub use arguments::Arguments;

use crate::exit::{self, Failure};
use arguments::{Action, Export, List, Show};

pub fn run(arguments: Arguments) -> exit::Result {
    is_a_spool(arguments.action.dir())?;
    match arguments.action {
        Action::List(List { dir, dead: false, json }) => look::list(&dir, json),
        Action::List(List { dir, dead: true, json }) => look::list_dead(&dir, json),
        Action::Show(Show { dir, number, dead: false }) => look::show(&dir, number),
        Action::Show(Show { dir, number, dead: true }) => look::show_dead(&dir, number),
        Action::Export(Export { dir, dead, endpoint }) => look::export(&dir, dead, endpoint),
        Action::Retry(retry) => act::retry(&retry),
        Action::Purge(purge) => act::purge(&purge),
    }
}

/// A mistyped name is told: what opens a spool would make one there, and what looks into it would find nothing. What a spool
/// has once something was put into it, also when it was copied or all is done, is a segment, a cursor, or dead letters.
fn is_a_spool(dir: &Path) -> exit::Result<()> {
    let no_spool = |why: String| Failure::usage(format!("there is no spool in {}{why}", dir.display()));
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
