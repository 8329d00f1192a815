//! The lines that a default subscriber shows of outages and losses.

use tokio::time::{Instant, sleep};

use super::*;
use crate::delivery::captured_log::CapturedLog;
use crate::delivery::memory::{accepted, refused, refused_for};

const UNAVAILABLE: &str = "WARN mparticle::delivery: the service is unavailable error=\"the service responded 503 Service Unavailable, with 1 error\"";
const AVAILABLE: &str = "INFO mparticle::delivery: the service is available again outage_seconds=";

/// Returns the numbers of lost batches that these lines report.
fn lost(lines: &[String]) -> u64 {
    let of_line = |line: &String| {
        let others = line.split("and ").nth(1).and_then(|rest| rest.split(' ').next());
        let others = others.map_or(0, |number| number.parse().expect("a number"));
        others + u64::from(line.contains("a batch was"))
    };
    lines.iter().map(of_line).sum()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_logged_in_quiet_operation() {
    let log = CapturedLog::start();
    let rig = rig(MemoryTransport::responding(|_| accepted()), Config::new());
    for n in 0..500 {
        rig.try_send(batch(n, n)).expect("room");
        rig.track(user(n), event(n)).expect("room");
        sleep(SECOND / 50).await;
    }
    assert_eq!(rig.end(60 * SECOND).await.delivered, 1_000);
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_warning_at_its_first_failure_and_one_line_at_its_end() {
    let log = CapturedLog::start();
    let start = Instant::now();
    let transport = MemoryTransport::delayed(move |request| {
        (SECOND / 10, if request.at < start + 120 * SECOND { refused(503) } else { accepted() })
    });
    let rig = rig(transport, settings());
    for n in 0..800 {
        rig.try_send(batch(n, n)).expect("room");
    }
    sleep(SECOND).await;
    assert_eq!(log.take(), [UNAVAILABLE], "eight requests failed at once");
    sleep(118 * SECOND).await;
    assert_eq!(log.take(), Vec::<String>::new(), "nothing is logged for each retry");
    sleep(10 * SECOND).await;
    let lines = log.take();
    let [end] = &lines[..] else { panic!("{lines:?}") };
    let length: f64 = end.strip_prefix(AVAILABLE).expect("the end").parse().expect("seconds");
    assert!((119.9..=125.5).contains(&length), "{length}");
    assert_eq!(rig.end(60 * SECOND).await.delivered, 800);
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_now_and_then_is_logged_once_in_ten_seconds() {
    let log = CapturedLog::start();
    let transport = MemoryTransport::delayed(|request| {
        (SECOND / 10, if request.number % 2 == 0 { refused(503) } else { accepted() })
    });
    let rig = rig(transport, settings());
    for n in 0..600 {
        rig.try_send(batch(n, n)).expect("room");
        sleep(SECOND / 10).await;
    }
    rig.end(60 * SECOND).await;
    let lines = log.take();
    let warnings = lines.iter().filter(|line| *line == UNAVAILABLE).count();
    assert!((2..=7).contains(&warnings), "{warnings} in 60 seconds");
    assert!(lines.len() <= 2 * warnings && lines.len() > warnings, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_logged_only_if_nothing_is_accepted_for_long() {
    for (seconds, is_logged) in [(3, false), (30, true)] {
        let log = CapturedLog::start();
        let start = Instant::now();
        let rig = rig(
            MemoryTransport::responding(move |request| {
                if request.at < start + seconds * SECOND { refused_for(429, 2 * SECOND) } else { accepted() }
            }),
            settings(),
        );
        rig.try_send(batch(0, 0)).expect("room");
        sleep(60 * SECOND).await;
        assert_eq!(rig.end(60 * SECOND).await.delivered, 1);
        let lines = log.take();
        assert_eq!(lines.len(), if is_logged { 2 } else { 0 }, "{seconds} s: {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_uploader_that_stops_logs_one_error() {
    let log = CapturedLog::start();
    let transport = MemoryTransport::delayed(|_| (SECOND / 10, refused(401)));
    let rig = rig(transport, settings());
    // Several requests, which are in flight together.
    for n in 0..800 {
        rig.try_send(batch(n, n)).expect("room");
    }
    sleep(60 * SECOND).await;
    let lines = log.take();
    assert!(
        lines.len() == 1 && lines[0].starts_with("ERROR mparticle::uploader: the uploader has stopped"),
        "{lines:?}"
    );
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_logged_with_its_id_and_the_status() {
    let log = CapturedLog::start();
    let rig = rig(MemoryTransport::responding(|_| refused(400)), settings());
    rig.try_send(batch(0, "order-7")).expect("room");
    sleep(5 * SECOND).await;
    assert_eq!(
        log.take(),
        [
            "WARN mparticle::delivery: a batch was rejected source_request_id=\"order-7\" status=400 errors=1 error=\"the service responded 400 Bad Request, with 1 error\""
        ]
    );
    rig.end(SECOND).await;
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn many_rejected_batches_are_logged_at_most_once_a_second() {
    let log = CapturedLog::start();
    let rig = rig(MemoryTransport::delayed(|_| (SECOND / 100, refused(400))), settings());
    let start = Instant::now();
    for n in 0..312 {
        rig.try_send(batch(n, n)).expect("room");
        sleep(SECOND / 100).await;
    }
    while rig.stats().rejected < 312 {
        sleep(SECOND / 100).await;
    }
    // Without any further loss, the dispatcher logs the rest.
    sleep(2 * SECOND).await;
    let lines = log.take();
    let seconds = usize::try_from(start.elapsed().as_secs()).expect("a few");
    assert!(lines.len() >= 3 && lines.len() <= seconds + 1, "{lines:?}");
    assert_eq!(lost(&lines), 312, "{lines:?}");
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_batches_are_logged_and_those_left_at_the_shutdown() {
    let log = CapturedLog::start();
    let transport = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
    let rig = rig(transport, Config { max_batches: 3, when_full: WhenFull::DropNewest, ..settings() });
    for n in 0..10 {
        rig.try_send(batch(n, n)).expect("room, or dropped");
    }
    assert_eq!(
        log.take(),
        [
            "WARN mparticle::delivery: a batch was dropped source_request_id=\"3\" errors=0 error=\"the batch was dropped because the queue of the uploader was full\""
        ]
    );
    assert_eq!(rig.end(SECOND / 2).await.pending, 3);
    assert_eq!(
        log.take(),
        [
            "WARN mparticle::delivery: and 6 more batches were rejected or dropped",
            "WARN mparticle::uploader: the uploader has shut down before everything was delivered: take_unsent() returns what is left pending=3",
        ]
    );
}
