//! Measures the cost of submitting to the uploader and of sending sealed batches, the memory of a backlog on the disk, and the used
//! share of a quota: `cargo bench --bench uploader`.

mod support;

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Barrier;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cpu_time::ThreadTime;
use mparticle::mock::{self, MockServer};
use mparticle::spool::{Fsync, SpoolOptions};
use mparticle::{Batch, Client, Credentials, Environment, SealedBatch, Uploader, WhenFull};
use reqwest::header::CONTENT_TYPE;
use support::{batches, check_limit, compare, peak_bytes, peer, resident_bytes};
use tempfile::TempDir;

/// The variable with the number of records, set for a process that measures the memory of a backlog.
const BACKLOG: &str = "UPLOADER_BENCH_BACKLOG";
/// The variable with the directory of the spool that a process starts on.
const BACKLOG_DIR: &str = "UPLOADER_BENCH_BACKLOG_DIR";

fn main() -> ExitCode {
    if let Ok(records) = env::var(BACKLOG) {
        measure_backlog(records.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    backlog();
    submit();
    send();
    quota();
    support::exit_code()
}

fn client(url: &str) -> Client {
    Client::builder(Credentials::new("key", "secret")).base_url(url).build().expect("a client")
}

/// Returns an uploader that sends as fast as the peer accepts, and drops batches that are submitted faster.
fn uploader() -> Uploader {
    Uploader::builder(client(&peer::start("202 Accepted")))
        .when_full(WhenFull::DropOldest)
        .initial_rate(1_000_000)
        .start()
        .expect("a thread")
}

/// Returns a bounded channel whose receiver drops the batches.
fn channel() -> SyncSender<SealedBatch> {
    let (sender, receiver) = sync_channel(10_000);
    thread::spawn(move || receiver.into_iter().for_each(drop));
    sender
}

fn push(channel: &SyncSender<SealedBatch>, batch: Batch) {
    // The result does not matter: the cost of the attempt is measured.
    let _ = channel.try_send(batch.seal().expect("a batch"));
}

fn submit() {
    let ours = batches();
    let (uploader, channel) = (uploader(), channel());
    compare(
        "try_send from 1 thread, relative to sealing and a push into a bounded channel (100 batches)",
        Some(1.5),
        1_000,
        (|| ours.clone(), |batches| batches.into_iter().for_each(|batch| _ = uploader.try_send(batch))),
        (|| ours.clone(), |batches| batches.into_iter().for_each(|batch| push(&channel, batch))),
    );
    let mut ratios: Vec<_> = (0..20)
        .map(|_| {
            let ours = four_threads(|batch| _ = uploader.try_send(batch));
            ours / four_threads(|batch| push(&channel, batch))
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    check_limit("try_send from 4 threads, relative to the same (CPU of the 4, median of 20)", ratios[10], 1.5);

    let mut times: Vec<Duration> = (0..200)
        .flat_map(|_| ours.clone())
        .map(|batch| {
            let start = Instant::now();
            let _ = uploader.try_send(batch);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 1_000].as_secs_f64() * 1e6;
    println!("try_send, sealing included: p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us", at(500), at(990), at(999));
    let _ = uploader.shutdown(Duration::ZERO).wait();
}

/// Returns the CPU seconds of four threads that submit 1,000 batches each at the same time.
fn four_threads(submit: impl Fn(Batch) + Sync) -> f64 {
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let batches: Vec<_> = (0..10).flat_map(|_| batches()).collect();
                    barrier.wait();
                    let start = ThreadTime::now();
                    batches.into_iter().for_each(&submit);
                    start.elapsed().as_secs_f64()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    })
}

fn send() {
    let url = peer::start("202 Accepted");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = client(&url);
    let sealed: Vec<_> = batches().into_iter().map(|batch| batch.seal().expect("a batch")).collect();
    let joined: Vec<_> = sealed.iter().map(|batch| batch.json().as_ref()).collect();
    let body = Bytes::from([b"[", joined.join(&b","[..]).as_slice(), b"]"].concat());
    let bare = reqwest::Client::new();
    let endpoint = format!("{url}/bulkevents");
    compare(
        "sealed batches to the wire, relative to a bare post of a prepared body",
        Some(1.3),
        10_000,
        (
            || sealed.clone(),
            |batches| {
                let report = runtime.block_on(client.upload_bulk(batches)).expect("accepted");
                assert_eq!(report.delivered(), 100);
            },
        ),
        (
            || body.clone(),
            |body| {
                let request = bare.post(&endpoint).basic_auth("key", Some("secret"));
                let request = request.header(CONTENT_TYPE, "application/json").body(body);
                assert_eq!(runtime.block_on(request.send()).expect("a response").status(), 202);
            },
        ),
    );
}

/// Measures a spool with a backlog while the service is down: memory must not grow from a thousand to a million records.
fn backlog() {
    /// In bytes.
    const LIMIT: f64 = 4_194_304.0;
    if resident_bytes().is_none() {
        return;
    }
    println!("resident bytes of an uploader whose service is down, with small batches in its spool");
    let measured = [1_000, 1_000_000].map(|records: u64| {
        let program = env::current_exe().expect("this program");
        let output = Command::new(program).env(BACKLOG, records.to_string()).output().expect("a process");
        let text = String::from_utf8(output.stdout).expect("a text");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes: Vec<f64> = text.split_whitespace().map(|bytes| bytes.parse().expect("a number")).collect();
        let &[submitted, peak, started, started_peak] = &bytes[..] else { panic!("not four numbers: {text:?}") };
        println!(
            "  {records} batches: {submitted} after submitting them, {peak} at most until the end of the shutdown"
        );
        println!("  {records} batches: {started} after a start on such a spool, {started_peak} at most until the end");
        bytes
    });
    for (index, state) in ["submitted", "submitted, at most", "found", "found, at most"].into_iter().enumerate() {
        let more = measured[1][index] - measured[0][index];
        check_limit(&format!("more memory with 1,000,000 batches {state}, in units of 4 MiB"), more / LIMIT, 1.0);
    }
}

/// Prints the resident memory of this process with a backlog, and its peak until the end. Then starts another process on the
/// same spool, which does the same.
fn measure_backlog(records: u64) {
    let found = env::var_os(BACKLOG_DIR);
    let dir = TempDir::new().expect("a directory");
    let dir = found.as_deref().map_or(dir.path(), Path::new);
    let settings = SpoolOptions::new().fsync(Fsync::Never).max_bytes(2 << 30);
    let client = client(&peer::start("503 Service Unavailable"));
    let uploader = Uploader::builder(client).max_batches(1_000).spool_with(dir, settings).start().expect("a spool");
    if found.is_none() {
        for round in 0..records / 1_000 {
            for user in 0..1_000 {
                let batch = Batch::new(Environment::Production).customer_id(user.to_string());
                uploader.try_send(batch).expect("room");
            }
            while uploader.stats().spooled < (round + 1) * 1_000 {
                thread::sleep(Duration::from_micros(500));
            }
        }
    }
    while uploader.status().error().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
    // Waits until the read-ahead is complete.
    thread::sleep(Duration::from_millis(500));
    assert_eq!(uploader.stats().spooled, records);
    print!("{} ", resident_bytes().expect("/proc"));
    assert_eq!(uploader.shutdown(Duration::from_secs(1)).wait().spooled, records);
    print!("{} ", peak_bytes().expect("/proc"));
    std::io::stdout().flush().expect("the parent reads it");
    drop(uploader);
    if found.is_none() {
        let program = env::current_exe().expect("this program");
        let status = Command::new(program).env(BACKLOG_DIR, dir).status().expect("a process");
        assert!(status.success());
    }
}

/// Measures 20 seconds under the mock's quota of 270 batches per second, after 20 seconds in which the rate limiter adapts
/// to it.
fn quota() {
    const RATE: u32 = 270;
    let server = MockServer::builder().rate_limit(RATE).keep(100_000, 1 << 30).start_blocking();
    let client = Client::builder(Credentials::new(mock::KEY, mock::SECRET)).base_url(server.url()).build();
    let uploader = Uploader::builder(client.expect("a client")).max_batches(20_000).start().expect("a thread");
    for n in 0..15_000 {
        let batch = Batch::new(Environment::Development).customer_id(n.to_string());
        uploader.try_send(batch).expect("room");
    }
    thread::sleep(Duration::from_secs(20));
    let (before, start) = (server.stats(), Instant::now());
    thread::sleep(Duration::from_secs(20));
    let (after, seconds) = (server.stats(), start.elapsed().as_secs_f64());
    let _ = uploader.shutdown(Duration::ZERO).wait();
    #[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
    let share = |part: u64, whole: f64| part as f64 / whole;
    let used = share(after.batches - before.batches, f64::from(RATE) * seconds);
    let requests = after.requests - before.requests;
    let limited = share(after.refused - before.refused, f64::from(u32::try_from(requests).unwrap_or(u32::MAX)));
    println!("with the mock's quota of {RATE} batches per second: {:.1} % of it is used", used * 100.0);
    check_limit("the quota, relative to its used part", 1.0 / used, 1.0 / 0.95);
    check_limit("429 responses, relative to all responses", limited, 0.01);
}
