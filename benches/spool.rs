//! Measures the cost of the spool relative to a bare append and fdatasync of the same bytes: `cargo bench --bench spool`.
//!
//! Measures wall-clock time, because most of it is spent in the disk. Set `TMPDIR` to a directory on the disk to measure.
//!
//! Also measures the resident memory of a process with a small and a large backlog on the disk (Linux only).

use std::collections::VecDeque;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::process::{Command, ExitCode};
use std::time::Instant;

use bytes::Bytes;
use mparticle::spool::{Endpoint, Fsync, Receipt, Spool, SpoolOptions};
use tempfile::TempDir;

const RECORD_BYTES: usize = 1024;
/// The number of bytes that the spool writes in addition to each batch.
const HEAD_BYTES: usize = 36;
/// The number of records of a round. Both sides are timed in each round, in alternating order.
const RECORDS: usize = 8_000;
const ROUNDS: usize = 41;
/// The smallest allowed throughput of the spool, relative to the bare log.
const LIMIT: f64 = 0.9;

/// The variable with the number of records, set for a process that measures its memory.
const BACKLOG: &str = "SPOOL_BENCH_BACKLOG";
/// The variable with the directory of the spool that such a process opens.
const BACKLOG_DIR: &str = "SPOOL_BENCH_BACKLOG_DIR";
/// The largest allowed difference in memory between the two backlogs, in bytes.
const MEMORY_LIMIT: u64 = 4 << 20;

fn main() -> ExitCode {
    if let Ok(records) = std::env::var(BACKLOG) {
        backlog(records.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    println!("spool, relative to a bare append and fdatasync of the same bytes, records of 1 KiB");
    let kept = [
        // As in a program: while one group is being written, the next one is queued.
        compare("commits of 400, while the next are appended", Some(LIMIT), 400, 800),
        // The worst case: nothing is appended during an fsync, and two threads take turns.
        compare("commits of 100, each awaited before the next", None, 100, 100),
        memory(),
    ];
    if kept.into_iter().all(|kept| kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Appends records in groups, with at most `unconfirmed` records unconfirmed.
fn append(spool: &Spool, group: usize, unconfirmed: usize) {
    let batch = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let mut receipts: VecDeque<Receipt> = VecDeque::with_capacity(unconfirmed);
    let confirm = |receipt: Receipt| receipt.wait().expect("the disk accepts writes");
    for _ in 0..RECORDS / group {
        receipts.extend((0..group).map(|_| spool.append(Endpoint::BulkEvents, batch.clone()).expect("there is room")));
        if receipts.len() >= unconfirmed {
            receipts.drain(..group).for_each(confirm);
        }
    }
    receipts.into_iter().for_each(confirm);
}

/// Prints the median ratio of the throughputs of both sides. Returns true if it is within the limit.
fn compare(name: &str, limit: Option<f64>, group: usize, unconfirmed: usize) -> bool {
    let dir = TempDir::new().expect("a directory");
    let settings = SpoolOptions::new().segment_bytes(64 << 20).max_bytes(2 << 30);
    let spool = Spool::open(dir.path().join("spool"), settings).expect("a spool");
    let mut bare = File::create(dir.path().join("bare")).expect("a file");
    let bytes = vec![b'x'; group * (RECORD_BYTES + HEAD_BYTES)];

    let ours = || append(&spool, group, unconfirmed);
    let mut rival = || {
        for _ in 0..RECORDS / group {
            bare.write_all(black_box(&bytes)).expect("the disk accepts writes");
            bare.sync_data().expect("the disk accepts writes");
        }
    };
    let mut ratios = Vec::with_capacity(ROUNDS);
    for round in 0..=ROUNDS {
        let (ours, rival) = if round % 2 == 0 {
            let ours = seconds(ours);
            (ours, seconds(&mut rival))
        } else {
            let rival = seconds(&mut rival);
            (seconds(ours), rival)
        };
        // The first round warms up.
        if round > 0 {
            ratios.push(rival / ours);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    let kept = limit.is_none_or(|limit| median >= limit);
    let summary = match limit {
        None => "no limit is set".to_owned(),
        Some(limit) => format!("at least {limit}: {}", if kept { "kept" } else { "EXCEEDED" }),
    };
    println!("  {name}: ratio {median:.3} (median of {ROUNDS}); {summary}");
    kept
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Prints the memory of processes with 1,000 and with 1,000,000 records on the disk. Returns true if the difference is
/// within the limit.
fn memory() -> bool {
    if resident_bytes().is_none() {
        println!("memory: not measured on this system");
        return true;
    }
    println!("memory: resident bytes with unread records of 100 bytes on the disk");
    let measured = [1_000, 1_000_000].map(|records: u64| {
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program).env(BACKLOG, records.to_string()).output().expect("a process");
        let text = String::from_utf8(output.stdout).expect("a text");
        let bytes: Vec<u64> = text.split_whitespace().map(|bytes| bytes.parse().expect("a number")).collect();
        let &[written, opened] = &bytes[..] else { panic!("not two numbers: {text:?}") };
        println!(
            "  {records} records: {written} in the process that wrote them, {opened} in one that opened the spool"
        );
        [written, opened]
    });
    let more = measured[1].iter().zip(measured[0]).map(|(large, small)| large.saturating_sub(small)).max();
    let kept = more.is_some_and(|more| more <= MEMORY_LIMIT);
    println!("  at most {MEMORY_LIMIT} more with the large backlog: {}", if kept { "kept" } else { "EXCEEDED" });
    kept
}

/// Fills a spool in this process and opens it in another one. Each prints its memory.
fn backlog(records: u64) {
    let settings = || SpoolOptions::new().fsync(Fsync::Never).max_bytes(2 << 30);
    if let Ok(dir) = std::env::var(BACKLOG_DIR) {
        let spool = Spool::open(dir, settings()).expect("a spool");
        assert_eq!(spool.stats().unread, records);
        print!("{} ", resident_bytes().expect("/proc"));
        return;
    }
    let dir = TempDir::new().expect("a directory");
    let spool = Spool::open(dir.path(), settings()).expect("a spool");
    let batch = Bytes::from(vec![b'x'; 100]);
    for _ in 0..records / 1_000 {
        let append = || spool.append(Endpoint::BulkEvents, batch.clone()).expect("there is room");
        let receipts: Vec<Receipt> = (0..1_000).map(|_| append()).collect();
        for receipt in receipts {
            receipt.wait().expect("the disk accepts writes");
        }
    }
    assert_eq!(spool.stats().unread, records);
    print!("{} ", resident_bytes().expect("/proc"));
    std::io::stdout().flush().expect("the parent reads it");
    drop(spool);
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).env(BACKLOG_DIR, dir.path()).status().expect("a process");
    assert!(status.success());
}

/// Returns the resident memory of this process in bytes, if the system reports it.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))?;
    Some(kib.trim().parse::<u64>().ok()? * 1024)
}
