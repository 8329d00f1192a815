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
            StatsReporter::start().log(new, Instant::now());
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
