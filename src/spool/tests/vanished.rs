//! Segments that another program removes, truncates or damages while the spool is open.

use super::super::format::SEGMENT_HEAD_BYTES;
use super::*;

/// Creates a spool with six records in two segments, which this process wrote.
fn two_segments() -> (Simulated, Process) {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(180).max_bytes(10_000)).expect("a spool");
    for _ in 0..6 {
        process.append(r#"{"a":1}"#).expect("confirmed");
    }
    assert_eq!(disk.segments().len(), 2);
    (disk, process)
}

#[test]
fn records_of_a_vanished_file_count_as_lost() {
    for segment in [0, 1] {
        let (disk, mut process) = two_segments();
        disk.unlink(&disk.segments()[segment]);
        assert_eq!(process.read_all().len(), 3);
        let stats = process.spool.stats();
        assert_eq!((stats.lost, stats.unread, stats.outstanding), (3, 0, 3), "segment {segment}");
        process.append("{}").expect("the next records go to an existing file");
        assert_eq!(texts(&process.read_all()), ["{}"]);
        drop(process);
        disk.stop_machine(1);
        assert_eq!(Process::start(&disk, SpoolOptions::new()).expect("it opens").read_all().len(), 4);
    }
}

#[test]
fn records_truncated_or_damaged_while_open_count_as_lost() {
    let (disk, process) = two_segments();
    let segments = disk.segments();
    disk.edit(&segments[0], |bytes| bytes.truncate(SEGMENT_HEAD_BYTES + 50));
    disk.edit(&segments[1], |bytes| bytes[SEGMENT_HEAD_BYTES + 40] ^= 1);
    let records = process.read_all();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 5, 6]);
    assert_eq!((process.spool.stats().lost, process.spool.stats().unread), (3, 0));
    assert!(records.iter().all(|record| process.spool.acknowledge(record.number)));
    process.close();
    assert_eq!(disk.names(), ["00000000000000000004.log.damaged", "cursor"]);
}

#[test]
fn expired_records_that_vanish_count_as_lost() {
    for whole_file in [true, false] {
        let disk = Simulated::default();
        let settings = SpoolOptions::new().max_age(Duration::ZERO);
        let mut process =
            Process::start(&disk, settings.clone().clock(|| chrono::DateTime::UNIX_EPOCH)).expect("a spool");
        (0..3).for_each(|_| process.append("{}").expect("confirmed"));
        process.close();
        let mut process = Process::start(&disk, settings).expect("a spool");
        assert_eq!(process.read_all(), []);
        let segment = disk.segments().remove(0);
        if whole_file {
            disk.unlink(&segment);
        } else {
            disk.edit(&segment, |bytes| bytes.truncate(SEGMENT_HEAD_BYTES + 50));
        }
        process.writer.write_dead_letters();
        let stats = process.spool.stats();
        assert_eq!((stats.lost, stats.expired), if whole_file { (3, 0) } else { (2, 1) });
        assert_eq!((stats.outstanding, stats.unread), (0, 0));
    }
}

#[test]
fn a_lost_record_counts_once_even_if_its_file_vanishes_later() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    (0..3).for_each(|_| process.append("{}").expect("confirmed"));
    let segment = disk.segments().remove(0);
    disk.edit(&segment, |bytes| bytes[SEGMENT_HEAD_BYTES + 2..].fill(0));
    assert_eq!((process.read_all(), process.spool.stats().lost), (vec![], 3));
    process.append("[]").expect("confirmed");
    disk.unlink(&segment);
    assert_eq!(process.read_all(), [], "the segment was closed at the damage, and is gone");
    assert_eq!((process.spool.stats().lost, process.spool.stats().unread), (4, 0));
}

#[test]
fn evicted_records_that_cannot_be_read_count_as_lost() {
    for damage in ["none", "a byte", "no file"] {
        let disk = Simulated::default();
        let (evicted, lost) =
            (Arc::new(std::sync::Mutex::new(Vec::new())), Arc::new(std::sync::Mutex::new(Vec::new())));
        let settings = SpoolOptions::new().segment_bytes(180).max_bytes(360).when_full(SpoolFullPolicy::DropOldest);
        let settings = {
            let (evicted, lost) = (Arc::clone(&evicted), Arc::clone(&lost));
            settings
                .on_evict(move |record, _| evicted.lock().expect("no panic").push(record.number))
                .on_lost(move |gone| lost.lock().expect("no panic").extend(gone.numbers))
        };
        let mut process = Process::start(&disk, settings).expect("a spool");
        (0..6).for_each(|_| process.append(r#"{"a":1}"#).expect("confirmed"));
        let oldest = disk.segments().remove(0);
        match damage {
            "a byte" => disk.edit(&oldest, |bytes| bytes[SEGMENT_HEAD_BYTES + 40] ^= 1),
            "no file" => disk.unlink(&oldest),
            _ => {}
        }
        process.append(r#"{"a":1}"#).expect("there is always room");
        let (expected_evicted, expected_lost) = match damage {
            "none" => (vec![1, 2, 3], vec![]),
            "a byte" => (vec![2, 3], vec![1]),
            _ => (vec![], vec![1, 2, 3]),
        };
        let stats = process.spool.stats();
        assert_eq!(
            (stats.dropped, stats.lost),
            (expected_evicted.len() as u64, expected_lost.len() as u64),
            "{damage}"
        );
        assert_eq!(*evicted.lock().expect("no panic"), expected_evicted);
        assert_eq!(*lost.lock().expect("no panic"), expected_lost);
    }
}

#[test]
fn find_vanished_counts_lost_records_and_forgets_read_ones() {
    for restarted in [false, true] {
        for whole_file in [false, true] {
            let (disk, mut process) = two_segments();
            if restarted {
                process.close();
                process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
            }
            let read: Vec<_> = (0..2).map(|_| process.spool.next_record().expect("readable").expect("one")).collect();
            assert!(process.spool.acknowledge(read[0].number));
            process.spool.find_vanished();
            assert!(process.spool.contains(2) && process.spool.stats().lost == 0, "all is there");
            let segments = disk.segments();
            if whole_file {
                disk.unlink(&segments[0]);
            } else {
                // Leaves the first two, and one record of the other segment.
                disk.edit(&segments[0], |bytes| bytes.truncate(SEGMENT_HEAD_BYTES + 90));
                disk.edit(&segments[1], |bytes| bytes.truncate(SEGMENT_HEAD_BYTES + 50));
            }
            process.spool.find_vanished();
            assert_eq!(process.spool.contains(2), !whole_file);
            let stats = process.spool.stats();
            let (lost, unread) = if whole_file { (1, 3) } else { (3, 1) };
            assert_eq!((stats.lost, stats.unread, stats.outstanding), (lost, unread, 1), "restarted: {restarted}");
            process.spool.find_vanished();
            assert_eq!(process.read_all().len() as u64, unread);
            assert_eq!((process.spool.stats().lost, process.spool.stats().unread), (lost, 0), "each is counted once");

            disk.edit(&segments[1], |bytes| bytes.truncate(SEGMENT_HEAD_BYTES));
            process.spool.find_vanished();
            assert!((4..=6).all(|number| !process.spool.contains(number)));
            assert_eq!(process.spool.stats().lost, lost, "they are in memory");
            assert!(!process.spool.acknowledge(4), "there is nothing to acknowledge");
        }
    }
}
