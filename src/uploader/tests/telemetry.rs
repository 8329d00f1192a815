//! The statistics that `tracing` receives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::super::telemetry::{StatsReporter, StatsSnapshot};
use super::*;
use crate::delivery::memory::{accepted, refused};

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

#[cfg(feature = "metrics")]
mod facade {
    use super::*;

    /// The values that the facade received, by name.
    #[derive(Default)]
    struct Facade(Arc<Mutex<BTreeMap<String, f64>>>);

    struct Recorded(Arc<Mutex<BTreeMap<String, f64>>>, String);

    impl Recorded {
        fn change(&self, change: impl FnOnce(f64) -> f64) {
            let mut recorded = self.0.lock().expect("the metrics");
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
        fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
        fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
        fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

        fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
            metrics::Counter::from_arc(Arc::new(Recorded(Arc::clone(&self.0), key.name().to_owned())))
        }

        fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            metrics::Gauge::from_arc(Arc::new(Recorded(Arc::clone(&self.0), key.name().to_owned())))
        }

        fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
            unreachable!("there are none")
        }
    }

    #[test]
    fn the_metrics_facade_receives_each_count_once() {
        let facade = Facade::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        metrics::with_local_recorder(&facade, || {
            runtime.block_on(async {
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
        });
        let recorded = facade.0.lock().expect("the metrics");
        let of = |name: &str| recorded.get(&format!("mparticle_uploader_{name}")).copied();
        let counters = ["accepted_total", "delivered_total", "rejected_total", "dropped_total"].map(of);
        assert_eq!(counters, [Some(7.0), Some(1.0), Some(1.0), Some(2.0)]);
        assert_eq!(["pending", "spooled", "queued_batches"].map(of), [Some(3.0), Some(0.0), Some(3.0)]);
        assert!(of("held_bytes") > Some(200.0));
    }
}
