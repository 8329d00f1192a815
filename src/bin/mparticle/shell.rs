//! `mparticle completions` and `mparticle man`: what a shell and its user want to know of all commands.

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
  mparticle completions zsh > ~/.zfunc/_mparticle           a directory of $fpath
  mparticle completions fish > ~/.config/fish/completions/mparticle.fish";

/// Print what a shell needs to complete commands and options
#[derive(Args)]
#[command(after_help = COMPLETIONS)]
pub struct Completions {
    /// Shell to print it for
    shell: Shell,
}

const PAGES: &str = "\
Examples:
  mparticle man | man -l -                              reads the page of the program
  mparticle man ~/.local/share/man/man1                 one file for each command, as for mparticle-spool-list(1)";

/// Print the manual, or write its pages into a directory
#[derive(Args)]
#[command(after_help = PAGES)]
pub struct Manual {
    /// Directory that gets one page for each command; it is made if it is not there
    dir: Option<PathBuf>,
}

pub fn completions(arguments: &Completions, mut program: Command) -> exit::Result {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "mparticle", &mut script);
    exit::from_write(text::print(&script))
}

pub fn manual(arguments: &Manual, program: Command) -> exit::Result {
    match &arguments.dir {
        None => {
            let mut page = Vec::new();
            Man::new(program).render(&mut page).map_err(|error| CliError::system("write the page", &error))?;
            exit::from_write(text::print(&page))
        }
        Some(dir) => {
            fs::create_dir_all(dir).map_err(|error| CliError::file("make", dir, &error))?;
            // As git names its pages: mparticle-spool-list.1.
            clap_mangen::generate_to(program, dir).map_err(|error| CliError::file("write pages into", dir, &error))?;
            Ok(ExitStatus::Success)
        }
    }
}
