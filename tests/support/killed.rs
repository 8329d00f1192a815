//! A child process that is killed while it works.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread;
use std::time::Duration;

/// Passes each line of the child's output to `on_line`. Kills the child with SIGKILL a `pause` after `lines_left` more lines, and then
/// reads the rest of the pipe. `round` is for messages.
pub fn kill_after(round: u64, mut child: Child, mut lines_left: u64, pause: Duration, mut on_line: impl FnMut(&str)) {
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (mut child, mut killer) = (Some(child), None);
    for line in lines.map_while(Result::ok) {
        on_line(&line);
        if lines_left > 0 {
            lines_left -= 1;
        } else if let Some(mut child) = child.take() {
            killer = Some(thread::spawn(move || {
                thread::sleep(pause);
                child.kill().expect("SIGKILL");
                child.wait().expect("the child exits")
            }));
        }
    }
    let killer = killer.unwrap_or_else(|| panic!("round {round}: the child exited before it was killed"));
    assert_eq!(killer.join().expect("no panic").code(), None, "round {round}: the child must not exit by itself");
}
