//! Sizes: the spool stays within its bounds, and reports the records that it evicts.

use super::*;

#[test]
fn a_full_spool_refuses_and_takes_again_when_records_are_done() {
    let disk = Simulated::default();
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(2_000);
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
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_000).max_waiting_bytes(250);
    let mut process = Process::start(&disk, settings).expect("a spool");
    let receipts = [(); 2].map(|()| process.spool.append(Endpoint::BulkEvents, BATCH).expect("there is room"));
    let error = process.spool.append(Endpoint::BulkEvents, BATCH).expect_err("two wait");
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
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(500).max_bytes(10_000)).expect("a spool");
    let receipts: Vec<_> =
        (0..50).map(|_| process.spool.append(Endpoint::BulkEvents, BATCH).expect("there is room")).collect();
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
    let (settings, told) =
        telling(SpoolOptions::new().segment_bytes(500).max_bytes(1_000).when_full(SpoolFullPolicy::DropOldest));
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
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(100).max_bytes(200)).expect("a spool");
    process.append(&"x".repeat(40)).expect("it fits");
    let error = process.append(&"x".repeat(41)).expect_err("it does not");
    assert_eq!(error.to_string(), "the batch is too large for the spool");

    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    process.append(&"x".repeat(MAX_RECORD_BYTES)).expect("it fits");
    process.append(&"x".repeat(MAX_RECORD_BYTES + 1)).expect_err("it does not");
    assert_eq!(process.read_all()[0].batch.len(), MAX_RECORD_BYTES);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for settings in [SpoolOptions::new().segment_bytes(60), SpoolOptions::new().max_bytes(15 << 20)] {
        let error = Process::start(&Simulated::default(), settings).err().expect("refused");
        assert_eq!(error.kind(), crate::ErrorKind::Config);
    }
}

#[test]
fn there_is_room_for_another_record_as_long_as_none_has_to_give_way() {
    let disk = Simulated::default();
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_000).when_full(SpoolFullPolicy::DropOldest);
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
fn under_steady_load_everything_else_has_its_turn() {
    let disk = Simulated::default();
    let Process { spool, mut writer } = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    let spool = Arc::new(spool);
    let append = {
        let spool = Arc::downgrade(&spool);
        move || drop(spool.upgrade().expect("it is open").append(Endpoint::BulkEvents, "{}").expect("there is room"))
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
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_000).when_full(SpoolFullPolicy::DropOldest);
    let told = Told::default();
    let also = Arc::clone(&told);
    let settings = settings
        .on_evict(|_, _| panic!("on purpose"))
        .chain_on_evict(move |record, why| also.lock().expect("no panic").push((record.number, why)));
    let mut process = Process::start(&disk, settings).expect("a spool");
    for _ in 0..50 {
        process.append(BATCH).expect("there is always room");
    }
    assert!(told.lock().expect("no panic").len() >= 30, "each other callback is called all the same");
}
