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

/// Records the statistics of the uploader, and when they came.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<(Instant, Numbers)>>>);

impl Listener {
    fn heard(&self) -> Vec<(Instant, Numbers)> {
        self.0.lock().expect("what was heard").clone()
    }
}

impl Listener {
    /// `tracing` keeps for each place of an event whether anybody listens, as it was on the thread that came there first: with
    /// tests beside this one that may have been a thread where nobody does. So the places are come to here, and asked again.
    fn is_reached(&self) {
        let new = StatsSnapshot { queued_batches: 1, ..StatsSnapshot::default() };
        for _ in 0..1000 {
            StatsReporter::is_logged();
            StatsReporter::default().log(new, Instant::now());
            tracing::callsite::rebuild_interest_cache();
            if StatsReporter::is_logged() && !self.heard().is_empty() {
                self.0.lock().expect("what was heard").clear();
                return;
            }
        }
        panic!("nothing is heard");
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
        self.0.lock().expect("what was heard").push((Instant::now(), reading.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_counts_are_told_once_a_second_and_only_when_they_change() {
    let listener = Listener::default();
    let _guard = tracing::subscriber::set_default(listener.clone());
    listener.is_reached();
    let transport = Memory::taking(|request| {
        (SECOND / 10, if request.ids.contains(&"7".to_owned()) { refused(400) } else { accepted() })
    });
    let rig = rig(transport, settings());
    sleep(3 * SECOND).await;
    assert!(listener.heard().is_empty(), "nothing is new");
    for n in 0..100 {
        rig.try_send(batch(n, n)).expect("room");
        sleep(SECOND / 20).await;
    }
    sleep(60 * SECOND).await;

    let heard = listener.heard();
    assert!((5..=8).contains(&heard.len()), "5 seconds of sending, and silence: {heard:?}");
    assert!(heard.windows(2).all(|pair| pair[1].0 - pair[0].0 >= SECOND && pair[1].1 != pair[0].1), "{heard:?}");
    assert!(heard.iter().any(|(_, numbers)| numbers["pending"] > 0 && numbers["held_bytes"] > 0), "{heard:?}");
    let (_, last) = heard.last().expect("an event");
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
    assert_eq!(listener.heard().last().expect("an event").1["delivered"], 100);
}

#[cfg(feature = "metrics")]
mod facade {
    use super::*;

    /// What the facade was told, by name.
    #[derive(Default)]
    struct Facade(Arc<Mutex<BTreeMap<String, f64>>>);

    struct Told(Arc<Mutex<BTreeMap<String, f64>>>, String);

    impl Told {
        fn change(&self, change: impl FnOnce(f64) -> f64) {
            let mut told = self.0.lock().expect("what was told");
            let value = told.entry(self.1.clone()).or_default();
            *value = change(*value);
        }
    }

    impl metrics::CounterFn for Told {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        fn increment(&self, more: u64) {
            self.change(|value| value + more as f64);
        }

        fn absolute(&self, _: u64) {
            unreachable!("counters grow by what is new");
        }
    }

    impl metrics::GaugeFn for Told {
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
            metrics::Counter::from_arc(Arc::new(Told(Arc::clone(&self.0), key.name().to_owned())))
        }

        fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            metrics::Gauge::from_arc(Arc::new(Told(Arc::clone(&self.0), key.name().to_owned())))
        }

        fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
            unreachable!("there are none")
        }
    }

    #[test]
    fn the_facade_of_metrics_is_told_each_count_once() {
        let facade = Facade::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        metrics::with_local_recorder(&facade, || {
            runtime.block_on(async {
                let transport = Memory::taking(|request| match request.number {
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
        let told = facade.0.lock().expect("what was told");
        let of = |name: &str| told.get(&format!("mparticle_uploader_{name}")).copied();
        let counters = ["accepted_total", "delivered_total", "rejected_total", "dropped_total"].map(of);
        assert_eq!(counters, [Some(7.0), Some(1.0), Some(1.0), Some(2.0)]);
        assert_eq!(["pending", "spooled", "queued_batches"].map(of), [Some(3.0), Some(0.0), Some(3.0)]);
        assert!(of("held_bytes") > Some(200.0));
    }
}
