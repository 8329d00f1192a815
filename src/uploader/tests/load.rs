//! The uploader under load, with outages, quotas and rejected batches.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares of counts"
)]

use std::collections::VecDeque;
use std::sync::Mutex;

use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;
use crate::delivery::memory::{accepted, accepted_using, refused, refused_for};

/// The failure of a transport.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Refusals,
    Stalls,
    Resets,
    /// This percentage of the requests fails, and the others are accepted.
    Some(u64),
}

/// Returns a pseudo-random number below 100 for each request.
fn draw(request: usize) -> u64 {
    fastrand::Rng::with_seed(request as u64).u64(..100)
}

/// Runs a minute of failure under load, and then the recovery.
async fn outage(failure: Failure) {
    const LOAD: u32 = 100; // batches a second
    let start = Instant::now();
    let (begins, ends) = (start + 60 * SECOND, start + 120 * SECOND);
    let transport = MemoryTransport::delayed(move |request| {
        if request.at < begins || request.at >= ends {
            return (SECOND / 20, accepted_using(30.0));
        }
        match failure {
            Failure::Refusals => (SECOND / 20, refused(503)),
            Failure::Stalls => (30 * SECOND, Err(Error::deadline_exceeded())),
            Failure::Resets => (SECOND / 20, Err(Error::interrupted())),
            Failure::Some(percent) if draw(request.number) < percent => (SECOND / 20, refused(503)),
            Failure::Some(_) => (SECOND / 20, accepted_using(30.0)),
        }
    });
    // 10,000 batches: the load of a minute, and that until the first attempt after it.
    let rig = rig(transport, Config::new());
    let mut most_bytes = 0;
    for n in 0..240 * LOAD as usize {
        rig.try_send(batch(n, n)).expect("memory holds the outage");
        most_bytes = most_bytes.max(rig.0.shared.lock().queue.held().bytes);
        sleep_until(start + SECOND * u32::try_from(n).expect("a number") / LOAD).await;
    }
    let transport = Arc::clone(&rig.transport);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.delivered, counts.accepted), (240 * u64::from(LOAD), 240 * u64::from(LOAD)), "{failure:?}");

    let requests = transport.requests();
    let delivered = requests.iter().filter(|request| request.accepted).count();
    let extra = requests.len() - delivered;
    println!("{failure:?}: {extra} extra requests for {delivered}, {most_bytes} bytes at most");
    assert!(extra * 5 < delivered, "{failure:?}: {extra} extra requests for {delivered}");

    // The ramp: each second at most one request more than twice the rate of the second before, or than twice the initial
    // rate.
    let mut seconds = vec![0.0; 400];
    for request in requests.iter().filter(|request| request.accepted) {
        seconds[(request.at - start).as_secs() as usize] += request.batches.len() as f64;
    }
    for pair in seconds.windows(2) {
        let start_rate = Config::new().rates.initial;
        assert!(pair[1] <= 2.0 * pair[0].max(start_rate) + 100.0, "{failure:?}: {} after {}", pair[1], pair[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_503_loses_nothing_and_costs_few_requests() {
    outage(Failure::Refusals).await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_timeouts_loses_nothing_and_costs_few_requests() {
    outage(Failure::Stalls).await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_resets_loses_nothing_and_costs_few_requests() {
    outage(Failure::Resets).await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_partial_failure_loses_nothing_and_costs_few_requests() {
    for percent in [20, 35, 50, 70] {
        outage(Failure::Some(percent)).await;
    }
}

/// A way in which a service measures its limit of batches per second.
trait Limit: Send + 'static {
    /// Returns the percentage that is used after these batches, or the time to wait.
    fn take(&mut self, batches: f64, now: Instant) -> Result<f64, Duration>;
}

/// A token bucket with a capacity of one second.
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Limit for Bucket {
    fn take(&mut self, batches: f64, now: Instant) -> Result<f64, Duration> {
        self.tokens = (self.tokens + (now - self.filled).as_secs_f64() * self.rate).min(self.rate);
        self.filled = now;
        if batches > self.tokens {
            return Err(Duration::from_secs_f64(((batches - self.tokens) / self.rate).ceil()));
        }
        self.tokens -= batches;
        Ok(100.0 * (1.0 - self.tokens / self.rate))
    }
}

/// A sliding window of one second.
struct LastSecond {
    rate: f64,
    taken: VecDeque<(Instant, f64)>,
}

impl Limit for LastSecond {
    fn take(&mut self, batches: f64, now: Instant) -> Result<f64, Duration> {
        self.taken.retain(|(at, _)| now - *at < SECOND);
        let used = self.taken.iter().map(|(_, batches)| batches).sum::<f64>() + batches;
        if used > self.rate {
            return Err(SECOND);
        }
        self.taken.push_back((now, batches));
        Ok(100.0 * used / self.rate)
    }
}

/// Runs this number of uploaders of one client at full load under a quota for two minutes. Returns the used share of the
/// quota after the first 30 seconds, and the share of responses that were 429.
async fn quota(uploaders: usize, rate: f64, latency: Duration, limit: impl Limit) -> (f64, f64) {
    let start = Instant::now();
    let limit = Mutex::new(limit);
    let deliverer = deliverer(MemoryTransport::delayed(move |request| {
        let taken = limit.lock().expect("the limit").take(request.batches.len() as f64, request.at);
        (latency, taken.map_or_else(|wait| refused_for(429, wait), |used| accepted_using(used.round())))
    }));
    let backlog = rate as usize * 125;
    let settings = || Config { max_batches: backlog, max_bytes: usize::MAX, ..Config::new() };
    let rigs: Vec<_> = (0..uploaders).map(|_| rig_with_deliverer(deliverer.clone(), settings(), None)).collect();
    for rig in &rigs {
        (0..backlog).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    }
    sleep(120 * SECOND).await;
    let requests = deliverer.transport.requests();
    let steady: Vec<_> = requests.iter().filter(|request| request.at >= start + 30 * SECOND).collect();
    let used: usize = steady.iter().filter(|request| request.accepted).map(|request| request.batches.len()).sum();
    let limited = steady.iter().filter(|request| !request.accepted).count();
    let (used, limited) = (used as f64 / (90.0 * rate), limited as f64 / steady.len() as f64);
    println!(
        "{uploaders} of {rate} a second, responses after {latency:?}: {used:.3} of the quota is used, {limited:.4} of the \
         responses are 429"
    );
    for rig in rigs {
        rig.end(SECOND).await;
    }
    (used, limited)
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_used_and_not_exceeded() {
    for (rate, latency) in [(270.0, 20), (270.0, 100), (270.0, 500), (100.0, 20), (100.0, 500), (1_000.0, 100)] {
        let bucket = Bucket { rate, tokens: rate, filled: Instant::now() };
        let (used, limited) = quota(1, rate, Duration::from_millis(latency), bucket).await;
        assert!(used >= 0.95, "{rate} a second at {latency} ms: {used} of the quota is used");
        assert!(limited < 0.01, "{rate} a second at {latency} ms: {limited} of the responses are 429");
    }
}

/// Each uploader has its own rate limiter, and adapts to the others by the used percentage that the service reports.
#[tokio::test(start_paused = true)]
async fn uploaders_of_one_client_share_the_quota() {
    // Four uploaders start at 400 batches per second together, and take longer to settle.
    for (uploaders, least) in [(2, 0.95), (3, 0.95), (4, 0.9)] {
        let bucket = Bucket { rate: 270.0, tokens: 270.0, filled: Instant::now() };
        let (used, limited) = quota(uploaders, 270.0, Duration::from_millis(100), bucket).await;
        assert!(used >= least, "{uploaders} uploaders: {used} of the quota is used");
        assert!(limited < 0.01, "{uploaders} uploaders: {limited} of the responses are 429");
    }
}

/// With a sliding window, the uploader uses nearly the 90 percent that the controller aims for.
#[tokio::test(start_paused = true)]
async fn a_quota_of_the_last_second_is_used_and_not_exceeded() {
    for latency in [20, 100] {
        let window = LastSecond { rate: 270.0, taken: VecDeque::new() };
        let (used, limited) = quota(1, 270.0, Duration::from_millis(latency), window).await;
        assert!(used >= 0.8, "at {latency} ms: {used} of the quota is used");
        assert!(limited < 0.01, "at {latency} ms: {limited} of the responses are 429");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_among_ten_thousand_delays_no_other() {
    const BATCHES: usize = 10_000;
    const BAD: &str = "4242";
    let transport = |bad: Option<&'static str>| {
        MemoryTransport::delayed(move |request| {
            let poisoned = bad.is_some_and(|bad| request.ids.iter().any(|id| id == bad));
            (SECOND / 20, if poisoned { refused(400) } else { accepted() })
        })
    };
    let mut took = Vec::new();
    for bad in [None, Some(BAD)] {
        let rig = rig(transport(bad), settings());
        let mut reports = rig.reports();
        let start = Instant::now();
        (0..BATCHES).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
        let counts = rig.flush(3_600 * SECOND).await;
        took.push(start.elapsed());
        let rejected = u64::from(bad.is_some());
        assert_eq!((counts.delivered, counts.rejected), (BATCHES as u64 - rejected, rejected));
        if bad.is_some() {
            // It is isolated and reported with the error of the service. The others of its request cost at most 14 more
            // requests.
            let mut found = None;
            while found.is_none() {
                let report = reports.next().await.expect("an report");
                found = report.error().map(|error| {
                    (
                        report.batch().expect("the batch").source_request_id().to_owned(),
                        error.api_errors()[0].message.clone(),
                    )
                });
            }
            assert_eq!(found, Some((BAD.to_owned(), "no to 400".to_owned())));
            assert!(rig.transport.requests().len() <= BATCHES / 100 + 14, "{}", rig.transport.requests().len());
        }
        rig.end(SECOND).await;
    }
    println!("without {:?}, with {:?}", took[0], took[1]);
    assert!(took[1] <= took[0] + 15 * SECOND / 20, "{took:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Everything is delivered and memory stays bounded, whatever the share of failures.
    #[test]
    fn memory_stays_within_its_bound(failing in 0..9_usize, bound in 10..100_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let transport = MemoryTransport::delayed(move |request| {
                (SECOND / 10, if request.number % 10 < failing { refused(503) } else { accepted() })
            });
            let rig = rig(transport, Config { max_batches: bound, ..settings() });
            for n in 0..1_000 {
                rig.send(batch(n, n)).accepted().await.expect("the queue has room");
                assert!(rig.checked_stats().pending <= bound as u64);
            }
            assert_eq!(rig.end(3_600 * SECOND).await.delivered, 1_000);
        });
    }
}
