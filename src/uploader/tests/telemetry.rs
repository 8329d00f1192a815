//! The statistics that `tracing` receives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::super::entry::{Entry, RecordId, SubmissionToken};
use super::super::telemetry::{StatsReporter, StatsSnapshot};
use super::*;
#[cfg(feature = "metrics")]
use crate::delivery::memory::accepted_using;
use crate::delivery::memory::{accepted, refused};
use crate::endpoint::Endpoint;

/// The numbers of an event, by their names.
type Numbers = BTreeMap<&'static str, u64>;

/// A subscriber that records the statistics of the uploader and their times.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<(Instant, Numbers)>>>);

impl Listener {
    fn logged(&self) -> Vec<(Instant, Numbers)> {
        self.0.lock().expect("the log").clone()
    }
}

impl Listener {
    /// Makes `tracing` evaluate the interest in the events again. It caches the interest per callsite, and another test's
    /// thread without a subscriber may have reached the callsite first.
    fn enable(&self) {
        let new = StatsSnapshot { queued_batches: 1, ..StatsSnapshot::default() };
        for _ in 0..1000 {
            StatsReporter::is_logged();
            StatsReporter::default().log(new, Instant::now());
            tracing::callsite::rebuild_interest_cache();
            if StatsReporter::is_logged() && !self.logged().is_empty() {
                self.0.lock().expect("the log").clear();
                return;
            }
        }
        panic!("nothing is logged");
    }
}

struct Reading(Numbers);

impl Visit for Reading {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "mparticle::uploader"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut reading = Reading(Numbers::new());
        event.record(&mut reading);
        self.0.lock().expect("the log").push((Instant::now(), reading.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn changed_statistics_are_logged_at_most_once_a_second() {
    let listener = Listener::default();
    let _guard = tracing::subscriber::set_default(listener.clone());
    listener.enable();
    let transport = MemoryTransport::delayed(|request| {
        (SECOND / 10, if request.ids.contains(&"7".to_owned()) { refused(400) } else { accepted() })
    });
    let rig = rig(transport, settings());
    sleep(3 * SECOND).await;
    assert!(listener.logged().is_empty(), "nothing is new");
    for n in 0..100 {
        rig.try_send(batch(n, n)).expect("room");
        sleep(SECOND / 20).await;
    }
    sleep(60 * SECOND).await;

    let logged = listener.logged();
    assert!((5..=8).contains(&logged.len()), "5 seconds of sending, and silence: {logged:?}");
    assert!(logged.windows(2).all(|pair| pair[1].0 - pair[0].0 >= SECOND && pair[1].1 != pair[0].1), "{logged:?}");
    assert!(logged.iter().any(|(_, numbers)| numbers["pending"] > 0 && numbers["held_bytes"] > 0), "{logged:?}");
    let (_, last) = logged.last().expect("an event");
    let expected = [
        ("accepted", 100),
        ("delivered", 99),
        ("dropped", 0),
        ("filtered", 0),
        ("held_bytes", 0),
        ("pending", 0),
        ("queued_batches", 0),
        ("recovered", 0),
        ("rejected", 1),
        ("spooled", 0),
        ("unread_responses", 0),
    ];
    assert_eq!(*last, Numbers::from(expected));

    // At the end, changes are reported at once.
    rig.try_send(batch(100, 100)).expect("room");
    rig.end(60 * SECOND).await;
    assert_eq!(listener.logged().last().expect("an event").1["delivered"], 100);
}

#[tokio::test(start_paused = true)]
async fn discarded_submissions_are_logged_though_nothing_is_sent() {
    let listener = Listener::default();
    let _guard = tracing::subscriber::set_default(listener.clone());
    listener.enable();
    let transport = MemoryTransport::responding(|_| accepted());
    let rig = rig(transport, Config { before_send: Some(Arc::new(|_| false)), ..settings() });
    sleep(SECOND).await;
    for n in 0..3 {
        rig.try_send(batch(n, n)).expect("discarded");
    }
    sleep(2 * SECOND).await;
    assert_eq!(listener.logged().last().map(|(_, numbers)| numbers["filtered"]), Some(3));
    rig.end(SECOND).await;
}

#[test]
fn the_age_of_a_batch_includes_its_time_on_the_disk() {
    let sealed = || batch(0, 0).seal().expect("a batch");
    let hour = Duration::from_secs(3_600);
    let appended = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let record = RecordId { number: 1, appended };
    let recovered = Entry::from_record(sealed(), Endpoint::BulkEvents, SubmissionToken::RECOVERED, record);
    let now = Instant::now();
    assert!((hour..hour + 60 * SECOND).contains(&recovered.age(now)), "{:?}", recovered.age(now));
    let in_memory = Entry::new(sealed(), Endpoint::BulkEvents, SubmissionToken::RECOVERED, now);
    assert_eq!(in_memory.age(now + 5 * SECOND), 5 * SECOND);
}

#[cfg(feature = "metrics")]
mod facade {
    use super::*;

    /// The values and the descriptions that the facade received, by name.
    #[derive(Clone, Default)]
    struct Facade(Arc<Mutex<BTreeMap<String, f64>>>, Arc<Mutex<BTreeMap<String, Description>>>);

    type Description = (Option<metrics::Unit>, metrics::SharedString);

    struct Recorded(Facade, String);

    impl Facade {
        /// Returns the value of a metric of the uploader.
        fn value(&self, name: &str) -> Option<f64> {
            self.0.lock().expect("the metrics").get(&format!("mparticle_uploader_{name}")).copied()
        }

        fn describe(&self, name: &metrics::KeyName, unit: Option<metrics::Unit>, description: metrics::SharedString) {
            self.1.lock().expect("the descriptions").insert(name.as_str().to_owned(), (unit, description));
        }

        fn recorded(&self, key: &metrics::Key) -> Arc<Recorded> {
            Arc::new(Recorded(self.clone(), key.name().to_owned()))
        }
    }

    impl Recorded {
        fn change(&self, change: impl FnOnce(f64) -> f64) {
            let mut recorded = self.0.0.lock().expect("the metrics");
            let value = recorded.entry(self.1.clone()).or_default();
            *value = change(*value);
        }
    }

    impl metrics::CounterFn for Recorded {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        fn increment(&self, more: u64) {
            self.change(|value| value + more as f64);
        }

        fn absolute(&self, _: u64) {
            unreachable!("counters grow by what is new");
        }
    }

    impl metrics::GaugeFn for Recorded {
        fn increment(&self, _: f64) {
            unreachable!("gauges are set");
        }

        fn decrement(&self, _: f64) {
            unreachable!("gauges are set");
        }

        fn set(&self, value: f64) {
            self.change(|_| value);
        }
    }

    impl metrics::Recorder for Facade {
        fn describe_counter(&self, name: metrics::KeyName, unit: Option<metrics::Unit>, text: metrics::SharedString) {
            self.describe(&name, unit, text);
        }

        fn describe_gauge(&self, name: metrics::KeyName, unit: Option<metrics::Unit>, text: metrics::SharedString) {
            self.describe(&name, unit, text);
        }

        fn describe_histogram(&self, name: metrics::KeyName, unit: Option<metrics::Unit>, text: metrics::SharedString) {
            self.describe(&name, unit, text);
        }

        fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
            metrics::Counter::from_arc(self.recorded(key))
        }

        fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            metrics::Gauge::from_arc(self.recorded(key))
        }

        fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
            unreachable!("a transport in memory records no duration")
        }
    }

    /// Runs a test in virtual time with a facade for its thread.
    fn run(test: impl AsyncFnOnce(&Facade)) -> Facade {
        let facade = Facade::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        metrics::with_local_recorder(&facade, || runtime.expect("a runtime").block_on(test(&facade)));
        facade
    }

    #[test]
    fn the_metrics_facade_receives_each_count_once() {
        let facade = run(async |_| {
            let transport = MemoryTransport::delayed(|request| match request.number {
                0 => (SECOND, accepted()),
                1 => (SECOND, refused(400)),
                _ => (3_600 * SECOND, accepted()),
            });
            let rig = rig(
                transport,
                Config { max_in_flight: 1, max_batches: 3, when_full: WhenFull::DropNewest, ..settings() },
            );
            rig.try_send(batch(0, 0)).expect("room");
            sleep(2 * SECOND).await;
            rig.try_send(batch(0, 1)).expect("room");
            sleep(2 * SECOND).await;
            (2..7).for_each(|n| rig.try_send(batch(0, n)).expect("room, or dropped"));
            sleep(2 * SECOND).await;
            rig.end(SECOND).await;
        });
        let counters = ["accepted_total", "delivered_total", "rejected_total", "dropped_total"];
        assert_eq!(counters.map(|name| facade.value(name)), [Some(7.0), Some(1.0), Some(1.0), Some(2.0)]);
        let gauges = ["pending", "spooled", "queued_batches"];
        assert_eq!(gauges.map(|name| facade.value(name)), [Some(3.0), Some(0.0), Some(3.0)]);
        assert!(facade.value("held_bytes") > Some(200.0));
    }

    #[test]
    fn every_counter_and_gauge_is_there_with_its_description_when_the_uploader_starts() {
        let facade = run(async |_| {
            let rig = rig(MemoryTransport::responding(|_| accepted()), settings());
            rig.end(SECOND).await;
        });
        let values = facade.0.lock().expect("the metrics");
        let counters = values.keys().filter(|name| name.ends_with("_total")).count();
        assert_eq!((counters, values.len()), (8, 15));
        assert!(values.values().all(|value| *value == 0.0), "{values:?}");
        let mut described: Vec<_> = facade.1.lock().expect("the descriptions").keys().cloned().collect();
        described.retain(|name| name != "http.client.request.duration");
        assert_eq!(described, values.keys().cloned().collect::<Vec<_>>());
        assert!(
            facade.1.lock().expect("the descriptions").values().all(|(unit, text)| unit.is_some() && !text.is_empty())
        );
    }

    #[test]
    fn retries_are_counted_and_the_last_response_sets_the_used_rate_limit() {
        let facade = run(async |_| {
            let transport = MemoryTransport::responding(|request| match request.number {
                0..3 => refused(503),
                _ => accepted_using(37.5),
            });
            let rig = rig(transport, settings());
            rig.try_send(batch(0, 0)).expect("room");
            sleep(60 * SECOND).await;
            rig.end(SECOND).await;
        });
        assert_eq!(facade.0.lock().expect("the metrics").get("mparticle_retries_total"), Some(&3.0));
        assert_eq!(facade.value("rate_limit_used_percent"), Some(37.5));
    }

    #[test]
    fn the_gauge_of_a_stopped_uploader_is_one_until_it_resumes() {
        run(async |facade| {
            let transport =
                MemoryTransport::responding(|request| if request.number == 0 { refused(401) } else { accepted() });
            let rig = rig(transport, settings());
            rig.try_send(batch(0, 0)).expect("room");
            sleep(SECOND).await;
            assert_eq!(facade.value("stopped"), Some(1.0));
            rig.resume();
            sleep(SECOND).await;
            assert_eq!(facade.value("stopped"), Some(0.0));
            rig.end(SECOND).await;
        });
    }

    #[test]
    fn the_age_of_the_oldest_batch_is_set_every_few_seconds_until_all_is_delivered() {
        run(async |facade| {
            let start = Instant::now();
            let transport = MemoryTransport::delayed(move |request| {
                (SECOND, if request.at < start + 60 * SECOND { refused(503) } else { accepted() })
            });
            let rig = rig(transport, settings());
            let age = || facade.value("oldest_pending_seconds").expect("it is registered");
            sleep(10 * SECOND).await;
            assert_eq!(facade.value("oldest_pending_seconds"), Some(0.0));
            // Open, queued, in flight, and blocked behind another batch of the same user.
            rig.track(user(0), event("a")).expect("room");
            let submitted = Instant::now();
            for second in 0..50 {
                rig.try_send(batch(second % 3, second)).expect("room");
                sleep(SECOND).await;
                let exact = submitted.elapsed().as_secs_f64();
                assert!((exact - 10.0..=exact).contains(&age()), "{} instead of {exact}", age());
            }
            sleep(30 * SECOND).await;
            assert_eq!((rig.stats().pending, facade.value("oldest_pending_seconds")), (0, Some(0.0)));
            rig.end(SECOND).await;
        });
    }
}
