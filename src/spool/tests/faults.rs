//! A disk that fails, is full or is read-only causes errors and no loss.

use super::simulated::Dice;
use super::*;

/// Appends, reads and acknowledges records in one process, so that segments are created and removed. Returns the batches
/// that were confirmed and not acknowledged.
fn run_process(process: &mut Process) -> Vec<String> {
    let mut pending = Vec::new();
    for place in 0..12 {
        let batch = format!(r#"{{"place":{place}}}"#);
        if process.append(&batch).is_ok() {
            pending.push(batch);
        }
        if place % 3 == 2 {
            while let Ok(Some(record)) = process.spool.next_record() {
                if record.number % 4 != 0 && process.spool.acknowledge(record.number) {
                    pending.retain(|batch| record.batch != *batch);
                }
            }
            process.writer.compact();
        }
    }
    pending
}

fn settings() -> SpoolOptions {
    SpoolOptions::new().segment_bytes(200).max_bytes(100_000)
}

fn calls_of_a_process() -> u64 {
    let disk = Simulated::default();
    run_process(&mut Process::start(&disk, settings()).expect("a spool"));
    disk.calls()
}

fn assert_all_there(disk: &Simulated, pending: &[String], when: &str) {
    let process = Process::start(disk, settings()).unwrap_or_else(|error| panic!("{when}: {error:?}"));
    let records = process.read_all();
    for batch in pending {
        assert!(texts(&records).contains(&batch.as_str()), "{when}: {batch} was confirmed");
    }
}

#[test]
fn a_failure_of_any_call_loses_no_confirmed_record() {
    let calls = calls_of_a_process();
    assert!(calls > 50, "a process makes more than {calls} calls");
    for call in 0..calls {
        let disk = Simulated::default();
        disk.fail_after(call);
        let Ok(mut process) = Process::start(&disk, settings()) else {
            disk.clear_faults();
            run_process(&mut Process::start(&disk, settings()).expect("the next time it works"));
            continue;
        };
        let pending = run_process(&mut process);
        process.append("{}").unwrap_or_else(|error| panic!("call {call}: it works again, but {error:?}"));
        drop(process);
        disk.stop_machine(call);
        assert_all_there(&disk, &pending, &format!("call {call} failed"));
    }
}

#[test]
fn a_power_loss_at_any_call_loses_no_confirmed_record() {
    for call in 0..calls_of_a_process() {
        for seed in 0..8 {
            let disk = Simulated::default();
            disk.stop_after(call);
            let pending = match Process::start(&disk, settings()) {
                Ok(mut process) => run_process(&mut process),
                Err(_) => Vec::new(),
            };
            disk.stop_machine(Dice(seed).below(usize::MAX) as u64);
            assert_all_there(&disk, &pending, &format!("stopped at call {call}, seed {seed}"));
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, settings()).expect("a spool");
    disk.set_capacity(300);
    let mut confirmed = Vec::new();
    for place in 0..20 {
        let batch = format!(r#"{{"place":{place}}}"#);
        match process.append(&batch) {
            Ok(()) => confirmed.push(batch),
            Err(error) => assert_eq!(error.kind(), crate::ErrorKind::Spool),
        }
    }
    assert!(!confirmed.is_empty() && confirmed.len() < 20);
    let stats = process.spool.stats();
    assert_eq!((stats.waiting, stats.unread), (0, confirmed.len() as u64));

    let records = process.read_all();
    assert_eq!(texts(&records), confirmed, "what was confirmed is there, and nothing else");
    assert!(process.append("{}").is_err());
    disk.clear_faults();
    process.append(r#"{"after":true}"#).expect("there is room");
    assert_eq!(texts(&process.read_all()), [r#"{"after":true}"#]);
}

#[test]
fn done_records_free_space_on_a_full_disk() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, settings()).expect("a spool");
    disk.set_capacity(2_000);
    while process.append(r#"{"some":"batch"}"#).is_ok() {}
    for record in process.read_all() {
        assert!(process.spool.acknowledge(record.number));
    }
    process.writer.compact();
    process.append("{}").expect("segments were removed");
}

#[test]
fn a_read_only_disk_fails_opening_and_appending() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, settings()).expect("a spool");
    process.append("{}").expect("confirmed");
    disk.make_read_only();
    process.append("[]").expect_err("nothing can be written");
    for record in process.read_all() {
        assert!(process.spool.acknowledge(record.number));
    }
    process.writer.compact();
    process.close();
    let error = Process::start(&disk, settings()).err().expect("nothing can be written");
    assert_eq!(error.kind(), crate::ErrorKind::Spool);
    disk.kill_process();
    assert_eq!(texts(&Process::start(&disk, settings()).expect("a spool").read_all()), ["{}"]);
}

#[test]
fn a_new_segment_is_started_after_a_failed_fsync() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append("{}").expect("confirmed");
    // The write, then the fsync.
    disk.fail_after(1);
    process.append(r#"{"lost":true}"#).expect_err("the fsync failed");
    process.append(r#"{"next":true}"#).expect("confirmed");
    assert_eq!(disk.segments().len(), 2);
    disk.stop_machine(1);
    drop(process);
    let records = Process::start(&disk, SpoolOptions::new()).expect("a spool").read_all();
    assert_eq!(texts(&records), ["{}", r#"{"next":true}"#]);
}

#[test]
fn the_reader_ignores_an_incomplete_write() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append("[1]").expect("confirmed");
    let segment = disk.segments().remove(0);
    let length = disk.read(&segment).len();
    disk.edit(&segment, |bytes| bytes.extend([0; 20]));
    assert_eq!(texts(&process.read_all()), ["[1]"]);
    disk.edit(&segment, |bytes| bytes.truncate(length));
    process.append("[2]").expect("confirmed");
    assert_eq!(texts(&process.read_all()), ["[2]"]);
}

#[test]
fn a_second_process_fails_to_open_the_spool() {
    let disk = Simulated::default();
    let first = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    let error = Process::start(&disk, SpoolOptions::new()).err().expect("it is locked");
    assert_eq!(error.to_string(), "failed to open the spool in /spool: it is open already");
    assert!(error.kind() == crate::ErrorKind::SpoolLocked && error.is_retryable());
    first.close();
    Process::start(&disk, SpoolOptions::new()).expect("it is free");
}

#[test]
fn works_on_a_file_system_without_directory_sync() {
    for kind in [std::io::ErrorKind::InvalidInput, std::io::ErrorKind::Unsupported] {
        let disk = Simulated::default();
        disk.fail_sync_dir(kind);
        let mut process = Process::start(&disk, settings()).expect("it opens");
        let pending = run_process(&mut process);
        assert!(!pending.is_empty());
        drop(process);
        disk.stop_machine(1);
        assert_all_there(&disk, &pending, "without an fsync of the directory");
    }
    let disk = Simulated::default();
    disk.fail_sync_dir(std::io::ErrorKind::PermissionDenied);
    Process::start(&disk, settings()).err().expect("another error is one");
}

/// Collects the texts of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            text += &format!("{field}={value:?} ");
        });
        self.0.lock().expect("no panic").push(text);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Returns the warnings that are logged by this thread during `act`.
fn warnings(act: impl FnOnce()) -> Vec<String> {
    let warnings = Warnings::default();
    // With two subscribers, `tracing` does not cache the interest of whichever thread reaches a callsite first.
    let (ours, _other) = (tracing::Dispatch::new(warnings.clone()), tracing::Dispatch::new(Warnings::default()));
    tracing::dispatcher::with_default(&ours, act);
    let warnings = warnings.0.lock().expect("no panic");
    warnings.clone()
}

/// Opens a spool, and makes it create and remove segments and save its cursor.
fn live(disk: &Simulated) {
    let mut process = Process::start(disk, settings()).expect("it opens");
    assert!(!run_process(&mut process).is_empty());
    process.close();
}

#[test]
fn warns_once_about_missing_directory_sync() {
    let disk = Simulated::default();
    disk.fail_sync_dir(std::io::ErrorKind::InvalidInput);
    let warnings = warnings(|| live(&disk));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("does not sync directories") && warnings[0].contains("dir=/spool "), "{warnings:?}");
}

#[test]
fn warns_once_about_a_directory_that_others_can_write_to_unless_sticky() {
    for access in [Access::Private, Access::Sticky, Access::SpoolShared] {
        let disk = Simulated::default();
        disk.set_access(access);
        let warnings = warnings(|| live(&disk));
        if access == Access::SpoolShared {
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(
                warnings[0].contains("other users can write") && warnings[0].contains("dir=/spool "),
                "{warnings:?}"
            );
        } else {
            assert_eq!(warnings, [""; 0], "{access:?}");
        }
        let private = Process::start(&disk, settings().require_private_dir(true));
        assert_eq!(private.is_ok(), access == Access::Private, "{access:?}");
    }
}

#[test]
fn a_file_system_without_locks_fails_opening_with_advice() {
    let disk = Simulated::default();
    disk.refuse_locks();
    let error = Process::start(&disk, settings()).err().expect("no locks");
    assert_eq!(
        error.to_string(),
        "failed to lock the spool in /spool: its file system cannot lock files (ENOLCK); use a directory on a local file system"
    );
    assert!(error.kind() == crate::ErrorKind::Spool && !error.is_retryable());
}

#[test]
fn restarts_on_a_full_disk_lose_nothing_and_use_no_more_space() {
    const CAPACITY: usize = 4_000;
    let disk = Simulated::default();
    let mut confirmed = Vec::new();
    disk.set_capacity(CAPACITY);
    let mut process = Process::start(&disk, settings()).expect("a spool");
    let append = |process: &mut Process, confirmed: &mut Vec<String>| {
        let batch = format!(r#"{{"place":{}}}"#, confirmed.len());
        let appended = process.append(&batch);
        if appended.is_ok() {
            confirmed.push(batch);
        }
        appended
    };
    while append(&mut process, &mut confirmed).is_ok() {}
    for restart in 0..20 {
        (0..5).for_each(|_| _ = append(&mut process, &mut confirmed));
        // A dead letter that does not fit stays a record.
        let record = process.spool.next_record().expect("the disk works").expect("a record");
        drop(process.spool.reject(&record, "bad").expect("memory has room"));
        process.commit();
        process.writer.compact();
        // Some processes close the spool, some are killed.
        if restart % 2 == 0 {
            process.close();
        }
        disk.kill_process();
        disk.set_capacity(CAPACITY);
        process = Process::start(&disk, settings()).expect("it opens on a full disk");
        let used: usize = disk.names().iter().map(|name| disk.read(&path(name)).len()).sum();
        assert!(used <= CAPACITY && disk.names().len() < 50, "restart {restart}: {used} bytes in {:?}", disk.names());
    }
    // There is space again while the spool is open.
    disk.clear_faults();
    append(&mut process, &mut confirmed).expect("there is room");
    process.commit();
    let mut there: Vec<_> =
        process.read_all().iter().map(|record| texts(std::slice::from_ref(record))[0].to_owned()).collect();
    if disk.names().iter().any(|name| name == "dead-letters.ndjson") {
        let bytes = disk.read(&path("dead-letters.ndjson"));
        let letters = dead_letters::DeadLetterReader::new(&bytes[..]).map(|letter| letter.expect("whole lines").batch);
        there.extend(letters.map(|batch| String::from_utf8(batch.to_vec()).expect("a text")));
    }
    let missing: Vec<_> = confirmed.iter().filter(|batch| !there.contains(batch)).collect();
    assert!(missing.is_empty(), "{missing:?} were confirmed");
}

#[test]
fn checkpoint_saves_the_cursor_immediately() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append("{}").expect("confirmed");
    process.append("[]").expect("confirmed");
    let records = process.read_all();
    assert!(process.spool.acknowledge(records[0].number));
    let receipt = process.spool.checkpoint();
    process.writer.compact();
    result_of(receipt).expect("saved");
    drop(process);
    disk.stop_machine(1);
    assert_eq!(texts(&Process::start(&disk, SpoolOptions::new()).expect("a spool").read_all()), ["[]"]);
}

#[test]
fn a_record_without_an_id_gets_the_same_id_at_each_read() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append(r#"{"a":1}"#).expect("confirmed");
    process.append(r#"{"a":1}"#).expect("confirmed");
    process.append(r#"{"source_request_id":"mine"}"#).expect("confirmed");
    let ids = |process: &Process| {
        let sealed = process.read_all().into_iter().map(|record| record.to_sealed().expect("a batch"));
        sealed.map(|batch| batch.source_request_id().to_owned()).collect::<Vec<_>>()
    };
    let first = ids(&process);
    assert!(first[0] != first[1] && first[2] == "mine", "{first:?}");
    drop(process);
    disk.kill_process();
    assert_eq!(ids(&Process::start(&disk, SpoolOptions::new()).expect("a spool")), first);
}

#[test]
fn drop_does_not_wait_for_a_hanging_fsync() {
    let disk = Simulated::default();
    let files = Arc::new(disk.clone());
    let settings = SpoolOptions::new().drop_timeout(Duration::from_millis(50));
    let spool = Spool::start(Spool::open_on(files, DIR.into(), settings).expect("a spool")).expect("a thread");
    let (hanging, released) = (std::sync::mpsc::channel::<()>(), std::sync::Mutex::new(None));
    let (started, began) = std::sync::mpsc::channel();
    *released.lock().expect("no panic") = Some(hanging.1);
    disk.on_sync(move || {
        if let Some(hanging) = released.lock().expect("no panic").take() {
            started.send(()).expect("the test waits");
            let _ = hanging.recv();
        }
    });
    let receipt = spool.append(Endpoint::BulkEvents, "{}").expect("there is room");
    began.recv().expect("the fsync began");
    drop(spool);
    // The drop has returned although the fsync hangs. The spool stays locked until that ends.
    assert!(Process::start(&disk, SpoolOptions::new()).is_err());
    drop(hanging.0);
    receipt.wait().expect("the thread went on");
}
