//! Sizes and ages: what is bounded stays in its bounds, and what gives way is told of.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta};

use super::*;

const BATCH: &str = r#"{"some":"batch of the size that batches have here"}"#;

type Told = Arc<Mutex<Vec<(u64, EvictionReason)>>>;

fn telling(settings: Settings) -> (Settings, Told) {
    let told = Told::default();
    let teller = Arc::clone(&told);
    let settings = settings.on_evict(move |record, why| teller.lock().expect("no panic").push((record.number, why)));
    (settings, told)
}

#[test]
fn a_full_spool_refuses_and_takes_again_when_records_are_done() {
    let disk = Simulated::default();
    let settings = Settings::new().segment_bytes(500).max_bytes(2_000);
    let mut process = Process::start(&disk, settings).expect("a spool");
    for round in 0..3 {
        let mut taken = 0;
        let error = loop {
            match process.append(BATCH) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(disk.segment_bytes() <= 2_000);
        };
        assert_eq!(error.to_string(), "the spool is full");
        assert!(taken >= 15, "round {round}: {taken} batches of 85 bytes fit into what is not the active segment");
        let records = process.read_all();
        assert_eq!(records.len(), taken);
        for record in records {
            assert!(process.spool.acknowledge(record.number));
        }
        process.writer.compact();
    }
}

#[test]
fn what_waits_for_the_disk_counts_as_well() {
    let disk = Simulated::default();
    let settings = Settings::new().segment_bytes(500).max_bytes(1_000).max_waiting_bytes(250);
    let mut process = Process::start(&disk, settings).expect("a spool");
    let receipts = [(); 2].map(|()| process.spool.append(Endpoint::Events, BATCH).expect("there is room"));
    let error = process.spool.append(Endpoint::Events, BATCH).expect_err("two wait");
    assert_eq!(error.to_string(), "too much waits for the disk of the spool");
    assert_eq!(process.spool.stats().waiting, 2);
    process.commit();
    for receipt in receipts {
        settled(receipt).expect("confirmed");
    }
    process.append(BATCH).expect("none waits");
}

#[test]
fn no_segment_grows_too_large_however_much_waits() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, Settings::new().segment_bytes(500).max_bytes(10_000)).expect("a spool");
    let receipts: Vec<_> =
        (0..50).map(|_| process.spool.append(Endpoint::Events, BATCH).expect("there is room")).collect();
    process.commit();
    for receipt in receipts {
        settled(receipt).expect("confirmed");
    }
    let sizes: Vec<_> = disk.segments().iter().map(|segment| disk.read(segment).len()).collect();
    assert!(sizes.iter().all(|size| (400..=500).contains(size)), "{sizes:?}");
    assert_eq!(process.read_all().len(), 50);
}

#[test]
fn the_oldest_give_way_if_so_set_and_each_is_told_of() {
    let disk = Simulated::default();
    let (settings, told) = telling(Settings::new().segment_bytes(500).max_bytes(1_000).when_full(WhenFull::DropOldest));
    let mut process = Process::start(&disk, settings).expect("a spool");
    process.append(BATCH).expect("confirmed");
    let first = process.read_all().remove(0);
    for _ in 0..50 {
        process.append(BATCH).expect("there is always room");
        assert!(disk.segment_bytes() <= 1_000);
    }
    assert!(process.spool.acknowledge(first.number), "it was read before its segment was dropped");

    let mut numbers: Vec<_> = process.read_all().iter().map(|record| record.number).collect();
    assert!(numbers.len() >= 5, "a segment's worth is kept");
    let told = told.lock().expect("no panic");
    assert!(told.iter().all(|(_, why)| *why == EvictionReason::Capacity));
    assert_eq!(process.spool.stats().dropped, told.len() as u64);
    numbers.extend(told.iter().map(|(number, _)| *number));
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=51).collect::<Vec<_>>(), "each is either read or told of, once");
}

#[test]
fn a_batch_that_no_segment_takes_is_refused() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, Settings::new().segment_bytes(100).max_bytes(200)).expect("a spool");
    process.append(&"x".repeat(40)).expect("it fits");
    let error = process.append(&"x".repeat(41)).expect_err("it does not");
    assert_eq!(error.to_string(), "the batch is too large for the spool");

    let disk = Simulated::default();
    let mut process = Process::start(&disk, Settings::new()).expect("a spool");
    process.append(&"x".repeat(MAX_RECORD_BYTES)).expect("it fits");
    process.append(&"x".repeat(MAX_RECORD_BYTES + 1)).expect_err("it does not");
    assert_eq!(process.read_all()[0].batch.len(), MAX_RECORD_BYTES);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for settings in [Settings::new().segment_bytes(60), Settings::new().max_bytes(15 << 20)] {
        let error = Process::start(&Simulated::default(), settings).err().expect("refused");
        assert_eq!(error.kind(), crate::ErrorKind::Config);
    }
}

#[test]
fn what_is_too_old_goes_to_the_dead_letters_with_the_reason() {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings =
        Settings::new().clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let (settings, told) = telling(settings);
    let mut process = Process::start(&disk, settings.clone()).expect("a spool");
    process.append(r#"{"old":true}"#).expect("confirmed");
    hours.store(1, Ordering::Relaxed);
    process.append(r#"{"young":true}"#).expect("confirmed");
    // A clock that goes back makes nothing old.
    hours.store(-1_000, Ordering::Relaxed);
    process.append(r#"{"from the past":true}"#).expect("confirmed");
    process.close();

    hours.store(28 * 24 + 1, Ordering::Relaxed);
    let mut process = Process::start(&disk, settings.clone()).expect("a spool");
    assert_eq!(texts(&process.read_all()), [r#"{"young":true}"#]);
    process.commit();
    assert_eq!(*told.lock().expect("no panic"), [(1, EvictionReason::Expired), (3, EvictionReason::Expired)]);
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

fn dead_letters_of(disk: &Simulated) -> Vec<DeadLetter> {
    let directory = Directory::new(Arc::new(disk.clone()), DIR.into());
    let letters: std::io::Result<_> = dead_letters::read_all(&directory).expect("readable").collect();
    letters.expect("letters")
}

#[test]
fn dead_letter_files_stay_within_their_total_and_the_oldest_are_removed_and_counted() {
    let disk = Simulated::default();
    // From an earlier version, which had one older file: it counts as the oldest.
    let line = br#"{"time":"1970-01-01T00:00:00.000Z","reason":"old","endpoint":"events","batch":{}}"#;
    disk.put(&path("dead-letters.old.ndjson"), [&line[..], b"\n"].concat());
    let mut process = Process::start(&disk, Settings::new().max_dead_letter_bytes(1_000)).expect("a spool");
    for place in 0..20 {
        let receipt = process.spool.dead_letter(Endpoint::Historical, BATCH, place.to_string()).expect("there is room");
        process.commit();
        settled(receipt).expect("written");
        let files = disk.names().into_iter().filter(|name| name.starts_with("dead-letters"));
        let total: usize = files.map(|name| disk.read(&path(&name)).len()).sum();
        assert!(total <= 1_000, "{total} bytes after {place}");
        let letters = dead_letters_of(&disk);
        let reasons: Vec<_> = letters.iter().map(|letter| letter.reason.as_str()).collect();
        let expected: Vec<_> =
            std::iter::once("old".to_owned()).chain((0..=place).map(|n: i32| n.to_string())).collect();
        assert_eq!(reasons, expected[expected.len() - reasons.len()..], "the newest are kept, in their order");
        assert_eq!(reasons.len() as u64 + process.spool.stats().dead_letters_dropped, expected.len() as u64);
    }
    assert!(dead_letters_of(&disk).len() >= 5);
    assert!(process.spool.stats().dead_letters_dropped >= 10);
}

#[test]
fn files_are_moved_on_from_where_a_crash_left_them() {
    let disk = Simulated::default();
    let line = |reason: &str| {
        format!(
            "{{\"time\":\"1970-01-01T00:00:00.000Z\",\"reason\":\"{reason}\",\"endpoint\":\"events\",\"batch\":{{}}}}\n"
        )
    };
    // The second had become the third already.
    for (name, reason) in [("dead-letters.3.ndjson", "a"), ("dead-letters.1.ndjson", "b"), ("dead-letters.ndjson", "c")]
    {
        disk.put(&path(name), line(reason).into_bytes());
    }
    let mut process = Process::start(&disk, Settings::new().max_dead_letter_bytes(1_000)).expect("a spool");
    let receipt = process.spool.dead_letter(Endpoint::Events, BATCH, "d").expect("there is room");
    process.commit();
    settled(receipt).expect("written");
    let reasons: Vec<_> = dead_letters_of(&disk).into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["a", "b", "c", "d"]);
}

#[test]
fn a_large_backlog_that_is_too_old_goes_to_the_dead_letters_in_portions() {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings =
        Settings::new().clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let (settings, told) = telling(settings.segment_bytes(1 << 20));
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
        *told.lock().expect("no panic"),
        (1..=60).map(|number| (number, EvictionReason::Expired)).collect::<Vec<_>>()
    );
    let letters = dead_letters_of(&disk);
    assert!(letters.iter().enumerate().all(|(place, letter)| letter.batch == batch(place)));
    assert_eq!((letters.len(), process.spool.stats().outstanding), (60, 1));
}

/// A spool with 60 records of 100 kB in one segment that were read and are too old.
fn expired_backlog(settings: Settings) -> (Simulated, Process) {
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
fn expired_records_are_written_however_few_dead_letters_are_kept() {
    for max in [0, 1, 7, 100] {
        let (_disk, mut process) = expired_backlog(Settings::new().max_dead_letter_bytes(max));
        for expired in 1..=60 {
            process.writer.write_dead_letters();
            assert_eq!(process.spool.stats().expired, expired, "{max} bytes");
        }
        assert!(!process.spool.shared.lock().index.has_expired());
    }
}

#[test]
fn a_segment_is_read_once_for_all_its_portions_of_dead_letters() {
    let (disk, mut process) = expired_backlog(Settings::new().max_dead_letter_bytes(800_000));
    let before = disk.bytes_read();
    (0..60).for_each(|_| process.writer.write_dead_letters());
    assert_eq!(process.spool.stats().expired, 60);
    let read = disk.bytes_read() - before;
    // Each file that gives way is read as well, to count its letters.
    assert!(read < 20 << 20, "of 6 MB, {read} bytes are read");
}

#[test]
fn a_failure_in_the_middle_of_a_segment_loses_no_expired_record() {
    let (disk, mut process) = expired_backlog(Settings::new().max_dead_letter_bytes(64 << 20));
    process.writer.write_dead_letters();
    let first = process.spool.stats().expired;
    assert!((1..60).contains(&first));
    for calls in 0..40 {
        disk.fail_after(calls);
        process.writer.write_dead_letters();
        disk.heal();
    }
    (0..60).for_each(|_| process.writer.write_dead_letters());
    assert_eq!((process.spool.stats().expired, process.spool.stats().lost), (60, 0));
    assert_eq!(dead_letters_of(&disk).len(), 60);
}

#[test]
fn the_reasons_of_dead_letters_that_wait_are_bounded_as_well() {
    let disk = Simulated::default();
    let process = Process::start(&disk, Settings::new().max_waiting_bytes(100_000)).expect("a spool");
    let reason = "x".repeat(1 << 20);
    let taken = (0..100).filter(|_| process.spool.dead_letter(Endpoint::Events, "{}", reason.clone()).is_ok()).count();
    assert_eq!(taken, 24, "4,096 characters of each are kept");
    let waiting: usize = process.spool.shared.lock().dead_letters.iter().map(|letter| letter.reason.capacity()).sum();
    assert_eq!(waiting, 24 * 4_096);
}

#[test]
fn a_record_that_is_larger_than_a_segment_is_now_can_be_rejected() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, Settings::new()).expect("a spool");
    process.append(&format!(r#"{{"padding":"{}"}}"#, "x".repeat(1_000))).expect("confirmed");
    process.close();
    let mut process = Process::start(&disk, Settings::new().segment_bytes(500)).expect("a spool");
    let record = process.read_all().remove(0);
    let receipt = process.spool.reject(&record, "bad").expect("there is room");
    process.commit();
    settled(receipt).expect("written");
    assert_eq!(dead_letters_of(&disk)[0].batch, record.batch);
}

#[test]
fn a_record_that_is_appended_again_keeps_its_age() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, Settings::new()).expect("a spool");
    let appended = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let receipt = process.spool.append_at(Endpoint::Historical, "{}".into(), Some(appended)).expect("there is room");
    process.append("[]").expect("confirmed");
    settled(receipt).expect("confirmed");
    process.close();
    let mut process = Process::start(&disk, Settings::new()).expect("a spool");
    assert_eq!(texts(&process.read_all()), ["[]"]);
    process.commit();
    assert_eq!(dead_letters_of(&disk)[0].endpoint, Endpoint::Historical);
}

#[test]
fn there_is_room_for_another_record_as_long_as_none_has_to_give_way() {
    let disk = Simulated::default();
    let settings = Settings::new().segment_bytes(500).max_bytes(1_000).when_full(WhenFull::DropOldest);
    let mut process = Process::start(&disk, settings).expect("a spool");
    let mut appended = 0;
    while process.spool.has_room(&BATCH.into()) {
        process.append(BATCH).expect("confirmed");
        appended += 1;
    }
    assert!((8..=11).contains(&appended), "{appended} of 88 bytes");
    assert_eq!(process.spool.stats().dropped, 0);
}

#[test]
fn a_full_spool_that_drops_what_is_too_old_counts_it_once() {
    let disk = Simulated::default();
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&hours);
    let settings = Settings::new().segment_bytes(500).max_bytes(1_000).when_full(WhenFull::DropOldest);
    let settings = settings.clock(move || DateTime::UNIX_EPOCH + TimeDelta::hours(clock.load(Ordering::Relaxed)));
    let (settings, told) = telling(settings);
    let mut process = Process::start(&disk, settings).expect("a spool");
    for _ in 0..10 {
        process.append(BATCH).expect("confirmed");
    }
    hours.store(28 * 24 + 1, Ordering::Relaxed);
    assert_eq!(process.read_all(), []);
    // Before the first portion of them is written, new ones take their room.
    let receipts = [(); 3].map(|()| process.spool.append(Endpoint::Events, BATCH).expect("there is room"));
    process.writer.commit();
    for receipt in receipts {
        settled(receipt).expect("confirmed");
    }
    (0..10).for_each(|_| process.writer.write_dead_letters());
    let mut told = told.lock().expect("no panic").clone();
    told.sort_unstable_by_key(|(number, _)| *number);
    let gone = told.iter().map(|(number, _)| *number).filter(|number| *number <= 10).collect::<Vec<_>>();
    assert_eq!(gone, (1..=10).collect::<Vec<_>>(), "each is told of once");
    let too_old = told.iter().filter(|(_, why)| *why == EvictionReason::Expired).count();
    assert!((1..10).contains(&too_old), "{told:?}");
    assert_eq!(dead_letters_of(&disk).len(), too_old);
}

#[test]
fn a_line_that_a_crash_cut_off_spoils_no_other() {
    let disk = Simulated::default();
    disk.put(&path("dead-letters.ndjson"), br#"{"time":"1970-01-"#.to_vec());
    let mut process = Process::start(&disk, Settings::new()).expect("a spool");
    let receipt = process.spool.dead_letter(Endpoint::Events, "{\n \"a\" : 1 }", "why").expect("there is room");
    process.commit();
    settled(receipt).expect("written");
    let bytes = disk.read(&path("dead-letters.ndjson"));
    let mut letters = dead_letters::Lines::new(&bytes[..]);
    assert_eq!(letters.next().expect("a line").expect_err("cut off").to_string(), "line 1 is no dead letter");
    let letter = letters.next().expect("a line").expect("a letter");
    assert_eq!((letter.reason.as_str(), &letter.batch[..]), ("why", &b"{  \"a\" : 1 }"[..]));
    assert!(letters.next().is_none());
}

#[test]
fn under_steady_load_everything_else_has_its_turn() {
    let disk = Simulated::default();
    let Process { spool, mut writer } = Process::start(&disk, Settings::new()).expect("a spool");
    let spool = Arc::new(spool);
    let append = {
        let spool = Arc::downgrade(&spool);
        move || drop(spool.upgrade().expect("it is open").append(Endpoint::Events, "{}").expect("there is room"))
    };
    append();
    // There is always one more, for longer than the test looks on.
    let more = std::sync::atomic::AtomicU32::new(100);
    disk.meanwhile(move || {
        if more.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            append();
        }
    });
    for records in 1..10 {
        writer.commit();
        let stats = spool.stats();
        assert_eq!((stats.unread, stats.waiting), (records, 1), "one round, and then the others");
    }
    // Closing writes what is left, and nobody appends any more.
    disk.meanwhile(|| {});
}

#[test]
fn a_panic_in_the_callback_does_not_end_the_spool() {
    let disk = Simulated::default();
    let settings = Settings::new().segment_bytes(500).max_bytes(1_000).when_full(WhenFull::DropOldest);
    let told = Told::default();
    let also = Arc::clone(&told);
    let settings = settings
        .on_evict(|_, _| panic!("on purpose"))
        .also_on_evict(move |record, why| also.lock().expect("no panic").push((record.number, why)));
    let mut process = Process::start(&disk, settings).expect("a spool");
    for _ in 0..50 {
        process.append(BATCH).expect("there is always room");
    }
    assert!(told.lock().expect("no panic").len() >= 30, "each other callback is called all the same");
}
