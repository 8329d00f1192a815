//! The counters and gauges that the facade of the crate `metrics` receives.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::time::{Instant, sleep};

use super::spooled::Disk;
use super::*;
use crate::delivery::memory::{accepted, accepted_using, refused};

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
    let facade = run(async |facade| {
        let transport = MemoryTransport::delayed(|request| match request.number {
            0 => (SECOND, accepted()),
            1 => (SECOND, refused(400)),
            _ => (3_600 * SECOND, accepted()),
        });
        let rig =
            rig(transport, Config { max_in_flight: 1, max_batches: 3, when_full: WhenFull::DropNewest, ..settings() });
        rig.try_send(batch(0, 0)).expect("room");
        sleep(2 * SECOND).await;
        rig.try_send(batch(0, 1)).expect("room");
        sleep(2 * SECOND).await;
        (2..4).for_each(|n| rig.try_send(batch(0, n)).expect("room"));
        sleep(SECOND).await;
        (4..7).for_each(|n| rig.try_send(batch(0, n)).expect("room, or dropped"));
        sleep(SECOND).await;
        let gauges = ["pending", "spooled", "queued_batches"];
        assert_eq!(gauges.map(|name| facade.value(name)), [Some(3.0), Some(0.0), Some(1.0)]);
        assert!(facade.value("held_bytes") > Some(200.0));
        rig.end(SECOND).await;
    });
    let counters = ["accepted_total", "delivered_total", "rejected_total", "dropped_total"];
    assert_eq!(counters.map(|name| facade.value(name)), [Some(7.0), Some(1.0), Some(1.0), Some(2.0)]);
}

#[test]
fn the_gauges_of_several_uploaders_are_added_and_taken_back_when_each_ends() {
    run(async |facade| {
        let value = |name| facade.value(name).expect("it is registered");
        let stalled = || rig(MemoryTransport::delayed(|_| (3_600 * SECOND, accepted())), settings());
        let stopped = || rig(MemoryTransport::responding(|_| refused(401)), settings());
        let submit = |rig: &Rig, count| (0..count).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
        let (a, b) = (stopped(), stalled());
        submit(&a, 2);
        sleep(60 * SECOND).await;
        submit(&b, 3);
        sleep(10 * SECOND).await;
        assert_eq!((value("pending"), value("stopped")), (5.0, 1.0));
        assert!(value("oldest_pending_seconds") >= 60.0, "the oldest of both");
        let age = value("oldest_pending_seconds");

        // A new uploader does not hide the others.
        let c = stopped();
        sleep(SECOND).await;
        assert_eq!((value("pending"), value("stopped")), (5.0, 1.0));
        assert!(value("oldest_pending_seconds") >= age);
        submit(&c, 1);
        sleep(SECOND).await;
        assert_eq!((value("pending"), value("stopped")), (6.0, 2.0));

        assert_eq!(a.end(SECOND).await.pending, 2);
        assert_eq!((value("pending"), value("stopped")), (4.0, 1.0));
        assert!((5.0..20.0).contains(&value("oldest_pending_seconds")), "that of the second uploader");
        c.worker.abort();
        sleep(SECOND).await;
        assert_eq!((value("pending"), value("stopped")), (3.0, 0.0), "also without a shutdown");
        assert_eq!(b.end(SECOND).await.pending, 3);
        let gauges = ["pending", "stopped", "oldest_pending_seconds", "queued_batches", "held_bytes"];
        assert_eq!(gauges.map(|name| facade.value(name)), [Some(0.0); 5]);
    });
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
    assert!(facade.1.lock().expect("the descriptions").values().all(|(unit, text)| unit.is_some() && !text.is_empty()));
}

#[test]
fn retries_are_counted_and_the_last_response_sets_the_used_rate_limit() {
    let facade = run(async |facade| {
        let transport = MemoryTransport::responding(|request| match request.number {
            0..3 => refused(503),
            3 => accepted_using(37.5),
            _ => accepted(),
        });
        let rig = rig(transport, settings());
        rig.try_send(batch(0, 0)).expect("room");
        sleep(60 * SECOND).await;
        assert_eq!(facade.value("rate_limit_used_percent"), Some(37.5));
        rig.try_send(batch(0, 1)).expect("room");
        sleep(SECOND).await;
        assert_eq!(facade.value("rate_limit_used_percent"), Some(0.0), "the response does not state it");
        rig.end(SECOND).await;
    });
    assert_eq!(facade.0.lock().expect("the metrics").get("mparticle_retries_total"), Some(&3.0));
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

#[test]
fn the_age_of_the_oldest_batch_increases_while_it_is_on_an_unreadable_disk() {
    run(async |facade| {
        let disk = Arc::new(Disk::default());
        (0..3).for_each(|n| _ = disk.lock().write(batch(n, n).seal().expect("a batch")));
        disk.lock().unreadable = u32::MAX;
        let transport = MemoryTransport::responding(|_| accepted());
        let rig = rig_with_journal(transport, settings(), Some(Arc::clone(&disk) as Arc<dyn Journal>));
        let age = || facade.value("oldest_pending_seconds").expect("it is registered");
        sleep(3_600 * SECOND).await;
        assert_eq!((rig.stats().spooled, rig.stats().pending), (3, 0));
        assert!((3_594.0..=3_600.0).contains(&age()), "{}", age());
        disk.lock().unreadable = 0;
        sleep(2 * SECOND).await;
        assert_eq!((rig.stats().delivered, age()), (3, 0.0));
        rig.end(SECOND).await;
    });
}
