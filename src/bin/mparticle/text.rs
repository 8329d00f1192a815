//! Text from outside, made fit for a terminal, and lines of data.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::HumanDuration;

/// What was read or sent is not to steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns text from a file as it is shown to a person: printable, and at most its first 200 characters.
pub fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let ellipsis = if text.chars().nth(MAX_CHARS).is_some() { "…" } else { "" };
    printable(&text.chars().take(MAX_CHARS).collect::<String>()) + ellipsis
}

/// Returns a path as it was named.
pub fn path_string(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A line of words for a person. Nobody may read them any more, and what is done goes on all the same.
pub fn eprint_line(message: impl fmt::Display) {
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}

/// Data, which is there at once.
pub fn print(data: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    stdout.flush()
}

/// A line of data, which is there at once.
pub fn print_line(data: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data.as_ref())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// A wait for a person: `300 ms`, `45 s`, `86400 s (24 hours)`.
pub fn format_wait(wait: Duration) -> String {
    const LONG: Duration = Duration::from_secs(120);
    match wait {
        _ if wait >= LONG => format!("{} s ({})", wait.as_secs(), HumanDuration(wait)),
        _ if wait.as_secs() == 0 => format!("{} ms", wait.as_millis()),
        _ if wait.subsec_millis() == 0 => format!("{} s", wait.as_secs()),
        _ => format!("{:.1} s", wait.as_secs_f64()),
    }
}

/// What there are so many of, in English: `batch`, `batches`.
pub fn pluralize(count: u64, noun: &str) -> String {
    let ending = match noun {
        _ if count == 1 => "",
        "batch" => "es",
        _ => "s",
    };
    format!("{noun}{ending}")
}
