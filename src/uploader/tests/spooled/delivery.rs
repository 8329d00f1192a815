//! Delivery through the spool and across restarts: confirmed batches are delivered, and everything counts once.

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::delivery::memory::{accepted, refused};

#[tokio::test(start_paused = true)]
async fn every_batch_is_spooled_and_acknowledged_when_delivered() {
    let (rig, disk) = rig_on_disk(MemoryTransport::delayed(|_| (10 * SECOND, accepted())), settings());
    disk.lock().takes = SECOND;
    let start = Instant::now();
    let sent = rig.send(batch(0, 0));
    rig.try_send(batch(1, 1)).expect("room");
    rig.track(user(2), event("e")).expect("room");
    assert_eq!((rig.checked_stats().pending, rig.checked_stats().spooled), (3, 0));
    sent.accepted().await.expect("on the disk");
    assert_eq!(start.elapsed(), SECOND);
    sleep(SECOND).await;
    assert_eq!((rig.checked_stats().pending, rig.checked_stats().spooled), (0, 3));
    assert_eq!(disk.ids().len(), 3);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.delivered, counts.spooled), (3, 0));
    assert!(disk.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn remaining_batches_are_delivered_by_the_next_uploader() {
    let (rig, disk) = rig_on_disk(MemoryTransport::responding(|_| refused(503)), settings());
    for n in 0..150 {
        rig.try_send(batch(n % 5, n)).expect("room");
    }
    rig.track(user(9), event("e")).expect("room");
    rig.track(user(9), event("f")).expect("room");
    let counts = rig.end(5 * SECOND).await;
    assert_eq!((counts.accepted, counts.spooled, counts.pending), (152, 152, 0));
    assert_eq!(disk.ids().len(), 151);

    let disk = disk.restart();
    let rig = rig_with_journal(
        MemoryTransport::responding(|_| accepted()),
        settings(),
        Some(Arc::clone(&disk) as Arc<dyn Journal>),
    );
    assert_eq!((rig.checked_stats().recovered, rig.checked_stats().spooled), (151, 151));
    let transport = Arc::clone(&rig.transport);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.recovered, counts.delivered, counts.spooled), (151, 151, 0));
    assert!(disk.ids().is_empty());
    let ids: Vec<usize> = transport.accepted().iter().filter_map(|id| id.parse().ok()).collect();
    assert!((0..5).all(|user| ids.iter().filter(|id| **id % 5 == user).is_sorted()));
}

#[tokio::test(start_paused = true)]
async fn a_record_read_or_evicted_before_its_confirmation_counts_once() {
    for back in [EarlyEffect::Read, EarlyEffect::Evicted] {
        let (rig, disk) = rig_on_disk(MemoryTransport::responding(|_| accepted()), settings());
        {
            let mut inner = disk.lock();
            inner.takes = 5 * SECOND;
            inner.comes_back = Some(back);
        }
        // Starts a new epoch, so that a wrong token is noticed.
        rig.flush(SECOND).await;
        let sent = rig.send(batch(0, 0));
        rig.track(user(1), event("e")).expect("room");
        rig.track(user(1), event("f")).expect("room");
        let start = Instant::now();
        let counts = rig.flush(60 * SECOND).await;
        let gone = if back == EarlyEffect::Read { counts.delivered } else { counts.dropped };
        assert_eq!((gone, counts.accepted), (3, 3), "{back:?}");
        match back {
            EarlyEffect::Read => assert_eq!(start.elapsed(), 5 * SECOND, "what is not confirmed is not read"),
            EarlyEffect::Evicted => {
                assert!(start.elapsed() < 5 * SECOND, "an ended batch does not wait for its confirmation");
            }
        }
        sent.accepted().await.expect("the disk works");
        assert_eq!(start.elapsed(), 5 * SECOND);
        assert_eq!(rig.end(60 * SECOND).await, counts, "{back:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Confirmed batches are delivered across restarts and failures, and the statistics add up.
    #[test]
    fn confirmed_batches_are_delivered_across_restarts(
        runs in vec((1..60_usize, 0..4_u8, 0..3_000_u64, any::<bool>()), 1..5),
        spills in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut disk = Arc::new(Disk::default());
            let (mut confirmed, mut arrived) = (BTreeSet::new(), Vec::new());
            let mut next = 0;
            let last = runs.len();
            for (run, (count, behaviour, deadline, fails)) in runs.into_iter().enumerate() {
                disk = disk.restart();
                disk.lock().takes = SECOND / 10;
                disk.lock().fails = fails && run + 1 < last;
                let fine = run + 1 == last;
                let transport = MemoryTransport::delayed(move |request| match behaviour {
                    _ if fine => (SECOND / 10, accepted()),
                    0 => (SECOND, refused(503)),
                    1 => (60 * SECOND, Err(Error::deadline_exceeded())),
                    2 if request.number % 2 == 0 => (SECOND, refused(503)),
                    _ => (SECOND / 10, accepted()),
                });
                let when_full = if spills { WhenFull::Spill } else { WhenFull::Refuse };
                let store = Some(Arc::clone(&disk) as Arc<dyn Journal>);
                let rig = rig_with_journal(transport, Config { max_batches: 20, when_full, ..settings() }, store);
                for n in next..next + count {
                    let sent = rig.send(batch(n % 4, n));
                    if !spills && !disk.lock().fails && sent.accepted().await.is_ok() {
                        confirmed.insert(n.to_string());
                    }
                    assert!(rig.checked_stats().adds_up());
                }
                next += count;
                let transport = Arc::clone(&rig.transport);
                let deadline = if fine { 3_600 * SECOND } else { Duration::from_millis(deadline) };
                let counts = rig.end(deadline).await;
                arrived.extend(transport.accepted());
                assert!(!fine || counts.pending + counts.spooled == 0, "{counts:?}");
                assert_eq!(counts.spooled, disk.ids().len() as u64);
            }
            let arrived: BTreeSet<_> = arrived.into_iter().collect();
            assert!(confirmed.is_subset(&arrived), "{:?}", confirmed.difference(&arrived));
        });
    }
}
