//! What the spool costs over a bare append and fdatasync of the same bytes: `cargo bench --bench spool`.
//!
//! Time on the wall, since most of it is the disk's: run it where the disk is that you mean; `TMPDIR` says so.

use std::collections::VecDeque;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use mparticle::spool::{Endpoint, Receipt, Settings, Spool};
use tempfile::TempDir;

const RECORD_BYTES: usize = 1024;
/// What the spool writes beside each batch.
const HEAD_BYTES: usize = 36;
/// Each side is timed for this many records, in turn, this often.
const RECORDS: usize = 8_000;
const ROUNDS: usize = 41;
/// The spool takes at least this share of what the bare log takes in the same time.
const LIMIT: f64 = 0.9;

fn main() -> ExitCode {
    println!("spool, beside a bare append and fdatasync of the same bytes, records of 1 KiB");
    let kept = [
        // As a program works: while one group is on its way to the disk, the next one gathers.
        compare("400 a commit; the next are appended meanwhile", Some(LIMIT), 400, 800),
        // The worst case: nothing is appended while the disk is at work, and two threads take turns.
        compare("100 a commit; all are awaited before the next", None, 100, 100),
    ];
    if kept.into_iter().all(|kept| kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Appends records, a group at a time, with so many unconfirmed at most.
fn append(spool: &Spool, group: usize, unconfirmed: usize) {
    let batch = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let mut receipts: VecDeque<Receipt> = VecDeque::with_capacity(unconfirmed);
    let confirm = |receipt: Receipt| receipt.wait().expect("the disk works");
    for _ in 0..RECORDS / group {
        receipts.extend((0..group).map(|_| spool.append(Endpoint::Events, batch.clone()).expect("there is room")));
        if receipts.len() >= unconfirmed {
            receipts.drain(..group).for_each(confirm);
        }
    }
    receipts.into_iter().for_each(confirm);
}

/// Prints the median of the rounds' ratios of what both sides wrote in the same time; whether it keeps the limit.
fn compare(what: &str, limit: Option<f64>, group: usize, unconfirmed: usize) -> bool {
    let dir = TempDir::new().expect("a directory");
    let settings = Settings::new().segment_bytes(64 << 20).max_bytes(2 << 30);
    let spool = Spool::open(dir.path().join("spool"), settings).expect("a spool");
    let mut bare = File::create(dir.path().join("bare")).expect("a file");
    let bytes = vec![b'x'; group * (RECORD_BYTES + HEAD_BYTES)];

    let ours = || append(&spool, group, unconfirmed);
    let mut rival = || {
        for _ in 0..RECORDS / group {
            bare.write_all(black_box(&bytes)).expect("the disk works");
            bare.sync_data().expect("the disk works");
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
    let verdict = match limit {
        None => "no limit is set".to_owned(),
        Some(limit) => format!("at least {limit}: {}", if kept { "kept" } else { "BROKEN" }),
    };
    println!("  {what}: ratio {median:.3} (median of {ROUNDS}); {verdict}");
    kept
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
