//! The order of the batches of a user, in memory and on the disk.

use tokio::time::sleep;

use super::*;
use crate::ErrorKind;
use crate::delivery::memory::accepted;

#[tokio::test(start_paused = true)]
async fn spilling_preserves_the_order() {
    let transport = MemoryTransport::delayed(|request| {
        (if request.number == 0 { 10 * SECOND } else { Duration::ZERO }, accepted())
    });
    let spilling = Config { max_batches: 4, when_full: WhenFull::Spill, ..settings() };
    let (rig, disk) = rig_on_disk(transport, spilling);
    rig.try_send(batch(0, 0)).expect("room");
    sleep(SECOND).await;
    for n in 1..50 {
        rig.try_send(batch(0, n)).expect("room on the disk");
    }
    rig.track(user(0), event("50")).expect("room on the disk");
    sleep(SECOND).await;
    assert_eq!(disk.ids().len(), 50, "what waits goes before what has no room");
    let transport = Arc::clone(&rig.transport);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.accepted, counts.delivered), (51, 51));
    let mut expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    let arrived = transport.accepted();
    expected.push(arrived[50].clone());
    assert_eq!(arrived, expected);
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_is_not_overtaken() {
    let transport = MemoryTransport::delayed(|request| {
        (if request.number == 0 { 10 * SECOND } else { Duration::ZERO }, accepted())
    });
    let (rig, disk) = rig_on_disk(transport, Config { max_batches: 2, ..settings() });
    for n in 0..10 {
        rig.send(batch(0, n)).accepted().await.expect("on the disk");
    }
    disk.lock().full = true;
    assert_eq!(rig.try_send(batch(0, 10)).expect_err("older ones are in there").error().kind(), ErrorKind::QueueFull);
    let waiting = rig.send(batch(0, 11));
    assert_eq!(rig.checked_stats().accepted, 10);
    // It waits until there is no record that it could overtake, and is then in memory only.
    assert_eq!(waiting.accepted().await.expect_err("not on the disk").batches(), []);
    let transport = Arc::clone(&rig.transport);
    assert_eq!(rig.end(60 * SECOND).await.delivered, 11);
    assert_eq!(transport.accepted().join(" "), "0 1 2 3 4 5 6 7 8 9 11");
}

#[tokio::test(start_paused = true)]
async fn events_tracked_before_a_flush_precede_batches_sent_after_it() {
    let (rig, _) = rig_on_disk(MemoryTransport::responding(|_| accepted()), Config { linger: SECOND, ..settings() });
    rig.track(user(0), event("first")).expect("room");
    let flushed = rig.flush(60 * SECOND);
    rig.try_send(batch(0, "second")).expect("room");
    flushed.await;
    let transport = Arc::clone(&rig.transport);
    rig.end(60 * SECOND).await;
    assert_eq!(transport.accepted().len(), 2);
    assert_eq!(transport.accepted()[1], "second");
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_keeps_its_place_among_the_records_of_its_user() {
    // The first response takes long, so that no more than four batches are read ahead.
    let transport =
        MemoryTransport::delayed(|request| (if request.number == 0 { 100 * SECOND } else { SECOND / 10 }, accepted()));
    let (rig, disk) = rig_on_disk(transport, Config { max_batches: 4, ..settings() });
    send_with_failures(&rig, &disk, 0..30, &[8, 9, 20]).await;
    assert!(disk.lock().unread.len() > 15, "older records and newer ones are unread");
    assert_eq!((rig.checked_stats().pending, rig.checked_stats().spooled), (3, 27));
    let transport = Arc::clone(&rig.transport);
    assert_eq!(rig.end(300 * SECOND).await.delivered, 30);
    assert_eq!(transport.accepted(), (0..30).map(|id| id.to_string()).collect::<Vec<_>>());
    assert!(disk.ids().is_empty());
}
