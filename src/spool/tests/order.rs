//! Records that are taken from memory while others are read, and the numbers of records.

use super::*;

type Numbers = Arc<Mutex<Vec<u64>>>;

/// Appends these batches in one group, and returns their numbers.
fn append_all(process: &mut Process, batches: &[&str]) -> Vec<u64> {
    let receipts: Vec<_> = batches
        .iter()
        .map(|batch| process.spool.append(Endpoint::BulkEvents, (*batch).to_owned()).expect("there is room"))
        .collect();
    process.commit();
    let numbers = receipts.iter().map(Receipt::record_number).collect();
    for receipt in receipts {
        result_of(receipt).expect("confirmed");
    }
    numbers
}

fn read_before(process: &Process, limit: u64) -> Option<u64> {
    process.spool.next_record_before(Some(limit)).expect("the disk works").map(|record| record.number)
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.number).collect()
}

#[test]
fn a_taken_record_is_not_read_and_older_ones_are() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(180)).expect("a spool");
    assert_eq!(append_all(&mut process, &["[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[7]"]), [1, 2, 3, 4, 5, 6, 7]);
    assert!(disk.segments().len() > 1);
    for taken in [6, 2, 3] {
        assert!(process.spool.take_committed(taken));
        assert!(!process.spool.take_committed(taken), "it is outstanding");
    }
    assert_eq!((process.spool.unread(), process.spool.stats().outstanding), (4, 3));
    assert!(process.spool.acknowledge(3));
    assert!(!process.spool.take_committed(3), "it is done");
    assert_eq!(texts(&process.read_all()), ["[1]", "[4]", "[5]", "[7]"]);
    assert_eq!((process.spool.unread(), process.spool.stats().outstanding), (0, 6));
    process.close();

    let process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
    assert!(!process.spool.take_committed(1), "an earlier process appended it");
    assert_eq!(numbers(&process.read_all()), [1, 2, 4, 5, 6, 7], "records that are not acknowledged are read again");
}

#[test]
fn only_a_confirmed_record_can_be_taken() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    assert!(!process.spool.take_committed(1), "no record is confirmed");
    let receipt = process.spool.append(Endpoint::BulkEvents, "[1]").expect("there is room");
    assert_eq!(receipt.record_number(), 1);
    assert!(!process.spool.take_committed(1), "it is not written yet");
    process.commit();
    result_of(receipt).expect("confirmed");
    assert!(process.spool.take_committed(1));
    assert!(!process.spool.take_committed(2) && !process.spool.take_committed(u64::MAX));
}

#[test]
fn a_record_at_the_limit_stays_unread() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    append_all(&mut process, &["[1]", "[2]", "[3]", "[4]"]);
    assert_eq!((read_before(&process, 1), read_before(&process, 2)), (None, Some(1)));
    assert_eq!((read_before(&process, 2), process.spool.unread()), (None, 3));
    assert!(process.spool.take_committed(2), "it was read ahead, and stays to be taken");
    assert_eq!((read_before(&process, 3), read_before(&process, 4)), (None, Some(3)));
    assert_eq!(numbers(&process.read_all()), [4]);
    assert_eq!((process.spool.unread(), process.spool.stats().outstanding), (0, 4));
}

#[test]
fn taking_every_record_reads_nothing_from_the_disk() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(500)).expect("a spool");
    let before = disk.bytes_read();
    for _ in 0..100 {
        for number in append_all(&mut process, &["{}", "[]", "{}"]) {
            assert!(process.spool.take_committed(number));
            assert!(number <= 3 || process.spool.acknowledge(number - 3));
        }
        process.writer.compact();
    }
    assert_eq!(process.spool.next_record().expect("the disk works"), None);
    assert_eq!((disk.bytes_read(), process.spool.stats().outstanding), (before, 3));
    assert!(disk.segments().len() <= 2);
}

/// Creates a spool with three segments of three records each, of which the middle ones are taken. Also returns the numbers
/// that it reports as evicted and as lost.
fn taken_in_each_segment(settings: SpoolOptions) -> (Simulated, Process, Numbers, Numbers) {
    let (evicted, lost) = (Numbers::default(), Numbers::default());
    let (evictions, losses) = (Arc::clone(&evicted), Arc::clone(&lost));
    let settings = settings
        .on_evict(move |record, _| evictions.lock().expect("no panic").push(record.number))
        .on_lost(move |lost| losses.lock().expect("no panic").extend(lost.numbers));
    let disk = Simulated::default();
    let mut process = Process::start(&disk, settings.segment_bytes(180)).expect("a spool");
    append_all(&mut process, &[r#"{"a":1}"#; 9]);
    assert_eq!(disk.segments().len(), 3);
    assert!([2, 5, 8].into_iter().all(|number| process.spool.take_committed(number)));
    (disk, process, evicted, lost)
}

#[test]
fn eviction_reports_unread_records_and_not_taken_ones() {
    let settings = SpoolOptions::new().max_bytes(500).when_full(SpoolFullPolicy::DropOldest);
    let (_disk, mut process, evicted, lost) = taken_in_each_segment(settings);
    append_all(&mut process, &[r#"{"a":1}"#]);
    assert_eq!((evicted.lock().expect("no panic").clone(), process.spool.stats().dropped), (vec![1, 3], 2));
    assert!(!process.spool.take_committed(1) && !process.spool.contains(2), "they are gone");
    assert!(process.spool.acknowledge(2), "the caller that took the record has it");
    assert_eq!(numbers(&process.read_all()), [4, 6, 7, 9, 10]);
    assert_eq!(*lost.lock().expect("no panic"), [0; 0]);
}

#[test]
fn vanished_segments_lose_unread_records_and_not_taken_ones() {
    let (disk, process, evicted, lost) = taken_in_each_segment(SpoolOptions::new());
    let segments = disk.segments();
    disk.unlink(&segments[0]);
    // Leaves its first two records.
    disk.edit(&segments[1], |bytes| bytes.truncate(24 + 2 * 43));
    process.spool.find_vanished();
    assert_eq!(*lost.lock().expect("no panic"), [1, 3, 6]);
    assert_eq!([2, 5, 8].map(|number| process.spool.contains(number)), [false, true, true]);
    assert!(!process.spool.take_committed(3) && !process.spool.take_committed(6), "they are lost");
    assert_eq!(numbers(&process.read_all()), [4, 7, 9]);
    assert_eq!((process.spool.stats().lost, process.spool.unread()), (3, 0));
    assert_eq!(*evicted.lock().expect("no panic"), [0; 0]);
}

#[test]
fn a_failed_group_leaves_a_gap_in_the_numbers() {
    // The call that fails is the write, which leaves half of the bytes, or the fsync.
    for (calls, restart_forgets) in [(0, false), (0, true), (1, false), (1, true)] {
        let disk = Simulated::default();
        let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
        assert_eq!(append_all(&mut process, &["[1]", "[2]"]), [1, 2]);
        disk.fail_after(calls);
        let receipts =
            ["[3]", "[4]"].map(|batch| process.spool.append(Endpoint::BulkEvents, batch).expect("there is room"));
        let failed = [0, 1].map(|place: usize| receipts[place].record_number());
        process.commit();
        for receipt in receipts {
            result_of(receipt).expect_err("it failed");
        }
        assert_eq!(failed, [3, 4]);
        assert_eq!(append_all(&mut process, &["[5]"]), [5]);
        assert_eq!(disk.segments()[1], path("00000000000000000005.log"), "named after its own first record");
        assert_eq!(process.spool.last_number(), Some(5));
        assert!(failed.into_iter().all(|number| !process.spool.take_committed(number)));
        assert!(process.spool.take_committed(5) && process.spool.acknowledge(5));
        assert_eq!(texts(&process.read_all()), ["[1]", "[2]"]);
        assert!(process.spool.acknowledge(1) && !process.spool.acknowledge(3));
        process.close();
        if restart_forgets {
            disk.stop_machine(calls);
        }

        let mut process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
        let next = append_all(&mut process, &["[6]"])[0];
        assert!(next > 5, "{next} is the number of another record");
        for record in process.read_all() {
            let expected = if record.number == next { 6 } else { record.number };
            assert_eq!(record.batch, format!("[{expected}]"), "each record has its own number");
            assert!(![1, 5].contains(&record.number), "it was done");
        }
        assert!(process.spool.contains(2) && process.spool.contains(next));
    }
}
