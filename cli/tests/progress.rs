//! Tests of the progress bar of `mparticle send`, on a pseudo-terminal with a terminal emulator.
#![cfg(unix)]

#[path = "support/export.rs"]
mod export;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use mparticle::mock::{self, MockServer};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use support::peer::Peer;

const ROWS: u16 = 12;
const COLUMNS: u16 = 120;

/// Runs a command, and returns the screen after each write to the terminal.
fn screens(command: &mut Command) -> (Option<i32>, Vec<String>) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&master).expect("ours");
    unlockpt(&master).expect("unlocked");
    tcsetwinsize(&master, Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
    let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let terminal = File::options().read(true).write(true).open(name).expect("the other end");
    let mut child = command.stderr(Stdio::from(terminal)).stdout(Stdio::null()).spawn().expect("the program");
    // Closes this side's copies of the other end, so that reading ends.
    command.stderr(Stdio::null());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut master = File::from(master);
        let mut parser = vt100::Parser::new(ROWS, COLUMNS, 0);
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = master.read(&mut bytes) {
            parser.process(&bytes[..read]);
            let _ = sender.send(parser.screen().contents());
        }
    });
    let code = child.wait().expect("an end").code();
    (code, receiver.iter().collect())
}

fn send(url: impl AsRef<std::ffi::OsStr>, file: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.args(["send", file]).args(arguments).env_clear().env("TERM", "xterm").stdin(Stdio::null());
    command.env("MPARTICLE_API_KEY", mock::KEY).env("MPARTICLE_API_SECRET", mock::SECRET);
    command.env("MPARTICLE_BASE_URL", url);
    command
}

/// Returns the screens while `count` batches are sent without faults.
fn screens_of_upload(count: u64, arguments: &[&str]) -> Vec<String> {
    let server = MockServer::start_blocking();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("events.ndjson");
    fs::write(&path, export::lines(count, 1).collect::<Vec<_>>().join("\n")).expect("a file");
    let (code, screens) = screens(&mut send(server.url(), path.to_str().expect("UTF-8"), arguments));
    assert_eq!(code, Some(0));
    screens
}

#[test]
fn the_bar_shows_the_progress_and_is_replaced_by_the_summary() {
    let server = MockServer::builder().rate_limit(270).start_blocking();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("events.ndjson");
    let mut lines: Vec<_> = export::lines(3000, 1).collect();
    lines.insert(3, r#"{"environment":"development","mpid":1,"\u001b[2J":1,"events":[]}"#.to_owned());
    fs::write(&path, lines.join("\n")).expect("a file");
    let (code, screens) = screens(&mut send(server.url(), path.to_str().expect("UTF-8"), &[]));
    assert_eq!(code, Some(1), "one batch is rejected");

    let bars: Vec<_> = screens.iter().filter(|screen| screen.contains("events.ndjson [")).collect();
    assert!(bars.len() >= 5, "the bar was drawn {} times", bars.len());
    let shown = bars.last().expect("a bar").lines().find(|line| line.contains("events.ndjson [")).expect("a line");
    for part in ["%", " events, ", "/s, ", " of the quota, ", ", 1 rejected, ", " left"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    assert!(shown.chars().count() <= usize::from(COLUMNS), "the bar wraps: {shown}");
    let events = |screen: &str| -> u64 {
        let line = screen.lines().find(|line| line.contains(" events, ")).unwrap_or_default();
        let number = line.split(" events, ").next().and_then(|before| before.rsplit(' ').next()).unwrap_or_default();
        number.replace(',', "").parse().unwrap_or_default()
    };
    let counts: Vec<_> = bars.iter().map(|screen| events(screen)).collect();
    assert!(counts.is_sorted() && counts.last() > counts.first(), "the count decreases: {counts:?}");

    let last = screens.last().expect("the bar was never shown");
    assert!(!last.contains("events.ndjson ["), "the bar was not removed:\n{last}");
    assert!(last.contains("unknown field"), "the diagnostic is not above the bar, or the screen was cleared:\n{last}");
    assert!(last.contains("delivered 3,000 events"), "{last}");
}

#[test]
fn the_bar_counts_sent_and_not_merely_read_batches() {
    let screens = screens_of_upload(1000, &["--rate", "100"]);
    let shares: Vec<u32> = screens
        .iter()
        .filter_map(|screen| screen.lines().find(|line| line.contains("events.ndjson ["))?.split('%').next())
        .filter_map(|before| before.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(shares.iter().any(|share| (20..=80).contains(share)), "{shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
}

#[test]
fn the_bar_shows_the_wait_that_the_service_requests() {
    let peer = Peer::with_response("HTTP/1.1 429 Too Many Requests\r\nretry-after: 86400\r\ncontent-length: 0\r\n\r\n");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("events.ndjson");
    fs::write(&path, export::lines(10, 1).collect::<Vec<_>>().join("\n")).expect("a file");
    let mut command = send(peer.url(), path.to_str().expect("UTF-8"), &["--give-up-after", "1"]);
    let (code, screens) = screens(&mut command);
    assert_eq!(code, Some(3));
    let shown = |screen: &String| {
        let mut lines = screen.lines().filter(|line| line.contains("events.ndjson ["));
        lines.any(|line| line.contains("the service asks to wait 86400 s (24 hours); "))
    };
    assert!(screens.iter().any(shown), "{screens:?}");
}

#[test]
fn quiet_hides_the_bar() {
    let screens = screens_of_upload(100, &["--quiet"]);
    let last = screens.last().expect("the summary");
    assert!(screens.iter().all(|screen| !screen.contains('[')) && last.contains("delivered 100 events"), "{last}");
}
