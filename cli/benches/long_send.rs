//! Compares the memory and the CPU time of `mparticle send` for 10,000,000 events with those for 1,000,000:
//! `cargo bench -p mparticle-cli --bench long_send` (Linux only).
//!
//! Sends batches of 100 small events without ids, the same with ids, and batches of one event with ids, of which `send` remembers
//! only the last 1,000,000. The peer accepts every request, and counts the events. `LONG_SEND_EVENTS` sets the number of events of
//! the short run, 10,000 by default; the limits hold from 1,000,000 on, since the memory for ids grows until then.

#[path = "support/mod.rs"]
mod child;
#[allow(dead_code, reason = "no process gets a signal")]
#[path = "../../tests/support/process.rs"]
mod process;
#[path = "../../benches/support/mod.rs"]
mod support;

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use child::{mebibytes, run};
use memchr::memmem;
use support::peer;

/// The long run has this many times the events of the short one.
const TIMES: u64 = 10;
/// The number of short runs, before and after the long one, whose mean it is compared with.
const SHORT_RUNS: u32 = 2;
/// The number of events from which on all memory is in use.
const SETTLED: u64 = 1_000_000;

/// The batches of an input.
struct Input {
    name: &'static str,
    events_per_batch: u64,
    has_ids: bool,
}

const INPUTS: [Input; 3] = [
    Input { name: "batches of 100 events without ids", events_per_batch: 100, has_ids: false },
    Input { name: "batches of 100 events with ids", events_per_batch: 100, has_ids: true },
    Input { name: "batches of one event with ids", events_per_batch: 1, has_ids: true },
];

fn main() -> ExitCode {
    if peer::is_peer() {
        serve();
        return ExitCode::SUCCESS;
    }
    if support::resident_bytes().is_none() {
        println!("send: not measured on this system");
        return ExitCode::SUCCESS;
    }
    let events: u64 = env::var("LONG_SEND_EVENTS").map_or(10_000, |text| text.parse().expect("a number"));
    println!("mparticle send of {} events and of {events}", TIMES * events);
    println!("| | file | CPU, relative to {TIMES} short runs | memory, short | long |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let measured: Vec<_> = INPUTS.iter().map(|input| (input.name, compare(input, events))).collect();
    for (name, (cpu, more)) in measured {
        if events >= SETTLED {
            support::check_limit(&format!("{name}: CPU of the long run, relative to {TIMES} short ones"), cpu, 1.05);
            support::check_limit(&format!("{name}: more memory of the long run, in units of 4 MiB"), more / 4.0, 1.0);
        }
    }
    support::exit_code()
}

/// Counts the events of accepted requests, and prints their number at the end.
fn serve() {
    let events = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&events);
    peer::serve_with_outages(move |body| {
        let events = memmem::find_iter(body, b"\"event_type\"").count();
        counter.fetch_add(events as u64, Ordering::Relaxed);
    });
    println!("{}", events.load(Ordering::Relaxed));
}

/// Returns the CPU time of the long run relative to short ones, and how much more memory it takes, in MiB.
fn compare(input: &Input, events: u64) -> (f64, f64) {
    let dir = tempfile::tempdir().expect("a directory");
    let (short, long) = (dir.path().join("short.ndjson"), dir.path().join("long.ndjson"));
    write(&short, input, events);
    write(&long, input, TIMES * events);
    let mut runs: Vec<_> = (0..SHORT_RUNS).map(|_| send(&short, events)).collect();
    let (long_seconds, long_peak) = send(&long, TIMES * events);
    runs.extend((0..SHORT_RUNS).map(|_| send(&short, events)));
    let seconds = runs.iter().map(|(seconds, _)| seconds).sum::<f64>() / f64::from(2 * SHORT_RUNS);
    let peak = runs.iter().map(|(_, peak)| *peak).max().unwrap_or_default();
    let ratio = long_seconds / (f64::from(u32::try_from(TIMES).expect("a small number")) * seconds);
    let (bytes, name) = (long.metadata().expect("a file").len(), input.name);
    let (short_peak, long_peak) = (mebibytes(peak), mebibytes(long_peak));
    println!("| {name} | {:.0} MiB | {ratio:.3} | {short_peak:.1} MiB | {long_peak:.1} MiB |", mebibytes(bytes));
    (ratio, long_peak - short_peak)
}

fn write(file: &Path, input: &Input, events: u64) {
    let mut out = BufWriter::new(File::create(file).expect("a file"));
    let mut line = Vec::new();
    for batch in 0..events / input.events_per_batch {
        line.clear();
        _ = write!(line, r#"{{"environment":"development","user_identities":{{"customer_id":"{}"}},"#, batch % 20_000);
        if input.has_ids {
            _ = write!(line, r#""source_request_id":"0a1b2c3d-4e5f-4a6b-8c7d-{batch:012}","#);
        }
        line.extend_from_slice(br#""events":["#);
        for event in 0..input.events_per_batch {
            let (comma, at) = (if event == 0 { "" } else { "," }, 1_767_225_600_000 + batch * 100 + event);
            _ = write!(
                line,
                r#"{comma}{{"event_type":"screen_view","data":{{"screen_name":"Home","timestamp_unixtime_ms":{at}}}}}"#
            );
        }
        line.extend_from_slice(b"]}\n");
        out.write_all(&line).expect("room on the disk");
    }
    out.flush().expect("room on the disk");
}

/// Sends a file to a peer of its own, and returns the CPU time in seconds and the peak memory in bytes.
fn send(file: &Path, events: u64) -> (f64, u64) {
    let peer = peer::Process::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.arg("send").arg(file).arg("--quiet");
    command.env("MPARTICLE_BASE_URL", &peer.url).env("MPARTICLE_API_KEY", "key").env("MPARTICLE_API_SECRET", "secret");
    let measured = run(command.stderr(Stdio::null()));
    let arrived: u64 = peer.finish().trim().parse().expect("a number");
    assert_eq!(arrived, events, "events that arrived");
    let checkpoint = format!("{}.sent.json", file.display());
    fs::remove_file(checkpoint).expect("a checkpoint file");
    measured
}
