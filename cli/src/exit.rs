//! Exit codes for scripts, and error messages for people.

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
  0    success
  1    invalid or rejected data; everything else was processed
  2    invalid arguments, profile or environment variables; nothing was done
  3    not everything was sent, for example because of a network failure, an outage, a wrong key or a captive portal;
       run the command again, or use --resume, to send the rest
  4    a file, a spool or a port cannot be used, another run sends the file, or --resume does not match it
  130  interrupted by Ctrl-C; 143 terminated by SIGTERM";

/// The status of a command that ran, ordered by increasing severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    Success,
    /// Some data is invalid or was rejected.
    DataError,
    /// A file could not be read or written completely.
    IoError,
    /// The service could not be reached, or refused the credentials.
    Unavailable,
    /// Interrupted by the signal with this number.
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

/// The error that stopped a command. Its text goes to stderr.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    message: String,
}

pub type Result<T = ExitStatus> = std::result::Result<T, CliError>;

impl CliError {
    /// Creates an error about the arguments, the profile or the environment.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// Creates an error about a file, for example "cannot open FILE: no such file".
    pub fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self { code: 4, message: format!("cannot {action} {}: {error}", printable(&text::path_string(path))) }
    }

    /// Creates the error of a file that another `mparticle send` is sending.
    pub fn in_use(path: &Path) -> Self {
        let name = printable(&text::path_string(path));
        let message = format!("another `mparticle send` is sending {name}; wait until it has ended, or stop it");
        Self { code: 4, message }
    }

    /// Creates an error about another operation of the system.
    pub fn system(action: &str, error: &io::Error) -> Self {
        Self { code: 4, message: format!("cannot {action}: {error}") }
    }

    /// Creates an error about an upload to `address`.
    pub fn upload(error: impl Into<Error>, address: &str) -> Self {
        let error = error.into();
        let message = message_with_address(&error, address);
        Self { message, ..Self::from(error) }
    }

    /// Adds what the user can do about the error.
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.message = format!("{}; {hint}", self.message);
        self
    }

    /// Returns whether a file or the system caused the error.
    pub fn is_io(&self) -> bool {
        self.code == 4
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// Converts the result of writing to stdout. A closed pipe, as in `mparticle check FILE | head`, is not an error: the exit code
/// is the same as without the pipe.
pub fn from_write(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::system("write", &error)),
        _ => Ok(()),
    }
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
            // The batch itself was refused: sending it again would fail again.
            Kind::Refused if matches!(status, Some(200..300 | 400 | 413 | 422)) => 1,
            _ => 3,
        };
        Self { code, message: message(&error) }
    }
}

/// Returns the text of the error with its number of attempts, its root cause and the requested wait.
pub fn message(error: &Error) -> String {
    with_root_cause(&error.to_string(), error)
}

/// Returns the reason without the operation that failed, with its root cause and the requested wait.
pub fn reason(error: &Error) -> String {
    with_root_cause(error.message(), error)
}

fn with_root_cause(text: &str, error: &Error) -> String {
    let message = match root_cause(error) {
        Some(cause) => format!("{text}: {cause}"),
        None if is_unauthorized(error) => format!("{text}: the key or the secret is wrong"),
        None => text.to_owned(),
    };
    match requested_wait(error) {
        Some(wait) => format!("{message}; it asks to wait {}", text::format_wait(wait)),
        None => message,
    }
}

/// Returns the message with the address, if a request was sent: a wrong address is a common cause.
pub fn message_with_address(error: &Error, address: &str) -> String {
    match error.attempts() {
        0 => message(error),
        _ => format!("{} ({address})", message(error)),
    }
}

/// Returns the wait that the service requested, if any.
pub fn requested_wait(error: &Error) -> Option<Duration> {
    error.retry_after().filter(|wait| !wait.is_zero())
}

/// Returns whether the service rejected the key and the secret.
pub fn is_unauthorized(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403))
}

/// Prints each error message of the service to stderr.
pub fn print_service_messages(error: &Error) {
    for message in service_messages(error) {
        eprint_line(format_args!("the service responded: {}", printable(message)));
    }
}

/// Returns the messages of the service, or else the reason why the batch was not sent. They may quote the batch.
pub fn service_message(error: &Error) -> String {
    let messages: Vec<_> = service_messages(error).collect();
    if messages.is_empty() { error.message().to_owned() } else { messages.join("; ") }
}

/// Returns the message of each error of the service, or its code if it has no message. An error may have neither.
fn service_messages(error: &Error) -> impl Iterator<Item = &str> {
    let service_message = error.api_errors().iter().map(|service_message| {
        if service_message.message.is_empty() { &service_message.code } else { &service_message.message }
    });
    service_message.map(String::as_str).filter(|message| !message.is_empty())
}

/// Returns the innermost cause of a failed connection, or the reason why the attempts before a deadline failed.
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
