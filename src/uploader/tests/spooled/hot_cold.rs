//! Hot batches are sent from memory as soon as the disk has confirmed them, while cold ones are unread on the disk. Each
//! user's order is preserved.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::delivery::memory::{MemoryRequest, accepted, refused};

/// The number of counters of the backlog.
const COUNTERS: usize = 1024;

/// Returns four users, of which the last two share a counter of the backlog.
fn users() -> [usize; 4] {
    let slot = |number| batch(number, "x").seal().expect("a batch").user().slot(COUNTERS);
    let sharing = (3..1_000_000).find(|number| slot(*number) == slot(2)).expect("there are more users than counters");
    [0, 1, 2, sharing]
}

#[derive(Clone, Debug)]
enum Step {
    /// A burst of batches of one user.
    Send(usize, usize),
    /// Milliseconds.
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, 1..4_usize).prop_map(|(user, count)| Step::Send(user, count)),
        1 => (1..1_500_u64).prop_map(Step::Pause),
    ]
}

/// Returns a batch with one event, whose name is its number.
fn numbered_batch(user: usize, number: usize) -> Batch {
    batch(user, number).event(event(number))
}

/// Returns the numbers of the accepted batches by user, in their order.
fn numbers(requests: Vec<MemoryRequest>) -> HashMap<UserKey, Vec<usize>> {
    let mut numbers: HashMap<UserKey, Vec<usize>> = HashMap::new();
    for batch in requests.into_iter().filter(|request| request.accepted).flat_map(|request| request.batches) {
        numbers.entry(batch.user()).or_default().push(batch.source_request_id().parse().expect("a number"));
    }
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_hot_batch_overtakes_a_cold_one_of_its_user(
        recovered in vec(0..4_usize, 0..6),
        steps in vec(step(), 1..80),
        behaviour in vec(0..6_u8, 1..12),
        breaks in vec(0..150_u64, 0..10),
        takes in prop_oneof![Just(0), 0..800_u64],
        max_batches in 2..12_usize,
        max_in_flight in 1..4_usize,
        when_full in prop_oneof![Just(WhenFull::Refuse), Just(WhenFull::Spill)],
    ) {
        let users = users();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let transport = MemoryTransport::delayed(move |request| match behaviour[request.number % behaviour.len()] {
                0 => (SECOND, refused(503)),
                1 => (3 * SECOND, accepted()),
                2 => (Duration::ZERO, accepted()),
                _ => (SECOND / 10, accepted()),
            });
            let disk = Arc::new(Disk::default());
            for (number, user) in recovered.iter().enumerate() {
                disk.lock().write(numbered_batch(users[*user], number).seal().expect("a batch"));
            }
            {
                let mut inner = disk.lock();
                (inner.takes, inner.breaks) = (Duration::from_millis(takes), breaks);
            }
            let settings = Config { max_batches, when_full, max_in_flight, ..settings() };
            let rig = rig_with_journal(transport, settings, Some(Arc::clone(&disk) as Arc<dyn Journal>));
            let mut taken = 0;
            for (step, number) in steps.into_iter().zip((1..).map(|step| step * 100)) {
                match step {
                    Step::Send(user, count) => for number in number..number + count {
                        taken += u64::from(rig.try_send(numbered_batch(users[user], number)).is_ok());
                    }
                    Step::Pause(ms) => sleep(Duration::from_millis(ms)).await,
                }
                rig.checked_stats();
            }
            let transport = Arc::clone(&rig.transport);
            // A service that accepts nothing does not delay the end.
            let counts = rig.end(2_000 * SECOND).await;
            assert_eq!((counts.accepted, counts.recovered), (taken, recovered.len() as u64));
            assert_eq!(counts.delivered + counts.pending + counts.spooled, taken + counts.recovered);
            let numbers = numbers(transport.requests());
            assert_eq!(numbers.values().map(Vec::len).sum::<usize>() as u64, counts.delivered);
            for (user, of_user) in numbers {
                assert!(of_user.is_sorted(), "a batch of {user:?} was overtaken: {of_user:?}");
            }
        });
    }
}

/// The service is slightly too slow, so that a part of the load is sent from memory and a part is read from the disk.
#[tokio::test(start_paused = true)]
async fn hot_batches_are_sent_while_cold_ones_are_on_the_disk() {
    let users = users();
    let (rig, disk) = rig_on_disk(
        MemoryTransport::delayed(|request| (SECOND / 10 * u32::from(request.number % 40 < 20), accepted())),
        Config { max_batches: 16, max_in_flight: 2, ..settings() },
    );
    for number in 0..2_000 {
        // One user sends in bursts that memory has no room for, and the others occasionally.
        let count = if number % 50 == 0 { 40 } else { 1 };
        for place in 0..count {
            let user = if count > 1 { users[0] } else { 100 + number % 50 };
            rig.send(numbered_batch(user, number * 100 + place)).accepted().await.expect("on the disk");
        }
        sleep(SECOND / 50).await;
    }
    let transport = Arc::clone(&rig.transport);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!(counts.delivered, counts.accepted);
    let numbers = numbers(transport.requests());
    assert!(numbers.values().all(|of_user| of_user.is_sorted()), "{numbers:?}");
    let inner = disk.lock();
    assert!(inner.reads > 100, "{} were read from the disk", inner.reads);
    assert!(inner.hot_beside_cold > 20, "{} were sent from memory beside others", inner.hot_beside_cold);
}
