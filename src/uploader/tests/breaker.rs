//! The circuit breaker of the uploader: few requests while the service is unavailable, and no delay after that.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::*;
use crate::delivery::memory::{MemoryRequest, accepted, accepted_using, refused, refused_for};
use crate::random::Random;

/// The default number of requests in flight, as many as there are when the outage begins.
const IN_FLIGHT: usize = 8;
const LENGTH: Duration = Duration::from_secs(25);
/// Timers of tokio have a resolution of one millisecond.
const TICK: Duration = Duration::from_millis(2);

/// Returns a source of these random numbers, in turn.
fn random_from(draws: Vec<f64>) -> Random {
    let next = AtomicUsize::new(0);
    Arc::new(move || draws[next.fetch_add(1, Ordering::Relaxed) % draws.len()])
}

/// Returns a pseudo-random source with this seed.
fn random_with_seed(seed: u64) -> Random {
    let state = Mutex::new(seed);
    Arc::new(move || {
        let mut state = state.lock().expect("the seed");
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(*state >> 32).expect("32 bits")) / f64::from(u32::MAX)
    })
}

fn rig_with_random(transport: MemoryTransport, settings: Config, random: Random) -> Rig {
    rig_with_deliverer(Deliverer::new(Arc::new(transport), RetryPolicy::new(), random), settings, None)
}

/// Eight requests are in flight when an outage of 25 seconds begins. Each later request in it fails after `takes`, and
/// batches are submitted all the time. Checks the requests during and after the outage.
async fn outage(takes: Duration, random: Random) {
    let start = Instant::now();
    let ends = start + LENGTH;
    let transport = MemoryTransport::delayed(move |request| match request.number {
        0..IN_FLIGHT => (SECOND / 10, refused(503)),
        _ if request.at < ends => (takes, refused(503)),
        _ => (SECOND / 20, accepted()),
    });
    let rig = rig_with_random(transport, settings(), random);
    (0..IN_FLIGHT * 100).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    for n in IN_FLIGHT * 100..IN_FLIGHT * 100 + 320 {
        sleep(SECOND / 10).await;
        rig.try_send(batch(n, n)).expect("room");
    }
    let transport = Arc::clone(&rig.transport);
    assert_eq!(rig.end(60 * SECOND).await.delivered, 1_120);

    let requests = transport.requests();
    let (failed, later): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.at < ends);
    assert!(failed.len() <= 20, "{} requests", failed.len());
    assert!(failed[IN_FLIGHT - 1].at < start + SECOND / 10, "they are in flight at once");
    let mut bound = SECOND / 5;
    let mut ended = start + SECOND / 10;
    for probe in &failed[IN_FLIGHT..] {
        let wait = probe.at.checked_duration_since(ended).expect("one probe at a time");
        assert!(wait + TICK >= bound * 3 / 4 && wait <= bound + TICK, "{wait:?} of at most {bound:?}");
        (bound, ended) = ((2 * bound).min(5 * SECOND), probe.at + takes);
    }
    let first = later[0];
    assert!(first.at <= ends.max(ended) + 5 * SECOND + TICK, "delivery starts {:?} after the outage", first.at - ends);
    assert_eq!(later.iter().filter(|request| request.at < first.at + SECOND / 20).count(), 1, "it is a probe");

    // The failed requests are sent again as soon as the probe is accepted.
    let again = ids(failed[..IN_FLIGHT].iter().copied());
    let last = later.iter().rfind(|request| request.ids.iter().any(|id| again.contains(id.as_str())));
    let waited = last.expect("they are delivered").at - first.at;
    assert!(waited <= SECOND / 10, "a request waits for {waited:?} after the first acceptance");
}

fn ids<'a>(requests: impl Iterator<Item = &'a MemoryRequest>) -> HashSet<&'a str> {
    requests.flat_map(|request| request.ids.iter().map(String::as_str)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_at_most_20_requests_and_delivery_resumes_within_5_seconds() {
    for takes in [Duration::ZERO, SECOND / 20, 2 * SECOND] {
        for draw in [0.0, 0.5, 1.0] {
            outage(takes, random_from(vec![draw])).await;
        }
        for seed in 0..20 {
            outage(takes, random_with_seed(seed)).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn an_outage_costs_at_most_20_requests_with_any_random_numbers(
        draws in vec(prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0], 1..40),
        takes in 0..3_000_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(outage(Duration::from_millis(takes), random_from(draws)));
    }
}

#[tokio::test(start_paused = true)]
async fn max_probe_interval_bounds_the_wait_between_probes() {
    for interval in [SECOND / 2, 20 * SECOND] {
        let start = Instant::now();
        let transport =
            MemoryTransport::responding(
                move |request| if request.at < start + 300 * SECOND { refused(503) } else { accepted() },
            );
        let settings = Config { max_probe_interval: interval, ..settings() };
        let rig = rig_with_random(transport, settings, random_from(vec![1.0]));
        rig.try_send(batch(0, 0)).expect("room");
        sleep(400 * SECOND).await;
        let times: Vec<_> = rig.transport.requests().iter().map(|request| request.at).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several");
        assert!(longest >= interval && longest <= interval + TICK, "{longest:?} for {interval:?}");
        assert_eq!(rig.end(SECOND).await.delivered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn probes_respect_the_longest_retry_after() {
    // The first of two requests in flight opens the breaker. The second one fails later and asks for a longer wait.
    let start = Instant::now();
    let transport = MemoryTransport::delayed(move |request| match request.number {
        0 => (SECOND / 10, refused(503)),
        1 => (SECOND / 5, refused_for(503, 12 * SECOND)),
        2 => (Duration::ZERO, refused_for(503, 7 * SECOND)),
        _ => (Duration::ZERO, accepted()),
    });
    let rig = rig_with_random(transport, settings(), random_from(vec![1.0]));
    for n in 0..200 {
        rig.try_send(batch(n, n)).expect("room");
    }
    sleep(60 * SECOND).await;
    let times: Vec<_> = rig.transport.requests().iter().map(|request| request.at - start).collect();
    let expected = [Duration::ZERO, Duration::ZERO, SECOND / 5 + 12 * SECOND, SECOND / 5 + 19 * SECOND];
    for (time, expected) in times.iter().zip(expected) {
        assert!(*time >= expected && *time <= expected + TICK, "{times:?}");
    }
    assert_eq!(rig.end(SECOND).await.delivered, 200);
}

#[tokio::test(start_paused = true)]
async fn failed_requests_are_retried_before_new_ones_are_sent() {
    let start = Instant::now();
    let transport = MemoryTransport::delayed(|request| {
        (SECOND / 20, if request.number == 0 { refused(429) } else { accepted_using(90.0) })
    });
    // About 100 batches per second: small new requests could take each token as it is added.
    let rig = rig(transport, Config { linger: Duration::ZERO, ..Config::new() });
    (0..2_000).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let transport = Arc::clone(&rig.transport);
    assert_eq!(rig.end(120 * SECOND).await.delivered, 2_000);
    let requests = transport.requests();
    assert_eq!(requests[0].ids.len(), 50);
    let again = requests[1..].iter().find(|request| request.ids == requests[0].ids).expect("it is sent again");
    assert!(again.at - start < 2 * SECOND, "it is sent again after {:?}", again.at - start);
    assert!(requests[requests.len() - 1].at - start > 15 * SECOND, "new batches were submitted all the time");
}

#[tokio::test(start_paused = true)]
async fn after_a_429_requests_wait_and_are_spread_out() {
    for (asked, least) in [(Some(3 * SECOND), 3 * SECOND), (None, Duration::ZERO)] {
        let start = Instant::now();
        let transport = MemoryTransport::delayed(move |request| {
            let limited = || asked.map_or_else(|| refused(429), |wait| refused_for(429, wait));
            (SECOND / 10, if request.at < start + SECOND / 10 { limited() } else { accepted() })
        });
        // Two uploaders of one client, of which only the first receives 429: the wait applies to both.
        let deliverer = Deliverer::new(Arc::new(transport), RetryPolicy::new(), random_with_seed(7));
        let (first, second) = (
            rig_with_deliverer(deliverer.clone(), settings(), None),
            rig_with_deliverer(deliverer.clone(), settings(), None),
        );
        (0..800).for_each(|n| first.try_send(batch(n, n)).expect("room"));
        sleep(SECOND / 5).await;
        (800..1_600).for_each(|n| second.try_send(batch(n, n)).expect("room"));
        sleep(60 * SECOND).await;
        let requests = deliverer.transport.requests();
        let (limited, later) = requests.split_at(IN_FLIGHT);
        assert!(limited.iter().all(|request| !request.accepted));
        assert!(later.iter().all(|request| request.at >= start + SECOND / 10 + least), "{asked:?}");
        let moments: HashSet<_> = later.iter().map(|request| request.at).collect();
        assert!(moments.len() >= IN_FLIGHT, "{asked:?}: {} moments for {} requests", moments.len(), later.len());
        for rig in [first, second] {
            assert_eq!(rig.end(SECOND).await.delivered, 800);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_always_fails_delays_no_other() {
    for fails in [|| refused(500), || Err(Error::deadline_exceeded())] {
        let start = Instant::now();
        let is_bad = |request: &MemoryRequest| request.ids.contains(&"0".to_owned());
        let transport =
            MemoryTransport::delayed(move |request| (SECOND / 20, if is_bad(request) { fails() } else { accepted() }));
        let rig = rig_with_random(transport, settings(), random_with_seed(3));
        rig.try_send(batch(0, 0)).expect("room");
        let mut sent = Vec::new();
        for n in 1..=1_200 {
            sleep(SECOND / 10).await;
            sent.push((n.to_string(), Instant::now()));
            rig.try_send(batch(n, n)).expect("room");
        }
        sleep(SECOND).await;
        let requests = rig.transport.requests();
        let (bad, good): (Vec<_>, Vec<_>) = requests.iter().partition(|request| is_bad(request));
        for (id, at) in sent {
            let taken = good.iter().find(|request| request.ids.contains(&id)).expect("it is delivered").at;
            assert!(taken - at <= SECOND / 2, "batch {id} waits for {:?}", taken - at);
        }
        // Its waits double, up to 30 seconds.
        let times: Vec<_> = bad.iter().map(|request| (request.at - start).as_millis()).collect();
        assert!((8..=16).contains(&times.len()), "{times:?}");
        let counts = rig.end(SECOND).await;
        assert_eq!((counts.delivered, counts.pending), (1_200, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_requests_take_turns_as_the_probe_after_an_outage() {
    for seed in 0..10 {
        let ends = Instant::now() + LENGTH;
        let is_bad = |request: &MemoryRequest| request.ids.contains(&"0".to_owned());
        let fails = move |request: &MemoryRequest| is_bad(request) || request.at < ends;
        let transport = MemoryTransport::delayed(move |request| {
            (SECOND / 20, if fails(request) { refused(503) } else { accepted() })
        });
        // As many requests as may be in flight, so that no new one can be the probe.
        let rig = rig_with_random(transport, settings(), random_with_seed(seed));
        (0..IN_FLIGHT * 100).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
        sleep(LENGTH + 11 * SECOND).await;
        assert_eq!(rig.checked_stats().delivered, 700, "all but the request that always fails");
        rig.end(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn several_requests_that_always_fail_delay_no_other() {
    let is_bad = |request: &MemoryRequest| request.ids.iter().any(|id| id.parse::<usize>().is_ok_and(|id| id < 3));
    let transport =
        MemoryTransport::delayed(move |request| (SECOND / 20, if is_bad(request) { refused(500) } else { accepted() }));
    let rig = rig_with_random(transport, settings(), random_with_seed(5));
    for n in 0..3 {
        rig.try_send(batch(n, n)).expect("room");
        sleep(SECOND / 100).await;
    }
    for n in 3..600 {
        sleep(SECOND / 10).await;
        rig.try_send(batch(n, n)).expect("room");
    }
    sleep(2 * SECOND).await;
    assert_eq!(rig.checked_stats().delivered, 597);
    let bad = rig.transport.requests().iter().filter(|request| is_bad(request)).count();
    assert!((12..=45).contains(&bad), "{bad} requests");
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_429_without_retry_after_backs_off() {
    let start = Instant::now();
    let transport = MemoryTransport::delayed(|_| (Duration::ZERO, refused(429)));
    let rig = rig(transport, settings());
    rig.try_send(batch(0, 0)).expect("room");
    sleep(120 * SECOND).await;
    let times: Vec<_> = rig.transport.requests().iter().map(|request| (request.at - start).as_millis()).collect();
    // The waits double from 100 ms to 15 s, half of the bounds.
    assert!(times.len() < 20, "{times:?}");
    assert_eq!(rig.end(SECOND).await.pending, 1);
}
