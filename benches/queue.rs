//! Measures the resident memory of batches that are queued in memory while the service is unavailable, beside a `Vec<Bytes>` of the
//! same bodies, and what is left of it once they are delivered: `cargo bench --bench queue` (Linux only).
//!
//! Each side runs in a process of its own, and so does the peer. `QUEUE_BATCHES` sets the number of batches, 100,000 by default.

mod support;

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mparticle::{Batch, Client, Credentials, Environment, SealedBatch, Uploader};
use support::{batches, check_limit, peer, resident_bytes};

/// The variable that makes this program one side. Its value is `uploader` or `vec`.
const SIDE: &str = "QUEUE_BENCH_SIDE";

/// The number of times that the queue is filled and emptied.
const ROUNDS: usize = 2;

fn main() -> ExitCode {
    if peer::is_peer() {
        peer::serve_with_outages(|_| {});
        return ExitCode::SUCCESS;
    }
    let batches: usize = env::var("QUEUE_BATCHES").map_or(100_000, |text| text.parse().expect("a number"));
    match env::var(SIDE).as_deref() {
        Ok("uploader") => uploader(batches),
        Ok(_) => vec(batches),
        Err(_) if resident_bytes().is_none() => println!("memory: not measured on this system"),
        Err(_) => compare(batches),
    }
    support::exit_code()
}

fn compare(batches: usize) {
    let [ours, rival] = ["uploader", "vec"].map(measured);
    #[expect(clippy::cast_precision_loss, reason = "a number of batches")]
    let per_batch = |bytes: f64| bytes / batches as f64;
    let body = per_batch(ours.sealed);
    println!(
        "{batches} batches of {body:.0} bytes, queued while the service is unavailable; resident memory in bytes a batch"
    );
    println!("| | in the queue | more than the bodies | filled again | once all are delivered |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, side) in [("uploader", &ours), ("`Vec<Bytes>`", &rival)] {
        let [full, empty, again, last] = side.resident.map(|bytes| per_batch(bytes - side.before));
        println!("| {name} | {full:.0} | {:.0} | {again:.0} | {:.1} |", full - body, empty.max(last));
    }
    let more = |side: &Measured| side.resident[0] - side.before;
    let overhead = per_batch(more(&ours) - more(&rival));
    check_limit("resident memory of the queue, relative to the bytes of its batches", more(&ours) / ours.sealed, 1.25);
    check_limit("memory of the uploader beyond the Vec, in units of 200 bytes a batch", overhead / 200.0, 1.0);
    check_limit(
        "memory of the queue filled again, relative to the first time",
        ours.resident[2] / ours.resident[0],
        1.05,
    );
    println!(
        "Resident memory that is left is free: the queue that is filled again uses it. glibc returns only the memory at the end of"
    );
    println!(
        "its heap to the system, which a single small allocation of the thread that fills the queue keeps it from."
    );
}

/// The resident memory of one side, in bytes.
struct Measured {
    /// The bytes of all batches.
    sealed: f64,
    before: f64,
    /// With all batches and without them, in two rounds.
    resident: [f64; 2 * ROUNDS],
}

fn measured(side: &str) -> Measured {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program).env(SIDE, side).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a text");
    let bytes: Vec<f64> = text.split_whitespace().map(|bytes| bytes.parse().expect("a number")).collect();
    let &[sealed, before, ref resident @ ..] = &bytes[..] else { panic!("no numbers: {text:?}") };
    Measured { sealed, before, resident: resident.try_into().expect("two rounds") }
}

fn print_resident() {
    print!("{} ", resident_bytes().expect("/proc"));
}

fn sealed(batches: &[Batch], n: usize) -> SealedBatch {
    let batch = batches[n % batches.len()].clone().customer_id(format!("customer-{n:06}"));
    batch.seal().expect("a batch")
}

/// Fills and empties the queue of an uploader, and prints the memory each time.
fn uploader(count: usize) {
    let mut peer = peer::Process::start();
    peer.set_unavailable(true);
    let client = Client::builder(Credentials::new("key", "secret")).base_url(&peer.url).build().expect("a client");
    let uploader = Uploader::builder(client)
        .max_batches(count)
        .max_bytes(usize::MAX)
        .initial_rate(1_000_000)
        .max_probe_interval(Duration::from_millis(100))
        .start()
        .expect("a thread");
    let templates = batches();
    // The thread and its HTTP client have allocated their memory once they have made requests.
    uploader.try_send(Batch::new(Environment::Production)).expect("room");
    while uploader.status().error().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
    deliver_all(&uploader, &mut peer);
    let sealed_bytes: usize = (0..count).map(|n| sealed(&templates, n).len()).sum();
    print!("{sealed_bytes} ");
    print_resident();
    for _ in 0..ROUNDS {
        peer.set_unavailable(true);
        for n in 0..count {
            uploader.try_send(sealed(&templates, n)).expect("room");
        }
        assert_eq!(uploader.stats().pending, count as u64);
        print_resident();
        deliver_all(&uploader, &mut peer);
        print_resident();
    }
    assert!(uploader.shutdown(Duration::from_secs(10)).wait().is_drained());
}

fn deliver_all(uploader: &Uploader, peer: &mut peer::Process) {
    peer.set_unavailable(false);
    let start = Instant::now();
    while uploader.stats().pending > 0 {
        assert!(start.elapsed() < Duration::from_secs(600), "{}", uploader.stats());
        thread::sleep(Duration::from_millis(10));
    }
    // The reports of the last batches are being dropped, and returning the memory to the system takes its time.
    thread::sleep(Duration::from_millis(500));
}

/// Fills and drops a `Vec`, and prints the memory each time.
fn vec(count: usize) {
    let templates = batches();
    let sealed_bytes: usize = (0..count).map(|n| sealed(&templates, n).len()).sum();
    print!("{sealed_bytes} ");
    print_resident();
    for _ in 0..ROUNDS {
        let bodies: Vec<Bytes> = (0..count).map(|n| sealed(&templates, n).into_json()).collect();
        print_resident();
        drop(black_box(bodies));
        print_resident();
    }
}
