//! The uploader with a real spool and the mock over a real socket: nothing is lost or counted twice through restarts,
//! rejections and kills.
//!
//! The child of the last test is the same test with its parameters in the environment. `CRASH_ROUNDS` sets the number of
//! kills, 60 by default, and `CRASH_SEED` the seed of the random numbers.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mparticle::mock::{Fault, MockServer, Naming};
use mparticle::spool::{DeadLetter, Inspector};
use mparticle::{Batch, Environment, Error, FirstRun, Uploader, UploaderStats};
use support::killed::kill_after;

const TIMEOUT: Duration = Duration::from_secs(60);

fn uploader(url: &str, dir: &Path) -> Uploader {
    let client = support::builder(url).build().expect("a client");
    let linger = Duration::from_millis(5);
    Uploader::builder(client).linger(linger).spool(dir).start().expect("an uploader")
}

fn batch(id: u64) -> Batch {
    let id = id.to_string();
    Batch::new(Environment::Development).customer_id(id.as_str()).event(FirstRun::new()).source_request_id(id)
}

fn assert_adds_up(stats: &UploaderStats) {
    let ends = stats.delivered + stats.rejected + stats.dropped + stats.spooled + stats.pending;
    assert_eq!(stats.accepted + stats.recovered, ends, "{stats:?}");
}

#[test]
fn batches_left_by_an_outage_are_delivered_by_the_next_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start_blocking();
    let first = uploader(&server.url(), dir.path());
    for n in 0..250 {
        first.send(batch(n)).accepted().wait().expect("on the disk");
    }
    let stats = first.shutdown(Duration::from_millis(50)).wait();
    assert_eq!((stats.accepted, stats.delivered, stats.spooled, stats.pending), (250, 0, 250, 0));
    assert_adds_up(&stats);
    drop(first);

    server.clear_faults();
    let second = uploader(&server.url(), dir.path());
    let stats = second.shutdown(TIMEOUT).wait();
    assert_eq!((stats.recovered, stats.delivered, stats.spooled), (250, 250, 0));
    assert_adds_up(&stats);
    drop(second);
    assert_eq!(server.batches().len(), 250);
    assert_eq!(Inspector::new(dir.path()).records().expect("a spool").count(), 0);
}

#[test]
fn a_rejected_batch_becomes_a_dead_letter_with_the_error_of_the_service() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::start_blocking();
    let uploader = uploader(&server.url(), dir.path());
    for n in 0..20 {
        let bad = if n == 7 { batch(n).mp_deviceid("no UUID") } else { batch(n) };
        uploader.try_send(bad).expect("room");
    }
    let stats = uploader.shutdown(TIMEOUT).wait();
    assert_eq!((stats.delivered, stats.rejected, stats.spooled), (19, 1, 0));
    assert_adds_up(&stats);
    drop(uploader);
    let letters: Result<Vec<_>, _> = Inspector::new(dir.path()).dead_letters().expect("a spool").collect();
    let letters = letters.expect("readable");
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.contains("/mp_deviceid: expected a UUID"), "{}", letters[0].reason);
    assert!(std::str::from_utf8(&letters[0].batch).expect("UTF-8").contains("\"source_request_id\":\"7\""));
}

#[test]
fn records_that_vanish_count_as_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start_blocking();
    let first = uploader(&server.url(), dir.path());
    (0..10).for_each(|n| first.send(batch(n)).accepted().wait().expect("on the disk"));
    assert_eq!(first.shutdown(Duration::from_millis(50)).wait().spooled, 10);
    drop(first);

    // A read-ahead of four leaves the others on the disk only: ten from before, and 1,000 of this process, of which one read
    // returns about 300.
    let client = support::builder(server.url()).build().expect("a client");
    let uploader = Uploader::builder(client).linger(Duration::ZERO).max_batches(4).spool(dir.path());
    let uploader = uploader.start().expect("an uploader");
    let sent: Vec<_> = (10..1_010).map(|n| uploader.send(batch(n))).collect();
    for sent in sent {
        sent.accepted().wait().expect("on the disk");
    }
    let mut read = 0;
    for entry in fs::read_dir(dir.path()).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            // Truncated and not removed, because the reader has the first one open.
            let file = fs::OpenOptions::new().write(true).open(&path).expect("a segment");
            file.set_len(24).expect("cut off");
            read += 1;
        }
    }
    assert_eq!(read, 2);
    server.clear_faults();
    let stats = uploader.shutdown(TIMEOUT).wait();
    assert_adds_up(&stats);
    assert_eq!((stats.spooled, stats.pending, stats.delivered + stats.dropped), (0, 0, 1_010), "{stats:?}");
    // The batches in memory are delivered.
    assert_eq!(stats.delivered, server.batches().len() as u64);
    assert!(stats.dropped >= 100, "{stats:?}");
    drop(uploader);
    assert_eq!(Inspector::new(dir.path()).records().expect("a spool").count(), 0);
}

#[test]
fn shutdown_saves_the_cursor_immediately() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::start_blocking();
    let uploader = uploader(&server.url(), dir.path());
    (0..5).for_each(|n| uploader.send(batch(n)).accepted().wait().expect("on the disk"));
    let stats = uploader.shutdown(TIMEOUT).wait();
    assert_eq!((stats.delivered, stats.spooled, stats.pending), (5, 0, 0));
    // The state is that after `kill -9`: the segment still exists, and its records are done.
    let segment = dir.path().join("00000000000000000001.log");
    assert!(fs::metadata(segment).expect("it is the one that is written to").len() > 24);
    assert_eq!(Inspector::new(dir.path()).records().expect("a spool").count(), 0);
    drop(uploader);
}

#[test]
fn shutdown_rewrites_records_whose_file_vanished() {
    for shortened in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start_blocking();
        let first = uploader(&server.url(), dir.path());
        (0..10).for_each(|n| first.send(batch(n)).accepted().wait().expect("on the disk"));
        // All of them are in memory when the circuit breaker holds them back.
        std::thread::sleep(Duration::from_millis(300));
        let segment = dir.path().join("00000000000000000001.log");
        if shortened {
            fs::OpenOptions::new().write(true).open(&segment).expect("a segment").set_len(24).expect("cut off");
        } else {
            fs::remove_file(&segment).expect("removed");
        }
        let stats = first.shutdown(Duration::from_secs(2)).wait();
        assert_adds_up(&stats);
        assert_eq!((stats.spooled, stats.pending, stats.dropped), (10, 0, 0), "shortened: {shortened}");
        drop(first);
        assert_eq!(Inspector::new(dir.path()).records().expect("a spool").count(), 10);

        server.clear_faults();
        let second = uploader(&server.url(), dir.path());
        let stats = second.shutdown(TIMEOUT).wait();
        assert_eq!((stats.recovered, stats.delivered, stats.spooled), (10, 10, 0));
        assert_eq!(server.batches().len(), 10);
    }
}

#[test]
fn the_builder_does_no_io_before_start() {
    let parent = tempfile::tempdir().expect("a directory");
    let server = MockServer::start_blocking();
    let dir = parent.path().join("spool");
    let builder = Uploader::builder(support::client(&server)).spool(&dir).linger(Duration::ZERO);
    assert!(!dir.exists(), "the directory was created by the builder");
    drop(builder.start().expect("an uploader"));
    assert!(dir.exists());

    fs::write(parent.path().join("file"), "").expect("written");
    let builder = Uploader::builder(support::client(&server)).spool(parent.path().join("file"));
    assert_eq!(builder.start().expect_err("no directory").kind(), mparticle::ErrorKind::Spool);
}

#[test]
fn a_disabled_client_leaves_the_spool_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start_blocking();
    let first = uploader(&server.url(), dir.path());
    first.send(batch(1)).accepted().wait().expect("on the disk");
    assert_eq!(first.shutdown(Duration::from_millis(500)).wait().spooled, 1);
    drop(first);

    let client = support::builder(server.url()).disabled(true).build().expect("a client");
    let disabled = Uploader::builder(client).spool(dir.path()).linger(Duration::ZERO).start().expect("an uploader");
    disabled.send(batch(2)).delivered().wait().expect("reported as delivered");
    let stats = disabled.shutdown(TIMEOUT).wait();
    assert_eq!((stats.recovered, stats.delivered, stats.is_drained()), (0, 1, true));
    drop(disabled);
    assert_eq!(Inspector::new(dir.path()).records().expect("a spool").count(), 1);
}

#[test]
fn a_second_process_fails_to_start_on_the_spool() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::start_blocking();
    let _first = uploader(&server.url(), dir.path());
    let client = support::client(&server);
    let error = Uploader::builder(client).spool(dir.path()).start().expect_err("it is open");
    assert_eq!(error.kind(), mparticle::ErrorKind::SpoolLocked);
}

#[test]
fn an_unexpected_response_keeps_the_spool_and_a_named_batch_becomes_a_dead_letter() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::builder().fault_rate(1.0, Fault::html()).start_blocking();
    let first = uploader(&server.url(), dir.path());
    for n in 0..3 {
        first.send(batch(n)).accepted().wait().expect("on the disk");
    }
    let stats = first.shutdown(TIMEOUT).wait();
    assert_eq!((stats.delivered, stats.rejected, stats.spooled, stats.pending), (0, 0, 3, 0));
    let stopped = first.status().into_stopped().expect("a sign-in page");
    assert_eq!(stopped.kind(), mparticle::ErrorKind::UnexpectedResponse);
    assert!(stopped.to_string().contains("200 text/html"), "{stopped}");
    drop(first);

    server.clear_faults();
    server.queue_faults([Fault::partial([1], Naming::Index)]);
    let second = uploader(&server.url(), dir.path());
    let stats = second.shutdown(TIMEOUT).wait();
    assert_eq!((stats.recovered, stats.delivered, stats.rejected, stats.spooled), (3, 2, 1, 0));
    drop(second);
    let refused = dead_letters(dir.path());
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["1"]);
    assert!(refused["1"].contains("Error converting value \"injected fault"), "decoded: {}", refused["1"]);
}

const NAME: &str = "confirmed_batches_are_delivered_through_sigkill_and_lost_responses";
const CHILD_DIR: &str = "UPLOADER_CHILD_DIR";
const CHILD_URL: &str = "UPLOADER_CHILD_URL";
const CHILD_START: &str = "UPLOADER_CHILD_START";

/// The prefixes of the lines that the child prints. Each is on a line of its own, because libtest writes to the same pipe.
const USED: &str = "used ";
const CONFIRMED: &str = "confirmed ";

#[test]
fn confirmed_batches_are_delivered_through_sigkill_and_lost_responses() {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse().expect("a number"));
    match (env::var_os(CHILD_DIR), env::var(CHILD_URL)) {
        (Some(dir), Ok(url)) => child(Path::new(&dir), &url, number(CHILD_START).expect("a start")),
        _ => parent(number("CRASH_ROUNDS").unwrap_or(60), number("CRASH_SEED").unwrap_or(1)),
    }
}

/// Submits batches in groups, and prints those that the disk has confirmed, until it is killed.
fn child(dir: &Path, url: &str, start: u64) {
    let uploader = uploader(url, dir);
    let mut out = std::io::stdout();
    let mut print =
        |what: &str, id: u64| out.write_all(format!("\n{what}{id}\n").as_bytes()).expect("the parent listens");
    for group in 0.. {
        let ids = start + group * 10..start + (group + 1) * 10;
        ids.clone().for_each(|id| print(USED, id));
        let sent: Vec<_> = ids.map(|id| (id, uploader.send(batch(id)))).collect();
        for (id, sent) in sent {
            sent.accepted().wait().expect("the disk works");
            print(CONFIRMED, id);
        }
    }
}

/// Returns the reasons of the dead letters, by the ids of their batches.
fn dead_letters(dir: &Path) -> BTreeMap<String, String> {
    let letter = |letter: Result<DeadLetter, Error>| {
        let letter = letter.expect("a dead letter");
        let batch: serde_json::Value = serde_json::from_slice(&letter.batch).expect("JSON");
        (batch["source_request_id"].as_str().expect("text").to_owned(), letter.reason)
    };
    Inspector::new(dir).dead_letters().expect("a spool").map(letter).collect()
}

fn parent(rounds: u64, seed: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = MockServer::builder()
        .fault_rate(0.2, Fault::lost_response())
        .fault_rate(0.05, Fault::status(503))
        // The first or second batch of a request is rejected, or one that the response does not name.
        .fault_rate(0.1, Fault::partial([0], Naming::Index))
        .fault_rate(0.1, Fault::partial([1], Naming::Position))
        .fault_rate(0.1, Fault::partial([0], Naming::None))
        .seed(seed)
        .keep(1_000_000, 1 << 30)
        .start_blocking();
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut used, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..rounds {
        let child = start(dir.path(), &server.url(), round * 1_000_000);
        let (lines, pause) = (random.u64(0..200), Duration::from_micros(random.u64(0..20_000)));
        kill_after(round, child, lines, pause, |line| {
            if let Some(id) = line.strip_prefix(USED) {
                used.insert(id.to_owned());
            } else if let Some(id) = line.strip_prefix(CONFIRMED) {
                confirmed.insert(id.to_owned());
            }
        });
    }
    // With this many faults the circuit breaker is open. The service recovers, so that the remaining batches are delivered
    // soon.
    server.clear_faults();
    let namings = [Naming::Index, Naming::Position, Naming::None];
    server.queue_faults((0..30).map(|n| Fault::partial([n % 5], namings[n % 3])));
    let last = uploader(&server.url(), dir.path());
    let stats = last.shutdown(TIMEOUT).wait();
    assert_adds_up(&stats);
    assert_eq!((stats.spooled, stats.pending), (0, 0));
    drop(last);

    let id = |batch: &serde_json::Value| batch["source_request_id"].as_str().expect("text").to_owned();
    let kept: Vec<String> = server.batches().iter().map(id).collect();
    let delivered: BTreeSet<String> = kept.iter().cloned().collect();
    assert_eq!(kept.len(), delivered.len(), "each counts once");
    let refused = dead_letters(dir.path());
    for (id, reason) in &refused {
        let has_service_error =
            ["Error converting value \"", "Invalid event batch."].iter().any(|words| reason.contains(words));
        assert!(has_service_error, "the dead letter {id} has the error of the service: {reason}");
    }
    let missing: Vec<_> = confirmed.difference(&delivered).filter(|id| !refused.contains_key(*id)).collect();
    assert!(missing.is_empty(), "{missing:?} were confirmed");
    assert!(delivered.is_subset(&used), "only submitted batches are delivered");
    let duplicates = server.stats().duplicates;
    println!(
        "{rounds} kills: {} confirmed, {} delivered, {} dead letters, {duplicates} duplicates, each of a known id",
        confirmed.len(),
        delivered.len(),
        refused.len(),
    );
    assert!(!refused.is_empty(), "some were refused");
    assert!(confirmed.len() as u64 > rounds, "{} confirmed batches prove little", confirmed.len());
}

fn start(dir: &Path, url: &str, start: u64) -> Child {
    Command::new(env::current_exe().expect("this test"))
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD_DIR, dir)
        .env(CHILD_URL, url)
        .env(CHILD_START, start.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}
