//! The times of requests, flushes and the shutdown.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

use super::super::journal::EvictedRecord;
use super::*;
use crate::ErrorKind;
use crate::delivery::memory::{accepted, accepted_using, refused};

use tokio::time::{Instant, sleep};

fn settings_with_linger(linger: Duration) -> Config {
    Config { linger, ..settings() }
}

/// Returns the number of events of each batch, by request.
fn events(rig: &Rig) -> Vec<Vec<usize>> {
    let count = |batch: &SealedBatch| {
        let value: serde_json::Value = serde_json::from_slice(batch.json()).expect("JSON");
        value["events"].as_array().map_or(0, Vec::len)
    };
    rig.transport.requests().iter().map(|request| request.batches.iter().map(count).collect()).collect()
}

#[tokio::test(start_paused = true)]
async fn events_of_a_user_are_sent_as_one_batch() {
    let rig = rig(MemoryTransport::responding(|_| accepted()), settings_with_linger(SECOND));
    let users = [user(0), user(1)];
    for round in 0..30 {
        for user in &users {
            rig.track(user, event(round)).expect("room");
        }
        sleep(SECOND / 100).await;
    }
    sleep(2 * SECOND).await;
    assert_eq!(events(&rig), [[30, 30]], "one request of two batches");
    let counts = rig.end(SECOND).await;
    assert_eq!((counts.accepted, counts.delivered), (60, 60), "each event is a submission");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_the_user_ends_coalescing() {
    let rig = rig(MemoryTransport::responding(|_| accepted()), settings_with_linger(SECOND));
    rig.track(user(0), event("a")).expect("room");
    rig.try_send(batch(0, "between")).expect("room");
    rig.track(user(0), event("b")).expect("room");
    // With another attribute it counts as another user, but the order is preserved.
    let other = Batch::new(Environment::Development).customer_id("0").user_attribute("seats", 5).into_template();
    rig.track(&other, event("c")).expect("room");
    rig.track(user(0), event("d")).expect("room");
    rig.flush(SECOND).await;
    assert_eq!(events(&rig), [[1, 0, 1, 1, 1]]);
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_lingers_until_the_request_is_full_or_flushed() {
    let rig = rig(MemoryTransport::responding(|_| accepted()), settings_with_linger(10 * SECOND));
    let start = Instant::now();
    let arrived =
        |rig: &Rig| rig.transport.requests().iter().map(|request| (request.at - start).as_secs()).collect::<Vec<_>>();
    rig.try_send(batch(0, 0)).expect("room");
    sleep(20 * SECOND).await;
    assert_eq!(arrived(&rig), [10]);
    (0..100).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    sleep(SECOND).await;
    assert_eq!(arrived(&rig), [10, 20]);
    rig.try_send(batch(0, 0)).expect("room");
    let counts = rig.flush(SECOND).await;
    assert_eq!((counts.delivered, counts.pending), (102, 0));
    assert_eq!(arrived(&rig), [10, 20, 21]);
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_earlier_submissions_only() {
    // Only the first request takes long.
    let transport =
        MemoryTransport::delayed(|request| (if request.number == 0 { 5 * SECOND } else { Duration::ZERO }, accepted()));
    let rig = rig(transport, settings());
    rig.try_send(batch(0, 0)).expect("room");
    sleep(SECOND).await;
    let start = Instant::now();
    let flushed = rig.flush(60 * SECOND);
    let busy = async {
        for n in 1..1_000 {
            rig.try_send(batch(n, n)).expect("room");
            sleep(SECOND / 100).await;
        }
    };
    let ((), elapsed) = tokio::join!(busy, async {
        flushed.await;
        start.elapsed()
    });
    assert_eq!(elapsed, 4 * SECOND);
    assert_eq!(rig.end(SECOND).await.delivered, 1_000);
}

#[tokio::test(start_paused = true)]
async fn flush_and_shutdown_time_out_while_a_request_hangs() {
    let rig = rig(MemoryTransport::delayed(|_| (3_600 * SECOND, accepted())), settings());
    rig.try_send(batch(0, "stalls")).expect("room");
    rig.try_send(batch(0, "behind")).expect("room");
    sleep(SECOND).await;
    let start = Instant::now();
    let counts = rig.flush(2 * SECOND).await;
    assert_eq!((counts.pending, start.elapsed()), (2, 2 * SECOND));
    let uploader = rig.uploader.clone();
    let counts = rig.end(3 * SECOND).await;
    assert_eq!((counts.pending, start.elapsed()), (2, 5 * SECOND));
    let unsent: Vec<_> = uploader.take_unsent().iter().map(|batch| batch.source_request_id().to_owned()).collect();
    assert_eq!(unsent, ["stalls", "behind"]);
}

#[tokio::test(start_paused = true)]
async fn submissions_are_refused_after_shutdown() {
    let rig = rig(MemoryTransport::responding(|_| accepted()), settings());
    let uploader = rig.uploader.clone();
    rig.try_send(batch(0, 0)).expect("room");
    let (first, second) = (rig.shutdown(SECOND), rig.shutdown(SECOND));
    for error in [
        uploader.try_send(batch(0, 1)).expect_err("shut down"),
        uploader.send(batch(0, 1)).accepted().await.expect_err("shut down"),
    ] {
        assert_eq!((error.error().kind(), error.is_retryable(), error.batches().len()), (ErrorKind::Closed, false, 1));
    }
    let error = uploader.track(user(0), event(0)).expect_err("shut down");
    assert_eq!((error.error().kind(), error.is_retryable(), error.batches().len()), (ErrorKind::Closed, false, 1));
    assert_eq!((first.await.delivered, second.await.delivered), (1, 1));
    assert_eq!(rig.end(SECOND).await.accepted, 1);
    assert_eq!(uploader.flush(SECOND).await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_dispatcher_completes_everything() {
    struct Panicking;

    impl Journal for Panicking {
        fn take_evicted(&self) -> Vec<EvictedRecord> {
            panic!("a broken journal")
        }
    }

    let settings = Config { max_batches: 1, ..settings() };
    let rig = rig_with_journal(MemoryTransport::responding(|_| accepted()), settings, Some(Arc::new(Panicking)));
    let sealed = batch(0, 0).seal().expect("a batch");
    rig.track(user(0), event("e").source_message_id("given")).expect("room");
    let (waiting, flushed) = (rig.send(sealed.clone()), rig.flush(3_600 * SECOND));
    let counts = flushed.await;
    assert_eq!((counts.accepted, counts.pending), (1, 1));
    assert_eq!(waiting.accepted().await.expect_err("the dispatcher has ended").batches(), [sealed]);
    assert!(rig.worker.await.expect_err("a panic").is_panic());
    assert_eq!(rig.uploader.shutdown(3_600 * SECOND).await, counts);
}

#[tokio::test(start_paused = true)]
async fn a_401_stops_sending_until_resume() {
    let transport = MemoryTransport::responding(|request| if request.number < 2 { refused(401) } else { accepted() });
    let rig = rig(transport, settings());
    for n in 0..250 {
        rig.try_send(batch(n, n)).expect("room");
    }
    sleep(SECOND).await;
    let counts = rig.flush(3_600 * SECOND).await;
    assert_eq!((counts.pending, counts.rejected), (250, 0), "all batches are kept, and the shutdown does not wait");
    assert_eq!(rig.status().into_stopped().expect("an error").status().map(|status| status.as_u16()), Some(401));
    let before = rig.transport.requests().len();
    sleep(3_600 * SECOND).await;
    assert_eq!(rig.transport.requests().len(), before);
    rig.resume();
    sleep(SECOND).await;
    if rig.status().into_stopped().is_some() {
        rig.resume();
    }
    let counts = rig.end(60 * SECOND).await;
    assert_eq!(counts.delivered, 250);
}

#[tokio::test(start_paused = true)]
async fn each_batch_is_reported_to_callback_and_stream() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let callback = Arc::clone(&received);
    let mut settings = settings();
    settings.on_delivery = Some(Arc::new(move |report: &Arc<DeliveryReport>| {
        let reason = report.error().map(|error| error.api_errors()[0].message.clone());
        callback
            .lock()
            .expect("the reports")
            .push((report.batch().expect("the batch").source_request_id().to_owned(), reason));
        assert_ne!(
            report.batch().expect("the batch").source_request_id(),
            "1",
            "a panic of the callback does not affect the uploader"
        );
    }));
    let rig = rig(
        MemoryTransport::responding(
            |request| if request.ids.contains(&"2".to_owned()) { refused(400) } else { accepted() },
        ),
        settings,
    );
    let mut reports = rig.reports();
    for n in 0..4 {
        rig.try_send(batch(n, n)).expect("room");
    }
    let counts = rig.end(SECOND).await;
    assert_eq!((counts.delivered, counts.rejected), (3, 1));
    let received = received.lock().expect("the reports").clone();
    assert_eq!(received.len(), 4);
    assert!(received.contains(&("2".to_owned(), Some("no to 400".to_owned()))));
    for (id, reason) in received {
        let report = reports.next().await.expect("an report");
        assert_eq!(
            (report.batch().expect("the batch").source_request_id(), report.error().is_some()),
            (id.as_str(), reason.is_some())
        );
    }
    assert_eq!(reports.missed(), 0);
    assert!(reports.next().await.is_none(), "the uploader was dropped");
}

/// Collects the ids from any stream of reports.
async fn ids(mut reports: impl Stream<Item = Arc<DeliveryReport>> + Unpin) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(report) = poll_fn(|context| Pin::new(&mut reports).poll_next(context)).await {
        ids.push(report.batch().expect("the batch").source_request_id().to_owned());
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn each_subscriber_has_its_own_stream_of_reports() {
    let rig = rig(MemoryTransport::responding(|_| accepted()), Config { max_batches: 20_000, ..settings() });
    let (early, mut slow) = (tokio::spawn(ids(rig.reports())), rig.reports());
    drop(rig.reports());
    rig.try_send(batch(0, 0)).expect("room");
    rig.flush(SECOND).await;
    let late = tokio::spawn(ids(rig.reports()));
    for n in 1..5_000 {
        rig.try_send(batch(n, n)).expect("room");
    }
    rig.end(60 * SECOND).await;
    let all: Vec<_> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(early.await.expect("a reader"), all);
    assert_eq!(late.await.expect("a reader"), all[1..]);
    let first = slow.next().await.expect("a report");
    assert_eq!(slow.missed(), 5_000 - 4_096, "a slow reader misses the oldest");
    assert_eq!(first.batch().expect("the batch").source_request_id(), all[5_000 - 4_096]);
    assert_eq!(ids(slow).await, all[5_000 - 4_095..]);
}

#[tokio::test(start_paused = true)]
async fn rate_limit_used_percent_is_that_of_the_last_acceptance() {
    let transport = MemoryTransport::responding(|request| match request.number {
        0 => accepted_using(12.5),
        1 => refused(400),
        2 => accepted_using(40.0),
        _ => accepted(),
    });
    let rig = rig(transport, settings());
    assert_eq!(rig.rate_limit_used_percent(), None, "no response so far");
    let mut received = Vec::new();
    for n in 0..4 {
        rig.try_send(batch(n, n)).expect("room");
        rig.flush(SECOND).await;
        received.push(rig.rate_limit_used_percent());
    }
    assert_eq!(received, [Some(12.5), Some(12.5), Some(40.0), None]);
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn last_error_is_set_while_requests_fail() {
    let transport = MemoryTransport::responding(|request| match request.number {
        0 | 3 => accepted(),
        _ => refused(503),
    });
    let rig = rig(transport, settings());
    rig.try_send(batch(1, 1)).expect("room");
    rig.flush(SECOND).await;
    assert!(rig.status().error().is_none(), "the request was accepted");
    rig.try_send(batch(2, 2)).expect("room");
    while rig.status().error().is_none() {
        sleep(SECOND / 100).await;
    }
    assert_eq!(rig.status().error().and_then(crate::Error::status).map(|status| status.as_u16()), Some(503));
    let counts = rig.flush(60 * SECOND).await;
    assert_eq!((counts.delivered, rig.status().error().is_none()), (2, true));
    rig.end(SECOND).await;
}
