//! Truncated and damaged files: the spool opens, and returns no record that was not appended.

use proptest::prelude::*;

use super::super::format::{SEGMENT_HEAD_BYTES, write_record, write_segment_head};
use super::*;

const BATCHES: [&str; 6] = [r#"{"a":1}"#, "{}", r#"{"b":"two words"}"#, "", r#"{"c":null,"d":[1,2,3]}"#, r#"{"e":5}"#];

/// Creates a spool with these batches, of which the second and fifth are done. Returns the path of its only segment.
fn spool() -> (Simulated, std::path::PathBuf) {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    for batch in BATCHES {
        process.append(batch).expect("confirmed");
    }
    for number in [2, 5] {
        process.read_all();
        assert!(process.spool.acknowledge(number));
    }
    process.close();
    disk.kill_process();
    (disk, path("00000000000000000001.log"))
}

fn reopen(disk: &Simulated) -> Vec<Record> {
    let process = Process::start(disk, SpoolOptions::new()).expect("it opens");
    let records = process.read_all();
    drop(process);
    disk.kill_process();
    records
}

fn expected(keep: impl Fn(usize) -> bool) -> Vec<&'static str> {
    (0..BATCHES.len()).filter(|place| keep(*place)).map(|place| BATCHES[place]).collect()
}

/// Returns the offsets in the segment at which the records start, and at which the last one ends.
fn starts(segment: &[u8]) -> Vec<usize> {
    let mut starts = vec![SEGMENT_HEAD_BYTES];
    for batch in BATCHES {
        starts.push(starts[starts.len() - 1] + format::RECORD_HEAD_BYTES + batch.len());
    }
    assert_eq!(starts.last(), Some(&segment.len()));
    starts
}

#[test]
fn every_prefix_of_a_segment_yields_its_complete_records() {
    let (disk, segment) = spool();
    let bytes = disk.read(&segment);
    let starts = starts(&bytes);
    for length in 0..=bytes.len() {
        disk.put(&segment, bytes[..length].to_vec());
        let whole = expected(|place| starts[place + 1] <= length && place != 1 && place != 4);
        assert_eq!(texts(&reopen(&disk)), whole, "the first {length} bytes");
    }
}

#[test]
fn a_flipped_bit_in_a_segment_hides_at_most_one_record() {
    let (disk, segment) = spool();
    let bytes = disk.read(&segment);
    let starts = starts(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.put(&segment, flipped);
        let hit = |place: usize| (starts[place]..starts[place + 1]).contains(&(bit / 8));
        let others = expected(|place| !hit(place) && place != 1 && place != 4);
        assert_eq!(texts(&reopen(&disk)), others, "bit {bit}");
    }
}

#[test]
fn a_damaged_cursor_only_repeats_records() {
    let (disk, _) = spool();
    let bytes = disk.read(&path("cursor"));
    let prefixes = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    for cursor in prefixes.chain(flipped) {
        disk.put(&path("cursor"), cursor);
        assert_eq!(texts(&reopen(&disk)), BATCHES);
    }
    disk.put(&path("cursor"), bytes);
    assert_eq!(texts(&reopen(&disk)), expected(|place| place != 1 && place != 4));
}

#[test]
fn a_newer_version_is_refused_with_its_number() {
    let (disk, segment) = spool();
    for (file, checksum_from, what) in
        [(segment, SEGMENT_HEAD_BYTES - 4, "a segment"), (path("cursor"), 52, "the cursor")]
    {
        let old = disk.read(&file);
        let mut newer = old.clone();
        newer[8..12].copy_from_slice(&7_u32.to_le_bytes());
        let checksum = crc32fast::hash(&newer[..checksum_from]).to_le_bytes();
        newer[checksum_from..checksum_from + 4].copy_from_slice(&checksum);
        disk.put(&file, newer.clone());
        let error = Process::start(&disk, SpoolOptions::new()).err().expect("refused");
        let text = format!("{what} has format version 7, and this program supports versions up to 1");
        assert!(error.to_string().ends_with(&text), "{error}");
        assert_eq!(disk.read(&file), newer, "it is left as it is");
        disk.kill_process();
        disk.put(&file, old);
    }
    assert_eq!(reopen(&disk).len(), 4);
}

#[test]
fn numbers_are_not_reused_after_damage_or_removal_of_segments() {
    let (disk, segment) = spool();
    disk.put(&segment, b"nothing of ours".to_vec());
    for batch in ["{}", "[]"] {
        let mut process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
        process.append(batch).expect("confirmed");
        let numbers: Vec<_> = process.read_all().iter().map(|record| record.number).collect();
        assert!(numbers.iter().all(|number| *number > 6), "{numbers:?} are numbers of other records");
        for number in numbers {
            assert!(process.spool.acknowledge(number));
        }
        process.close();
        disk.kill_process();
        assert_eq!(reopen(&disk), []);
    }
}

/// Damages one byte of each of the batches with these indices.
fn damage_batches(disk: &Simulated, segment: &Path, places: &[usize]) {
    let starts = starts(&disk.read(segment));
    disk.edit(segment, |bytes| places.iter().for_each(|place| bytes[starts[*place + 1] - 1] ^= 1));
}

#[test]
fn a_damaged_segment_is_kept_when_its_readable_records_are_done() {
    let (disk, segment) = spool();
    // Two adjacent ones and a single one. The second and fifth are done.
    damage_batches(&disk, &segment, &[0, 2, 3]);
    let bytes = disk.read(&segment);
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
    let (size, stats) =
        (|place: usize| (format::RECORD_HEAD_BYTES + BATCHES[place].len()) as u64, process.spool.stats());
    assert_eq!((stats.damaged_bytes, stats.damaged_places), (size(0) + size(2) + size(3), 2));
    process.writer.compact();
    assert_eq!(disk.segments(), std::slice::from_ref(&segment), "a record of it is not done");
    for record in process.read_all() {
        assert!(process.spool.acknowledge(record.number));
    }
    process.writer.compact();
    let aside = path("00000000000000000001.log.damaged");
    assert_eq!((disk.segments(), disk.read(&aside)), (vec![], bytes));
    assert_eq!(process.spool.stats().bytes, disk.read(&aside).len() as u64, "it counts");
    process.close();

    let process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
    let again = process.spool.stats();
    assert_eq!((again.damaged_bytes, again.damaged_places), (stats.damaged_bytes, stats.damaged_places));
    assert_eq!((process.read_all(), again.bytes), (vec![], disk.read(&aside).len() as u64));
}

#[test]
fn a_segment_without_a_readable_record_is_kept() {
    let (disk, segment) = spool();
    disk.put(&segment, vec![b'x'; 500]);
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
    process.writer.compact();
    assert_eq!(disk.read(&path("00000000000000000001.log.damaged")), vec![b'x'; 500]);
    assert_eq!((process.spool.stats().damaged_bytes, process.spool.stats().damaged_places), (500, 1));
}

#[test]
fn partial_records_and_zeros_at_the_end_are_not_damage() {
    let (disk, segment) = spool();
    let bytes = disk.read(&segment);
    let zeros = [&bytes[..], &[0; 200]].concat();
    let half = [&bytes[..bytes.len() - 3], &[0; 3]].concat();
    let cuts = (0..=bytes.len()).map(|length| bytes[..length].to_vec());
    for contents in cuts.chain([zeros, half, bytes[..SEGMENT_HEAD_BYTES].to_vec()]) {
        disk.put(&segment, contents);
        let mut process = Process::start(&disk, SpoolOptions::new()).expect("it opens");
        assert_eq!((process.spool.stats().damaged_bytes, process.spool.stats().damaged_places), (0, 0));
        for record in process.read_all() {
            assert!(process.spool.acknowledge(record.number));
        }
        process.writer.compact();
        assert!(!disk.names().iter().any(|name| name.contains("log")), "{:?}", disk.names());
        drop(process);
        disk.kill_process();
    }
}

#[test]
fn damaged_segments_are_removed_oldest_first_when_the_spool_is_full() {
    for when_full in [SpoolFullPolicy::Refuse, SpoolFullPolicy::DropOldest] {
        let (disk, _) = spool();
        disk.put(&path("00000000000000000001.log"), vec![b'x'; 400]);
        disk.put(&path("00000000000000000002.log.damaged"), vec![b'x'; 400]);
        let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_600).when_full(when_full);
        let mut process = Process::start(&disk, settings).expect("it opens");
        process.writer.compact();
        let aside = || disk.names().into_iter().filter(|name| name.ends_with("damaged")).collect::<Vec<_>>();
        assert_eq!(aside().len(), 2);
        let total = || disk.names().iter().map(|name| disk.read(&path(name)).len()).sum::<usize>();
        for _ in 0..7 {
            process
                .append(r#"{"a":"batch of a hundred bytes or so, with its head and all that belongs to it"}"#)
                .expect("room");
            assert!(total() <= 1_700, "{} bytes", total());
        }
        assert_eq!(aside(), ["00000000000000000002.log.damaged"]);
        for _ in 0..5 {
            process
                .append(r#"{"a":"batch of a hundred bytes or so, with its head and all that belongs to it"}"#)
                .expect("room");
        }
        assert_eq!(aside(), [""; 0]);
        assert_eq!((process.spool.stats().dropped, process.read_all().len()), (0, 12));
    }
}

/// Generates the bytes of records and garbage, in any order.
fn segments() -> impl Strategy<Value = Vec<u8>> {
    let record = (any::<u64>(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(number, batch)| {
        let mut bytes = Vec::new();
        write_record(&mut bytes, number % 50, chrono::DateTime::UNIX_EPOCH, Endpoint::HistoricalEvents, &batch);
        bytes
    });
    let head = any::<u64>().prop_map(|first| {
        let mut bytes = Vec::new();
        write_segment_head(&mut bytes, first);
        bytes
    });
    let part = prop_oneof![4 => record, 1 => head, 2 => prop::collection::vec(any::<u8>(), 0..60)];
    prop::collection::vec(part, 0..10).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_yield_only_records_that_they_contain(mut bytes in segments(), cut in any::<prop::sample::Index>()) {
        bytes.truncate(cut.index(bytes.len() + 1));
        let mut records = Records::new(&bytes[..]);
        let mut last = None;
        for record in &mut records {
            let record = record.expect("no newer version");
            prop_assert!(last < Some(record.number));
            last = Some(record.number);
            let mut written = Vec::new();
            write_record(&mut written, record.number, record.appended, record.endpoint, &record.batch);
            prop_assert!(bytes.windows(written.len()).any(|window| window == written));
        }
        prop_assert!(records.damaged_bytes() <= bytes.len() as u64);
        prop_assert!(records.damage().bytes <= records.damaged_bytes());
    }
}
