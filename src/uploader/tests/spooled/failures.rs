//! Failing disks, lost records and rejected batches.

use tokio::time::sleep;

use super::*;
use crate::ErrorKind;
use crate::delivery::memory::{accepted, refused};

#[tokio::test(start_paused = true)]
async fn a_broken_disk_falls_back_to_memory() {
    for (fails, full) in [(true, false), (false, true)] {
        let (rig, disk) = rig_on_disk(MemoryTransport::responding(|_| accepted()), settings());
        disk.lock().fails = fails;
        disk.lock().full = full;
        rig.try_send(batch(0, 0)).expect("memory has room");
        let sent = rig.send(batch(1, 1)).accepted().await;
        assert_eq!(sent.expect_err("it would not survive the end of the program").batches(), []);
        let counts = rig.end(10 * SECOND).await;
        assert_eq!((counts.accepted, counts.delivered, counts.spooled), (2, 2, 0));
    }
    // With both full, the batch is handed back.
    let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = rig_on_disk(stalling, Config { max_batches: 1, when_full: WhenFull::Spill, ..settings() });
    disk.lock().full = true;
    rig.try_send(batch(0, 0)).expect("memory has room");
    assert_eq!(rig.try_send(batch(1, 1)).expect_err("full").error().kind(), ErrorKind::QueueFull);
    assert_eq!(rig.end(SECOND).await.pending, 1);
}

/// Returns an event of about this size, in bytes.
fn large_event(size: usize) -> CustomEvent {
    CustomEvent { view_controller: Some("x".repeat(size)), ..event("e") }
}

#[tokio::test(start_paused = true)]
async fn a_split_batch_is_accepted_when_all_parts_are_on_the_disk() {
    let (rig, disk) = rig_on_disk(MemoryTransport::delayed(|_| (3_600 * SECOND, accepted())), settings());
    disk.lock().breaks = vec![1];
    let sent = rig.send(batch(0, "a").events((0..5).map(|_| large_event(60_000)))).accepted().await;
    assert_eq!(disk.ids().len(), 2, "one of the three parts is in memory alone");
    sent.expect_err("it would not survive the end of the program");
    rig.send(batch(1, "b")).accepted().await.expect("the other batch is not affected");
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_while_the_disk_fails() {
    for when_full in [WhenFull::Refuse, WhenFull::Spill] {
        let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
        let (rig, disk) = rig_on_disk(stalling, Config { max_batches: 20, when_full, ..settings() });
        disk.lock().fails = true;
        disk.lock().takes = SECOND / 100;
        for n in 0..500 {
            _ = rig.try_send(batch(n, n));
            _ = rig.track(user(1_000 + n), event(n));
            sleep(SECOND / 50).await;
        }
        let pending = rig.checked_stats().pending;
        assert!((18..=24).contains(&pending), "{pending} with {when_full:?}");
        assert_eq!(rig.try_send(batch(0, 0)).expect_err("full").error().kind(), ErrorKind::QueueFull);
        // Once the disk works again, the spool is used again.
        disk.lock().fails = false;
        rig.end(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_too_large_for_a_request_is_rejected_and_delays_no_other() {
    let disk = Arc::new(Disk::default());
    let large = format!(r#"{{"source_request_id":"large","a":"{}"}}"#, "x".repeat(500_000));
    disk.lock().write(SealedBatch::from_json(large).expect("a batch"));
    disk.lock().write(batch(1, 1).seal().expect("a batch"));
    let rig = rig_with_journal(
        MemoryTransport::responding(|_| accepted()),
        settings(),
        Some(Arc::clone(&disk) as Arc<dyn Journal>),
    );
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.recovered, counts.delivered, counts.rejected), (2, 1, 1));
    assert_eq!(disk.lock().dead.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_of_the_spool_is_retried() {
    let disk = Arc::new(Disk::default());
    (0..20).for_each(|n| _ = disk.lock().write(batch(n, n).seal().expect("a batch")));
    disk.lock().unreadable = 3;
    let rig = rig_with_journal(
        MemoryTransport::responding(|_| accepted()),
        settings(),
        Some(Arc::clone(&disk) as Arc<dyn Journal>),
    );
    let start = Instant::now();
    assert_eq!(rig.flush(60 * SECOND).await.delivered, 20);
    assert_eq!(start.elapsed(), 3 * SECOND);
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn rejected_batches_are_dead_lettered_and_evicted_ones_reported() {
    let transport =
        MemoryTransport::responding(
            |request| if request.ids.contains(&"7".into()) { refused(400) } else { accepted() },
        );
    let (rig, disk) = rig_on_disk(transport, settings());
    (0..20).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let counts = rig.flush(60 * SECOND).await;
    assert_eq!((counts.delivered, counts.rejected, counts.spooled), (19, 1, 0));
    let (dead, reason) = disk.lock().dead[0].clone();
    assert_eq!(dead.source_request_id(), "7");
    assert_eq!(reason, "the service responded 400 Bad Request, with 1 error; SAID: no to 400");

    rig.end(SECOND).await;
    let disk = disk.restart();
    let lost = batch(9, 9).seal().expect("a batch");
    disk.lock().records.push((1_000, lost.clone()));
    let disk = disk.restart();
    let rig = rig_with_journal(
        MemoryTransport::delayed(|_| (SECOND, accepted())),
        settings(),
        Some(Arc::clone(&disk) as Arc<dyn Journal>),
    );
    let mut reports = rig.reports();
    {
        let mut inner = disk.lock();
        inner.unread.clear();
        inner.evicted.push(EvictedRecord { number: Some(1_000), batch: Some(lost), error: Error::config("too old") });
    }
    let counts = rig.end(SECOND).await;
    assert_eq!((counts.recovered, counts.dropped, counts.spooled), (1, 1, 0));
    assert!(matches!(reports.next().await.expect("an report").status(), DeliveryStatus::Dropped(_)));
}

#[tokio::test(start_paused = true)]
async fn batches_deferred_behind_unread_records_are_bounded() {
    let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = rig_on_disk(stalling, Config { max_batches: 10, ..settings() });
    send_with_failures(&rig, &disk, 0..30, &[]).await;
    disk.lock().fails = true;
    let mut taken = 0_usize;
    while rig.try_send(batch(0, 30 + taken)).is_ok() {
        taken += 1;
        sleep(SECOND / 100).await;
        assert!(taken <= 11, "{taken} batches are only in memory");
    }
    assert!(taken >= 9, "{taken}");
    let uploader = rig.uploader.clone();
    let counts = rig.end(4 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending), (30, taken as u64));
    let unsent: Vec<_> = uploader.take_unsent().iter().map(|batch| batch.source_request_id().to_owned()).collect();
    assert_eq!(unsent, (30..30 + taken).map(|id| id.to_string()).collect::<Vec<_>>());
}
