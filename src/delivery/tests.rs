//! Tests of delivery over a transport in memory, under virtual time: each batch has exactly one, correct result, in time.

mod partial;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::memory::{MemoryTransport, accepted, batches, refused, refused_for};
use super::*;
use crate::ErrorKind;

const SECOND: Duration = Duration::from_secs(1);

/// Creates a deliverer whose waits are always the longest possible.
fn deliverer(transport: &MemoryTransport, policy: RetryPolicy) -> Deliverer<&MemoryTransport, ClientLimiter> {
    Deliverer::new(transport, policy, Arc::new(|| 1.0))
}

fn delivered(outcome: &CallResult) -> Vec<usize> {
    indices(outcome, |result| matches!(result, Some(Ok(()))))
}

fn rejected(outcome: &CallResult) -> Vec<usize> {
    indices(outcome, |result| matches!(result, Some(Err(_))))
}

fn unsent(outcome: &CallResult) -> Vec<usize> {
    indices(outcome, Option::is_none)
}

fn indices(outcome: &CallResult, of: impl Fn(&Option<BatchResult>) -> bool) -> Vec<usize> {
    (0..outcome.results.len()).filter(|place| of(&outcome.results[*place])).collect()
}

/// Creates a transport that refuses each request with one of these ids.
fn transport_refusing(status: u16, bad: impl Fn(&str) -> bool + Send + Sync + 'static) -> MemoryTransport {
    MemoryTransport::responding(
        move |request| if request.ids.iter().any(|id| bad(id)) { refused(status) } else { accepted() },
    )
}

#[tokio::test(start_paused = true)]
async fn retries_after_waits_that_double() {
    let transport = MemoryTransport::responding(|request| if request.number < 4 { refused(503) } else { accepted() });
    let start = Instant::now();
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(3, 3)).await;
    assert_eq!((delivered(&outcome), outcome.requests), (vec![0, 1, 2], 5));
    let times: Vec<_> = transport.requests().iter().map(|request| (request.at - start).as_millis()).collect();
    assert_eq!(times, [0, 200, 600, 1_400, 3_000]);
    assert!(transport.requests().iter().all(|request| request.ids == ["0", "1", "2"]), "the ids change");
}

#[tokio::test(start_paused = true)]
async fn finds_one_bad_batch_of_a_hundred_and_delivers_the_others() {
    for bad in [0, 1, 49, 50, 98, 99] {
        let transport = transport_refusing(400, move |id| id == bad.to_string());
        let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(100, 100)).await;
        assert_eq!(rejected(&outcome), [bad]);
        assert_eq!(delivered(&outcome).len(), 99);
        // Two requests for each of seven halvings, at most.
        assert!(outcome.requests <= 15, "{} requests", outcome.requests);
        let Some(Err(error)) = &outcome.results[bad] else { unreachable!() };
        assert_eq!(error.api_errors()[0].message, "no to 400");
        assert!(transport.accepted().is_sorted_by_key(|id| id.parse::<usize>().expect("a place")), "the order changes");
    }
}

#[tokio::test(start_paused = true)]
async fn finds_several_bad_batches() {
    let transport = transport_refusing(422, |id| id.ends_with('7'));
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(100, 100)).await;
    assert_eq!(rejected(&outcome), [7, 17, 27, 37, 47, 57, 67, 77, 87, 97]);
    assert_eq!(delivered(&outcome).len(), 90);
}

#[tokio::test(start_paused = true)]
async fn rejects_all_batches_with_little_more_than_one_request_each() {
    let transport = transport_refusing(400, |_| true);
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(200, 200)).await;
    assert_eq!(rejected(&outcome).len(), 200);
    assert!(outcome.requests <= 200 + MAX_CONSECUTIVE_REFUSALS, "{} requests", outcome.requests);

    // Good batches are found at any position, and are sent together again.
    for bad in [0..50, 50..100, 0..51, 41..51, 0..7, 1..99] {
        let refused = bad.clone();
        let transport = transport_refusing(400, move |id| refused.contains(&id.parse().expect("a place")));
        let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(100, 100)).await;
        assert_eq!((rejected(&outcome), delivered(&outcome).len()), (bad.clone().collect(), 100 - bad.len()));
        let most = u32::try_from(bad.len()).expect("few") + MAX_CONSECUTIVE_REFUSALS + 8;
        assert!(outcome.requests <= most, "{} requests for {bad:?}", outcome.requests);
    }
}

#[tokio::test(start_paused = true)]
async fn splits_a_request_that_is_too_large_until_it_fits() {
    let transport =
        MemoryTransport::responding(|request| if request.ids.len() > 3 { refused(413) } else { accepted() });
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(100, 100)).await;
    assert_eq!(delivered(&outcome).len(), 100);
    // Also after batches that are refused.
    let bad = |id: &String| id.parse().is_ok_and(|place: usize| place < 50);
    let transport = MemoryTransport::responding(move |request| match request.ids.len() {
        26.. => refused(413),
        _ if request.ids.iter().any(bad) => refused(400),
        _ => accepted(),
    });
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(100, 100)).await;
    assert_eq!((rejected(&outcome), delivered(&outcome)), ((0..50).collect(), (50..100).collect()));
    let transport = transport_refusing(413, |id| id == "1");
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(3, 3)).await;
    assert_eq!((rejected(&outcome), delivered(&outcome)), (vec![1], vec![0, 2]));
}

#[tokio::test(start_paused = true)]
async fn rejects_a_batch_that_is_too_large_without_sending_it() {
    let large = format!(r#"{{"source_request_id":"large","a":"{}"}}"#, "x".repeat(MAX_BATCH_BYTES));
    let mut batches = batches(2, 2);
    batches.insert(1, SealedBatch::from_json(large).expect("a batch"));
    let transport = MemoryTransport::responding(|_| accepted());
    let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches).await;
    assert_eq!((delivered(&outcome), rejected(&outcome)), (vec![0, 2], vec![1]));
    let Some(Err(error)) = &outcome.results[1] else { unreachable!() };
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Limit, 0));
    assert_eq!(transport.accepted(), ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_credential_stops_the_call_and_leaves_the_rest_unsent() {
    for status in [401, 403, 404, 302] {
        let transport =
            MemoryTransport::responding(move |request| if request.number == 1 { refused(status) } else { accepted() });
        let outcome = deliverer(&transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, &batches(250, 250)).await;
        assert_eq!(delivered(&outcome), (0..100).collect::<Vec<_>>());
        assert_eq!(unsent(&outcome), (100..250).collect::<Vec<_>>());
        assert_eq!(outcome.stopped.expect("an error").status().map(|status| status.as_u16()), Some(status));
        assert_eq!(transport.requests().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_delays_all_clones_of_a_client() {
    let transport =
        MemoryTransport::responding(
            |request| if request.number == 0 { refused_for(429, 7 * SECOND) } else { accepted() },
        );
    let deliverer = deliverer(&transport, RetryPolicy::new());
    let start = Instant::now();
    let clones: Vec<_> = (0..5).map(|_| deliverer.clone()).collect();
    let first = batches(1, 1);
    let limited = deliverer.deliver(Endpoint::Events, &first);
    let others = async {
        tokio::time::sleep(SECOND).await;
        for clone in clones {
            assert_eq!(delivered(&clone.deliver(Endpoint::Events, &batches(1, 1)).await), [0]);
        }
    };
    let (outcome, ()) = tokio::join!(limited, others);
    assert_eq!(delivered(&outcome), [0]);
    let requests = transport.requests();
    assert_eq!(requests.len(), 7);
    assert!(requests[1..].iter().all(|request| request.at - start >= 7 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_fails_as_rate_limited_without_sending() {
    let transport = MemoryTransport::responding(|_| refused_for(429, 3_600 * SECOND));
    let deliverer = deliverer(&transport, RetryPolicy::new());
    let start = Instant::now();
    let first =
        deliverer.deliver(Endpoint::Events, &batches(1, 1)).await.stopped.expect("the wait exceeds the deadline");
    assert_eq!((first.kind(), first.attempts()), (ErrorKind::Refused, 1));
    let other =
        deliverer.deliver(Endpoint::Events, &batches(1, 1)).await.stopped.expect("the wait exceeds the deadline");
    assert_eq!((other.kind(), other.attempts(), other.is_retryable()), (ErrorKind::RateLimited, 0, true));
    assert!(other.retry_after() >= Some(3_600 * SECOND));
    assert_eq!((transport.requests().len(), start.elapsed()), (1, Duration::ZERO), "the call waits");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_retry_reports_its_own_last_failure() {
    let transport = MemoryTransport::responding(|request| match request.number {
        0 => Err(Error::deadline_exceeded()),
        _ => refused_for(429, 3_600 * SECOND),
    });
    let deliverer = deliverer(&transport, RetryPolicy::new());
    let mine = batches(1, 1);
    let (mine, other) = tokio::join!(deliverer.deliver(Endpoint::Events, &mine), async {
        deliverer.deliver(Endpoint::Events, &batches(1, 1)).await
    });
    assert_eq!(other.stopped.expect("a 429").status(), Some(StatusCode::TOO_MANY_REQUESTS));
    let error = mine.stopped.expect("a 429");
    // It may have been accepted: `RateLimited` would mean that it was not sent.
    assert_eq!((error.kind(), error.attempts(), error.is_retryable()), (ErrorKind::Timeout, 1, true));
    assert!(error.retry_after() >= Some(3_599 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn requests_that_waited_together_are_spread_out() {
    let transport =
        MemoryTransport::responding(|request| if request.number == 0 { refused_for(429, SECOND) } else { accepted() });
    let transport = Arc::new(transport);
    let drawn = AtomicU32::new(0);
    let random = move || f64::from(drawn.fetch_add(1, Ordering::Relaxed)) / 100.0;
    let deliverer = Deliverer::new(Arc::clone(&transport), RetryPolicy::new(), Arc::new(random));
    let start = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..100 {
        let deliverer = deliverer.clone();
        all.spawn(async move { deliverer.deliver(Endpoint::Events, &batches(1, 1)).await });
    }
    assert!(all.join_all().await.iter().all(|outcome| delivered(outcome) == [0]));
    let mut times: Vec<_> = transport.requests()[1..].iter().map(|request| request.at - start).collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.len() >= 99 && times[0] >= SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn stops_after_the_maximum_attempts_and_at_the_deadline() {
    let transport = MemoryTransport::responding(|_| refused(500));
    let outcome =
        deliverer(&transport, RetryPolicy::new().max_attempts(3)).deliver(Endpoint::Events, &batches(1, 1)).await;
    let error = outcome.stopped.expect("500");
    // At 0, 200 and 600 ms.
    assert_eq!((outcome.requests, error.attempts(), error.elapsed().as_millis()), (3, 3, 600));
    let text = "upload failed after 3 attempts in 0.6 s: the service responded 500 Internal Server Error, with 1 error";
    assert_eq!(error.to_string(), text);
    let outcome = deliverer(&transport, RetryPolicy::never()).deliver(Endpoint::Events, &batches(1, 1)).await;
    assert_eq!(outcome.requests, 1);

    let start = Instant::now();
    let outcome = deliverer(&transport, RetryPolicy::new().request_timeout(SECOND))
        .deliver(Endpoint::Events, &batches(1, 1))
        .await;
    // At 0, 200 and 600 ms; the next would be at 1400.
    assert_eq!((outcome.requests, start.elapsed()), (3, Duration::from_millis(600)));
    assert_eq!(outcome.stopped.expect("500").kind(), ErrorKind::Refused);

    // A call ends at its own deadline, and keeps the results so far.
    let slow = MemoryTransport::delayed(|_| (SECOND, accepted()));
    let policy = RetryPolicy::new().call_timeout(Duration::from_millis(2_500));
    let start = Instant::now();
    let outcome = deliverer(&slow, policy.clone()).deliver(Endpoint::BulkEvents, &batches(500, 500)).await;
    assert_eq!((delivered(&outcome).len(), unsent(&outcome).len()), (200, 300));
    assert_eq!(
        (outcome.stopped.expect("the deadline has passed").kind(), start.elapsed().as_millis()),
        (ErrorKind::Timeout, 2_500)
    );
    let outcome = deliverer(&slow, policy.call_timeout(SECOND)).deliver(Endpoint::BulkEvents, &batches(101, 101)).await;
    let error = outcome.stopped.as_ref().expect("the deadline has passed");
    assert_eq!((delivered(&outcome).len(), error.kind(), error.attempts()), (100, ErrorKind::Timeout, 0));

    let stalling = MemoryTransport::delayed(|_| (3_600 * SECOND, accepted()));
    let start = Instant::now();
    let outcome = deliverer(&stalling, RetryPolicy::new().request_timeout(SECOND))
        .deliver(Endpoint::Events, &batches(1, 1))
        .await;
    let error = outcome.stopped.expect("no response");
    assert_eq!((error.kind(), error.attempts(), start.elapsed()), (ErrorKind::Timeout, 1, SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_call_keeps_its_results() {
    let stop_after = |wait: Duration| async move {
        tokio::time::sleep(wait).await;
        Error::cancelled()
    };
    // While a request is in flight: two of 100 batches each are accepted, and the third is aborted.
    let slow = MemoryTransport::delayed(|_| (SECOND, accepted()));
    let start = Instant::now();
    let outcome = deliverer(&slow, RetryPolicy::new())
        .deliver_until(Endpoint::BulkEvents, &batches(500, 500), stop_after(Duration::from_millis(2_500)))
        .await;
    assert_eq!((delivered(&outcome).len(), unsent(&outcome).len(), outcome.requests), (200, 300, 2));
    let error = outcome.stopped.expect("stopped");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Cancelled, true));
    assert_eq!(start.elapsed(), Duration::from_millis(2_500));

    // While it waits for a retry.
    let failing = MemoryTransport::responding(|_| refused_for(503, 60 * SECOND));
    let start = Instant::now();
    let outcome = deliverer(&failing, RetryPolicy::new())
        .deliver_until(Endpoint::BulkEvents, &batches(2, 2), stop_after(SECOND))
        .await;
    assert_eq!((unsent(&outcome).len(), outcome.requests, start.elapsed()), (2, 1, SECOND));

    // After its end: the call does not wait for `stop`.
    let outcome = deliverer(&slow, RetryPolicy::new())
        .deliver_until(Endpoint::BulkEvents, &batches(100, 100), std::future::pending())
        .await;
    assert_eq!((delivered(&outcome).len(), outcome.stopped.is_none()), (100, true));
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_the_retries_of_all_clones() {
    let transport = MemoryTransport::responding(|_| refused(503));
    let deliverer = deliverer(&transport, RetryPolicy::new().retry_budget(4));
    for requests in [5, 1, 1] {
        let outcome = deliverer.clone().deliver(Endpoint::Events, &batches(1, 1)).await;
        assert_eq!(outcome.requests, requests);
        assert_eq!(unsent(&outcome), [0]);
    }
}

/// The behaviour of the service for a request of the property below.
#[derive(Clone, Copy, Debug)]
enum Behavior {
    Available,
    Unavailable,
    Slow,
    Limited,
}

proptest! {
    #[test]
    fn each_batch_has_the_result_that_the_service_gave_it(
        count in 0..300_usize,
        users in 1..40_usize,
        bad in vec((any::<prop::sample::Index>(), prop_oneof![3 => 1..2_usize, 1 => 1..150_usize]), 0..5),
        behavior in vec(prop_oneof![
            4 => Just(Behavior::Available), 1 => Just(Behavior::Unavailable), 1 => Just(Behavior::Slow), 1 => Just(Behavior::Limited),
        ], 1..20),
        stopped_at in proptest::option::of(0..30_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let sent = batches(count, users);
        let run = |(first, length): &(prop::sample::Index, usize)| {
            let first = first.index(count.max(1));
            (first..count.min(first + length)).map(|place| place.to_string())
        };
        let bad: Vec<_> = bad.iter().flat_map(run).collect();
        let service_bad = bad.clone();
        let transport = MemoryTransport::delayed(move |request| match behavior[request.number % behavior.len()] {
            _ if stopped_at == Some(request.number) => (Duration::ZERO, refused(403)),
            Behavior::Unavailable => (Duration::ZERO, refused(503)),
            Behavior::Slow => (20 * SECOND, Err(Error::deadline_exceeded())),
            Behavior::Limited => (Duration::ZERO, refused_for(429, SECOND)),
            Behavior::Available if request.ids.iter().any(|id| service_bad.contains(id)) => (SECOND, refused(400)),
            Behavior::Available => (SECOND, accepted()),
        });
        let deliverer = deliverer(&transport, RetryPolicy::new());
        let outcome = runtime.expect("a runtime").block_on(deliverer.deliver(Endpoint::BulkEvents, &sent));

        // Every accepted batch is delivered once, and the batches of each user in order.
        let accepted: Vec<usize> = transport.accepted().iter().map(|id| id.parse().expect("a place")).collect();
        let mut sorted = accepted.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&sorted, &delivered(&outcome));
        for user in 0..users {
            prop_assert!(accepted.iter().filter(|place| **place % users == user).is_sorted());
        }
        // Only bad batches are rejected, and only batches after a stop have no result.
        for place in rejected(&outcome) {
            prop_assert!(bad.contains(&place.to_string()));
        }
        prop_assert_eq!(outcome.results.len(), count);
        prop_assert_eq!(outcome.stopped.is_some(), !unsent(&outcome).is_empty());
    }
}
