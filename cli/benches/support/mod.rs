//! Runs a command, and measures its CPU time and its peak memory, on Linux.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::process::peak_memory;

/// The clock ticks per second in which /proc counts CPU time, the same on every Linux.
const TICKS: f64 = 100.0;

/// Runs a command, and returns its CPU time in seconds and its peak memory in bytes.
pub fn run(command: &mut Command) -> (f64, u64) {
    let before = children_ticks();
    let mut child = command.spawn().expect("a process");
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_memory(&child).unwrap_or_default());
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    ((children_ticks() - before) / TICKS, peak)
}

/// Returns the CPU time of all finished child processes, in ticks.
fn children_ticks() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let field = |number: usize| after_name.split_whitespace().nth(number).and_then(|text| text.parse::<f64>().ok());
    field(13).zip(field(14)).map(|(user, system)| user + system).expect("the times of children")
}

#[allow(clippy::cast_precision_loss)]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
