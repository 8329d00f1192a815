//! The policies for a full queue.

use super::*;
use crate::ErrorKind;
use crate::delivery::memory::accepted;

use tokio::time::{Instant, sleep};

/// Returns an uploader with room for four batches, whose first request takes ten seconds.
fn rig_with_full_queue(when_full: WhenFull) -> Rig {
    let transport = MemoryTransport::delayed(|request| {
        (if request.number == 0 { 10 * SECOND } else { Duration::ZERO }, accepted())
    });
    let rig = rig(transport, Config { max_batches: 4, when_full, max_in_flight: 1, ..settings() });
    rig.try_send(batch(0, 0)).expect("room");
    rig
}

async fn end_and_list_accepted(rig: Rig) -> (UploaderStats, Vec<String>) {
    let transport = Arc::clone(&rig.transport);
    let counts = rig.end(60 * SECOND).await;
    (counts, transport.accepted())
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_returns_the_batch() {
    for policy in [WhenFull::Refuse, WhenFull::Wait(SECOND), WhenFull::Spill] {
        let rig = rig_with_full_queue(policy);
        sleep(SECOND).await;
        (1..4).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
        let error = rig.try_send(batch(4, 4)).expect_err("full");
        assert_eq!((error.error().kind(), error.is_retryable()), (ErrorKind::QueueFull, true));
        assert_eq!(error.batches()[0].source_request_id(), "4");
        let error = rig.track(user(9), event(0)).expect_err("full");
        assert_eq!((error.error().kind(), error.batches().len()), (ErrorKind::QueueFull, 1));
        let (counts, arrived) = end_and_list_accepted(rig).await;
        assert_eq!((counts.accepted, counts.delivered, counts.dropped), (4, 4, 0), "{policy:?}");
        assert_eq!(arrived, ["0", "1", "2", "3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn drop_policies_drop_the_newest_or_oldest_and_report_it() {
    for (policy, arrive, dropped) in [
        (WhenFull::DropNewest, ["0", "1", "2", "3"], ["4", "5"]),
        (WhenFull::DropOldest, ["0", "3", "4", "5"], ["1", "2"]),
    ] {
        let rig = rig_with_full_queue(policy);
        let mut reports = rig.reports();
        sleep(SECOND).await;
        (1..6).for_each(|n| rig.try_send(batch(n, n)).expect("taken"));
        assert_eq!((rig.checked_stats().pending, rig.checked_stats().dropped), (4, 2));
        for id in dropped {
            let report = reports.next().await.expect("a report");
            assert!(matches!(report.status(), DeliveryStatus::Dropped(error) if error.kind() == ErrorKind::QueueFull));
            assert_eq!(report.batch().expect("the batch").source_request_id(), id);
        }
        let (counts, arrived) = end_and_list_accepted(rig).await;
        assert_eq!((counts.accepted, counts.delivered, counts.dropped), (6, 4, 2), "{policy:?}");
        assert_eq!(arrived, arrive, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_drops_a_batch_blocked_behind_its_user() {
    let transport = MemoryTransport::delayed(|request| {
        (if request.number == 0 { 10 * SECOND } else { Duration::ZERO }, accepted())
    });
    let rig = rig(transport, Config { max_batches: 4, when_full: WhenFull::DropOldest, ..settings() });
    for n in 0..6 {
        rig.try_send(batch(0, n)).expect("taken");
        sleep(SECOND).await;
    }
    let (counts, arrived) = end_and_list_accepted(rig).await;
    assert_eq!((counts.delivered, counts.dropped), (4, 2));
    assert_eq!(arrived, ["0", "3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_overtakes_a_waiting_submission() {
    let rig = rig_with_full_queue(WhenFull::Refuse);
    sleep(SECOND).await;
    (1..4).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let waiting = rig.send(batch(4, 4).user_attribute("a", "x".repeat(1_000)));
    sleep(8 * SECOND).await;
    assert_eq!(rig.try_send(batch(4, 5)).expect_err("a submission waits").error().kind(), ErrorKind::QueueFull);
    assert_eq!(rig.track(user(4), event("e")).expect_err("a submission waits").batches().len(), 1);
    let room = async {
        // A waiting submission takes the room as soon as it is free.
        while rig.checked_stats().delivered == 0 {
            sleep(SECOND / 1_000).await;
        }
        rig.try_send(batch(4, 5)).expect("the queue has room");
    };
    tokio::join!(async { waiting.accepted().await.expect("the queue has room") }, room);
    let (_, arrived) = end_and_list_accepted(rig).await;
    assert_eq!(arrived, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn batches_in_flight_are_not_dropped() {
    let rig = rig(
        MemoryTransport::delayed(|_| (10 * SECOND, accepted())),
        Config { max_batches: 2, when_full: WhenFull::DropOldest, ..settings() },
    );
    rig.try_send(batch(0, 0)).expect("room");
    rig.try_send(batch(1, 1)).expect("room");
    sleep(SECOND).await;
    rig.try_send(batch(2, 2)).expect("the new batch is dropped");
    let (counts, arrived) = end_and_list_accepted(rig).await;
    assert_eq!((counts.delivered, counts.dropped), (2, 1));
    assert_eq!(arrived, ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn send_waits_for_room_in_fifo_order() {
    let rig = rig_with_full_queue(WhenFull::Refuse);
    let start = Instant::now();
    sleep(SECOND).await;
    (1..4).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let waiting: Vec<_> = (4..8).map(|n| rig.send(batch(n, n))).collect();
    let abandoned = rig.send(batch(8, 8));
    assert_eq!(rig.checked_stats().accepted, 4, "waiting submissions are not accepted yet");
    drop(abandoned);
    for waiting in waiting {
        waiting.accepted().await.expect("the queue has room");
    }
    assert_eq!(start.elapsed(), 10 * SECOND);
    let (counts, arrived) = end_and_list_accepted(rig).await;
    assert_eq!((counts.accepted, counts.delivered), (8, 8));
    assert_eq!(arrived, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test(start_paused = true)]
async fn send_stops_waiting_at_its_timeout_or_the_shutdown() {
    let rig = rig_with_full_queue(WhenFull::Wait(3 * SECOND));
    sleep(SECOND).await;
    (1..4).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let start = Instant::now();
    let error = rig.send(batch(4, 4)).accepted().await.expect_err("full");
    assert_eq!((error.error().kind(), error.batches().len(), start.elapsed()), (ErrorKind::QueueFull, 1, 3 * SECOND));
    let waiting = rig.send(batch(5, 5));
    let (counts, _) = end_and_list_accepted(rig).await;
    let error = waiting.accepted().await.expect_err("shut down");
    assert_eq!((error.error().kind(), error.is_retryable(), error.batches().len()), (ErrorKind::Closed, false, 1));
    assert_eq!((counts.accepted, counts.delivered), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_in_bytes() {
    let size = batch(0, 0).seal().expect("a batch").len();
    let transport = MemoryTransport::delayed(|_| (10 * SECOND, accepted()));
    let rig = rig(transport, Config { max_bytes: 3 * size + size / 2, ..settings() });
    (0..3).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    assert_eq!(rig.try_send(batch(3, 3)).expect_err("full").error().kind(), ErrorKind::QueueFull);
    // A batch larger than the queue is a different error.
    let large = batch(4, 4).user_attribute("a", "x".repeat(4 * size));
    assert_eq!(rig.try_send(large).expect_err("too large").error().kind(), ErrorKind::Limit);
    assert_eq!(rig.end(60 * SECOND).await.delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn coalescing_events_are_bounded() {
    let rig =
        rig(MemoryTransport::responding(|_| accepted()), Config { max_bytes: 1_000, linger: SECOND, ..settings() });
    let user = user(0);
    let taken = (0..100).take_while(|n| rig.track(&user, event(n)).is_ok()).count();
    assert!((2..10).contains(&taken), "{taken}");
    assert_eq!(rig.end(SECOND).await.delivered, taken as u64);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_split_is_one_submission() {
    let events = || (0..5).map(|_| CustomEvent { view_controller: Some("x".repeat(60_000)), ..event("e") });
    let rig = rig(MemoryTransport::responding(|_| accepted()), Config { max_bytes: 500_000, ..settings() });
    rig.try_send(batch(0, "a").events(events())).expect("room");
    let error = rig.try_send(batch(0, "b").events(events())).expect_err("the queue has no room for all parts");
    assert_eq!(error.batches().len(), 3);
    assert_eq!(rig.checked_stats().pending, 1);
    let (counts, arrived) = end_and_list_accepted(rig).await;
    assert_eq!((counts.accepted, counts.delivered, arrived.len()), (1, 1, 3));
}
