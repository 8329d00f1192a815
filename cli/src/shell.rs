//! `mparticle completions` and `mparticle man`: shell completions and the manual, generated from the commands.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::exit::{self, CliError, ExitStatus};
use crate::text;

const COMPLETIONS: &str = "\
Examples:
  mparticle completions bash > ~/.local/share/bash-completion/completions/mparticle
  mparticle completions zsh > ~/.zfunc/_mparticle           a directory in $fpath
  mparticle completions fish > ~/.config/fish/completions/mparticle.fish";

/// Generate completion scripts for a shell
#[derive(Args)]
#[command(after_help = COMPLETIONS)]
pub struct Completions {
    /// Shell to generate completions for
    shell: Shell,
}

const PAGES: &str = "\
Examples:
  mparticle man | man -l -                              show the page of the program
  mparticle man ~/.local/share/man/man1                 write one page per command, for example mparticle-spool-list(1)";

/// Print the manual, or write its pages to a directory
#[derive(Args)]
#[command(after_help = PAGES)]
pub struct Manual {
    /// Directory to write one page per command to; created if missing
    dir: Option<PathBuf>,
}

pub fn print_completions(arguments: &Completions, mut program: Command) -> exit::Result {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "mparticle", &mut script);
    exit::from_write(text::print(&script))
}

pub fn write_manual(arguments: &Manual, program: Command) -> exit::Result {
    match &arguments.dir {
        None => {
            let mut page = Vec::new();
            Man::new(program).render(&mut page).map_err(|error| CliError::system("write the page", &error))?;
            exit::from_write(text::print(&page))
        }
        Some(dir) => {
            fs::create_dir_all(dir).map_err(|error| CliError::file("create", dir, &error))?;
            // Pages are named as those of git: mparticle-spool-list.1.
            clap_mangen::generate_to(program, dir).map_err(|error| CliError::file("write pages to", dir, &error))?;
            Ok(ExitStatus::Success)
        }
    }
}
