//! The command line: a thin shell over the library. Data goes to stdout, words go to stderr.

mod check;
mod exit;
#[allow(dead_code, unused_imports)]
mod input;
mod mock;
mod text;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Send events to mParticle, and test what you send
#[derive(Parser)]
#[command(name = "mparticle", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = exit::CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Mock(mock::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check(arguments) => check::run(arguments),
        Command::Mock(arguments) => mock::run(arguments),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}
