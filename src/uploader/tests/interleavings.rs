//! The threads of the uploader in many interleavings, under shuttle: submitting, waiting for room, tracking, sending and
//! accounting. `INTERLEAVINGS` sets their number.

use std::collections::HashMap;
use std::env;

use shuttle::thread;

use super::super::shared::Phase;
use super::*;
use crate::completion;
use crate::seal::UserKey;

const EACH: usize = 4;

fn orders() -> usize {
    env::var("INTERLEAVINGS").ok().map_or(300, |count| count.parse().expect("a number"))
}

/// Does what the dispatcher does for a request, without a transport: takes the ready batches, and completes them later.
fn deliver(shared: &Shared, arrived: &mut Vec<(UserKey, String)>) {
    let entries = {
        let mut state = shared.lock();
        state.admit(tokio::time::Instant::now());
        let entries = state.queue.take(3);
        shared.unlock(state);
        entries
    };
    thread::yield_now();
    let mut state = shared.lock();
    state.queue.unblock(entries.iter().map(|entry| entry.batch.user()));
    for entry in entries {
        let batch = entry.batch.clone();
        state.queue.complete(entry, Ok(()));
        // Only the ids of batches of tracked events are UUIDs here.
        let tracked = Uuid::parse_str(batch.source_request_id()).is_ok();
        let json: serde_json::Value = serde_json::from_slice(batch.json()).expect("JSON");
        let names = json["events"].as_array().into_iter().flatten();
        arrived.extend(
            names.map(|event| (batch.user(), event["data"]["event_name"].as_str().expect("a name").to_owned())),
        );
        assert!(tracked || json["events"].as_array().map_or(0, Vec::len) == 1);
    }
    assert!(state.queue.accounting.stats().adds_up());
    shared.unlock(state);
}

/// Sends a batch and waits until it is accepted, and with `waits` until it is delivered.
fn send(uploader: &Uploader, batch: Batch, waits: bool, may_drop: bool) -> Result<(), TrySendError> {
    let handle = uploader.send(batch);
    handle.accepted().wait()?;
    if waits {
        match handle.delivered().wait() {
            Ok(()) => {}
            Err(DeliveryError::Dropped(_)) => assert!(may_drop),
            Err(error) => panic!("{error:?}"),
        }
    }
    Ok(())
}

/// Three threads submit batches of their own users to a queue with room for four.
fn scenario(when_full: WhenFull) {
    let shared = Arc::new(Shared::new(Config { max_batches: 4, when_full, ..settings() }, Arc::new(NoJournal)));
    let uploader = Uploader::new(Arc::clone(&shared), None);
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let uploader = uploader.clone();
            thread::spawn(move || {
                let mut taken = 0;
                for number in 0..EACH {
                    let name = event(number);
                    let result = match number % 3 {
                        0 => {
                            let batch = batch(thread, format!("{thread}-{number}")).event(name);
                            send(&uploader, batch, number > 0, when_full == WhenFull::DropOldest)
                        }
                        1 => uploader.track(user(thread), name),
                        _ => uploader.try_send(batch(thread, format!("{thread}-{number}")).event(name)),
                    };
                    taken += u64::from(result.is_ok());
                    assert!(uploader.stats().adds_up());
                }
                taken
            })
        })
        .collect();
    let dispatcher = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let mut arrived = Vec::new();
            while shared.lock().phase == Phase::Running || shared.stats().pending > 0 {
                deliver(&shared, &mut arrived);
                thread::yield_now();
            }
            arrived
        })
    };
    let taken: u64 = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    drop(shared.flush(SECOND, true));
    let arrived = dispatcher.join().expect("no panic");

    let counts = shared.stats();
    assert!(counts.adds_up());
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
fn statistics_add_up_and_user_order_is_preserved_in_any_interleaving() {
    for when_full in [WhenFull::Refuse, WhenFull::DropNewest, WhenFull::DropOldest] {
        shuttle::check_random(move || scenario(when_full), orders());
        shuttle::check_pct(move || scenario(when_full), orders(), 3);
    }
}

#[test]
fn a_completion_completes_in_any_interleaving() {
    shuttle::check_random(
        || {
            let (completer, completion) = completion::pair(|| 0);
            let completer_thread = thread::spawn(move || completer.complete(7));
            assert_eq!(completion.wait(), 7);
            completer_thread.join().expect("no panic");
            let (dropped, completion) = completion::pair(|| 3);
            let dropper = thread::spawn(move || drop(dropped));
            assert_eq!(shuttle::future::block_on(completion), 3);
            dropper.join().expect("no panic");
        },
        orders(),
    );
}
