//! Shutdown: batches in memory are written to the disk, in order, until the deadline.

use tokio::time::sleep;

use super::*;
use crate::delivery::memory::accepted;

#[tokio::test(start_paused = true)]
async fn shutdown_writes_batches_in_memory_to_the_disk() {
    let spilling = Config { when_full: WhenFull::Spill, linger: 60 * SECOND, ..settings() };
    let (rig, disk) = rig_on_disk(MemoryTransport::delayed(|_| (3_600 * SECOND, accepted())), spilling);
    (0..120).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    sleep(SECOND).await;
    rig.track(user(200), event("e")).expect("room");
    assert_eq!((disk.ids().len(), rig.checked_stats().pending), (0, 121));
    let start = Instant::now();
    let uploader = rig.uploader.clone();
    // One hundred are in flight in a request that hangs.
    let counts = rig.end(10 * SECOND).await;
    assert!(start.elapsed() <= 10 * SECOND);
    assert_eq!((counts.spooled, counts.pending, disk.ids().len()), (121, 0, 121));
    assert_eq!(uploader.0.shared.lock().snapshot().held_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_eviction_completes_a_flush_immediately() {
    let disk = Arc::new(Disk::default());
    let lost = batch(9, 9).seal().expect("a batch");
    disk.lock().write(lost.clone());
    let rig = rig_with_journal(
        MemoryTransport::responding(|_| accepted()),
        settings(),
        Some(Arc::clone(&disk) as Arc<dyn Journal>),
    );
    disk.lock().unread.clear();
    let ended = rig.shutdown(60 * SECOND);
    sleep(SECOND).await;
    let watcher = {
        let mut inner = disk.lock();
        inner.evicted.push(EvictedRecord { number: Some(0), batch: Some(lost), error: Error::config("too old") });
        inner.watcher.clone().expect("the uploader has set it")
    };
    let start = Instant::now();
    watcher.notify_one();
    let counts = ended.await;
    assert_eq!((counts.recovered, counts.dropped, start.elapsed()), (1, 1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn shutdown_rewrites_records_evicted_after_they_were_read() {
    let (rig, disk) = rig_on_disk(MemoryTransport::delayed(|_| (3_600 * SECOND, accepted())), settings());
    for n in 0..10 {
        rig.send(batch(n, n)).accepted().await.expect("on the disk");
    }
    sleep(SECOND).await;
    let uploader = rig.uploader.clone();
    // The oldest segment is evicted after all records were read.
    disk.lock().records.drain(..4);
    let counts = rig.end(10 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending), (10, 0));
    assert_eq!(disk.ids().len(), 10);
    assert_eq!(uploader.0.shared.lock().snapshot().held_bytes, 0, "memory holds nothing that the disk has");
}

#[tokio::test(start_paused = true)]
async fn shutdown_keeps_a_short_timeout_with_a_slow_disk() {
    let (rig, disk) = rig_on_disk(MemoryTransport::responding(|_| accepted()), settings());
    disk.lock().takes = 3_600 * SECOND;
    rig.try_send(batch(0, "a")).expect("room");
    let start = Instant::now();
    let uploader = rig.uploader.clone();
    let counts = rig.end(SECOND / 10).await;
    assert_eq!((counts.pending, start.elapsed()), (1, SECOND / 10));
    let unsent = uploader.take_unsent();
    assert_eq!(unsent.iter().map(SealedBatch::source_request_id).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_writes_failed_writes_in_their_order() {
    for limit in [4, 10_000] {
        let transport = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
        let (rig, disk) = rig_on_disk(transport, Config { max_batches: limit, ..settings() });
        send_with_failures(&rig, &disk, 0..30, &[8, 20]).await;
        let counts = rig.end(60 * SECOND).await;
        assert_eq!((counts.spooled, counts.pending), (30, 0));

        let disk = disk.restart();
        let transport = MemoryTransport::responding(|_| accepted());
        let rig = rig_with_journal(transport, settings(), Some(Arc::clone(&disk) as Arc<dyn Journal>));
        let transport = Arc::clone(&rig.transport);
        assert_eq!(rig.end(60 * SECOND).await.delivered, 30);
        assert_eq!(
            transport.accepted(),
            (0..30).map(|id| id.to_string()).collect::<Vec<_>>(),
            "{limit} batches in memory"
        );
    }
}

/// Returns the ids in the order in which the next uploader delivers them, without duplicates.
async fn ids_of_next_uploader(disk: &Disk) -> Vec<usize> {
    let disk = disk.restart();
    disk.lock().fails = false;
    let rig = rig_with_journal(
        MemoryTransport::responding(|_| accepted()),
        settings(),
        Some(Arc::clone(&disk) as Arc<dyn Journal>),
    );
    let transport = Arc::clone(&rig.transport);
    let counts = rig.end(600 * SECOND).await;
    assert_eq!((counts.pending, counts.spooled), (0, 0));
    let mut seen = BTreeSet::new();
    let ids = transport.accepted().into_iter().map(|id| id.parse().expect("a number"));
    ids.filter(|id| seen.insert(*id)).collect()
}

/// Returns an uploader with the first batch of a user in flight and in memory only, and with 29 newer ones on the disk.
async fn rig_with_newer_records_on_the_disk() -> (Rig, Arc<Disk>) {
    let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = rig_on_disk(stalling, Config { max_batches: 2, when_full: WhenFull::Spill, ..settings() });
    rig.try_send(batch(0, 0)).expect("room");
    sleep(SECOND).await;
    (1..30).for_each(|id| rig.try_send(batch(0, id)).expect("room on the disk"));
    sleep(SECOND).await;
    assert_eq!((disk.ids().len(), rig.checked_stats().pending), (29, 1));
    assert!(disk.lock().unread.len() > 20, "most of it is not read ahead");
    (rig, disk)
}

#[tokio::test(start_paused = true)]
async fn shutdown_spools_a_batch_before_newer_records_of_its_user() {
    let (rig, disk) = rig_with_newer_records_on_the_disk().await;
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending, disk.lock().records.len()), (30, 0, 30));
    assert!(
        disk.lock().again.iter().all(|(_, appended)| *appended == DateTime::UNIX_EPOCH),
        "the age of a record is kept"
    );
    assert_eq!(ids_of_next_uploader(&disk).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_all_be_rewritten_stay_in_their_order() {
    for (no_room, breaks) in [(true, vec![]), (false, vec![20])] {
        let (rig, disk) = rig_with_newer_records_on_the_disk().await;
        {
            let mut inner = disk.lock();
            (inner.no_room, inner.breaks, inner.writes) = (no_room, breaks, 0);
        }
        let counts = rig.end(60 * SECOND).await;
        assert_eq!((counts.spooled, counts.pending, disk.ids().len()), (30, 0, 30));
        assert_eq!(
            ids_of_next_uploader(&disk).await,
            (1..30).chain([0]).collect::<Vec<_>>(),
            "without room: {no_room}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_spools_evicted_batches_before_newer_records_of_their_user() {
    let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) =
        rig_on_disk(stalling, Config { max_batches: 4, endpoint: Endpoint::HistoricalEvents, ..settings() });
    disk.lock().endpoint = Some(Endpoint::HistoricalEvents);
    for id in 0..30 {
        rig.send(batch(0, id)).accepted().await.expect("on the disk");
    }
    sleep(SECOND).await;
    assert_eq!(disk.lock().unread.len(), 25, "one is in flight, and four are read ahead");
    disk.lock().records.drain(..2);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending, disk.lock().records.len()), (30, 0, 30));
    let again = disk.lock().again.clone();
    assert!(again.iter().all(|it| *it == (Endpoint::HistoricalEvents, DateTime::UNIX_EPOCH)), "{again:?}");
    assert_eq!(ids_of_next_uploader(&disk).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn shutdown_rewrites_records_whose_file_vanished() {
    for fails in [false, true] {
        let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
        let (rig, disk) = rig_on_disk(stalling, settings());
        for id in 0..10 {
            rig.send(batch(id, id)).accepted().await.expect("on the disk");
        }
        sleep(SECOND).await;
        assert_eq!(disk.lock().unread.len(), 0, "all are read");
        {
            let mut inner = disk.lock();
            (inner.vanishes, inner.fails) = (vec![0, 1, 7], fails);
        }
        let uploader = rig.uploader.clone();
        let counts = rig.end(60 * SECOND).await;
        let left = if fails { 3 } else { 0 };
        assert_eq!((counts.spooled, counts.pending), (10 - left, left), "the disk fails: {fails}");
        assert_eq!(disk.ids().len() as u64, counts.spooled, "spooled batches are on the disk");
        let mut unsent: Vec<_> =
            uploader.take_unsent().iter().map(|batch| batch.source_request_id().to_owned()).collect();
        unsent.sort_unstable();
        assert_eq!(unsent, if fails { vec!["0", "1", "7"] } else { vec![] });
        assert_eq!(ids_of_next_uploader(&disk).await.len() as u64, counts.spooled);
    }
}
