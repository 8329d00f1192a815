//! Each user's batches arrive in order, each is accepted once, and the statistics add up, whatever the service does.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::sleep;

use super::spooled::rig_on_disk;
use super::*;
use crate::delivery::memory::{accepted, refused, refused_for};

/// A step of a caller.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Track(usize),
    Pause(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_usize).prop_map(Step::Send),
        4 => (0..6_usize).prop_map(Step::Track),
        1 => (1..3_000_u64).prop_map(Step::Pause),
        1 => Just(Step::Flush),
    ]
}

/// Returns the numbers of batches and events by user, in the order in which they were accepted.
fn numbers(transport: &MemoryTransport) -> HashMap<String, Vec<u64>> {
    let mut numbers: HashMap<String, Vec<u64>> = HashMap::new();
    for request in transport.requests().into_iter().filter(|request| request.accepted) {
        for batch in request.batches {
            let json: serde_json::Value = serde_json::from_slice(batch.json()).expect("JSON");
            let user = json["user_identities"]["customer_id"].as_str().expect("a user").to_owned();
            let of_user = numbers.entry(user).or_default();
            let names = json["events"].as_array().into_iter().flatten().map(|event| &event["data"]["event_name"]);
            of_user.extend(names.map(|name| name.as_str().expect("a name").parse::<u64>().expect("a number")));
        }
    }
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn order_and_statistics_hold_with_any_service_behaviour(
        steps in vec(step(), 1..150),
        behaviour in vec(0..6_u8, 1..20),
        linger in 0..2_000_u64,
        max_in_flight in 1..5_usize,
        max_batches in 5..200_usize,
        spool in prop_oneof![Just(None), Just(Some(WhenFull::Refuse)), Just(Some(WhenFull::Spill))],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let transport = MemoryTransport::delayed(move |request| match behaviour[request.number % behaviour.len()] {
                0 => (SECOND, refused(503)),
                1 => (30 * SECOND, Err(Error::deadline_exceeded())),
                2 => (Duration::ZERO, refused_for(429, SECOND)),
                3 => (3 * SECOND, accepted()),
                _ => (SECOND / 10, accepted()),
            });
            let linger = Duration::from_millis(linger);
            let settings = Config { linger, max_batches, max_in_flight, ..settings() };
            let rig = match spool {
                None => rig(transport, settings),
                Some(when_full) => {
                    let (rig, disk) = rig_on_disk(transport, Config { when_full, ..settings });
                    disk.lock().takes = SECOND / 20;
                    rig
                }
            };
            let (mut taken, mut refused) = (0, 0);
            for (number, step) in steps.into_iter().enumerate() {
                let result = match step {
                    Step::Send(of) => {
                        let batch = Batch::new(Environment::Development).customer_id(of.to_string()).event(event(number));
                        rig.try_send(batch)
                    }
                    Step::Track(of) => rig.track(user(of), event(number)),
                    Step::Pause(ms) => {
                        sleep(Duration::from_millis(ms)).await;
                        continue;
                    }
                    Step::Flush => {
                        rig.flush(SECOND).await;
                        continue;
                    }
                };
                match result {
                    Ok(()) => taken += 1,
                    Err(_) => refused += 1,
                }
                assert_eq!(rig.checked_stats().accepted, taken);
            }
            let transport = Arc::clone(&rig.transport);
            // A service that accepts nothing does not delay the end.
            let counts = rig.end(1_000 * SECOND).await;
            assert_eq!(counts.accepted, counts.delivered + counts.pending + counts.spooled, "{refused} refused");
            let numbers = numbers(&transport);
            assert_eq!(numbers.values().map(Vec::len).sum::<usize>() as u64, counts.delivered);
            assert!(numbers.values().all(|of_user| of_user.is_sorted()), "{numbers:?}");
        });
    }
}

/// Many threads submit to an uploader with its own thread. Each user belongs to one of them.
#[test]
fn user_order_is_preserved_with_many_threads() {
    const THREADS: usize = 8;
    const EACH: usize = 500;
    let transport =
        Arc::new(MemoryTransport::responding(
            |request| if request.number % 7 == 3 { refused(503) } else { accepted() },
        ));
    let mut settings = settings();
    settings.max_batches = 300;
    let shared = Arc::new(Shared::new(settings, Arc::new(NoJournal)));
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(1));
    let deliverer = Deliverer::new(Arc::clone(&transport), policy, Arc::new(|| 0.5));
    let worker = dispatcher::run(Arc::clone(&shared), deliverer);
    let thread = thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(worker);
    });
    let uploader = Uploader::new(shared, Some(thread));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let uploader = uploader.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let of = thread * 10 + number % 3;
                    if number % 2 == 0 {
                        uploader
                            .send(Batch::new(Environment::Development).customer_id(of.to_string()).event(event(number)))
                            .accepted()
                            .wait()
                            .expect("the queue has room");
                    } else {
                        // Retried until there is room.
                        while uploader.track(user(of), event(number)).is_err() {
                            thread::yield_now();
                        }
                    }
                    assert!(uploader.stats().adds_up());
                }
            });
        }
    });
    let counts = uploader.shutdown(60 * SECOND).wait();
    assert_eq!((counts.delivered, counts.pending), ((THREADS * EACH) as u64, 0));
    let numbers = numbers(&transport);
    assert_eq!(numbers.len(), THREADS * 3);
    assert!(numbers.values().all(|of_user| of_user.is_sorted()));
}
