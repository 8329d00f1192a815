//! The spool on a real disk, with its thread. The tests on a simulated disk are in `src/spool/tests/`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mparticle::spool::{Endpoint, Fsync, Inspector, MAX_RECORD_BYTES, Records, Spool, SpoolOptions};
use mparticle::{Error, ErrorKind};
use serde_json::json;
use tempfile::TempDir;

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(dir: &Path) -> Spool {
    Spool::open(dir, SpoolOptions::new()).expect("a spool")
}

fn locked_error(dir: &Path) -> String {
    format!("failed to open the spool in {}: it is open already", dir.display())
}

fn append(spool: &Spool, batch: &str) {
    spool.append(Endpoint::BulkEvents, batch.to_owned()).expect("there is room").wait().expect("confirmed");
}

fn read_all(spool: &Spool) -> Vec<String> {
    let records = std::iter::from_fn(|| spool.next_record().expect("the disk works"));
    records.map(|record| String::from_utf8(record.batch.to_vec()).expect("a text")).collect()
}

fn pending_batches(dir: &Path) -> Vec<String> {
    let records: Result<Vec<_>, Error> = Inspector::new(dir).records().expect("a spool").collect();
    let texts = records.expect("the disk works").into_iter().map(|record| String::from_utf8(record.batch.to_vec()));
    texts.collect::<Result<_, _>>().expect("texts")
}

#[test]
fn records_are_read_in_order_until_acknowledged() {
    let dir = dir();
    let spool = open(dir.path());
    for place in 0..5 {
        append(&spool, &format!("[{place}]"));
    }
    let mut numbers = Vec::new();
    while let Some(record) = spool.next_record().expect("the disk works") {
        assert_eq!(record.endpoint, Endpoint::BulkEvents);
        assert!(!format!("{record:?}").contains("[0]"), "a batch is user data");
        numbers.push(record.number);
    }
    // Batches of a bulk request end in any order.
    assert!(spool.acknowledge(numbers[3]) && spool.acknowledge(numbers[0]));
    assert!(!spool.acknowledge(numbers[0]), "once");
    drop(spool);
    assert_eq!(read_all(&open(dir.path())), ["[1]", "[2]", "[4]"]);
}

#[test]
fn concurrent_appends_store_each_record_once() {
    let dir = dir();
    let spool = Arc::new(open(dir.path()));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let spool = Arc::clone(&spool);
            thread::spawn(move || {
                for place in 0..50 {
                    append(&spool, &format!("[{thread},{place}]"));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(spool.stats().unread, 400);
    let records = read_all(&spool);
    assert_eq!((spool.stats().unread, spool.stats().outstanding), (0, 400));
    for thread in 0..8 {
        let of_thread: Vec<_> = records.iter().filter(|text| text.starts_with(&format!("[{thread},"))).collect();
        let expected: Vec<_> = (0..50).map(|place| format!("[{thread},{place}]")).collect();
        assert_eq!(of_thread, expected.iter().collect::<Vec<_>>(), "a thread's order is kept");
    }
}

#[tokio::test]
async fn receipts_and_readiness_can_be_awaited() {
    let dir = dir();
    let spool = Arc::new(open(dir.path()));
    let reader = Arc::clone(&spool);
    let reading = tokio::spawn(async move {
        reader.readable().await;
        reader.next_record()
    });
    let receipt = spool.append(Endpoint::HistoricalEvents, "{}").expect("there is room");
    receipt.await.expect("confirmed");
    let record = reading.await.expect("no panic").expect("the disk works").expect("a record");
    assert_eq!((record.endpoint, &record.batch[..]), (Endpoint::HistoricalEvents, &b"{}"[..]));
}

#[test]
fn a_restart_finds_every_record_with_each_fsync_policy() {
    for fsync in [Fsync::EachCommit, Fsync::Interval(Duration::from_millis(1)), Fsync::Never] {
        let dir = dir();
        let settings = SpoolOptions::new().fsync(fsync).segment_bytes(200);
        let spool = Spool::open(dir.path(), settings.clone()).expect("a spool");
        for place in 0..20 {
            append(&spool, &format!("[{place}]"));
        }
        drop(spool);
        let spool = Spool::open(dir.path(), settings).expect("a spool");
        assert_eq!(read_all(&spool), (0..20).map(|place| format!("[{place}]")).collect::<Vec<_>>(), "{fsync:?}");
    }
}

#[test]
fn drop_writes_queued_appends() {
    let dir = dir();
    let spool = open(dir.path());
    let receipts: Vec<_> = (0..100).map(|_| spool.append(Endpoint::BulkEvents, "{}").expect("there is room")).collect();
    drop(spool);
    for receipt in receipts {
        receipt.wait().expect("confirmed");
    }
    assert_eq!(pending_batches(dir.path()).len(), 100);
}

#[test]
fn segments_are_removed_when_their_records_are_done() {
    let dir = dir();
    let spool = Spool::open(dir.path(), SpoolOptions::new().segment_bytes(1_000)).expect("a spool");
    for _ in 0..100 {
        append(&spool, r#"{"some":"batch"}"#);
    }
    while let Some(record) = spool.next_record().expect("the disk works") {
        spool.acknowledge(record.number);
    }
    drop(spool);
    let segments = fs::read_dir(dir.path()).expect("a directory").filter(|entry| {
        entry.as_ref().expect("an entry").path().extension().is_some_and(|extension| extension == "log")
    });
    assert_eq!(segments.count(), 0);
    let spool = open(dir.path());
    assert_eq!(spool.next_record().expect("the disk works"), None);
    append(&spool, "{}");
    assert_eq!(read_all(&spool), ["{}"]);
}

#[test]
fn a_second_process_fails_to_open_the_spool_and_can_inspect_it() {
    let dir = dir();
    let spool = open(dir.path());
    let error = Spool::open(dir.path(), SpoolOptions::new()).expect_err("it is locked");
    assert!(error.kind() == ErrorKind::SpoolLocked && error.is_retryable());
    assert_eq!(error.to_string(), locked_error(dir.path()));

    append(&spool, "[1]");
    append(&spool, "[2]");
    assert_eq!(pending_batches(dir.path()), ["[1]", "[2]"]);
    let record = spool.next_record().expect("the disk works").expect("a record");
    spool.acknowledge(record.number);
    drop(spool);
    assert_eq!(pending_batches(dir.path()), ["[2]"], "what is done is left out");
    drop(open(dir.path()));
}

#[test]
fn rejected_batches_become_dead_letters() {
    let dir = dir();
    let spool = open(dir.path());
    append(&spool, r#"{"environment":"production"}"#);
    let record = spool.next_record().expect("the disk works").expect("a record");
    spool.reject(&record, "Required field \"events\"\nis missing").expect("there is room").wait().expect("written");
    spool
        .dead_letter(Endpoint::HistoricalEvents, "{ }", "from memory")
        .expect("there is room")
        .wait()
        .expect("written");
    let no_json = "no \"JSON\"\n";
    spool.dead_letter(Endpoint::BulkEvents, no_json, "not ours").expect("there is room").wait().expect("written");

    let text = fs::read_to_string(dir.path().join("dead-letters.ndjson")).expect("a text");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["batch"], json!({ "environment": "production" }));
    assert_eq!(lines[0]["reason"], "Required field \"events\"\nis missing");
    assert_eq!((&lines[1]["endpoint"], &lines[2]["batch"]), (&json!("historical"), &json!(no_json)));

    let letters: Result<Vec<_>, Error> = Inspector::new(dir.path()).dead_letters().expect("a spool").collect();
    let letters = letters.expect("letters");
    assert_eq!(letters[0].batch, record.batch);
    assert_eq!((letters[1].endpoint, letters[1].reason.as_str()), (Endpoint::HistoricalEvents, "from memory"));
    assert!(!format!("{letters:?}").contains("production"), "a batch is user data");
    drop(spool);
    assert_eq!(pending_batches(dir.path()), [""; 0], "the rejected one is done");
}

/// Creates three dead letters, one of them historical, and a record.
fn create_dead_letters(dir: &Path) {
    let spool = open(dir);
    append(&spool, "[0]");
    for (endpoint, batch) in
        [(Endpoint::BulkEvents, "[1]"), (Endpoint::HistoricalEvents, "[2]"), (Endpoint::BulkEvents, "[3]")]
    {
        spool.dead_letter(endpoint, batch, "bad").expect("there is room").wait().expect("written");
    }
}

fn letters(dir: &Path) -> usize {
    Inspector::new(dir).dead_letters().expect("a spool").count()
}

#[test]
fn redriven_dead_letters_become_records() {
    let dir = dir();
    create_dead_letters(dir.path());
    // Older dead-letter files.
    for (name, batch) in [("11", "[4]"), ("10", "[5]"), ("9", "[6]"), ("1", "[7]")] {
        let line = json!({ "time": "2026-01-01T00:00:00Z", "reason": "bad", "endpoint": "events", "batch": batch });
        let text = line.to_string().replace("\"[", "[").replace("]\"", "]") + "\n";
        fs::write(dir.path().join(format!("dead-letters.{name}.ndjson")), text).expect("written");
    }
    let redriven = Spool::redrive_dead_letters(dir.path(), SpoolOptions::new()).expect("redriven");
    assert_eq!((redriven.records, redriven.skipped), (7, 0));
    assert_eq!(
        (pending_batches(dir.path()), letters(dir.path())),
        (["[0]", "[4]", "[5]", "[6]", "[7]", "[1]", "[2]", "[3]"].map(String::from).to_vec(), 0)
    );
    let spool = open(dir.path());
    let endpoints = std::iter::from_fn(|| spool.next_record().expect("the disk works")).map(|record| record.endpoint);
    assert_eq!(endpoints.filter(|endpoint| *endpoint == Endpoint::HistoricalEvents).count(), 1);
    drop(spool);
    let redriven = Spool::redrive_dead_letters(dir.path(), SpoolOptions::new()).expect("nothing to redrive");
    assert_eq!((redriven.records, redriven.skipped), (0, 0));
}

#[test]
fn dead_letters_stay_if_redriving_fails() {
    let dir = dir();
    create_dead_letters(dir.path());
    let full = SpoolOptions::new().segment_bytes(64).max_bytes(192);
    let error = Spool::redrive_dead_letters(dir.path(), full).expect_err("there is room for some of them");
    assert_eq!((error.to_string().as_str(), letters(dir.path())), ("the spool is full", 3));

    Spool::remove_dead_letters(dir.path()).expect("removed");
    assert_eq!(letters(dir.path()), 0);
    assert!(!dir.path().join("dead-letters.ndjson").exists());
}

#[test]
fn lines_that_are_no_dead_letters_stay_when_the_others_are_redriven() {
    let dir = dir();
    create_dead_letters(dir.path());
    let path = dir.path().join("dead-letters.ndjson");
    let text = fs::read_to_string(&path).expect("a text");
    let second = text.lines().nth(1).expect("a letter");
    // Longer than any dead letter, from an edit; and cut off by a crash.
    let (long, partial) = ("x".repeat(20 << 20), "{\"time\":");
    let broken = second.replace("[2]", "[2");
    let lines = format!("{broken}\n\0\0 \n\n{long}");
    fs::write(&path, text.replacen(second, &lines, 1) + partial).expect("written");
    fs::write(dir.path().join("dead-letters.1.ndjson"), "old").expect("written");
    fs::write(dir.path().join("dead-letters.new"), "from a crash").expect("written");

    let redriven = Spool::redrive_dead_letters(dir.path(), SpoolOptions::new()).expect("redriven");
    assert_eq!((redriven.records, redriven.skipped), (2, 4));
    assert_eq!(pending_batches(dir.path()), ["[0]", "[1]", "[3]"].map(String::from));
    let remaining = fs::read_to_string(&path).expect("a text");
    assert!(remaining == format!("old\n{broken}\n{long}\n{partial}\n"), "the bytes of these lines");
    let files = ["dead-letters.new", "dead-letters.1.ndjson"];
    assert_eq!(files.map(|name| dir.path().join(name).exists()), [false, false]);

    // A corrected line is a dead letter again.
    fs::write(&path, remaining.replace("[2", "[2]")).expect("written");
    let redriven = Spool::redrive_dead_letters(dir.path(), SpoolOptions::new()).expect("redriven");
    assert_eq!((redriven.records, redriven.skipped), (1, 3));
    fs::write(dir.path().join("dead-letters.new"), "from a failure").expect("written");
    Spool::remove_dead_letters(dir.path()).expect("removed");
    assert_eq!(["dead-letters.new", "dead-letters.ndjson"].map(|name| dir.path().join(name).exists()), [false, false]);
}

#[test]
fn dead_letters_of_an_open_spool_cannot_be_redriven_or_removed() {
    let dir = dir();
    create_dead_letters(dir.path());
    let _open = open(dir.path());
    for error in [
        Spool::redrive_dead_letters(dir.path(), SpoolOptions::new()).expect_err("it is open"),
        Spool::remove_dead_letters(dir.path()).expect_err("it is open"),
    ] {
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::SpoolLocked, locked_error(dir.path()).as_str())
        );
    }
    assert_eq!(letters(dir.path()), 3);
}

#[cfg(unix)]
#[test]
fn files_are_accessible_to_this_user_only() {
    use std::os::unix::fs::PermissionsExt;

    let parent = dir();
    let dir = parent.path().join("shop").join("mparticle");
    let spool = open(&dir);
    append(&spool, "{}");
    spool.dead_letter(Endpoint::BulkEvents, "{}", "bad").expect("there is room").wait().expect("written");
    drop(spool);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&parent.path().join("shop"))), (0o700, 0o700));
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).expect("a directory") {
        let entry = entry.expect("an entry");
        names.push(entry.file_name().into_string().expect("UTF-8"));
        assert_eq!(mode(&entry.path()), 0o600, "{names:?}");
    }
    names.sort_unstable();
    assert_eq!(names, ["00000000000000000001.log", "cursor", "dead-letters.ndjson", "lock"]);
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

#[cfg(unix)]
#[test]
fn files_that_others_can_write_to_are_refused_with_their_path() {
    for name in ["00000000000000000001.log", "cursor", "dead-letters.ndjson"] {
        let dir = dir();
        let spool = open(dir.path());
        append(&spool, "{}");
        spool.dead_letter(Endpoint::BulkEvents, "{}", "bad").expect("there is room").wait().expect("written");
        drop(spool);
        let file = dir.path().join(name);
        let refused = || Spool::open(dir.path(), SpoolOptions::new()).expect_err("others can write to it").to_string();
        chmod(&file, 0o666);
        assert!(refused().contains(&format!("{} can be written by every user", file.display())), "{}", refused());
        chmod(&file, 0o660);
        drop(open(dir.path()));
        // Only root can change the owner of a file.
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_ok() {
            assert!(refused().contains(&format!("{} belongs to user 12345", file.display())), "{}", refused());
        }
    }
}

#[cfg(unix)]
#[test]
fn unrelated_files_in_the_directory_are_ignored() {
    let dir = dir();
    for name in ["app.log", "1.log", "dead-letters.txt", "cursor.bak", "app.log.damaged"] {
        fs::write(dir.path().join(name), "theirs").expect("written");
        chmod(&dir.path().join(name), 0o666);
    }
    append(&open(dir.path()), "{}");
    assert_eq!(pending_batches(dir.path()), ["{}"]);
    assert_eq!(fs::read_to_string(dir.path().join("app.log")).expect("it is there"), "theirs");
}

#[cfg(unix)]
#[test]
fn a_link_of_another_user_is_refused_and_one_of_this_user_is_followed() {
    use std::os::unix::fs::{lchown, symlink};

    for name in ["00000000000000000001.log", "cursor", "dead-letters.ndjson"] {
        let (dir, other) = (dir(), dir());
        let spool = open(dir.path());
        append(&spool, "{}");
        spool.dead_letter(Endpoint::BulkEvents, "{}", "bad").expect("there is room").wait().expect("written");
        drop(spool);
        let (file, target) = (dir.path().join(name), other.path().join("target"));
        fs::rename(&file, &target).expect("moved");
        symlink(&target, &file).expect("linked");
        drop(open(dir.path()));
        // Only root can change the owner of a link. A dangling link is refused as well: another user may create its target.
        for leads_somewhere in [true, false] {
            if !leads_somewhere {
                fs::remove_file(&target).expect("removed");
            }
            if file.symlink_metadata().is_ok_and(|link| link.is_symlink()) && lchown(&file, Some(12_345), None).is_ok()
            {
                let error =
                    Spool::open(dir.path(), SpoolOptions::new()).expect_err("a link of another user").to_string();
                assert!(error.contains(&format!("{} belongs to user 12345", file.display())), "{error}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_can_write_to_is_refused_if_a_private_one_is_required() {
    let private = || SpoolOptions::new().require_private_dir(true);
    for (mode, is_private) in [(0o700, true), (0o755, true), (0o770, false), (0o777, false), (0o1777, false)] {
        let dir = dir();
        chmod(dir.path(), mode);
        drop(open(dir.path()));
        match Spool::open(dir.path(), private()) {
            Ok(_) => assert!(is_private, "{mode:o}"),
            Err(error) => {
                let text = format!("other users can write to {}", dir.path().display());
                assert!(!is_private && error.to_string().contains(&text), "{mode:o}: {error}");
            }
        }
    }
}

#[test]
fn opening_waits_for_the_lock_up_to_the_timeout() {
    let dir = dir();
    let first = open(dir.path());
    append(&first, "{}");
    let start = Instant::now();
    let error = Spool::open(dir.path(), SpoolOptions::new().lock_timeout(Duration::from_millis(120)))
        .expect_err("it is locked");
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert!(error.kind() == ErrorKind::SpoolLocked && error.is_retryable(), "{error:?}");
    let second = {
        let dir = dir.path().to_owned();
        thread::spawn(move || Spool::open(dir, SpoolOptions::new().lock_timeout(Duration::from_secs(60))))
    };
    thread::sleep(Duration::from_millis(100));
    assert!(!second.is_finished(), "it waits");
    drop(first);
    assert_eq!(read_all(&second.join().expect("no panic").expect("it is free")), ["{}"]);
}

#[test]
fn opening_fails_where_no_directory_can_be_created() {
    let dir = dir();
    let file = dir.path().join("file");
    fs::write(&file, "").expect("a file");
    for path in [file.join("spool"), file.clone()] {
        let error = Spool::open(path, SpoolOptions::new()).expect_err("a file is no directory");
        assert_eq!(error.kind(), ErrorKind::Spool);
        assert!(error.to_string().starts_with("failed to open the spool: "), "{error}");
    }
    assert!(Inspector::new(dir.path().join("nothing")).records().is_err());
}

#[test]
fn a_removed_directory_causes_errors_and_no_panic() {
    let dir = dir();
    let path = dir.path().join("spool");
    let spool = Spool::open(&path, SpoolOptions::new().segment_bytes(200)).expect("a spool");
    append(&spool, "[1]");
    // The spool may write its cursor while the directory is being removed.
    assert!((0..100).any(|_| fs::remove_dir_all(&path).is_ok()), "removed");
    let results: Vec<_> =
        (0..10).map(|_| spool.append(Endpoint::BulkEvents, "{}").expect("there is room").wait().is_ok()).collect();
    assert!(results.contains(&false));
    // On Linux the open segment still exists without a name, but later ones do not.
    while let Ok(Some(_)) = spool.next_record() {}
    fs::create_dir(&path).expect("a directory");
    let works_again = || spool.append(Endpoint::BulkEvents, "{}").expect("there is room").wait().is_ok();
    assert!((0..10).any(|_| works_again()), "after the segments whose files are gone");
}

/// Asserts what the fuzz target asserts, for its corpus.
#[test]
fn the_fuzz_corpus_satisfies_the_fuzz_target() {
    let mut seeds = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/spool_reader")).expect("a corpus") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("a seed");
        let mut last = None;
        for record in Records::new(&bytes[..]).map_while(Result::ok) {
            assert!(last < Some(record.number) && record.batch.len() <= MAX_RECORD_BYTES);
            assert!(record.batch.is_empty() || bytes.windows(record.batch.len()).any(|part| part == record.batch));
            last = Some(record.number);
        }
        seeds += 1;
    }
    assert!(seeds >= 5);
}
