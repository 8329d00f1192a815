//! Measures the CPU time from `Uploader::try_send` to the wire with a spool, relative to the same without one, and to a bare append
//! and fdatasync of the same bytes before an uploader without one: `cargo bench --bench write_through`.
//!
//! The peer that accepts the requests is a separate process, so the CPU time of this process, user and system, is that of
//! the uploader, its HTTP client and the spool. The spool is in the directory that `TMPDIR` names.

mod support;

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use cpu_time::ProcessTime;
use mparticle::spool::SpoolOptions;
use mparticle::{Client, Credentials, SealedBatch, Uploader, UploaderBuilder};
use support::{batches, compare_seconds, peer};
use tempfile::TempDir;

/// The number of batches that each run delivers, and of their users.
const BATCHES: u32 = 20_000;
const USERS: usize = 5_000;
/// The number of events of each batch, which then has about 1 KiB.
const EVENTS: usize = 3;
/// The largest number of undelivered batches, which is fewer than the uploader may hold in memory.
const UNDELIVERED: u64 = 4_000;
/// The number of batches that the bare log appends and syncs together, as in `benches/spool.rs`.
const GROUP: usize = 400;
const ROUNDS: usize = 20;
const STATUS: &str = "202 Accepted";

fn main() -> ExitCode {
    if peer::is_peer() {
        return peer::serve_until_orphaned(STATUS);
    }
    let peer = peer::Process::start();
    let batches = sealed();
    let bytes: usize = batches.iter().map(SealedBatch::len).sum();
    println!("{BATCHES} batches of {} bytes each, {USERS} users; CPU time per batch", bytes / batches.len());
    let with_spool = || {
        let dir = TempDir::new().expect("a directory");
        let settings = SpoolOptions::new().max_waiting_bytes(64 << 20);
        per_batch(builder(&peer.url).spool_with(dir.path().join("spool"), settings), &batches, |_| {})
    };
    let without_spool = || per_batch(builder(&peer.url), &batches, |_| {});
    let with_bare_log = || {
        let dir = TempDir::new().expect("a directory");
        let mut log = File::create(dir.path().join("log")).expect("a file");
        per_batch(builder(&peer.url), &batches, |group| append(&mut log, group))
    };
    compare_seconds(
        "try_send to the wire with a spool, relative to the same without",
        None,
        ROUNDS,
        with_spool,
        without_spool,
    );
    compare_seconds(
        "try_send to the wire with a spool, relative to an append and fdatasync of the same bytes and the same without",
        None,
        ROUNDS,
        with_spool,
        with_bare_log,
    );
    support::exit_code()
}

/// Returns small sealed batches. Those of one user are far apart, so that no batch waits for another one of its user.
fn sealed() -> Vec<SealedBatch> {
    let mut templates = batches();
    for template in &mut templates {
        template.events.truncate(EVENTS);
    }
    let batch = |n: usize| templates[n % templates.len()].clone().customer_id(format!("customer-{:06}", n % USERS));
    (0..BATCHES as usize).map(|n| batch(n).seal().expect("a batch")).collect()
}

/// Returns the builder of an uploader that sends as fast as the peer accepts.
fn builder(url: &str) -> UploaderBuilder {
    let client = Client::builder(Credentials::new("key", "secret")).base_url(url).build().expect("a client");
    Uploader::builder(client).initial_rate(1_000_000)
}

/// Returns the CPU seconds of this process per batch, from the first submission to the last delivery.
fn per_batch(builder: UploaderBuilder, batches: &[SealedBatch], mut before_group: impl FnMut(&[SealedBatch])) -> f64 {
    let uploader = builder.start().expect("a thread");
    let groups: Vec<_> = batches.chunks(GROUP).map(<[_]>::to_vec).collect();
    let start = ProcessTime::now();
    for group in groups {
        before_group(&group);
        for batch in group {
            uploader.try_send(batch).expect("room");
        }
        while undelivered(&uploader) > UNDELIVERED {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let stats = uploader.shutdown(Duration::from_secs(60)).wait();
    let elapsed = start.elapsed();
    assert_eq!(stats.delivered, u64::from(BATCHES), "{stats:?}");
    elapsed.as_secs_f64() / f64::from(BATCHES)
}

fn undelivered(uploader: &Uploader) -> u64 {
    let stats = uploader.stats();
    stats.pending + stats.spooled
}

/// Appends batches to a log in one write, and makes them durable.
fn append(log: &mut File, group: &[SealedBatch]) {
    let bytes: Vec<_> = group.iter().map(|batch| batch.json().as_ref()).collect();
    log.write_all(&bytes.concat()).expect("the disk accepts writes");
    log.sync_data().expect("the disk accepts writes");
}
