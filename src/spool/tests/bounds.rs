//! The limits of a spool, and the eviction of records.

use super::*;

#[test]
fn a_full_spool_refuses_appends_until_records_are_done() {
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
fn queued_appends_are_bounded() {
    let disk = Simulated::default();
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_000).max_waiting_bytes(250);
    let mut process = Process::start(&disk, settings).expect("a spool");
    let receipts = [(); 2].map(|()| process.spool.append(Endpoint::BulkEvents, BATCH).expect("there is room"));
    let error = process.spool.append(Endpoint::BulkEvents, BATCH).expect_err("two wait");
    assert_eq!(error.to_string(), "the write queue of the spool is full");
    assert_eq!(process.spool.stats().waiting, 2);
    process.commit();
    for receipt in receipts {
        result_of(receipt).expect("confirmed");
    }
    process.append(BATCH).expect("none waits");
}

#[test]
fn segments_stay_within_their_size_however_many_appends_are_queued() {
    let disk = Simulated::default();
    let mut process = Process::start(&disk, SpoolOptions::new().segment_bytes(500).max_bytes(10_000)).expect("a spool");
    let receipts: Vec<_> =
        (0..50).map(|_| process.spool.append(Endpoint::BulkEvents, BATCH).expect("there is room")).collect();
    process.commit();
    for receipt in receipts {
        result_of(receipt).expect("confirmed");
    }
    let sizes: Vec<_> = disk.segments().iter().map(|segment| disk.read(segment).len()).collect();
    assert!(sizes.iter().all(|size| (400..=500).contains(size)), "{sizes:?}");
    assert_eq!(process.read_all().len(), 50);
}

#[test]
fn drop_oldest_evicts_the_oldest_records_and_reports_each_once() {
    let disk = Simulated::default();
    let (settings, evicted) = collect_evictions(
        SpoolOptions::new().segment_bytes(500).max_bytes(1_000).when_full(SpoolFullPolicy::DropOldest),
    );
    let mut process = Process::start(&disk, settings).expect("a spool");
    process.append(BATCH).expect("confirmed");
    let first = process.read_all().remove(0);
    for _ in 0..50 {
        process.append(BATCH).expect("there is always room");
        assert!(disk.segment_bytes() <= 1_000);
    }
    assert!(process.spool.acknowledge(first.number), "it was read before its segment was dropped");

    let mut numbers: Vec<_> = process.read_all().iter().map(|record| record.number).collect();
    assert!(numbers.len() >= 5, "the records of a segment are kept");
    let evicted = evicted.lock().expect("no panic");
    assert!(evicted.iter().all(|(_, why)| *why == EvictionReason::Capacity));
    assert_eq!(process.spool.stats().dropped, evicted.len() as u64);
    numbers.extend(evicted.iter().map(|(number, _)| *number));
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=51).collect::<Vec<_>>(), "each record is either read or reported, once");
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
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
fn contradictory_options_are_refused() {
    for settings in [SpoolOptions::new().segment_bytes(60), SpoolOptions::new().max_bytes(15 << 20)] {
        let error = Process::start(&Simulated::default(), settings).err().expect("refused");
        assert_eq!(error.kind(), crate::ErrorKind::Config);
    }
}

#[test]
fn has_room_until_an_append_would_evict_a_record() {
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
fn commit_returns_under_steady_load() {
    let disk = Simulated::default();
    let Process { spool, mut writer } = Process::start(&disk, SpoolOptions::new()).expect("a spool");
    let spool = Arc::new(spool);
    let append = {
        let spool = Arc::downgrade(&spool);
        move || drop(spool.upgrade().expect("it is open").append(Endpoint::BulkEvents, "{}").expect("there is room"))
    };
    append();
    // There is always another append, for longer than the test runs.
    let more = std::sync::atomic::AtomicU32::new(100);
    disk.on_sync(move || {
        if more.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            append();
        }
    });
    for records in 1..10 {
        writer.commit();
        let stats = spool.stats();
        assert_eq!((stats.unread, stats.waiting), (records, 1), "the commit does not return");
    }
    // Dropping the writer must not append any more.
    disk.on_sync(|| {});
}

#[test]
fn a_panic_in_the_eviction_callback_is_contained() {
    let disk = Simulated::default();
    let settings = SpoolOptions::new().segment_bytes(500).max_bytes(1_000).when_full(SpoolFullPolicy::DropOldest);
    let evicted = Evictions::default();
    let also = Arc::clone(&evicted);
    let settings = settings
        .on_evict(|_, _| panic!("on purpose"))
        .chain_on_evict(move |record, why| also.lock().expect("no panic").push((record.number, why)));
    let mut process = Process::start(&disk, settings).expect("a spool");
    for _ in 0..50 {
        process.append(BATCH).expect("there is always room");
    }
    assert!(evicted.lock().expect("no panic").len() >= 30, "the other callbacks are called");
}
