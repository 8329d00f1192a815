//! Whatever happens in whatever order, the spool does what a list of batches would do.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Append { padding: usize },
    Commit,
    Read,
    Acknowledge(Index),
    Reject(Index),
    Sync,
    Upkeep,
    FailAfter(u64),
    Restart,
    KillProcess,
    StopMachine(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..200).prop_map(|padding| Step::Append { padding }),
        5 => Just(Step::Commit),
        6 => Just(Step::Read),
        5 => any::<Index>().prop_map(Step::Acknowledge),
        1 => any::<Index>().prop_map(Step::Reject),
        1 => Just(Step::Sync),
        3 => Just(Step::Upkeep),
        2 => (0_u64..12).prop_map(Step::FailAfter),
        1 => Just(Step::Restart),
        1 => Just(Step::KillProcess),
        2 => any::<u64>().prop_map(Step::StopMachine),
    ];
    prop::collection::vec(step, 1..80)
}

/// The list of batches. A batch is known by its place in it.
struct Model {
    disk: Simulated,
    fsync: Fsync,
    process: Option<Process>,
    batches: Vec<String>,
    waiting: Vec<(usize, Receipt)>,
    /// Confirmed and not done: these have to be read.
    pending: BTreeSet<usize>,
    /// Those of `pending` that a machine may forget when it stops.
    unsynced: BTreeSet<usize>,
    /// Done, but not yet for sure in the cursor: these may be read again.
    done: BTreeSet<usize>,
    /// Done for good: these are never read again.
    gone: BTreeSet<usize>,
    /// In the dead-letter file for good.
    buried: BTreeSet<usize>,
    /// What this process has read.
    read: BTreeSet<usize>,
    outstanding: Vec<(usize, Record)>,
    /// Rejected, as soon as it is committed.
    rejected: Vec<(usize, Receipt)>,
}

impl Model {
    fn new(fsync: Fsync) -> Self {
        let mut model = Self {
            disk: Simulated::default(),
            fsync,
            process: None,
            batches: Vec::new(),
            waiting: Vec::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            done: BTreeSet::new(),
            gone: BTreeSet::new(),
            buried: BTreeSet::new(),
            read: BTreeSet::new(),
            outstanding: Vec::new(),
            rejected: Vec::new(),
        };
        model.start();
        model
    }

    fn start(&mut self) {
        let settings = Settings::new().fsync(self.fsync).segment_bytes(600).max_bytes(1 << 20);
        let fired = self.disk.fired();
        let process = Process::start(&self.disk, settings.clone()).or_else(|error| {
            assert!(self.disk.fired() > fired, "no spool fails to open: {error:?}");
            self.disk.heal();
            Process::start(&self.disk, settings)
        });
        self.process = Some(process.expect("no spool fails to open"));
        self.read.clear();
        self.outstanding.clear();
        // What only the last process knew to be done may come again.
        self.done.clear();
        if matches!(self.fsync, Fsync::Interval(_)) && self.lost_no_sync() {
            self.unsynced.clear();
        }
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process")
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append { padding } => {
                let batch = format!(r#"{{"id":{},"padding":"{}"}}"#, self.batches.len(), "x".repeat(padding));
                let receipt = self.process().spool.append(Endpoint::Events, batch.clone()).expect("there is room");
                self.waiting.push((self.batches.len(), receipt));
                self.batches.push(batch);
            }
            Step::Commit => self.commit(),
            Step::Read => self.read_one(),
            Step::Acknowledge(index) if !self.outstanding.is_empty() => {
                let (id, record) = self.outstanding.swap_remove(index.index(self.outstanding.len()));
                let spool = &self.process().spool;
                assert!(spool.acknowledge(record.number), "it was outstanding");
                assert!(!spool.acknowledge(record.number), "it is no longer");
                self.count_as_done(id);
            }
            Step::Reject(index) if !self.outstanding.is_empty() => {
                let (id, record) = self.outstanding.swap_remove(index.index(self.outstanding.len()));
                let receipt = self.process().spool.reject(&record, "for a reason").expect("there is room");
                self.rejected.push((id, receipt));
            }
            Step::Acknowledge(_) | Step::Reject(_) => {}
            Step::Sync => {
                let fired = self.disk.fired();
                self.process().writer.sync();
                if matches!(self.fsync, Fsync::Interval(_)) && self.disk.fired() == fired && self.lost_no_sync() {
                    self.unsynced.clear();
                }
            }
            Step::Upkeep => {
                let fired = self.disk.fired();
                self.process().writer.upkeep();
                if self.disk.fired() == fired {
                    self.keep_done();
                }
            }
            Step::FailAfter(calls) => self.disk.fail_after(calls),
            Step::Restart => {
                let fired = self.disk.fired();
                self.commit();
                self.process.take().expect("a process").close();
                self.rejected.clear();
                if self.disk.fired() == fired {
                    self.keep_done();
                }
                self.disk.heal();
                self.start();
            }
            Step::KillProcess => {
                self.lose_memory();
                self.disk.kill_process();
                self.start();
            }
            Step::StopMachine(seed) => {
                self.lose_memory();
                self.disk.stop_machine(seed);
                for id in std::mem::take(&mut self.unsynced) {
                    self.pending.remove(&id);
                }
                self.start();
            }
        }
    }

    fn commit(&mut self) {
        self.process().commit();
        for (id, receipt) in std::mem::take(&mut self.waiting) {
            if settled(receipt).is_ok() {
                self.pending.insert(id);
                if self.fsync != Fsync::EachCommit {
                    self.unsynced.insert(id);
                }
            }
        }
        for (id, mut receipt) in std::mem::take(&mut self.rejected) {
            match outcome(Pin::new(&mut receipt)) {
                Some(Ok(())) => {
                    self.count_as_done(id);
                    self.buried.insert(id);
                }
                // What is not written stays, and is read again by the next process.
                Some(Err(_)) => {}
                None => self.rejected.push((id, receipt)),
            }
        }
    }

    fn count_as_done(&mut self, id: usize) {
        self.pending.remove(&id);
        self.done.insert(id);
    }

    /// The cursor says what is done. Without fsync it is as forgetful as the rest.
    fn keep_done(&mut self) {
        if self.fsync != Fsync::Never {
            self.gone.append(&mut self.done);
        }
    }

    /// A sync that failed before may have lost what an earlier one was to save.
    fn lost_no_sync(&self) -> bool {
        self.disk.fired() == 0
    }

    fn lose_memory(&mut self) {
        self.process = None;
        for (id, receipt) in std::mem::take(&mut self.waiting) {
            assert!(settled(receipt).is_err(), "{id} was never written");
        }
        self.rejected.clear();
    }

    fn read_one(&mut self) {
        let fired = self.disk.fired();
        match self.process().spool.next_record() {
            Ok(Some(record)) => {
                let id = self.id_of(&record);
                assert!(!self.gone.contains(&id), "{id} was done for good");
                assert!(self.read.last().is_none_or(|last| *last < id), "{id} comes in its order, and once");
                self.read.insert(id);
                self.outstanding.push((id, record));
            }
            Ok(None) => {
                let missing: Vec<_> = self.pending.difference(&self.read).collect();
                assert!(missing.is_empty(), "{missing:?} were confirmed and are not read");
            }
            Err(error) => assert!(self.disk.fired() > fired, "{error:?}"),
        }
    }

    fn id_of(&self, record: &Record) -> usize {
        let json: serde_json::Value = serde_json::from_slice(&record.batch).expect("JSON");
        let id = usize::try_from(json["id"].as_u64().expect("an id")).expect("an id");
        assert_eq!(record.batch, self.batches[id], "every byte is as it was appended");
        id
    }

    /// In the end everything that was confirmed is read again.
    fn end(mut self) {
        self.take(Step::KillProcess);
        let letters = if self.buried.is_empty() { Vec::new() } else { self.disk.read(&path("dead-letters.ndjson")) };
        let letters: Vec<_> = dead_letters::Lines::new(&letters[..]).filter_map(Result::ok).collect();
        for id in &self.buried {
            assert!(letters.iter().any(|letter| letter.batch == self.batches[*id]), "{id} is among the dead letters");
        }
        for id in self.process().read_all().iter().map(|record| self.id_of(record)).collect::<Vec<_>>() {
            assert!(!self.gone.contains(&id), "{id} was done for good");
            self.read.insert(id);
        }
        let missing: Vec<_> = self.pending.difference(&self.read).collect();
        assert!(missing.is_empty(), "{missing:?} were confirmed and are not read");
    }
}

fn check(fsync: Fsync) {
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |(steps in steps())| {
        let mut model = Model::new(fsync);
        for step in steps {
            model.take(step);
        }
        model.end();
    });
}

#[test]
fn with_an_fsync_for_each_commit_a_machine_may_stop_at_any_time() {
    check(Fsync::EachCommit);
}

#[test]
fn with_an_fsync_now_and_then_a_machine_forgets_what_came_since() {
    check(Fsync::Interval(Duration::from_secs(3600)));
}

#[test]
fn without_fsync_a_process_may_end_at_any_time() {
    check(Fsync::Never);
}
