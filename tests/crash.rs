//! A child process appends to a spool and is killed by its parent, repeatedly. No confirmed record may be lost.
//!
//! The child is the same test with the directory of the spool in its environment. `CRASH_ROUNDS` sets the number of kills,
//! 60 by default, and `CRASH_SEED` the seed of the random numbers.

mod support;

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mparticle::spool::{Endpoint, Inspector, Receipt, Spool, SpoolOptions};
use support::killed::kill_after;

const NAME: &str = "confirmed_records_survive_sigkill";
const CHILD_DIR: &str = "CRASH_CHILD_DIR";
const CHILD_START: &str = "CRASH_CHILD_START";

/// The prefixes of the lines that the child prints. Each is on a line of its own, because libtest writes to the same pipe.
const CONFIRMED: &str = "confirmed ";
const DONE: &str = "done ";

#[test]
fn confirmed_records_survive_sigkill() {
    match env::var_os(CHILD_DIR) {
        Some(dir) => child(Path::new(&dir), number(CHILD_START).expect("a start")),
        None => parent(number("CRASH_ROUNDS").unwrap_or(60), number("CRASH_SEED").unwrap_or(1)),
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

/// Returns options with small segments, so that they are created and removed within a round.
fn settings() -> SpoolOptions {
    SpoolOptions::new().segment_bytes(4_000)
}

/// Appends in groups, and acknowledges four of five records that it reads.
fn child(dir: &Path, start: u64) {
    let spool = Spool::open(dir, settings()).expect("no spool fails to open");
    let mut out = std::io::stdout();
    let mut print =
        |what: &str, id: u64| out.write_all(format!("\n{what}{id}\n").as_bytes()).expect("the parent listens");
    for group in 0.. {
        let ids = start + group * 10..start + (group + 1) * 10;
        let receipts: Vec<(u64, Receipt)> = ids
            .map(|id| (id, spool.append(Endpoint::BulkEvents, format!(r#"{{"id":{id}}}"#)).expect("there is room")))
            .collect();
        for (id, receipt) in receipts {
            receipt.wait().expect("the disk works");
            print(CONFIRMED, id);
        }
        while let Some(record) = spool.next_record().expect("the disk works") {
            let id = id_of(&record.batch);
            if !id.is_multiple_of(5) {
                // Printed first: from here on the record may be done.
                print(DONE, id);
                spool.acknowledge(record.number);
            }
        }
    }
}

fn id_of(batch: &[u8]) -> u64 {
    let json: serde_json::Value = serde_json::from_slice(batch).expect("JSON");
    json["id"].as_u64().expect("an id")
}

fn parent(rounds: u64, mut seed: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut pending, mut next, mut confirmed) = (BTreeSet::new(), 0, 0);
    for round in 0..rounds {
        let child = start(dir.path(), next);
        let mut dice = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        let (lines, pause) = (dice() % 300, Duration::from_micros(dice() % 3_000));
        kill_after(round, child, lines, pause, |line| {
            if let Some(id) = line.strip_prefix(CONFIRMED) {
                pending.insert(id.parse().expect("a number"));
                confirmed += 1;
            } else if let Some(id) = line.strip_prefix(DONE) {
                pending.remove(&id.parse().expect("a number"));
            }
        });
        next = assert_all_there(dir.path(), &pending, next, round);
    }
    assert!(confirmed > 10 * rounds, "{confirmed} confirmed records prove little");
}

fn start(dir: &Path, start: u64) -> Child {
    Command::new(env::current_exe().expect("this test"))
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD_DIR, dir)
        .env(CHILD_START, start.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// Checks the spool as the kill left it, and returns the first unused id.
fn assert_all_there(dir: &Path, pending: &BTreeSet<u64>, next: u64, round: u64) -> u64 {
    let records = Inspector::new(dir).records().expect("no spool fails to open");
    let there: BTreeSet<_> = records.map(|record| id_of(&record.expect("the disk works").batch)).collect();
    let missing: Vec<_> = pending.difference(&there).collect();
    assert!(missing.is_empty(), "round {round}: {missing:?} were confirmed");
    let used = there.last().max(pending.last()).map_or(0, |last| last + 1);
    next.max(used) + 1_000
}
