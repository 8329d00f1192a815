//! Output to stdout and stderr, and text that is safe to print.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::HumanDuration;

/// Replaces control characters, so that foreign text cannot control the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns the first 200 characters of text from a file, printable.
pub fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let ellipsis = if text.chars().nth(MAX_CHARS).is_some() { "…" } else { "" };
    printable(&text.chars().take(MAX_CHARS).collect::<String>()) + ellipsis
}

/// Returns a path as text.
pub fn path_string(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Prints a line, or several, to stderr, without control characters: names of files and texts of others can be in any message.
/// Errors are ignored: a closed stderr must not stop the work.
pub fn eprint_line(message: impl fmt::Display) {
    let safe = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let line: String = message.to_string().chars().map(safe).chain(['\n']).collect();
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Writes data to stdout and flushes it.
pub fn print(data: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    stdout.flush()
}

/// Writes a line to stdout and flushes it.
pub fn print_line(data: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data.as_ref())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Formats a wait: `300 ms`, `45 s`, `86400 s (24 hours)`.
pub fn format_wait(wait: Duration) -> String {
    const LONG: Duration = Duration::from_secs(120);
    match wait {
        _ if wait >= LONG => format!("{} s ({})", wait.as_secs(), HumanDuration(wait)),
        _ if wait.as_secs() == 0 => format!("{} ms", wait.as_millis()),
        _ if wait.subsec_millis() == 0 => format!("{} s", wait.as_secs()),
        _ => format!("{:.1} s", wait.as_secs_f64()),
    }
}

/// Returns a count with its noun: `1 batch`, `2 batches`.
pub fn format_count(count: u64, noun: &str) -> String {
    format!("{count} {}", pluralize(count, noun))
}

/// Returns the noun in the singular or the plural: `batch`, `batches`.
pub fn pluralize(count: u64, noun: &str) -> String {
    let ending = match noun {
        _ if count == 1 => "",
        _ if ["batch", "fix"].iter().any(|ending| noun.ends_with(ending)) => "es",
        _ => "s",
    };
    format!("{noun}{ending}")
}
