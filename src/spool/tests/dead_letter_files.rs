//! Dead-letter files: their limits, and failures of the disk.

use super::*;

#[test]
fn dead_letter_files_stay_within_their_total_size_and_count_removals() {
    let disk = Simulated::default();
    // The oldest file.
    let line = br#"{"time":"1970-01-01T00:00:00.000Z","reason":"old","endpoint":"events","batch":{}}"#;
    disk.put(&path("dead-letters.1.ndjson"), [&line[..], b"\n"].concat());
    let mut process = Process::start(&disk, SpoolOptions::new().max_dead_letter_bytes(1_000)).expect("a spool");
    for place in 0..20 {
        let receipt =
            process.spool.dead_letter(Endpoint::HistoricalEvents, BATCH, place.to_string()).expect("there is room");
        process.commit();
        result_of(receipt).expect("written");
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
fn rotation_continues_after_a_crash_left_a_gap() {
    let disk = Simulated::default();
    let line = |reason: &str| {
        format!(
            "{{\"time\":\"1970-01-01T00:00:00.000Z\",\"reason\":\"{reason}\",\"endpoint\":\"events\",\"batch\":{{}}}}\n"
        )
    };
    // The second one was renamed to the third already.
    for (name, reason) in [("dead-letters.3.ndjson", "a"), ("dead-letters.1.ndjson", "b"), ("dead-letters.ndjson", "c")]
    {
        disk.put(&path(name), line(reason).into_bytes());
    }
    let mut process = Process::start(&disk, SpoolOptions::new().max_dead_letter_bytes(1_000)).expect("a spool");
    let receipt = process.spool.dead_letter(Endpoint::BulkEvents, BATCH, "d").expect("there is room");
    process.commit();
    result_of(receipt).expect("written");
    let reasons: Vec<_> = dead_letters_of(&disk).into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["a", "b", "c", "d"]);
}

#[test]
fn reasons_of_queued_dead_letters_are_bounded() {
    let disk = Simulated::default();
    let process = Process::start(&disk, SpoolOptions::new().max_waiting_bytes(100_000)).expect("a spool");
    let reason = "x".repeat(1 << 20);
    let taken =
        (0..100).filter(|_| process.spool.dead_letter(Endpoint::BulkEvents, "{}", reason.clone()).is_ok()).count();
    assert_eq!(taken, 24, "4,096 characters of each are kept");
    let waiting: usize = process.spool.shared.lock().dead_letters.iter().map(|letter| letter.reason.capacity()).sum();
    assert_eq!(waiting, 24 * 4_096);
}

#[test]
fn a_record_larger_than_the_segment_size_can_be_rejected() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append(&format!(r#"{{"padding":"{}"}}"#, "x".repeat(1_000))).expect("confirmed");
    process.close();
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(500)).expect("a spool");
    let record = process.read_all().remove(0);
    let receipt = process.spool.reject(&record, "bad").expect("there is room");
    process.commit();
    result_of(receipt).expect("written");
    assert_eq!(dead_letters_of(&disk)[0].batch, record.batch);
}

#[test]
fn a_partial_line_does_not_affect_the_next_dead_letter() {
    let disk = Simulated::default();
    disk.put(&path("dead-letters.ndjson"), br#"{"time":"1970-01-"#.to_vec());
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    let receipt = process.spool.dead_letter(Endpoint::BulkEvents, "{\n \"a\" : 1 }", "why").expect("there is room");
    process.commit();
    result_of(receipt).expect("written");
    let bytes = disk.read(&path("dead-letters.ndjson"));
    let mut letters = dead_letters::DeadLetterReader::new(&bytes[..]);
    assert_eq!(letters.next().expect("a line").expect_err("cut off").to_string(), "line 1 is not a dead letter");
    let letter = letters.next().expect("a line").expect("a letter");
    assert_eq!((letter.reason.as_str(), &letter.batch[..]), ("why", &b"{  \"a\" : 1 }"[..]));
    assert!(letters.next().is_none());
}

#[test]
fn a_failed_dead_letter_is_retried() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append("{}").expect("confirmed");
    let record = process.read_all().remove(0);
    let mut receipt = std::pin::pin!(process.spool.reject(&record, "bad").expect("there is room"));
    // The completion of this one is dropped.
    drop(process.spool.dead_letter(Endpoint::BulkEvents, "[]", "from memory").expect("there is room"));
    disk.make_read_only();
    for _ in 0..3 {
        process.commit();
        assert!(poll_result(receipt.as_mut()).is_none(), "it is tried again");
    }
    assert_eq!(process.spool.stats().outstanding, 1);
    disk.clear_faults();
    process.commit();
    poll_result(receipt).expect("result_of").expect("written");
    assert_eq!(process.spool.stats().outstanding, 0);
    assert_eq!(reasons(&disk), ["bad", "from memory"]);
}

#[test]
fn an_awaited_dead_letter_fails_after_five_attempts_and_its_record_stays() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append("{}").expect("confirmed");
    let record = process.read_all().remove(0);
    let receipt = process.spool.reject(&record, "bad").expect("there is room");
    drop(process.spool.dead_letter(Endpoint::BulkEvents, "[]", "from memory").expect("there is room"));
    disk.make_read_only();
    (0..5).for_each(|_| process.commit());
    result_of(receipt).expect_err("nothing can be written");
    assert_eq!(process.spool.stats().outstanding, 1);
    disk.clear_faults();
    process.commit();
    assert_eq!(reasons(&disk), ["from memory"]);
    process.close();
    assert_eq!(texts(&Process::start(&disk, SpoolOptions::new()).expect("a spool").read_all()), ["{}"]);
}

#[test]
fn a_failed_dead_letter_of_an_expired_record_is_retried() {
    let disk = Simulated::default();
    let settings = SpoolOptions::new().max_age(std::time::Duration::ZERO);
    let mut process = Process::start(&disk, settings.clone().clock(|| chrono::DateTime::UNIX_EPOCH)).expect("a spool");
    process.append("{}").expect("confirmed");
    process.close();
    let mut process = Process::start(&disk, settings).expect("a spool");
    assert_eq!(process.read_all(), []);
    disk.make_read_only();
    (0..10).for_each(|_| process.writer.write_dead_letters());
    assert_eq!((process.spool.stats().expired, process.spool.stats().outstanding), (0, 1));
    disk.clear_faults();
    process.writer.write_dead_letters();
    assert_eq!((process.spool.stats().expired, process.spool.stats().outstanding), (1, 0));
    assert_eq!(reasons(&disk), ["older than 0 days"]);
}

#[test]
fn queued_dead_letters_are_bounded_and_leave_room_for_appends() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new().max_waiting_bytes(260)).expect("a spool");
    for _ in 0..4 {
        drop(process.spool.dead_letter(Endpoint::BulkEvents, "[]", "bad").expect("there is room"));
    }
    let error = process.spool.dead_letter(Endpoint::BulkEvents, "[]", "bad").expect_err("four wait");
    assert_eq!(error.to_string(), "the dead-letter queue of the spool is full");
    let receipt = process.spool.append(Endpoint::BulkEvents, "{}").expect("there is room");
    process.commit();
    result_of(receipt).expect("confirmed");
}

#[test]
fn a_failed_write_leaves_no_part_of_a_dead_letter() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    for reason in ["first", "second", "third"] {
        let receipt = process.spool.dead_letter(Endpoint::BulkEvents, "{}", reason).expect("there is room");
        // The write, then the fsync.
        disk.fail_after(if reason == "second" { 1 } else { 1_000 });
        process.commit();
        process.commit();
        result_of(receipt).expect("written by the second try at the latest");
    }
    disk.stop_machine(1);
    assert_eq!(reasons(&disk), ["first", "second", "third"]);
}

fn reasons(disk: &Simulated) -> Vec<String> {
    let bytes = disk.read(&path("dead-letters.ndjson"));
    dead_letters::DeadLetterReader::new(&bytes[..]).map(|letter| letter.expect("a letter").reason).collect()
}
