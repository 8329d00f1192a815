//! A property test of `mparticle send`: for random files, faults of the service, kills and edits between resumed runs, the counts
//! that it prints are those of the service, of the rejects file and of the input.
//!
//! `MPARTICLE_SEND_ROUNDS` sets the number of rounds, `MPARTICLE_SEND_SEED` the first seed.

#[path = "support/shell.rs"]
mod shell;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use mparticle::mock::{Fault, MockServer, Naming};
use serde_json::Value;
use shell::{Shell, outcome};
use support::process::signal;

/// The maximum number of interrupted runs of a round.
const INTERRUPTIONS: u32 = 6;

const FILE: &str = "a.ndjson";

/// The content of a file, and what was sent of its former contents.
struct Model {
    rng: Rng,
    lines: Vec<Line>,
    separator: &'static str,
    packing: Packing,
    next_user: u64,
    /// The users of batches that an edit has removed, and that may have been sent before.
    removed: BTreeSet<u64>,
}

#[derive(Clone, Copy)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

#[derive(Clone)]
struct Line {
    text: Vec<u8>,
    /// The user of a valid batch.
    user: Option<u64>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let separator = ["\n", "\r\n", "\n\n", "\n  \r\n"][rng.usize(..4)];
        let packing = [Packing::Plain, Packing::Gzip, Packing::Zstd][rng.usize(..3)];
        let mut model = Self { rng, lines: Vec::new(), separator, packing, next_user: 1, removed: BTreeSet::new() };
        for _ in 0..model.rng.usize(1..3_000) {
            let line = model.line();
            model.lines.push(line);
        }
        model
    }

    fn line(&mut self) -> Line {
        let user = self.next_user;
        self.next_user += 1;
        let attributes = "x".repeat(self.rng.usize(..200));
        let valid = format!(
            r#"{{"environment":"development","mpid":{user},"user_attributes":{{"a":"{attributes}"}},"events":[]}}"#
        );
        let text = match self.rng.u16(..400) {
            0 => valid.replace("development", "test").into_bytes(),
            1 => valid.as_bytes()[..valid.len() - 1].to_vec(),
            2 => [&valid.as_bytes()[..20], b"\xff", &valid.as_bytes()[20..]].concat(),
            3 => format!("no JSON, number {user}").into_bytes(),
            4 => format!(r#"{{"number":{user},"long":"{}"}}"#, "y".repeat(1 << 20)).into_bytes(),
            _ => return Line { text: valid.into_bytes(), user: Some(user) },
        };
        Line { text, user: None }
    }

    fn content(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| [&line.text[..], self.separator.as_bytes()].concat()).collect()
    }

    fn write(&self, shell: &Shell) {
        let content = self.content();
        let packed = match self.packing {
            Packing::Plain => content,
            Packing::Zstd => zstd::encode_all(&content[..], 1).expect("memory"),
            Packing::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&content).expect("memory");
                gzip.finish().expect("memory")
            }
        };
        shell.file(FILE, packed);
    }

    /// Edits the file where a run can resume, behind the checkpoint.
    fn edit(&mut self, shell: &Shell, checkpoint: u64) {
        if self.rng.bool() {
            for _ in 0..self.rng.usize(1..50) {
                let line = self.line();
                self.lines.push(line);
            }
        } else if let Some(last) = self.lines.last()
            && (self.content().len() - last.text.len() - self.separator.len()) as u64 >= checkpoint
        {
            self.removed.extend(last.user);
            self.lines.pop();
            let line = self.line();
            self.lines.push(line);
        }
        self.write(shell);
    }

    /// Inserts a line before the checkpoint, expects a refusal, and removes the line.
    fn insert_in_vain(&mut self, shell: &Shell, checkpoint: u64) {
        if checkpoint == 0 {
            return;
        }
        let line = self.line();
        self.lines.insert(0, line);
        self.write(shell);
        let (code, _, stderr) = shell.send(&[FILE, "--resume", "--quiet"]);
        assert_eq!(code, Some(4), "{stderr}");
        assert!(stderr.contains("the file has changed"), "{stderr}");
        self.lines.remove(0);
        self.write(shell);
    }
}

/// Returns a service with some of its faults. One that refuses batches loses no response: a batch that it has accepted could be
/// refused when it is sent again.
fn service(rng: &mut Rng) -> (MockServer, bool) {
    let builder = MockServer::builder().seed(rng.u64(..)).keep(1_000_000, 1 << 30).fault_rate(0.03, Fault::status(503));
    let can_refuse = rng.u8(..3) == 0;
    let builder = if can_refuse {
        builder.fault_rate(0.1, Fault::partial([0], [Naming::Index, Naming::Position][rng.usize(..2)]))
    } else {
        let builder = builder.fault_rate(0.04, Fault::lost_response()).fault_rate(0.03, Fault::reset());
        builder.fault_rate(0.05, Fault::delay(Duration::from_millis(150)))
    };
    (builder.start_blocking(), can_refuse)
}

/// Returns the number of batches of each user at the service.
fn delivered_users(server: &MockServer) -> BTreeMap<u64, u64> {
    let mut users = BTreeMap::new();
    for batch in server.batches() {
        *users.entry(batch["mpid"].as_u64().expect("a user")).or_default() += 1;
    }
    users
}

fn checkpoint_offset(shell: &Shell) -> u64 {
    let text = std::fs::read(shell.path("a.ndjson.sent.json")).unwrap_or_default();
    serde_json::from_slice::<Value>(&text)
        .map_or(0, |content| content["checkpoint"]["offset"].as_u64().expect("a number"))
}

/// The counts of a summary.
#[derive(Debug, PartialEq)]
struct Counts {
    delivered: u64,
    rejected: u64,
    without_response: u64,
}

fn counts(stdout: &str) -> Counts {
    let summary: Value = serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{summary}"));
    Counts {
        delivered: number(&summary["delivered"]["batches"]),
        rejected: number(&summary["rejected"]["batches"]),
        without_response: number(&summary["without_response"]),
    }
}

/// Runs the program until a random signal. Returns its exit code, stdout and stderr, if it was not killed.
fn run_for_a_while(shell: &Shell, rng: &mut Rng) -> Option<(Option<i32>, String, String)> {
    let mut child = shell.start(&[FILE, "--resume", "--json", "--quiet"]);
    let until = Instant::now() + Duration::from_millis(rng.u64(1..800));
    while Instant::now() < until {
        if child.try_wait().expect("a child").is_some() {
            return Some(outcome(child.wait_with_output().expect("an end")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if rng.bool() {
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
        return None;
    }
    signal(&child, "TERM");
    Some(outcome(child.wait_with_output().expect("an end")))
}

#[test]
fn printed_counts_are_those_of_the_service_and_the_files() {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let first = number("MPARTICLE_SEND_SEED", 0);
    for seed in first..first + number("MPARTICLE_SEND_ROUNDS", 4) {
        eprintln!("seed {seed}");
        round(seed);
    }
}

fn round(seed: u64) {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let mut model = Model::new(seed);
    let (server, can_refuse) = service(&mut rng);
    let shell = Shell::new(server.url());
    model.write(&shell);
    let (mut interruptions, mut killed) = (0, false);
    let (code, stdout, stderr) = loop {
        if interruptions == INTERRUPTIONS {
            break shell.send(&[FILE, "--resume", "--json", "--quiet"]);
        }
        interruptions += 1;
        match run_for_a_while(&shell, &mut rng) {
            Some((Some(143), stdout, _)) if !stdout.is_empty() => {
                let counts = counts(&stdout);
                let Counts { delivered, rejected, without_response } = counts;
                let known = delivered + rejected + without_response;
                assert!(known <= model.lines.len() as u64, "seed {seed}: {counts:?}");
                let stored = delivered_users(&server).len() as u64;
                assert!(delivered <= stored, "seed {seed}: {counts:?}, stored {stored}");
                if !killed {
                    let sent_by_removed = model.removed.len() as u64;
                    let bound = delivered + without_response + sent_by_removed;
                    // What an earlier run left without a response may be stored as well.
                    assert!(interruptions > 1 || stored <= bound, "seed {seed}: {counts:?}, stored {stored}");
                }
            }
            // The signal may have come before the program could handle it.
            None | Some((Some(143) | None, ..)) => killed = true,
            Some(ended) => break ended,
        }
        let checkpoint = checkpoint_offset(&shell);
        match rng.u8(..4) {
            0 => model.edit(&shell, checkpoint),
            1 => model.insert_in_vain(&shell, checkpoint),
            _ => {}
        }
    };
    check_end(seed, &model, &server, &shell, can_refuse, &counts(&stdout));
    let invalid = model.lines.iter().filter(|line| line.user.is_none()).count();
    assert!(matches!(code, Some(0 | 1)), "seed {seed}: {code:?}, {stderr}");
    assert!(can_refuse || code == Some(i32::from(invalid > 0)), "seed {seed}: {code:?}, {stderr}");
    assert!(shell.read("a.ndjson.sent.json").contains("\"complete\":true"), "seed {seed}");
    // Another run changes nothing.
    let before = (delivered_users(&server), counts(&stdout));
    let (_, stdout, _) = shell.send(&[FILE, "--resume", "--json", "--quiet"]);
    assert_eq!((delivered_users(&server), counts(&stdout)), before, "seed {seed}");
}

fn check_end(seed: u64, model: &Model, server: &MockServer, shell: &Shell, can_refuse: bool, counts: &Counts) {
    let rejects = std::fs::read_to_string(shell.path("a.ndjson.rejects.ndjson")).unwrap_or_default();
    let (mut invalid, mut refused) = (Vec::new(), BTreeSet::new());
    let mut number_of_lines = 0;
    for line in rejects.lines() {
        let reject: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("seed {seed}: {error}: {line}"));
        number_of_lines += 1;
        if reject["diagnostics"][0]["rule"] == "service" {
            assert!(refused.insert(reject["batch"]["mpid"].as_u64().expect("a user")), "seed {seed}: refused twice");
            continue;
        }
        invalid.push(match (&reject["text"], &reject["base64"]) {
            (Value::String(text), _) => text.clone().into_bytes(),
            (_, Value::String(base64)) => STANDARD.decode(base64).expect("base64"),
            // In JSON without white space, the value has the bytes of the line if its fields are in order.
            _ if reject["batch"].is_object() => {
                line.split_once("\"batch\":").expect("a batch").1.as_bytes().split_last().expect("a brace").1.to_vec()
            }
            _ => model.content()[usize::try_from(reject["omitted_at"].as_u64().expect("an offset")).expect("memory")..]
                .split(|byte| matches!(byte, b'\r' | b'\n'))
                .next()
                .expect("a line")
                .to_vec(),
        });
    }
    let expected: Vec<_> =
        model.lines.iter().filter(|line| line.user.is_none()).map(|line| line.text.clone()).collect();
    assert!(invalid == expected, "seed {seed}: each invalid text once, in order, byte for byte");
    assert!(can_refuse || refused.is_empty(), "seed {seed}");

    let valid: BTreeSet<_> = model.lines.iter().filter_map(|line| line.user).collect();
    assert!(refused.is_subset(&valid), "seed {seed}");
    let stored = delivered_users(server);
    let twice: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: stored twice: {twice:?}");
    let lost: Vec<_> = valid.iter().filter(|user| !stored.contains_key(user) && !refused.contains(user)).collect();
    assert!(lost.is_empty(), "seed {seed}: neither stored nor rejected: {lost:?}");
    let unknown: Vec<_> = stored.keys().filter(|user| !valid.contains(user) && !model.removed.contains(user)).collect();
    assert!(unknown.is_empty(), "seed {seed}: {unknown:?}");
    let delivered = (valid.len() - refused.len()) as u64;
    assert_eq!(
        *counts,
        Counts { delivered, rejected: number_of_lines, without_response: 0 },
        "seed {seed}: {} lines",
        model.lines.len()
    );
}
