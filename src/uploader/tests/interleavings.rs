//! The uploader's threads in many orders, under shuttle: submitting, waiting for room, tracking, sending and accounting,
//! one step at a time. `INTERLEAVINGS` says in how many orders.

use std::collections::HashMap;
use std::env;

use shuttle::thread;

use super::super::ledger::Place;
use super::super::queue::Content;
use super::*;
use crate::delivery::Endpoint;
use crate::seal::UserKey;

const EACH: usize = 4;

fn orders() -> usize {
    env::var("INTERLEAVINGS").ok().map_or(300, |count| count.parse().expect("a number"))
}

/// What the worker does with a request, without a road: takes what is there, and then lets it land.
fn deliver(shared: &Shared, arrived: &mut Vec<(UserKey, String)>) {
    let entries = {
        let mut state = shared.lock();
        state.admit_waiters(&shared.settings, tokio::time::Instant::now());
        let (_, entries) = state.queue.take(3, Endpoint::BulkEvents);
        shared.unlock(state);
        entries
    };
    thread::yield_now();
    let mut state = shared.lock();
    state.queue.landed(entries.iter().map(super::super::queue::Entry::user));
    for entry in entries {
        state.ledger.moved(entry.ticket, Place::Memory, Place::Delivered);
        state.queue.let_go(&entry);
        let user = entry.user();
        let tracked = matches!(entry.content, Content::Tracked(_));
        let batch = entry.content.into_sealed(|| Uuid::nil());
        let json: serde_json::Value = serde_json::from_slice(batch.json()).expect("JSON");
        let names = json["events"].as_array().into_iter().flatten();
        arrived.extend(names.map(|event| (user, event["data"]["event_name"].as_str().expect("a name").to_owned())));
        assert!(tracked || json["events"].as_array().map_or(0, Vec::len) == 1);
    }
    assert!(state.ledger.counts().add_up());
    shared.unlock(state);
}

/// Three threads submit, each for a user of its own and for one whom all share, into a queue with room for four.
fn scenario(when_full: WhenFull) {
    let shared = Arc::new(Shared::new(Settings { max_batches: 4, when_full, ..settings() }, None));
    let uploader = Uploader::new(Arc::clone(&shared), None);
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let uploader = uploader.clone();
            thread::spawn(move || {
                let mut taken = 0;
                for number in 0..EACH {
                    let name = event(number);
                    let result = match number % 3 {
                        0 => uploader.send(batch(thread, format!("{thread}-{number}")).event(name)).wait(),
                        1 => uploader.track(&user(thread), name),
                        _ => uploader.try_send(batch(thread, format!("{thread}-{number}")).event(name)),
                    };
                    taken += u64::from(result.is_ok());
                    assert!(uploader.counts().add_up());
                }
                taken
            })
        })
        .collect();
    let worker = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let mut arrived = Vec::new();
            while shared.lock().phase == super::super::shared::Phase::Running || shared.counts().pending > 0 {
                deliver(&shared, &mut arrived);
                thread::yield_now();
            }
            arrived
        })
    };
    let taken: u64 = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    drop(shared.flush(SECOND, true));
    let arrived = worker.join().expect("no panic");

    let counts = shared.counts();
    assert!(counts.add_up());
    assert_eq!((counts.accepted, counts.pending), (taken, 0), "{when_full:?}");
    assert_eq!(counts.delivered as usize, arrived.len());
    assert_eq!(counts.delivered + counts.dropped, taken);
    let mut by_user: HashMap<UserKey, Vec<usize>> = HashMap::new();
    for (user, name) in arrived {
        by_user.entry(user).or_default().push(name.parse().expect("a number"));
    }
    assert!(by_user.values().all(|numbers| numbers.is_sorted()), "{by_user:?}");
}

#[test]
fn in_any_order_everything_adds_up_and_each_user_keeps_the_order() {
    for when_full in [WhenFull::Refuse, WhenFull::DropNewest, WhenFull::DropOldest] {
        shuttle::check_random(move || scenario(when_full), orders());
        shuttle::check_pct(move || scenario(when_full), orders(), 3);
    }
}

/// An answer is never missed, whoever comes first.
#[test]
fn an_answer_always_arrives() {
    shuttle::check_random(
        || {
            let (kept, waiting) = completion::pair(|| 0);
            let giver = thread::spawn(move || kept.complete(7));
            assert_eq!(waiting.wait(), 7);
            giver.join().expect("no panic");
            let (dropped, waiting) = completion::pair(|| 3);
            let dropper = thread::spawn(move || drop(dropped));
            assert_eq!(shuttle::future::block_on(waiting), 3);
            dropper.join().expect("no panic");
        },
        orders(),
    );
}
