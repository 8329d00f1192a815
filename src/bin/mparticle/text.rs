//! Text from outside, made fit for a terminal.

/// What was read or sent is not to steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
