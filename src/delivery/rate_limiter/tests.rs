//! Tests of the time at which each limiter allows an attempt, under virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::delivery::memory::{accepted, accepted_unread, refused, refused_for};
use crate::delivery::transport::ResponseBody;
use crate::delivery::{Accepted, RetryPolicy};
use crate::error::Error;
use crate::time::saturating_add;

const SECOND: Duration = Duration::from_secs(1);
/// Timers of tokio have a resolution of a millisecond.
const TICK: Duration = Duration::from_millis(2);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Creates a limiter that draws the same number each time.
fn client_limiter(random: f64) -> ClientLimiter {
    ClientLimiter::new(&RetryPolicy::new(), Arc::new(move || random))
}

fn adaptive_limiter(client: &ClientLimiter) -> Arc<AdaptiveLimiter> {
    let config = AdaptiveConfig { rates: Rates { initial: 1e6, max: f64::INFINITY }, max_probe_interval: 5 * SECOND };
    Arc::new(AdaptiveLimiter::new(config, client))
}

fn far_deadline() -> Instant {
    saturating_add(Instant::now(), Duration::MAX)
}

/// Makes an attempt as soon as the limiter allows it. Returns the wait before it, and the one that follows.
async fn attempt<L: RateLimiter>(
    limiter: &L,
    request: &mut RequestState<L::Permit>,
    result: Result<Accepted, Error>,
) -> (Duration, Duration) {
    let start = Instant::now();
    let permit = limiter.acquire(request, far_deadline()).await.expect("no deadline");
    let waited = start.elapsed();
    let retries = result.as_ref().map_or_else(Error::is_retryable, |accepted| accepted.body != ResponseBody::Read);
    (waited, limiter.record(permit, request, &result, retries))
}

/// Returns whether a new request may be sent immediately.
async fn is_open<L: RateLimiter>(limiter: &L) -> bool {
    timeout(Duration::ZERO, limiter.acquire(&mut RequestState::new(1, None), far_deadline())).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_with_full_jitter_and_at_least_for_retry_after() {
    // The number of earlier failures, and the wait after another one at a draw of 0, 0.5 and 1.
    let table = [
        (0, 0, 100, 200),
        (1, 0, 200, 400),
        (2, 0, 400, 800),
        (3, 0, 800, 1_600),
        (4, 0, 1_600, 3_200),
        (5, 0, 3_200, 6_400),
        (6, 0, 6_400, 12_800),
        (7, 0, 12_800, 25_600),
        (8, 0, 15_000, 30_000),
        (31, 0, 15_000, 30_000),
        (32, 0, 15_000, 30_000),
        (1_000_000, 0, 15_000, 30_000),
    ];
    for (failures, least, middle, most) in table {
        for (random, wait) in [(0.0, least), (0.5, middle), (1.0, most)] {
            for (status, retry_after, expected) in [
                (503, None, ms(wait)),
                (429, None, ms(wait)),
                (503, Some(7 * SECOND), 7 * SECOND + ms(200).mul_f64(random)),
                (429, Some(7 * SECOND), 7 * SECOND + ms(200).mul_f64(random)),
                // Beyond the maximum of the back-off, and beyond what a clock can represent.
                (429, Some(3_600 * SECOND), 3_600 * SECOND + ms(200).mul_f64(random)),
                (429, Some(SECOND * u32::MAX), SECOND * u32::MAX + ms(200).mul_f64(random)),
            ] {
                let limiter = client_limiter(random);
                let mut request = RequestState { failures, ..RequestState::new(1, None) };
                let result = retry_after.map_or_else(|| refused(status), |wait| refused_for(status, wait));
                let context = format!("{status} after {failures} failures at {random}, asked for {retry_after:?}");
                assert_eq!(limiter.record((), &mut request, &result, true), expected, "{context}");
                assert_eq!(request.not_before(), saturating_add(Instant::now(), expected), "{context}");
                // A 429 delays all requests, anything else only this one.
                assert_eq!(is_open(&limiter).await, status != 429 || expected.is_zero(), "{context}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_429_other_requests_of_a_client_wait_too() {
    let limiter = client_limiter(0.5);
    let mut request = RequestState::new(1, None);
    assert_eq!(attempt(&limiter, &mut request, refused(503)).await, (Duration::ZERO, ms(100)));
    assert_eq!(attempt(&limiter, &mut request, refused_for(429, SECOND)).await, (ms(100), ms(1_100)));
    let mut other = RequestState::new(1, None);
    let (first, second) =
        tokio::join!(attempt(&limiter, &mut request, accepted()), attempt(&limiter, &mut other, accepted()));
    assert_eq!((first.0, second.0), (ms(1_100), ms(1_200)), "requests that waited together are spread out");
    // An attempt without a retry closes the gate without jitter.
    let result = refused_for(429, SECOND);
    limiter.record((), &mut request, &result, false);
    assert_eq!(attempt(&limiter, &mut RequestState::new(1, None), accepted()).await.0, ms(1_100));
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_fails_immediately() {
    let start = Instant::now();
    let client = client_limiter(1.0);
    let result = refused_for(429, 10 * SECOND);
    client.record((), &mut RequestState::new(1, None), &result, false);
    for deadline in [start, start + SECOND, start + 9 * SECOND] {
        assert_eq!(client.acquire(&mut RequestState::new(1, None), deadline).await, Err(10 * SECOND));
        let adaptive = adaptive_limiter(&client);
        let waited = adaptive.acquire(&mut RequestState::new(1, None), deadline).await.err();
        assert_eq!((waited, start.elapsed()), (Some(10 * SECOND), Duration::ZERO));
    }
    // A gate that closes for longer while a request waits for it ends the wait.
    let mut request = RequestState::new(1, None);
    let (waited, ()) = tokio::join!(client.acquire(&mut request, start + 11 * SECOND), async {
        sleep(SECOND).await;
        client.record((), &mut RequestState::new(1, None), &refused_for(429, 60 * SECOND), false);
    });
    assert_eq!((waited, start.elapsed()), (Err(60 * SECOND), SECOND));
}

#[tokio::test(start_paused = true)]
async fn only_an_accepted_request_without_a_retry_refills_the_budget() {
    let limiter = ClientLimiter::new(&RetryPolicy::new().retry_budget(1), Arc::new(|| 0.0));
    assert!(limiter.withdraw_retry() && !limiter.withdraw_retry());
    let mut request = RequestState::new(1, None);
    for _ in 0..10 {
        attempt(&limiter, &mut request, refused(503)).await;
        attempt(&limiter, &mut request, accepted_unread(ResponseBody::Interrupted)).await;
    }
    assert!(!limiter.withdraw_retry());
    for _ in 0..5 {
        attempt(&limiter, &mut RequestState::new(1, None), accepted()).await;
    }
    assert!(limiter.withdraw_retry());
}

#[tokio::test(start_paused = true)]
async fn an_uploader_backs_off_for_failures_of_a_request_and_of_the_service() {
    // The number of consecutive failures of a request while the breaker is closed, and the bound of its wait.
    for (random, share) in [(0.0, 0.75), (0.5, 0.875), (1.0, 1.0)] {
        for (failures, bound) in [(0, 200), (1, 400), (4, 3_200), (7, 25_600), (8, 30_000), (1_000_000, 30_000)] {
            let limiter = adaptive_limiter(&client_limiter(random));
            let mut request = RequestState { failures, ..RequestState::new(1, None) };
            let (_, wait) = attempt(&limiter, &mut request, refused(503)).await;
            assert_eq!(wait, ms(bound).mul_f64(share), "{failures} failures at {random}");
        }
        // The waits between probes, all of one request: its first back-off, then those of the breaker.
        let limiter = adaptive_limiter(&client_limiter(random));
        let mut request = RequestState::new(1, None);
        attempt(&limiter, &mut request, Err(Error::deadline_exceeded())).await;
        for bound in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let (waited, own) = attempt(&limiter, &mut request, refused(500)).await;
            let expected = ms(bound).mul_f64(share);
            assert!(waited >= expected && waited <= expected + TICK, "{waited:?} of {expected:?}");
            assert_eq!(own, Duration::ZERO, "a probe that fails leaves the wait to the breaker");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_or_retry_after_pauses_all_requests_of_an_uploader() {
    for (result, least, most, closes_gate) in [
        (refused_for(429, 3 * SECOND), 3_000, 3_200, true),
        (refused(429), 0, 200, true),
        (refused_for(503, 3 * SECOND), 3_000, 3_000, false),
    ] {
        let client = client_limiter(0.5);
        let limiter = adaptive_limiter(&client);
        attempt(&limiter, &mut RequestState::new(1, None), result).await;
        if least > 0 {
            let again = limiter.poll_ready(1).expect_err("the request waits").expect("the wait ends");
            assert_eq!(again, Instant::now() + ms(least));
        }
        // The client and its other uploaders wait only for a 429.
        assert_eq!((is_open(&client).await, is_open(&adaptive_limiter(&client)).await), (!closes_gate, !closes_gate));
        let (waited, _) = attempt(&limiter, &mut RequestState::new(1, None), accepted()).await;
        assert!(waited >= ms(least) && waited <= ms(most) + TICK, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_blocks_until_the_probe_ends() {
    let limiter = adaptive_limiter(&client_limiter(1.0));
    attempt(&limiter, &mut RequestState::new(1, None), refused(503)).await;
    let opened = Instant::now();
    assert_eq!(limiter.poll_ready(1), Err(Some(opened + ms(200))), "the breaker is open");
    sleep(ms(200)).await;
    assert!(limiter.poll_ready(1).is_ok(), "it is time for a probe");
    let probe = limiter.begin(1);
    assert_eq!(limiter.poll_ready(1), Err(None), "the probe is in flight");
    let deadline = Instant::now() + SECOND;
    assert_eq!(limiter.acquire(&mut RequestState::new(1, None), deadline).await.err(), Some(Duration::ZERO));
    assert_eq!(Instant::now(), deadline, "a wait that can end at any time ends at the deadline");
    drop(probe);
    assert!(limiter.poll_ready(1).is_ok(), "a cancelled probe allows another");
    let probe = limiter.begin(1);
    limiter.record(probe, &mut RequestState::new(1, None), &refused(400), false);
    assert!(limiter.last_error().is_none(), "a refusal of the batches shows that the service is available");
    sleep(TICK).await;
    assert!(limiter.poll_ready(1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_the_breaker_wake_when_it_closes() {
    // The breaker waits for up to 5 seconds between probes, and the next one is accepted a second after it was sent.
    let limiter = adaptive_limiter(&client_limiter(1.0));
    let mut first = RequestState::new(1, None);
    for _ in 0..8 {
        attempt(&limiter, &mut first, refused(503)).await;
    }
    assert_eq!(limiter.poll_ready(1), Err(Some(Instant::now() + 5 * SECOND)));
    sleep(5 * SECOND).await;
    let probe = limiter.begin(1);
    let woken = AtomicU32::new(0);
    let start = Instant::now();
    let waits = async {
        let mut request = RequestState::new(1, None);
        let permit = limiter.acquire(&mut request, far_deadline()).await.expect("no deadline");
        woken.fetch_add(1, Ordering::Relaxed);
        let waited = start.elapsed();
        limiter.record(permit, &mut request, &accepted(), false);
        waited
    };
    let answer = async {
        sleep(SECOND).await;
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        limiter.record(probe, &mut RequestState::new(1, None), &accepted(), false);
    };
    let (waited, ()) = tokio::join!(waits, answer);
    assert!(waited >= SECOND && waited <= SECOND + TICK, "{waited:?}");
}
