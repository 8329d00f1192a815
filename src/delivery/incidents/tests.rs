//! The decisions of the logs, as tables, and the lines of a client over a transport in memory.

use super::Availability::{Available, RateLimited, Unavailable};
use super::*;
use crate::delivery::captured_log::CapturedLog;
use crate::delivery::memory::{MemoryTransport, accepted, accepted_with_errors, batches, refused};
use crate::delivery::{Deliverer, RetryPolicy};
use crate::endpoint::Endpoint;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_result_shows_the_state_of_the_service() {
    let unexpected =
        |status| Err(Error::unexpected_response(StatusCode::from_u16(status).expect("a status"), "text/html"));
    let table = [
        (accepted(), Some(Available)),
        (accepted_with_errors(["no".to_owned()]), Some(Available)),
        (refused(400), Some(Available)),
        (refused(401), Some(Available)),
        (refused(413), Some(Available)),
        (refused(429), Some(RateLimited)),
        (refused(408), Some(Unavailable)),
        (refused(500), Some(Unavailable)),
        (refused(503), Some(Unavailable)),
        (Err(Error::interrupted()), Some(Unavailable)),
        (Err(Error::deadline_exceeded()), Some(Unavailable)),
        (unexpected(200), None),
        (unexpected(503), None),
        (Err(Error::config("no certificates")), None),
    ];
    for (result, availability) in table {
        assert_eq!(Availability::from_result(&result), availability, "{result:?}");
    }
}

#[test]
fn each_outage_has_one_begin_and_one_end() {
    use OutageEvent::{Began, Ended};
    let ended = |seconds| Some(Ended(SECOND * seconds));
    // The times at which attempts started and ended, in seconds, their results, and the line after each.
    let cases: [(&str, &[_]); 7] = [
        ("no failure", &[(1, 2, Available, None), (3, 3, Available, None)]),
        (
            "one pair for any number of failures",
            &[
                (0, 1, Unavailable, Some(Began)),
                (0, 2, Unavailable, None),
                (20, 21, Unavailable, None),
                (30, 31, RateLimited, None),
                (40, 41, Available, ended(40)),
                (50, 51, Available, None),
            ],
        ),
        (
            "a request from before the failure does not end it",
            &[
                (0, 1, Unavailable, Some(Began)),
                (0, 2, Available, None),
                (1, 2, Available, None),
                (2, 3, Available, ended(2)),
            ],
        ),
        (
            "a failure shortly after another outage is logged only if it lasts",
            &[
                (0, 1, Unavailable, Some(Began)),
                (2, 3, Available, ended(2)),
                (3, 4, Unavailable, None),
                (5, 6, Available, None),
                (7, 8, Unavailable, None),
                (9, 11, Unavailable, Some(Began)),
                (11, 12, Available, ended(4)),
            ],
        ),
        (
            "responses of 429 are normal",
            &[(0, 1, RateLimited, None), (2, 3, Available, None), (4, 5, RateLimited, None)],
        ),
        (
            "nothing but responses of 429 for ten seconds is an outage",
            &[
                (0, 1, RateLimited, None),
                (9, 10, RateLimited, None),
                (10, 11, RateLimited, Some(Began)),
                (20, 21, RateLimited, None),
                (30, 31, Available, ended(30)),
            ],
        ),
        (
            "a failure after a 429",
            &[(0, 1, RateLimited, None), (2, 3, Unavailable, Some(Began)), (4, 5, Available, ended(4))],
        ),
    ];
    let start = Instant::now();
    for (name, attempts) in cases {
        let mut state = OutageState::default();
        for (began, now, availability, event) in attempts {
            let at = |seconds: u32| start + SECOND * seconds;
            assert_eq!(state.record(at(*began), at(*now), *availability), *event, "{name}, after {now} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_logs_the_outage_that_it_waited_for() {
    let log = CapturedLog::start();
    let transport =
        MemoryTransport::delayed(|request| (SECOND, if request.number < 5 { refused(503) } else { accepted() }));
    let deliverer = Deliverer::new(&transport, RetryPolicy::new(), Arc::new(|| 0.5));
    let start = Instant::now();
    let outcome = deliverer.deliver(Endpoint::BulkEvents, &batches(3, 3)).await;
    assert_eq!((outcome.requests, outcome.stopped.is_none()), (6, true));
    // It began with the first failure, after the second that the first attempt took.
    let length = start.elapsed().as_secs_f64() - 1.0;
    assert_eq!(
        log.take(),
        [
            "WARN mparticle::delivery: the service is unavailable error=\"the service responded 503 Service Unavailable, with 1 error\"".to_owned(),
            format!("INFO mparticle::delivery: the service is available again outage_seconds={length}"),
        ]
    );
    let counts: Vec<_> = transport.requests().iter().map(|request| request.resend_count).collect();
    assert_eq!(counts, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_caller_is_an_outage_only_after_a_long_time_without_a_response() {
    let log = CapturedLog::start();
    let transport = MemoryTransport::delayed(|_| (60 * SECOND, accepted()));
    for (timeout, is_outage) in [(SECOND / 20, false), (9 * SECOND, false), (20 * SECOND, true)] {
        let policy = RetryPolicy::new().request_timeout(timeout);
        let deliverer = Deliverer::new(&transport, policy, Arc::new(|| 0.5));
        let outcome = deliverer.deliver(Endpoint::Events, &batches(1, 1)).await;
        assert_eq!(outcome.stopped.expect("the deadline").kind(), ErrorKind::Timeout);
        let lines = log.take();
        assert_eq!(lines.len(), usize::from(is_outage), "{timeout:?}: {lines:?}");
    }
    // The timeout of the attempt itself is a failure of the service, however short it is.
    let transport = MemoryTransport::delayed(|_| (SECOND, Err(Error::attempted(ErrorKind::Timeout, "no response"))));
    let deliverer = Deliverer::new(&transport, RetryPolicy::never(), Arc::new(|| 0.5));
    deliverer.deliver(Endpoint::Events, &batches(1, 1)).await.stopped.expect("the timeout");
    assert_eq!(log.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_may_end_in_a_later_call_and_has_the_cause_of_the_failure() {
    let log = CapturedLog::start();
    let transport = MemoryTransport::responding(|request| match request.number {
        0 => {
            let cause = std::io::Error::other("connection refused");
            Err(Error::attempted(ErrorKind::Connect, "failed to connect to the service").with_source(cause))
        }
        _ => accepted(),
    });
    let deliverer = Deliverer::new(&transport, RetryPolicy::never(), Arc::new(|| 0.5));
    let batches = batches(1, 1);
    assert!(deliverer.deliver(Endpoint::Events, &batches).await.stopped.is_some());
    tokio::time::sleep(90 * SECOND).await;
    assert!(deliverer.clone().deliver(Endpoint::Events, &batches).await.stopped.is_none());
    assert_eq!(
        log.take(),
        [
            "WARN mparticle::delivery: the service is unavailable error=\"failed to connect to the service\" cause=connection refused",
            "INFO mparticle::delivery: the service is available again outage_seconds=90.0",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn losses_are_logged_at_most_once_a_second_and_none_is_forgotten() {
    let log = CapturedLog::start();
    let losses = LossLog::default();
    let error = refused(400).expect_err("a refusal");
    let record = |count: usize| {
        let loss = || Loss { kind: LossKind::Rejected, source_request_id: Some("a"), error: &error };
        losses.record(std::iter::repeat_with(loss).take(count))
    };
    let line = |end: &str| {
        format!(
            "WARN mparticle::delivery: a batch was rejected{end} source_request_id=\"a\" status=400 errors=1 error=\"the service responded 400 Bad Request, with 1 error\""
        )
    };
    assert!(!record(0) && losses.flush_due().is_none(), "nothing is lost");
    assert!(!record(3), "logged at once");
    assert_eq!(log.take(), [line(", and 2 more were lost")]);
    assert!(record(1), "the first that has to wait");
    assert!(!record(310), "others wait already");
    assert_eq!(losses.flush_due(), Some(Instant::now() + SECOND));
    assert_eq!(log.take(), Vec::<String>::new());
    tokio::time::sleep(SECOND).await;
    assert_eq!(losses.flush_due(), None);
    assert_eq!(log.take(), ["WARN mparticle::delivery: and 311 more batches were rejected or dropped"]);
    record(1);
    tokio::time::sleep(SECOND).await;
    record(1);
    assert_eq!(log.take(), [line(", and 1 more were lost")], "the next line reports the number");
    record(2);
    drop(losses);
    assert_eq!(log.take(), ["WARN mparticle::delivery: and 2 more batches were rejected or dropped"], "at the end");
}
