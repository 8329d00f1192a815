//! The command line, a thin layer over the library. Data goes to stdout, messages go to stderr.

mod check;
mod connect;
mod event;
mod exit;
mod files;
mod input;
mod map;
mod mock;
mod profile;
mod send;
mod shell;
mod signals;
mod spec;
mod spool;
mod text;

use std::env;
use std::process::{self, ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

/// Send events to mParticle, and test what you send
#[derive(Parser)]
#[command(name = "mparticle", version, arg_required_else_help = true)]
#[command(after_help = exit::CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Send(send::Arguments),
    Check(check::Arguments),
    Map(map::Arguments),
    Event(Box<event::Arguments>),
    Mock(mock::Arguments),
    Spool(spool::Arguments),
    Spec(spec::Arguments),
    Completions(shell::Completions),
    Man(shell::Manual),
}

fn main() -> ExitCode {
    let result = match parse().command {
        Command::Send(arguments) => send::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Map(arguments) => map::run(&arguments),
        Command::Event(arguments) => event::run(*arguments),
        Command::Mock(arguments) => mock::run(arguments),
        Command::Spool(arguments) => spool::run(arguments),
        Command::Spec(arguments) => spec::run(&arguments),
        Command::Completions(arguments) => shell::print_completions(&arguments, Arguments::command()),
        Command::Man(arguments) => shell::write_manual(&arguments, Arguments::command()),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            text::eprint_line(format_args!("error: {failure}"));
            failure.code()
        }
    }
}

/// Parses the arguments, or exits. An error quotes the arguments, which can be names of files with escape sequences in them.
fn parse() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| {
        if env::args_os().any(|argument| argument.to_string_lossy().contains(char::is_control)) {
            text::eprint_line(error.render().to_string().trim_end());
            process::exit(error.exit_code());
        }
        error.exit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_definitions_of_all_commands_are_consistent() {
        Arguments::command().debug_assert();
    }
}
