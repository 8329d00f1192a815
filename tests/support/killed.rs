//! A child process that is killed in the midst of its work.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread;
use std::time::Duration;

/// Reads what the child says, a line at a time, and kills it with SIGKILL once it has said so many lines and some time more
/// has passed: at no moment in particular. Then what is left in the pipe is read to its end. `round` is for messages.
pub fn kill_after(round: u64, mut child: Child, mut lines_left: u64, pause: Duration, mut say: impl FnMut(&str)) {
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (mut child, mut killer) = (Some(child), None);
    for line in lines.map_while(Result::ok) {
        say(&line);
        if lines_left > 0 {
            lines_left -= 1;
        } else if let Some(mut child) = child.take() {
            killer = Some(thread::spawn(move || {
                thread::sleep(pause);
                child.kill().expect("SIGKILL");
                child.wait().expect("it ended")
            }));
        }
    }
    let killer = killer.unwrap_or_else(|| panic!("round {round}: the child ended by itself"));
    assert_eq!(killer.join().expect("no panic").code(), None, "round {round}: the child did not end by itself");
}
