//! Expired records become dead letters, each once, in portions.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta};

use super::*;

#[test]
fn expired_records_become_dead_letters_with_a_reason() {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings =
        SpoolOptions::new().clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let (settings, evicted) = collect_evictions(settings);
    let mut process = Process::start(&disk, settings.clone()).expect("a spool");
    process.append(r#"{"old":true}"#).expect("confirmed");
    hours.store(1, Ordering::Relaxed);
    process.append(r#"{"young":true}"#).expect("confirmed");
    // A clock that is set back expires no record.
    hours.store(-1_000, Ordering::Relaxed);
    process.append(r#"{"from the past":true}"#).expect("confirmed");
    process.close();

    hours.store(28 * 24 + 1, Ordering::Relaxed);
    let mut process = Process::start(&disk, settings.clone()).expect("a spool");
    assert_eq!(texts(&process.read_all()), [r#"{"young":true}"#]);
    process.commit();
    assert_eq!(*evicted.lock().expect("no panic"), [(1, EvictionReason::Expired), (3, EvictionReason::Expired)]);
    assert_eq!(process.spool.stats().expired, 2);
    process.close();
    let letters = String::from_utf8(disk.read(&path("dead-letters.ndjson"))).expect("a text");
    let expected = concat!(
        r#"{"time":"1970-01-29T01:00:00.000Z","reason":"older than 28 days","endpoint":"events","batch":{"old":true}}"#,
        "\n",
        r#"{"time":"1970-01-29T01:00:00.000Z","reason":"older than 28 days","endpoint":"events","#,
        r#""batch":{"from the past":true}}"#,
        "\n",
    );
    assert_eq!(letters, expected);

    let process = Process::start(&disk, settings).expect("a spool");
    assert_eq!(texts(&process.read_all()), [r#"{"young":true}"#], "the others are done");
}

#[test]
fn a_large_expired_backlog_becomes_dead_letters_in_portions() {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings =
        SpoolOptions::new().clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let (settings, evicted) = collect_evictions(settings.segment_bytes(1 << 20));
    let mut process = Process::start(&disk, settings).expect("a spool");
    let batch = |place: usize| format!(r#"{{"place":{place},"padding":"{}"}}"#, "x".repeat(100_000));
    for place in 0..60 {
        process.append(&batch(place)).expect("confirmed");
    }
    hours.store(28 * 24 + 1, Ordering::Relaxed);
    process.append("{}").expect("confirmed");
    assert_eq!(texts(&process.read_all()), ["{}"]);
    assert_eq!((process.spool.stats().unread, process.spool.stats().outstanding), (0, 61));
    let mut before = 0;
    while process.spool.stats().expired < 60 {
        process.writer.write_dead_letters();
        let expired = process.spool.stats().expired;
        assert!((1..=11).contains(&(expired - before)), "a portion is about 1 MiB, not {} records", expired - before);
        before = expired;
    }
    assert_eq!(
        *evicted.lock().expect("no panic"),
        (1..=60).map(|number| (number, EvictionReason::Expired)).collect::<Vec<_>>()
    );
    let letters = dead_letters_of(&disk);
    assert!(letters.iter().enumerate().all(|(place, letter)| letter.batch == batch(place)));
    assert_eq!((letters.len(), process.spool.stats().outstanding), (60, 1));
}

/// Creates a spool with 60 expired records of 100 kB in one segment, which are read.
fn expired_backlog(settings: SpoolOptions) -> (Simulated, Process) {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings = settings.clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let mut process = Process::start(&disk, settings).expect("a spool");
    let batch = format!(r#"{{"padding":"{}"}}"#, "x".repeat(100_000));
    (0..60).for_each(|_| process.append(&batch).expect("confirmed"));
    hours.store(28 * 24 + 1, Ordering::Relaxed);
    assert_eq!(process.read_all(), []);
    (disk, process)
}

#[test]
fn expired_records_are_written_whatever_the_dead_letter_limit() {
    for max in [0, 1, 7, 100] {
        let (_disk, mut process) = expired_backlog(SpoolOptions::new().max_dead_letter_bytes(max));
        for expired in 1..=60 {
            process.writer.write_dead_letters();
            assert_eq!(process.spool.stats().expired, expired, "{max} bytes");
        }
        assert!(!process.spool.shared.lock().index.has_expired());
    }
}

#[test]
fn a_segment_is_read_once_for_all_portions_of_dead_letters() {
    let (disk, mut process) = expired_backlog(SpoolOptions::new().max_dead_letter_bytes(800_000));
    let before = disk.bytes_read();
    (0..60).for_each(|_| process.writer.write_dead_letters());
    assert_eq!(process.spool.stats().expired, 60);
    let read = disk.bytes_read() - before;
    // Each file that is removed is read as well, to count its dead letters.
    assert!(read < 20 << 20, "of 6 MB, {read} bytes are read");
}

#[test]
fn a_failure_within_a_segment_loses_no_expired_record() {
    let (disk, mut process) = expired_backlog(SpoolOptions::new().max_dead_letter_bytes(64 << 20));
    process.writer.write_dead_letters();
    let first = process.spool.stats().expired;
    assert!((1..60).contains(&first));
    for calls in 0..40 {
        disk.fail_after(calls);
        process.writer.write_dead_letters();
        disk.clear_faults();
    }
    (0..60).for_each(|_| process.writer.write_dead_letters());
    assert_eq!((process.spool.stats().expired, process.spool.stats().lost), (60, 0));
    assert_eq!(dead_letters_of(&disk).len(), 60);
}

#[test]
fn a_rewritten_record_keeps_its_age() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    let appended = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let receipt =
        process.spool.append_at(Endpoint::HistoricalEvents, "{}".into(), Some(appended)).expect("there is room");
    process.append("[]").expect("confirmed");
    result_of(receipt).expect("confirmed");
    process.close();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    assert_eq!(texts(&process.read_all()), ["[]"]);
    process.commit();
    assert_eq!(dead_letters_of(&disk)[0].endpoint, Endpoint::HistoricalEvents);
}

#[test]
fn an_expired_record_that_is_evicted_counts_once() {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_000).when_full(SpoolFullPolicy::DropOldest);
    let settings = settings.clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let (settings, evicted) = collect_evictions(settings);
    let mut process = Process::start(&disk, settings).expect("a spool");
    for _ in 0..10 {
        process.append(BATCH).expect("confirmed");
    }
    hours.store(28 * 24 + 1, Ordering::Relaxed);
    assert_eq!(process.read_all(), []);
    // Before the first portion of them is written, new records take their space.
    let receipts = [(); 3].map(|()| process.spool.append(Endpoint::BulkEvents, BATCH).expect("there is room"));
    process.writer.commit();
    for receipt in receipts {
        result_of(receipt).expect("confirmed");
    }
    (0..10).for_each(|_| process.writer.write_dead_letters());
    let mut evicted = evicted.lock().expect("no panic").clone();
    evicted.sort_unstable_by_key(|(number, _)| *number);
    let gone = evicted.iter().map(|(number, _)| *number).filter(|number| *number <= 10).collect::<Vec<_>>();
    assert_eq!(gone, (1..=10).collect::<Vec<_>>(), "each is reported once");
    let too_old = evicted.iter().filter(|(_, why)| *why == EvictionReason::Expired).count();
    assert!((1..10).contains(&too_old), "{evicted:?}");
    assert_eq!(dead_letters_of(&disk).len(), too_old);
}
