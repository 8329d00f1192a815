//! How a command ends: with an exit code that a script can rely on, and words for a person.

use std::error::Error as _;
use std::fmt;
use std::io::{self, ErrorKind};
use std::iter;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mparticle::{Error, ErrorKind as Kind, SealError};

use crate::text::{self, printable, tell};

/// The exit codes, as `mparticle --help` lists them.
pub const CODES: &str = "\
Exit codes:
  0    all is well
  1    something in the data is wrong, or was rejected; the rest was done
  2    wrong arguments, profile or environment variables; nothing was done
  3    not everything could be sent: no connection, an outage, a wrong key, a sign-in page; once that is over, the same
       again, or --resume, sends the rest
  4    a file, a spool or a port cannot be used, or --resume does not fit the file
  130  ended by Ctrl-C; 143 by SIGTERM";

/// How a command ended that did its work, the graver the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Done,
    /// Something in the data is wrong, or was rejected.
    Findings,
    /// A file was read or written up to a place, and not further.
    Unreadable,
    /// The service could not be reached, or refused the credentials.
    Unsent,
    /// A signal of this number asked it to end.
    Interrupted(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Findings => Self::from(1),
            Exit::Unreadable => Self::from(4),
            Exit::Unsent => Self::from(3),
            Exit::Interrupted(signal) => Self::from(128 + signal),
        }
    }
}

/// Why a command could not do its work. Its text goes to stderr.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    words: String,
}

pub type Result<T = Exit> = std::result::Result<T, Failure>;

impl Failure {
    /// The arguments, the profile or the environment are not right.
    pub fn usage(words: impl Into<String>) -> Self {
        Self { code: 2, words: words.into() }
    }

    /// A file cannot be read or written: "cannot open FILE: no such file".
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self { code: 4, words: format!("cannot {doing} {}: {error}", path.display()) }
    }

    /// Something else that the system refuses.
    pub fn system(doing: &str, error: &io::Error) -> Self {
        Self { code: 4, words: format!("cannot {doing}: {error}") }
    }

    /// Writing to stdout failed. Nobody reads any more, as in `mparticle check FILE | head`: that is no failure.
    pub fn output(error: &io::Error) -> Result {
        if error.kind() == ErrorKind::BrokenPipe { Ok(Exit::Done) } else { Err(Self::system("write", error)) }
    }

    /// What was sent to this address was not accepted.
    pub fn unsent(error: impl Into<Error>, address: &str) -> Self {
        let error = error.into();
        let words = words_with_address(&error, address);
        Self { words, ..Self::from(error) }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// What was to be written to stdout was written, or not.
pub fn written(result: io::Result<()>) -> Result {
    result.map_or_else(|error| Failure::output(&error), |()| Ok(Exit::Done))
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = error.status().map(|status| status.as_u16());
        let code = match error.kind() {
            Kind::Config => 2,
            Kind::Spool | Kind::SpoolLocked => 4,
            Kind::Invalid | Kind::Limit => 1,
            // It is about the batch, and the same again would be refused again.
            Kind::Refused if matches!(status, Some(200..300 | 400 | 413 | 422)) => 1,
            _ => 3,
        };
        Self { code, words: words(&error) }
    }
}

/// The error with its number of attempts, and what a person can make of it.
pub fn words(error: &Error) -> String {
    explained(&error.to_string(), error)
}

/// The reason alone, for a place that says itself what failed, and what a person can make of it.
pub fn reason_words(error: &Error) -> String {
    explained(error.message(), error)
}

fn explained(text: &str, error: &Error) -> String {
    let words = match cause(error) {
        Some(cause) => format!("{text}: {cause}"),
        None if is_unknown(error) => format!("{text}: the key and the secret do not fit"),
        None => text.to_owned(),
    };
    match asked_wait(error) {
        Some(wait) => format!("{words}; it asks to wait {}", text::wait(wait)),
        None => words,
    }
}

/// The same, and the address if something was sent there: a wrong one is a common reason.
pub fn words_with_address(error: &Error, address: &str) -> String {
    match error.attempts() {
        0 => words(error),
        _ => format!("{} ({address})", words(error)),
    }
}

/// How long the service asks to wait, if it asks that.
pub fn asked_wait(error: &Error) -> Option<Duration> {
    error.retry_after().filter(|wait| !wait.is_zero())
}

/// Whether the service does not know the key and the secret.
pub fn is_unknown(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403))
}

/// Tells each thing that the service said.
pub fn tell_said(error: &Error) {
    for words in words_of_the_service(error) {
        tell(format_args!("the service says: {}", printable(words)));
    }
}

/// What the service said of what it refused, or else what kept it from being sent. It may quote what was sent.
pub fn said(error: &Error) -> String {
    let said: Vec<_> = words_of_the_service(error).collect();
    if said.is_empty() { error.message().to_owned() } else { said.join("; ") }
}

/// The message of each error of the service, or its code alone. An error can have neither.
fn words_of_the_service(error: &Error) -> impl Iterator<Item = &str> {
    let said = error.api_errors().iter().map(|said| if said.message.is_empty() { &said.code } else { &said.message });
    said.map(String::as_str).filter(|words| !words.is_empty())
}

/// What the system says of a connection that failed, without the layers between; or why the attempts before a deadline failed.
fn cause(error: &Error) -> Option<String> {
    if let Some(cause) = error.source()?.downcast_ref() {
        return Some(reason_words(cause));
    }
    let is_network = matches!(error.kind(), Kind::Connect | Kind::ConnectionLost);
    let causes = iter::successors(error.source(), |&cause| cause.source());
    causes.last().filter(|_| is_network).map(ToString::to_string)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
