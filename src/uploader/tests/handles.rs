//! The handle of a sent batch, with its two completions.

use tokio::time::{sleep, timeout};

use super::spooled::{Disk, rig_on_disk};
use super::*;
use crate::ErrorKind;
use crate::delivery::memory::{accepted, refused};

/// Returns the result of a completion that must be complete.
async fn result_of<T: Clone>(completion: Completion<T>) -> T {
    timeout(Duration::ZERO, completion).await.expect("it is complete")
}

async fn is_pending<T: Clone>(completion: Completion<T>) -> bool {
    timeout(Duration::ZERO, completion).await.is_err()
}

/// Returns a batch that is split into two parts, whose events have these names.
fn split_batch(names: [&str; 2]) -> Batch {
    let padded = |name| CustomEvent { view_controller: Some("x".repeat(100_000)), ..event(name) };
    Batch::new(Environment::Development).customer_id("1").events(names.map(padded))
}

fn contains(batch: &SealedBatch, name: &str) -> bool {
    batch.json().windows(name.len()).any(|window| window == name.as_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_accepted_long_before_it_is_delivered() {
    for has_spool in [false, true] {
        let disk = has_spool.then(|| Arc::new(Disk::default()) as Arc<dyn Journal>);
        let transport = MemoryTransport::responding(|request| {
            if request.at.elapsed() < SECOND && request.number < 5 { refused(503) } else { accepted() }
        });
        let rig = rig_with_journal(transport, settings(), disk);
        let sent = rig.send(batch(0, "a"));
        sent.accepted().await.expect("room");
        assert!(is_pending(sent.delivered()).await);
        sent.delivered().await.expect("delivered after the wait");
        assert_eq!((rig.checked_stats().delivered, rig.transport.accepted().len()), (1, 1));
        rig.end(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn delivered_waits_for_the_shutdown_while_the_service_is_down() {
    for has_spool in [false, true] {
        let disk = has_spool.then(|| Arc::new(Disk::default()) as Arc<dyn Journal>);
        let rig = rig_with_journal(MemoryTransport::responding(|_| refused(503)), settings(), disk);
        let sent = rig.send(batch(0, "a"));
        sent.accepted().await.expect("room");
        sleep(3_600 * SECOND).await;
        assert!(is_pending(sent.delivered()).await);
        let stats = rig.end(10 * SECOND).await;
        let error = result_of(sent.delivered()).await.expect_err("not delivered");
        assert_eq!(error.error().kind(), ErrorKind::Closed);
        if has_spool {
            assert!(matches!(error, DeliveryError::Spooled) && stats.spooled == 1, "{error:?}");
        } else {
            assert!(matches!(error, DeliveryError::Pending) && stats.pending == 1, "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_on_the_disk_only_end_as_spooled() {
    let (rig, disk) =
        rig_on_disk(MemoryTransport::responding(|_| refused(503)), Config { max_batches: 2, ..settings() });
    let sent: Vec<_> = (0..30).map(|n| rig.send(batch(0, n))).collect();
    for handle in &sent {
        handle.accepted().await.expect("on the disk");
    }
    rig.end(10 * SECOND).await;
    assert_eq!(disk.restart().unread(), 30);
    for handle in sent {
        assert!(matches!(result_of(handle.delivered()).await, Err(DeliveryError::Spooled)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_not_delivered() {
    let rig = rig(MemoryTransport::responding(|_| refused(400)), settings());
    let sent = rig.send(batch(0, "a"));
    sent.accepted().await.expect("room");
    let error = sent.delivered().await.expect_err("rejected");
    assert!(matches!(error, DeliveryError::Rejected(_)));
    assert_eq!(error.error().api_errors()[0].message, "no to 400");
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_is_not_delivered() {
    let transport = MemoryTransport::delayed(|_| (10 * SECOND, accepted()));
    let rig = rig(transport, Config { max_batches: 2, when_full: WhenFull::DropOldest, ..settings() });
    let sent: Vec<_> = (0..2).map(|n| rig.send(batch(n, n))).collect();
    // The dispatcher has not run yet.
    rig.try_send(batch(2, 2)).expect("the oldest batch is dropped");
    let error = result_of(sent[0].delivered()).await.expect_err("dropped");
    assert!(matches!(&error, DeliveryError::Dropped(reason) if reason.kind() == ErrorKind::QueueFull), "{error:?}");
    sent[0].accepted().await.expect("it was accepted before it was dropped");
    sent[1].delivered().await.expect("the newer batch stays");
    rig.end(60 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_not_delivered() {
    let transport = MemoryTransport::delayed(|_| (100 * SECOND, accepted()));
    let limits = Config { max_batches: 1, when_full: WhenFull::Wait(SECOND), ..settings() };
    let rig = rig(transport, limits);
    rig.try_send(batch(0, 0)).expect("room");

    let full = rig.send(batch(0, "full"));
    assert!(is_pending(full.accepted()).await && is_pending(full.delivered()).await);
    let error = full.accepted().await.expect_err("no room in time");
    assert!(matches!(&error, TrySendError::Full(batches) if batches[0].source_request_id() == "full"));
    let error = result_of(full.delivered()).await.expect_err("not accepted");
    assert!(matches!(&error, DeliveryError::NotAccepted(TrySendError::Full(batches)) if batches.len() == 1));
    assert_eq!(error.error().kind(), ErrorKind::QueueFull);

    let large = rig.send(split_batch(["a", "b"]));
    assert!(matches!(result_of(large.accepted()).await, Err(TrySendError::TooLarge(parts)) if parts.len() == 2));
    let error = result_of(large.delivered()).await.expect_err("not accepted");
    assert!(matches!(error, DeliveryError::NotAccepted(TrySendError::TooLarge(_))));

    let invalid = rig.send(batch(0, "invalid").user_attribute("score", f64::NAN));
    assert!(matches!(result_of(invalid.accepted()).await, Err(TrySendError::Invalid(_))));
    let error = result_of(invalid.delivered()).await.expect_err("not accepted");
    assert!(matches!(&error, DeliveryError::NotAccepted(TrySendError::Invalid(_))));
    assert_eq!(error.error().kind(), ErrorKind::Invalid);

    let waiting = rig.send(batch(0, "waiting"));
    let uploader = rig.uploader.clone();
    let ended = uploader.shutdown(SECOND / 10);
    let error = waiting.delivered().await.expect_err("not accepted");
    assert!(matches!(error, DeliveryError::NotAccepted(TrySendError::Closed(_))));
    ended.await;
    let closed = uploader.send(batch(0, "closed"));
    assert!(matches!(result_of(closed.accepted()).await, Err(TrySendError::Closed(batches)) if batches.len() == 1));
    assert!(matches!(result_of(closed.delivered()).await, Err(DeliveryError::NotAccepted(TrySendError::Closed(_)))));
    assert_eq!(rig.end(SECOND).await.accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_split_batch_is_delivered_with_its_last_part() {
    let slow = MemoryTransport::delayed(|request| {
        let is_last = request.batches.iter().any(|batch| contains(batch, "second"));
        (if is_last { 50 * SECOND } else { SECOND }, accepted())
    });
    let rig = rig(slow, settings());
    let sent = rig.send(split_batch(["first", "second"]));
    sent.accepted().await.expect("room");
    sleep(20 * SECOND).await;
    assert!(is_pending(sent.delivered()).await);
    sent.delivered().await.expect("all parts arrive");
    assert_eq!(rig.transport.accepted().len(), 2);
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_split_batch_is_rejected_if_a_part_is() {
    for bad in ["first", "second"] {
        let transport = MemoryTransport::responding(move |request| {
            if request.batches.iter().any(|batch| contains(batch, bad)) { refused(400) } else { accepted() }
        });
        let rig = rig(transport, settings());
        let sent = rig.send(split_batch(["first", "second"]));
        assert!(matches!(sent.delivered().await, Err(DeliveryError::Rejected(_))), "{bad}");
        assert_eq!(rig.transport.accepted().len(), 1, "the other part is delivered");
        let stats = rig.end(SECOND).await;
        assert_eq!((stats.rejected, stats.delivered), (1, 0));
    }
}

/// Returns an uploader with room for one batch, which is in flight for ten seconds.
async fn rig_with_full_queue() -> Rig {
    let transport = MemoryTransport::delayed(|_| (10 * SECOND, accepted()));
    let rig = rig(transport, Config { max_batches: 1, ..settings() });
    rig.try_send(batch(0, "first")).expect("room");
    sleep(SECOND).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_withdraws_an_unaccepted_batch() {
    let rig = rig_with_full_queue().await;
    drop(rig.send(batch(0, "withdrawn")));
    let transport = Arc::clone(&rig.transport);
    rig.flush(60 * SECOND).await;
    assert_eq!(rig.end(60 * SECOND).await.accepted, 1);
    assert_eq!(transport.accepted(), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_kept_completion_keeps_the_batch() {
    let rig = rig_with_full_queue().await;
    let accepted = rig.send(batch(0, "second")).accepted();
    let delivered = rig.send(batch(0, "third")).delivered();
    accepted.await.expect("the queue has room");
    delivered.await.expect("delivered");
    let transport = Arc::clone(&rig.transport);
    rig.end(60 * SECOND).await;
    assert_eq!(transport.accepted(), ["first", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_batch_is_sent_without_its_handle() {
    for has_spool in [false, true] {
        let disk = has_spool.then(|| Arc::new(Disk::default()) as Arc<dyn Journal>);
        let rig = rig_with_journal(MemoryTransport::delayed(|_| (SECOND, accepted())), settings(), disk);
        let sent = rig.send(batch(0, "a"));
        sent.accepted().await.expect("room");
        drop(sent);
        let stats = rig.flush(60 * SECOND).await;
        assert_eq!((stats.accepted, stats.delivered), (1, 1));
        assert_eq!(rig.transport.accepted(), ["a"]);
        rig.end(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn delivered_waits_while_the_uploader_is_stopped() {
    let transport = MemoryTransport::responding(|request| if request.number == 0 { refused(401) } else { accepted() });
    let rig = rig(transport, settings());
    let sent = rig.send(batch(0, "a"));
    sent.accepted().await.expect("room");
    sleep(3_600 * SECOND).await;
    assert!(rig.status().into_stopped().is_some() && is_pending(sent.delivered()).await);
    rig.resume();
    sent.delivered().await.expect("delivered after `resume`");
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn all_clones_of_a_completion_return_the_same_result() {
    let rig = rig(MemoryTransport::delayed(|_| (SECOND, accepted())), settings());
    let sent = rig.send(batch(0, "a"));
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(sent.delivered())).collect();
    let clone = sent.delivered().clone();
    sent.delivered().await.expect("delivered");
    drop(sent);
    for task in tasks {
        task.await.expect("the task").expect("delivered");
    }
    clone.await.expect("a later clone returns the same result");
    rig.end(SECOND).await;
}

/// Runs on the system clock, because blocked threads cannot use a paused one.
#[tokio::test]
async fn threads_can_block_on_both_completions() {
    let transport = MemoryTransport::delayed(|_| (SECOND / 50, accepted()));
    let rig = rig(transport, settings());
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let uploader = rig.uploader.clone();
            tokio::task::spawn_blocking(move || {
                let sent = uploader.send(batch(number, number));
                let completions = (sent.delivered(), sent.delivered());
                sent.accepted().wait().expect("room");
                completions.0.wait().expect("delivered");
                completions.1.wait().expect("both clones complete");
            })
        })
        .collect();
    for thread in threads {
        thread.await.expect("no panic");
    }
    assert_eq!(rig.end(SECOND).await.delivered, 4);
}
