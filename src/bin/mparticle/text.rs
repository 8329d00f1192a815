//! Text from outside, made fit for a terminal, and lines of data.

use std::io::{self, Write};

/// What was read or sent is not to steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Data, which is there at once.
pub fn print(data: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    stdout.flush()
}

/// A line of data, which is there at once.
pub fn line(data: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data.as_ref())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
