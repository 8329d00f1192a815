//! Compares the spool with a list of batches, under random operations, crashes and failures.

use std::collections::BTreeSet;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    PendingAppend { padding: usize },
    Commit,
    Read,
    ReadBefore(Index),
    TakeCommitted(Index),
    Acknowledge(Index),
    Reject(Index),
    Sync,
    Compact,
    FailAfter(u64),
    Restart,
    KillProcess,
    StopMachine(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..200).prop_map(|padding| Step::PendingAppend { padding }),
        5 => Just(Step::Commit),
        5 => Just(Step::Read),
        3 => any::<Index>().prop_map(Step::ReadBefore),
        5 => any::<Index>().prop_map(Step::TakeCommitted),
        5 => any::<Index>().prop_map(Step::Acknowledge),
        1 => any::<Index>().prop_map(Step::Reject),
        1 => Just(Step::Sync),
        3 => Just(Step::Compact),
        2 => (0_u64..12).prop_map(Step::FailAfter),
        1 => Just(Step::Restart),
        1 => Just(Step::KillProcess),
        2 => any::<u64>().prop_map(Step::StopMachine),
    ];
    prop::collection::vec(step, 1..80)
}

/// The list of batches. A batch is identified by its index.
struct Model {
    disk: Simulated,
    fsync: Fsync,
    process: Option<Process>,
    batches: Vec<String>,
    /// The number of each batch.
    numbers: Vec<u64>,
    /// Confirmed in this process.
    committed: BTreeSet<usize>,
    waiting: Vec<(usize, Receipt)>,
    /// Confirmed and not done. These must be read.
    pending: BTreeSet<usize>,
    /// The part of `pending` that a power loss may lose.
    unsynced: BTreeSet<usize>,
    /// Done, but possibly not in the cursor yet. These may be read again.
    done: BTreeSet<usize>,
    /// Done durably. These are never read again.
    gone: BTreeSet<usize>,
    /// Durably in the dead-letter file.
    dead_lettered: BTreeSet<usize>,
    /// Read or taken by this process.
    read: BTreeSet<usize>,
    /// The last one that this process has read.
    last_read: Option<usize>,
    outstanding: Vec<(usize, Record)>,
    /// Rejected, and not committed yet.
    rejected: Vec<(usize, Completion<Result<(), Error>>)>,
}

impl Model {
    fn new(fsync: Fsync) -> Self {
        let mut model = Self {
            disk: Simulated::default(),
            fsync,
            process: None,
            batches: Vec::new(),
            numbers: Vec::new(),
            committed: BTreeSet::new(),
            waiting: Vec::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            done: BTreeSet::new(),
            gone: BTreeSet::new(),
            dead_lettered: BTreeSet::new(),
            read: BTreeSet::new(),
            last_read: None,
            outstanding: Vec::new(),
            rejected: Vec::new(),
        };
        model.start();
        model
    }

    fn start(&mut self) {
        let settings = SpoolOptions::new().fsync(self.fsync).segment_bytes(600).max_bytes(1 << 20);
        let fired = self.disk.failed_calls();
        let process = Process::start(&self.disk, settings.clone()).or_else(|error| {
            assert!(self.disk.failed_calls() > fired, "no spool fails to open: {error:?}");
            self.disk.clear_faults();
            Process::start(&self.disk, settings)
        });
        self.process = Some(process.expect("no spool fails to open"));
        self.read.clear();
        self.last_read = None;
        self.committed.clear();
        self.outstanding.clear();
        // Records that only the last process knew to be done may be read again.
        self.done.clear();
        if matches!(self.fsync, Fsync::Interval(_)) && self.no_sync_failed() {
            self.unsynced.clear();
        }
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process")
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::PendingAppend { padding } => {
                let batch = format!(r#"{{"id":{},"padding":"{}"}}"#, self.batches.len(), "x".repeat(padding));
                let receipt = self.process().spool.append(Endpoint::BulkEvents, batch.clone()).expect("there is room");
                self.numbers.push(receipt.record_number());
                self.waiting.push((self.batches.len(), receipt));
                self.batches.push(batch);
            }
            Step::Commit => self.commit(),
            Step::Read => self.read_one(None),
            Step::ReadBefore(index) if !self.numbers.is_empty() => {
                self.read_one(Some(self.numbers[index.index(self.numbers.len())]));
            }
            Step::TakeCommitted(index) if !self.numbers.is_empty() => {
                self.take_committed(index.index(self.numbers.len()));
            }
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
            Step::ReadBefore(_) | Step::TakeCommitted(_) | Step::Acknowledge(_) | Step::Reject(_) => {}
            Step::Sync => {
                let fired = self.disk.failed_calls();
                self.process().writer.sync();
                if matches!(self.fsync, Fsync::Interval(_))
                    && self.disk.failed_calls() == fired
                    && self.no_sync_failed()
                {
                    self.unsynced.clear();
                }
            }
            Step::Compact => {
                let fired = self.disk.failed_calls();
                self.process().writer.compact();
                if self.disk.failed_calls() == fired {
                    self.keep_done();
                }
            }
            Step::FailAfter(calls) => self.disk.fail_after(calls),
            Step::Restart => {
                let fired = self.disk.failed_calls();
                self.commit();
                self.process.take().expect("a process").close();
                self.rejected.clear();
                if self.disk.failed_calls() == fired {
                    self.keep_done();
                }
                self.disk.clear_faults();
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
            if result_of(receipt).is_ok() {
                self.pending.insert(id);
                self.committed.insert(id);
                if self.fsync != Fsync::EachCommit {
                    self.unsynced.insert(id);
                }
            }
        }
        for (id, mut receipt) in std::mem::take(&mut self.rejected) {
            match poll_result(Pin::new(&mut receipt)) {
                Some(Ok(())) => {
                    self.count_as_done(id);
                    self.dead_lettered.insert(id);
                }
                // A record whose dead letter is not written stays, and is read again by the next process.
                Some(Err(_)) => {}
                None => self.rejected.push((id, receipt)),
            }
        }
    }

    fn count_as_done(&mut self, id: usize) {
        self.pending.remove(&id);
        self.done.insert(id);
    }

    /// The cursor contains the done records. Without fsync a power loss may lose it as well.
    fn keep_done(&mut self) {
        if self.fsync != Fsync::Never {
            self.gone.append(&mut self.done);
        }
    }

    /// Returns whether no sync can have failed: a failed one may have lost data that a later one does not save.
    fn no_sync_failed(&self) -> bool {
        self.disk.failed_calls() == 0
    }

    fn lose_memory(&mut self) {
        self.process = None;
        for (id, receipt) in std::mem::take(&mut self.waiting) {
            assert!(result_of(receipt).is_err(), "{id} was never written");
        }
        self.rejected.clear();
    }

    fn take_committed(&mut self, id: usize) {
        let number = self.numbers[id];
        // After a crash, a number that was never written can be reused.
        let id = self.numbers.iter().rposition(|other| *other == number).expect("it has one");
        let before = self.process().spool.stats();
        let is_taken = self.process().spool.take_committed(number);
        assert_eq!(is_taken, self.committed.contains(&id) && !self.read.contains(&id), "{id}");
        let (stats, taken) = (self.process().spool.stats(), u64::from(is_taken));
        assert_eq!((stats.unread, stats.outstanding), (before.unread - taken, before.outstanding + taken));
        if is_taken {
            let (appended, endpoint) = (DateTime::UNIX_EPOCH, Endpoint::BulkEvents);
            self.read.insert(id);
            self.outstanding.push((id, Record { number, appended, endpoint, batch: self.batches[id].clone().into() }));
        }
    }

    fn read_one(&mut self, limit: Option<u64>) {
        let fired = self.disk.failed_calls();
        match self.process().spool.next_record_before(limit) {
            Ok(Some(record)) => {
                let id = self.id_of(&record);
                assert!(!self.gone.contains(&id), "{id} was done durably");
                assert!(self.last_read.is_none_or(|last| last < id), "{id} is read out of order");
                assert!(self.read.insert(id), "{id} is read twice");
                assert!(limit.is_none_or(|limit| record.number < limit), "{id} is not below the limit");
                self.assert_read_below(Some(record.number));
                self.last_read = Some(id);
                self.outstanding.push((id, record));
            }
            Ok(None) => self.assert_read_below(limit),
            Err(error) => assert!(self.disk.failed_calls() > fired, "{error:?}"),
        }
    }

    /// Asserts that all confirmed records below this number are read.
    fn assert_read_below(&self, limit: Option<u64>) {
        let is_below = |id: &usize| limit.is_none_or(|limit| self.numbers[*id] < limit);
        let missing: Vec<_> = self.pending.difference(&self.read).filter(|id| is_below(id)).collect();
        assert!(missing.is_empty(), "{missing:?} were confirmed and are not read");
    }

    fn id_of(&self, record: &Record) -> usize {
        let json: serde_json::Value = serde_json::from_slice(&record.batch).expect("JSON");
        let id = usize::try_from(json["id"].as_u64().expect("an id")).expect("an id");
        assert_eq!(record.batch, self.batches[id], "the bytes differ from the appended ones");
        assert_eq!(record.number, self.numbers[id], "the number differs from that of the receipt");
        id
    }

    /// Asserts that everything that was confirmed can be read after a restart.
    fn end(mut self) {
        self.take(Step::KillProcess);
        let letters =
            if self.dead_lettered.is_empty() { Vec::new() } else { self.disk.read(&path("dead-letters.ndjson")) };
        let letters: Vec<_> = dead_letters::DeadLetterReader::new(&letters[..]).filter_map(Result::ok).collect();
        for id in &self.dead_lettered {
            assert!(letters.iter().any(|letter| letter.batch == self.batches[*id]), "{id} is among the dead letters");
        }
        for id in self.process().read_all().iter().map(|record| self.id_of(record)).collect::<Vec<_>>() {
            assert!(!self.gone.contains(&id), "{id} was done durably");
            self.read.insert(id);
        }
        self.assert_read_below(None);
    }
}

fn check(fsync: Fsync) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    // The default takes the number of cases from that variable, if it is set.
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1_000;
    }
    proptest!(config, |(steps in steps())| {
        let mut model = Model::new(fsync);
        for step in steps {
            model.take(step);
        }
        model.end();
    });
}

#[test]
fn matches_the_model_with_an_fsync_for_each_commit() {
    check(Fsync::EachCommit);
}

#[test]
fn matches_the_model_with_an_fsync_interval() {
    check(Fsync::Interval(Duration::from_secs(3600)));
}

#[test]
fn matches_the_model_without_fsync() {
    check(Fsync::Never);
}
