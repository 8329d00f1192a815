//! Measures the resident memory and the disk of an uploader with a spool for one hour of 1,000 events a second, in which the service
//! is unavailable for ten minutes, and counts what the service received: `cargo bench --bench hour`.
//!
//! The hour is compressed: the events of the next second follow as soon as those of the last one are delivered or, during the
//! outage, on the disk. The uploader reads the real clock, therefore its waits are shorter than by default. After the outage, twice
//! as many events are delivered as are tracked, until the backlog is empty. The spool is in the directory that `TMPDIR` names, and the
//! peer is a separate process. `HOUR_SECONDS` sets the number of seconds, 60 by default, and the outage takes a sixth of them.

mod support;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use mparticle::{
    Batch, BatchTemplate, Client, Credentials, CustomEvent, CustomEventType, Environment, TrySendError, Uploader,
    UploaderStats,
};
use support::{check_limit, peer, resident_bytes};
use tempfile::TempDir;

const EVENTS_PER_SECOND: u64 = 1_000;
/// The number of events that follow each other for one user.
const EVENTS_PER_USER: u64 = 5;
const USERS: usize = 2_000;
/// The largest number of undelivered events while the service is available.
const UNDELIVERED: u64 = 20_000;
/// The largest number of events in memory only.
const PENDING: u64 = 5_000;
/// The maximum growth of the resident memory in the outage and after it, in bytes. By default, the uploader keeps 10,000 batches in
/// memory.
const GROWTH: u32 = 20 << 20;

/// The name before the number of an event in its JSON.
const ID: &[u8] = b"\"source_message_id\":\"";

fn main() -> ExitCode {
    let seconds: u64 = env::var("HOUR_SECONDS").map_or(60, |text| text.parse().expect("a number"));
    if peer::is_peer() {
        serve(usize::try_from(seconds * EVENTS_PER_SECOND).expect("a small number"));
        return ExitCode::SUCCESS;
    }
    if resident_bytes().is_none() {
        println!("memory: not measured on this system");
    }
    hour(seconds);
    support::exit_code()
}

/// Counts how often each event arrives in accepted requests, and prints the numbers at the end.
fn serve(events: usize) {
    let counts = Arc::new(Mutex::new(vec![0_u16; events]));
    let counting = Arc::clone(&counts);
    peer::serve_with_outages(move |body| {
        let mut counts = counting.lock().expect("no panic");
        let mut rest = body;
        while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
            rest = &rest[at..];
            let Some(id) = rest.strip_prefix(ID) else {
                rest = &rest[1..];
                continue;
            };
            let digits = id.iter().take_while(|byte| byte.is_ascii_digit());
            let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
            counts[number] = counts[number].saturating_add(1);
            rest = id;
        }
    });
    let counts = counts.lock().expect("no panic");
    let lost = counts.iter().filter(|count| **count == 0).count();
    let duplicates: usize = counts.iter().map(|count| usize::from(count.saturating_sub(1))).sum();
    println!("{lost} {duplicates}");
}

/// The part of the hour that a second belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Outage,
    CatchingUp,
    After,
}

/// The largest values within a phase.
struct Row {
    phase: Phase,
    first: u64,
    last: u64,
    resident: f64,
    spool: Disk,
    undelivered: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Disk {
    bytes: u64,
    files: usize,
}

fn hour(seconds: u64) {
    let start = Instant::now();
    let dir = TempDir::new().expect("a directory");
    let spool = dir.path().join("spool");
    let mut peer = peer::Process::start();
    let client = Client::builder(Credentials::new("key", "secret")).base_url(&peer.url).build().expect("a client");
    let uploader = Uploader::builder(client)
        .linger(Duration::from_millis(50))
        .initial_rate(1_000_000)
        .max_probe_interval(Duration::from_millis(100))
        .spool(&spool)
        .start()
        .expect("a spool");
    let users: Vec<BatchTemplate> = (0..USERS)
        .map(|user| Batch::new(Environment::Production).customer_id(format!("customer-{user:06}")).into_template())
        .collect();
    let outage = seconds * 5 / 12..seconds * 7 / 12;
    let (mut rows, mut backlog): (Vec<Row>, u64) = (Vec::new(), 0);
    for second in 0..seconds {
        if second == outage.start || second == outage.end {
            peer.set_unavailable(second == outage.start);
            backlog = undelivered(&uploader.stats());
        }
        track(&uploader, &users, second);
        // The number of events that may be undelivered at the end of this second.
        let allowed = if second < outage.start {
            UNDELIVERED
        } else if second < outage.end {
            u64::MAX
        } else {
            backlog.saturating_sub((second - outage.end + 1) * EVENTS_PER_SECOND).max(UNDELIVERED)
        };
        let stats = wait_until(&uploader, |stats| stats.pending <= PENDING && undelivered(stats) <= allowed);
        let phase = match () {
            () if second < outage.start => Phase::Before,
            () if second < outage.end => Phase::Outage,
            () if allowed > UNDELIVERED => Phase::CatchingUp,
            () => Phase::After,
        };
        add(&mut rows, phase, second, &stats, disk(&spool));
    }
    let stats = uploader.shutdown(Duration::from_secs(60)).wait();
    assert_eq!(stats.delivered, seconds * EVENTS_PER_SECOND, "{stats}");
    let left = resident_bytes();
    drop(uploader);
    let at_end = disk(&spool);
    let counts = peer.finish();
    let counts: Vec<u64> = counts.split_whitespace().map(|count| count.parse().expect("a number")).collect();
    let &[lost, duplicates] = &counts[..] else { panic!("not two numbers: {counts:?}") };

    println!(
        "{seconds} seconds of {EVENTS_PER_SECOND} events, run in {:.0} s of real time",
        start.elapsed().as_secs_f64()
    );
    print_table(&rows, left, at_end);
    println!("{} events arrived, {lost} lost, {duplicates} more than once", seconds * EVENTS_PER_SECOND - lost);
    check(&rows, left, at_end, lost + duplicates);
}

/// Tracks the events of a second. Waits while there is no room, which happens if the disk is slow.
fn track(uploader: &Uploader, users: &[BatchTemplate], second: u64) {
    let start = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
    for n in second * EVENTS_PER_SECOND..(second + 1) * EVENTS_PER_SECOND {
        let user = usize::try_from(n / EVENTS_PER_USER).expect("a small number") % users.len();
        let millis = i64::try_from(n * 1_000 / EVENTS_PER_SECOND).expect("a small number");
        let event = CustomEvent::new("Opened Product Page", CustomEventType::Navigation)
            .timestamp(start + TimeDelta::milliseconds(millis))
            .source_message_id(n.to_string())
            .attribute("screen", "New Arrivals")
            .attribute("position", n % 100)
            .attribute("signed_in", true);
        loop {
            match uploader.track(&users[user], event.clone()) {
                Ok(()) => break,
                Err(TrySendError::Full(_)) => thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn wait_until(uploader: &Uploader, is_reached: impl Fn(&UploaderStats) -> bool) -> UploaderStats {
    let start = Instant::now();
    loop {
        let stats = uploader.stats();
        if is_reached(&stats) {
            return stats;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{stats}; {:?}", uploader.status());
        thread::sleep(Duration::from_millis(1));
    }
}

fn undelivered(stats: &UploaderStats) -> u64 {
    stats.pending + stats.spooled
}

/// Returns the size of the segments in the directory of a spool.
fn disk(dir: &Path) -> Disk {
    let files = fs::read_dir(dir).expect("the directory of the spool").flatten();
    let mut disk = Disk::default();
    for file in files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log")) {
        // A segment may be removed meanwhile.
        disk.bytes += file.metadata().map_or(0, |metadata| metadata.len());
        disk.files += 1;
    }
    disk
}

fn add(rows: &mut Vec<Row>, phase: Phase, second: u64, stats: &UploaderStats, spool: Disk) {
    let resident = resident_bytes().unwrap_or_default();
    let undelivered = undelivered(stats);
    match rows.last_mut().filter(|row| row.phase == phase) {
        Some(row) => {
            row.last = second;
            row.resident = row.resident.max(resident);
            row.spool = row.spool.max(spool);
            row.undelivered = row.undelivered.max(undelivered);
        }
        None => rows.push(Row { phase, first: second, last: second, resident, spool, undelivered }),
    }
}

fn print_table(rows: &[Row], left: Option<f64>, at_end: Disk) {
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    #[expect(clippy::cast_precision_loss, reason = "sizes of files")]
    let disk = |disk: Disk| format!("{:.1} MiB in {}", mebibytes(disk.bytes as f64), disk.files);
    println!("| | seconds | resident, at most | segments, at most | undelivered events, at most |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut table = String::new();
    for row in rows {
        let name = match row.phase {
            Phase::Before => "before the outage",
            Phase::Outage => "in the outage",
            Phase::CatchingUp => "catching up",
            Phase::After => "after it",
        };
        let resident = mebibytes(row.resident);
        _ = writeln!(
            table,
            "| {name} | {} to {} | {resident:.1} MiB | {} | {} |",
            row.first,
            row.last + 1,
            disk(row.spool),
            row.undelivered
        );
    }
    let left = mebibytes(left.unwrap_or_default());
    print!("{table}");
    println!("| after the shutdown | | {left:.1} MiB | {} | 0 |", disk(at_end));
}

fn check(rows: &[Row], left: Option<f64>, at_end: Disk, wrong: u64) {
    let most = |phase| rows.iter().filter(|row| row.phase == phase).map(|row| row.resident).fold(0.0, f64::max);
    let growth = f64::from(GROWTH);
    let before = most(Phase::Before);
    for (name, resident) in [
        ("in the outage", most(Phase::Outage)),
        ("while catching up", most(Phase::CatchingUp)),
        ("after the outage", most(Phase::After)),
        ("after the shutdown", left.unwrap_or_default()),
    ] {
        let more = (resident - before).max(0.0) / growth;
        check_limit(&format!("more memory {name} than before it, in units of 20 MiB"), more, 1.0);
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (segments, wrong) = (at_end.files as f64, wrong as f64);
    check_limit("segments on the disk at the end", segments, 1.0);
    check_limit("events lost or more than once", wrong, 0.0);
}
