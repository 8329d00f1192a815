//! How a command ends: with an exit code that a script can rely on, and words for a person.

use std::error::Error as _;
use std::fmt;
use std::io::{self, ErrorKind};
use std::iter;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mparticle::{Error, ErrorKind as Kind, SealError};

use crate::text::{self, eprint_line, printable};

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
pub enum ExitStatus {
    Success,
    /// Something in the data is wrong, or was rejected.
    DataError,
    /// A file was read or written up to a place, and not further.
    IoError,
    /// The service could not be reached, or refused the credentials.
    Unavailable,
    /// A signal of this number asked it to end.
    Interrupted(u8),
}

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        match exit {
            ExitStatus::Success => Self::SUCCESS,
            ExitStatus::DataError => Self::from(1),
            ExitStatus::IoError => Self::from(4),
            ExitStatus::Unavailable => Self::from(3),
            ExitStatus::Interrupted(signal) => Self::from(128 + signal),
        }
    }
}

/// Why a command could not do its work. Its text goes to stderr.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    message: String,
}

pub type Result<T = ExitStatus> = std::result::Result<T, CliError>;

impl CliError {
    /// The arguments, the profile or the environment are not right.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// A file cannot be read or written: "cannot open FILE: no such file".
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self { code: 4, message: format!("cannot {doing} {}: {error}", path.display()) }
    }

    /// Something else that the system refuses.
    pub fn system(doing: &str, error: &io::Error) -> Self {
        Self { code: 4, message: format!("cannot {doing}: {error}") }
    }

    /// Writing to stdout failed. Nobody reads any more, as in `mparticle check FILE | head`: that is no failure.
    pub fn stdout(error: &io::Error) -> Result {
        if error.kind() == ErrorKind::BrokenPipe { Ok(ExitStatus::Success) } else { Err(Self::system("write", error)) }
    }

    /// What was sent to this address was not accepted.
    pub fn upload(error: impl Into<Error>, address: &str) -> Self {
        let error = error.into();
        let message = message_with_address(&error, address);
        Self { message, ..Self::from(error) }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// What was to be written to stdout was written, or not.
pub fn from_write(result: io::Result<()>) -> Result {
    result.map_or_else(|error| CliError::stdout(&error), |()| Ok(ExitStatus::Success))
}

impl From<SealError> for CliError {
    fn from(error: SealError) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for CliError {
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
        Self { code, message: message(&error) }
    }
}

/// The error with its number of attempts, and what a person can make of it.
pub fn message(error: &Error) -> String {
    with_cause(&error.to_string(), error)
}

/// The reason alone, for a place that says itself what failed, and what a person can make of it.
pub fn reason(error: &Error) -> String {
    with_cause(error.message(), error)
}

fn with_cause(text: &str, error: &Error) -> String {
    let message = match root_cause(error) {
        Some(root_cause) => format!("{text}: {root_cause}"),
        None if is_unauthorized(error) => format!("{text}: the key and the secret do not fit"),
        None => text.to_owned(),
    };
    match requested_wait(error) {
        Some(wait) => format!("{message}; it asks to wait {}", text::format_wait(wait)),
        None => message,
    }
}

/// The same, and the address if something was sent there: a wrong one is a common reason.
pub fn message_with_address(error: &Error, address: &str) -> String {
    match error.attempts() {
        0 => message(error),
        _ => format!("{} ({address})", message(error)),
    }
}

/// How long the service asks to wait, if it asks that.
pub fn requested_wait(error: &Error) -> Option<Duration> {
    error.retry_after().filter(|wait| !wait.is_zero())
}

/// Whether the service does not know the key and the secret.
pub fn is_unauthorized(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403))
}

/// Tells each thing that the service said.
pub fn print_service_messages(error: &Error) {
    for message in service_messages(error) {
        eprint_line(format_args!("the service says: {}", printable(message)));
    }
}

/// What the service said of what it refused, or else what kept it from being sent. It may quote what was sent.
pub fn service_message(error: &Error) -> String {
    let service_message: Vec<_> = service_messages(error).collect();
    if service_message.is_empty() { error.message().to_owned() } else { service_message.join("; ") }
}

/// The message of each error of the service, or its code alone. An error can have neither.
fn service_messages(error: &Error) -> impl Iterator<Item = &str> {
    let service_message = error.api_errors().iter().map(|service_message| {
        if service_message.message.is_empty() { &service_message.code } else { &service_message.message }
    });
    service_message.map(String::as_str).filter(|message| !message.is_empty())
}

/// What the system says of a connection that failed, without the layers between; or why the attempts before a deadline failed.
fn root_cause(error: &Error) -> Option<String> {
    if let Some(root_cause) = error.source()?.downcast_ref() {
        return Some(reason(root_cause));
    }
    let is_network = matches!(error.kind(), Kind::Connect | Kind::ConnectionLost);
    let causes = iter::successors(error.source(), |&root_cause| root_cause.source());
    causes.last().filter(|_| is_network).map(ToString::to_string)
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
