//! `mparticle completions` and `mparticle man`: shell completions and the manual, generated from the commands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, roman};

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
    exit::from_write(text::print(&script))?;
    Ok(ExitStatus::Success)
}

pub fn write_manual(arguments: &Manual, program: Command) -> exit::Result {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    match &arguments.dir {
        None => {
            let page = page(&program).map_err(|error| CliError::system("write the page", &error))?;
            exit::from_write(text::print(&page))?;
        }
        Some(dir) => {
            fs::create_dir_all(dir).map_err(|error| CliError::file("create", dir, &error))?;
            write_pages(&program, dir).map_err(|error| CliError::file("write pages to", dir, &error))?;
        }
    }
    Ok(ExitStatus::Success)
}

/// Writes the page of a command and those of its subcommands, named as those of git: mparticle-spool-list.1.
fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands() {
        write_pages(subcommand, dir)?;
    }
    fs::write(dir.join(Man::new(command.clone()).get_filename()), page(command)?)
}

/// Returns a page, with the lines of the examples as they are: `Man` would refill them.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let notes = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let man = Man::new(command.clone().after_help(None::<&str>).after_long_help(None::<&str>));
    let mut page = Vec::new();
    man.render(&mut page)?;
    if let Some(notes) = notes {
        let mut roff = Roff::new();
        roff.control("SH", ["EXTRA"]).control("nf", []);
        for line in notes.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        page.extend(roff.render().into_bytes());
    }
    Ok(page)
}
