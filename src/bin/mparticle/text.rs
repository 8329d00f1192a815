//! Text from outside, made fit for a terminal, and lines of data.

use std::fmt;
use std::io::{self, Write};

/// What was read or sent is not to steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A line of words for a person. Nobody may read them any more, and what is done goes on all the same.
pub fn tell(words: impl fmt::Display) {
    let _ = io::stderr().write_all(format!("{words}\n").as_bytes());
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

/// What there are so many of, in English: `batch`, `batches`.
pub fn plural(count: u64, what: &str) -> String {
    let ending = match what {
        _ if count == 1 => "",
        "batch" => "es",
        _ => "s",
    };
    format!("{what}{ending}")
}
