//! With a spool, one in memory that can be slow or broken: what is confirmed survives, the order holds, everything adds up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::store::{GivenUp, Gone, Record, Store, Written};
use super::*;
use crate::ErrorKind;
use crate::delivery::Endpoint;
use crate::delivery::memory::{accepted, refused};

/// The disk of a spool.
#[derive(Default)]
pub(super) struct Disk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(super) struct Inner {
    /// What is written and not done, with its number.
    records: Vec<(u64, SealedBatch)>,
    unread: VecDeque<u64>,
    next_number: u64,
    dead: Vec<(SealedBatch, String)>,
    given_up: Vec<GivenUp>,
    /// How long a write takes, and whether it fails.
    pub(super) takes: Duration,
    pub(super) fails: bool,
    /// Whether what is written comes back before the confirmation does: to be read, or given up.
    comes_back: Option<Back>,
    /// Nothing is even taken.
    full: bool,
    /// The writes, counted from 0 from now on, that fail.
    breaks: Vec<u64>,
    writes: u64,
    /// So often reading fails.
    unreadable: u32,
    watcher: Option<Arc<Notify>>,
    /// What was appended once more.
    again: Vec<(Endpoint, DateTime<Utc>)>,
    /// Another record would cost one that is there.
    no_room: bool,
    /// Records that are found to be gone when somebody looks.
    vanishes: Vec<u64>,
    /// The endpoint of all records, if it is not that of the uploader.
    endpoint: Option<Endpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Back {
    Read,
    GivenUp,
}

impl Inner {
    fn write(&mut self, batch: SealedBatch) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.records.push((number, batch));
        self.unread.push_back(number);
        number
    }
}

impl Disk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("the disk")
    }

    /// The same disk after a restart.
    fn restarted(&self) -> Arc<Self> {
        let mut inner = self.lock();
        inner.unread = inner.records.iter().map(|(number, _)| *number).collect();
        drop(inner);
        Arc::new(Self { inner: Arc::clone(&self.inner) })
    }

    fn ids(&self) -> BTreeSet<String> {
        self.lock().records.iter().map(|(_, batch)| batch.source_request_id().to_owned()).collect()
    }
}

impl Store for Disk {
    fn append(&self, _: Endpoint, batch: &SealedBatch) -> Result<Written, Error> {
        let (inner, batch) = (Arc::clone(&self.inner), batch.clone());
        if self.lock().full {
            return Err(Error::config("the disk is full"));
        }
        let due = Instant::now() + self.lock().takes;
        let breaks = {
            let mut inner = self.lock();
            inner.writes += 1;
            inner.breaks.contains(&(inner.writes - 1))
        };
        let comes_back = self.lock().comes_back;
        let early = match comes_back {
            None => None,
            Some(Back::Read) => Some(self.lock().write(batch.clone())),
            Some(Back::GivenUp) => {
                self.lock().given_up.push((Gone::Batch(batch.clone()), Error::config("the disk is full")));
                Some(0)
            }
        };
        Ok(Box::pin(async move {
            sleep_until(due).await;
            let mut inner = inner.lock().expect("the disk");
            if inner.fails || breaks {
                return Err(Error::config("the disk is broken"));
            }
            Ok(early.unwrap_or_else(|| inner.write(batch)))
        }))
    }

    fn append_again(&self, record: &Record) -> Result<Written, Error> {
        self.lock().again.push((record.endpoint, record.appended));
        self.append(record.endpoint, &record.batch)
    }

    fn has_room(&self, _: &SealedBatch) -> bool {
        !self.lock().no_room
    }

    fn find_vanished(&self) {
        let mut inner = self.lock();
        let vanishes = std::mem::take(&mut inner.vanishes);
        inner.records.retain(|(number, _)| !vanishes.contains(number));
    }

    fn next(&self) -> Result<Option<Record>, Error> {
        let mut inner = self.lock();
        if inner.unreadable > 0 {
            inner.unreadable -= 1;
            return Err(Error::config("the disk is unreadable"));
        }
        let Some(number) = inner.unread.pop_front() else { return Ok(None) };
        let record = inner.records.iter().find(|(of, _)| *of == number).map(|(_, batch)| batch.clone());
        let endpoint = inner.endpoint.unwrap_or(Endpoint::BulkEvents);
        Ok(record.map(|batch| Record { number, appended: DateTime::UNIX_EPOCH, endpoint, batch }))
    }

    fn last(&self) -> Option<u64> {
        self.lock().next_number.checked_sub(1)
    }

    fn unread(&self) -> u64 {
        self.lock().unread.len() as u64
    }

    fn acknowledge(&self, number: u64) {
        self.lock().records.retain(|(of, _)| *of != number);
    }

    fn bury(&self, _: Endpoint, batch: &SealedBatch, reason: &str, number: Option<u64>) {
        self.lock().dead.push((batch.clone(), reason.to_owned()));
        if let Some(number) = number {
            self.acknowledge(number);
        }
    }

    fn keeps(&self, number: u64) -> bool {
        self.lock().records.iter().any(|(of, _)| *of == number)
    }

    fn given_up(&self) -> Vec<GivenUp> {
        std::mem::take(&mut self.lock().given_up)
    }

    fn watch(&self, watcher: Arc<Notify>) {
        self.lock().watcher = Some(watcher);
    }
}

pub(super) fn on_disk(road: Memory, settings: Settings) -> (Rig, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    (rig_on(road, settings, Some(Arc::clone(&disk) as Arc<dyn Store>)), disk)
}

#[tokio::test(start_paused = true)]
async fn everything_goes_through_the_spool_and_is_done_when_it_is_delivered() {
    let (rig, disk) = on_disk(Memory::taking(|_| (10 * SECOND, accepted())), settings());
    disk.lock().takes = SECOND;
    let start = Instant::now();
    let sent = rig.send(batch(0, 0));
    rig.try_send(batch(1, 1)).expect("room");
    rig.track(&user(2), event("e")).expect("room");
    assert_eq!((rig.now().pending, rig.now().spooled), (3, 0));
    sent.await.expect("on the disk");
    assert_eq!(start.elapsed(), SECOND);
    sleep(SECOND).await;
    assert_eq!((rig.now().pending, rig.now().spooled), (0, 3));
    assert_eq!(disk.ids().len(), 3);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.delivered, counts.spooled), (3, 0));
    assert!(disk.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_end_is_found_by_the_next_one() {
    let (rig, disk) = on_disk(Memory::answering(|_| refused(503)), settings());
    for n in 0..150 {
        rig.try_send(batch(n % 5, n)).expect("room");
    }
    rig.track(&user(9), event("e")).expect("room");
    rig.track(&user(9), event("f")).expect("room");
    let counts = rig.end(5 * SECOND).await;
    assert_eq!((counts.accepted, counts.spooled, counts.pending), (152, 152, 0));
    assert_eq!(disk.ids().len(), 151);

    let disk = disk.restarted();
    let rig = rig_on(Memory::answering(|_| accepted()), settings(), Some(Arc::clone(&disk) as Arc<dyn Store>));
    assert_eq!((rig.now().recovered, rig.now().spooled), (151, 151));
    let road = Arc::clone(&rig.road);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.recovered, counts.delivered, counts.spooled), (151, 151, 0));
    assert!(disk.ids().is_empty());
    let ids: Vec<usize> = road.accepted().iter().filter_map(|id| id.parse().ok()).collect();
    assert!((0..5).all(|user| ids.iter().filter(|id| **id % 5 == user).is_sorted()));
}

#[tokio::test(start_paused = true)]
async fn memory_spills_when_it_is_full_and_the_order_holds() {
    let road = Memory::taking(|request| (if request.number == 0 { 10 * SECOND } else { Duration::ZERO }, accepted()));
    let spilling = Settings { max_batches: 4, when_full: WhenFull::Spill, ..settings() };
    let (rig, disk) = on_disk(road, spilling);
    rig.try_send(batch(0, 0)).expect("room");
    sleep(SECOND).await;
    for n in 1..50 {
        rig.try_send(batch(0, n)).expect("room on the disk");
    }
    rig.track(&user(0), event("50")).expect("room on the disk");
    sleep(SECOND).await;
    assert_eq!(disk.ids().len(), 50, "what waits goes before what has no room");
    let road = Arc::clone(&rig.road);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.accepted, counts.delivered), (51, 51));
    let mut expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    let arrived = road.accepted();
    expected.push(arrived[50].clone());
    assert_eq!(arrived, expected);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_memory_goes_to_the_disk_first() {
    let spilling = Settings { when_full: WhenFull::Spill, linger: 60 * SECOND, ..settings() };
    let (rig, disk) = on_disk(Memory::taking(|_| (3_600 * SECOND, accepted())), spilling);
    (0..120).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    sleep(SECOND).await;
    rig.track(&user(200), event("e")).expect("room");
    assert_eq!((disk.ids().len(), rig.now().pending), (0, 121));
    let start = Instant::now();
    let uploader = rig.uploader.clone();
    // One hundred are on their way in a request that stalls.
    let counts = rig.end(10 * SECOND).await;
    assert!(start.elapsed() <= 10 * SECOND);
    assert_eq!((counts.spooled, counts.pending, disk.ids().len()), (121, 0, 121));
    assert_eq!(uploader.0.shared.lock().measures().held_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_disk_leaves_the_memory_road() {
    for (fails, full) in [(true, false), (false, true)] {
        let (rig, disk) = on_disk(Memory::answering(|_| accepted()), settings());
        disk.lock().fails = fails;
        disk.lock().full = full;
        rig.try_send(batch(0, 0)).expect("memory has room");
        let sent = rig.send(batch(1, 1)).await;
        assert_eq!(sent.expect_err("it would not survive the end of the program").unsent(), []);
        let counts = rig.end(10 * SECOND).await;
        assert_eq!((counts.accepted, counts.delivered, counts.spooled), (2, 2, 0));
    }
    // With both full, it is the caller's.
    let stalling = Memory::taking(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = on_disk(stalling, Settings { max_batches: 1, when_full: WhenFull::Spill, ..settings() });
    disk.lock().full = true;
    rig.try_send(batch(0, 0)).expect("memory has room");
    assert_eq!(rig.try_send(batch(1, 1)).expect_err("full").kind(), ErrorKind::Full);
    assert_eq!(rig.end(SECOND).await.pending, 1);
}

/// An event of this size, in bytes, about.
fn large(size: usize) -> CustomEvent {
    CustomEvent { view_controller: Some("x".repeat(size)), ..event("e") }
}

#[tokio::test(start_paused = true)]
async fn a_split_batch_is_on_the_disk_when_all_of_its_parts_are() {
    let (rig, disk) = on_disk(Memory::taking(|_| (3_600 * SECOND, accepted())), settings());
    disk.lock().breaks = vec![1];
    let sent = rig.send(batch(0, "a").events((0..5).map(|_| large(60_000)))).await;
    assert_eq!(disk.ids().len(), 2, "one of the three parts is in memory alone");
    sent.expect_err("it would not survive the end of the program");
    rig.send(batch(1, "b")).await.expect("another one has nothing to do with it");
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_while_the_disk_fails() {
    for when_full in [WhenFull::Refuse, WhenFull::Spill] {
        let stalling = Memory::taking(|_| (3_600 * SECOND, accepted()));
        let (rig, disk) = on_disk(stalling, Settings { max_batches: 20, when_full, ..settings() });
        disk.lock().fails = true;
        disk.lock().takes = SECOND / 100;
        for n in 0..500 {
            _ = rig.try_send(batch(n, n));
            _ = rig.track(&user(1_000 + n), event(n));
            sleep(SECOND / 50).await;
        }
        let pending = rig.now().pending;
        assert!((18..=24).contains(&pending), "{pending} with {when_full:?}");
        assert_eq!(rig.try_send(batch(0, 0)).expect_err("full").kind(), ErrorKind::Full);
        // When the disk works again, so does the way over it.
        disk.lock().fails = false;
        rig.end(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_is_not_overtaken() {
    let road = Memory::taking(|request| (if request.number == 0 { 10 * SECOND } else { Duration::ZERO }, accepted()));
    let (rig, disk) = on_disk(road, Settings { max_batches: 2, ..settings() });
    for n in 0..10 {
        rig.send(batch(0, n)).await.expect("on the disk");
    }
    disk.lock().full = true;
    assert_eq!(rig.try_send(batch(0, 10)).expect_err("older ones are in there").kind(), ErrorKind::Full);
    let waiting = rig.send(batch(0, 11));
    assert_eq!(rig.now().accepted, 10);
    // It waits until nothing is in there that it could overtake, and then is in memory alone.
    assert_eq!(waiting.await.expect_err("not on the disk").unsent(), []);
    let road = Arc::clone(&rig.road);
    assert_eq!(rig.end(60 * SECOND).await.delivered, 11);
    assert_eq!(road.accepted().join(" "), "0 1 2 3 4 5 6 7 8 9 11");
}

#[tokio::test(start_paused = true)]
async fn what_is_tracked_before_a_flush_goes_before_what_is_sent_after_it() {
    let (rig, _) = on_disk(Memory::answering(|_| accepted()), Settings { linger: SECOND, ..settings() });
    rig.track(&user(0), event("first")).expect("room");
    let flushed = rig.flush(60 * SECOND);
    rig.try_send(batch(0, "second")).expect("room");
    flushed.await;
    let road = Arc::clone(&rig.road);
    rig.end(60 * SECOND).await;
    assert_eq!(road.accepted().len(), 2);
    assert_eq!(road.accepted()[1], "second");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_no_request_can_carry_is_rejected_and_holds_up_nobody() {
    let disk = Arc::new(Disk::default());
    let large = format!(r#"{{"source_request_id":"large","a":"{}"}}"#, "x".repeat(500_000));
    disk.lock().write(SealedBatch::from_json(large).expect("a batch"));
    disk.lock().write(batch(1, 1).seal().expect("a batch"));
    let rig = rig_on(Memory::answering(|_| accepted()), settings(), Some(Arc::clone(&disk) as Arc<dyn Store>));
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.recovered, counts.delivered, counts.rejected), (2, 1, 1));
    assert_eq!(disk.lock().dead.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_spool_gave_up_at_the_last_moment_ends_a_flush_at_once() {
    let disk = Arc::new(Disk::default());
    let lost = batch(9, 9).seal().expect("a batch");
    disk.lock().write(lost.clone());
    let rig = rig_on(Memory::answering(|_| accepted()), settings(), Some(Arc::clone(&disk) as Arc<dyn Store>));
    disk.lock().unread.clear();
    let ended = rig.shutdown(60 * SECOND);
    sleep(SECOND).await;
    let watcher = {
        let mut inner = disk.lock();
        inner.given_up.extend([(Gone::Batch(lost), Error::config("too old"))]);
        inner.watcher.clone().expect("somebody watches")
    };
    let start = Instant::now();
    watcher.notify_one();
    let counts = ended.await;
    assert_eq!((counts.recovered, counts.dropped, start.elapsed()), (1, 1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_a_full_spool_gave_up_after_it_was_read_is_written_again_at_the_end() {
    let (rig, disk) = on_disk(Memory::taking(|_| (3_600 * SECOND, accepted())), settings());
    for n in 0..10 {
        rig.send(batch(n, n)).await.expect("on the disk");
    }
    sleep(SECOND).await;
    let uploader = rig.uploader.clone();
    // The oldest segment is gone; all had been read.
    disk.lock().records.drain(..4);
    let counts = rig.end(10 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending), (10, 0));
    assert_eq!(disk.ids().len(), 10);
    assert_eq!(uploader.0.shared.lock().measures().held_bytes, 0, "memory holds nothing that the disk has");
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_does_not_stretch_a_short_deadline_and_keeps_nothing_back() {
    let (rig, disk) = on_disk(Memory::answering(|_| accepted()), settings());
    disk.lock().takes = 3_600 * SECOND;
    rig.try_send(batch(0, "a")).expect("room");
    let start = Instant::now();
    let uploader = rig.uploader.clone();
    let counts = rig.end(SECOND / 10).await;
    assert_eq!((counts.pending, start.elapsed()), (1, SECOND / 10));
    let unsent = uploader.take_unsent();
    assert_eq!(unsent.iter().map(SealedBatch::source_request_id).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_be_read_is_read_again() {
    let (rig, disk) = on_disk(Memory::answering(|_| accepted()), settings());
    disk.lock().unreadable = 3;
    (0..20).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let start = Instant::now();
    assert_eq!(rig.flush(60 * SECOND).await.delivered, 20);
    assert_eq!(start.elapsed(), 3 * SECOND);
    rig.end(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_is_buried_and_what_is_given_up_is_told() {
    let road = Memory::answering(|request| if request.ids.contains(&"7".into()) { refused(400) } else { accepted() });
    let (rig, disk) = on_disk(road, settings());
    (0..20).for_each(|n| rig.try_send(batch(n, n)).expect("room"));
    let counts = rig.flush(60 * SECOND).await;
    assert_eq!((counts.delivered, counts.rejected, counts.spooled), (19, 1, 0));
    let (dead, reason) = disk.lock().dead[0].clone();
    assert_eq!(dead.source_request_id(), "7");
    assert_eq!(reason, "the service answered 400 Bad Request, with 1 error; SAID: no to 400");

    rig.end(SECOND).await;
    let disk = disk.restarted();
    let lost = batch(9, 9).seal().expect("a batch");
    disk.lock().records.push((1_000, lost.clone()));
    let disk = disk.restarted();
    let rig = rig_on(Memory::taking(|_| (SECOND, accepted())), settings(), Some(Arc::clone(&disk) as Arc<dyn Store>));
    let mut outcomes = rig.outcomes();
    {
        let mut inner = disk.lock();
        inner.unread.clear();
        inner.given_up.push((Gone::Batch(lost), Error::config("too old")));
    }
    let counts = rig.end(SECOND).await;
    assert_eq!((counts.recovered, counts.dropped, counts.spooled), (1, 1, 0));
    assert!(matches!(outcomes.next().await.expect("an outcome").fate(), Fate::Dropped(_)));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_before_it_is_confirmed_counts_once() {
    for back in [Back::Read, Back::GivenUp] {
        let (rig, disk) = on_disk(Memory::answering(|_| accepted()), settings());
        {
            let mut inner = disk.lock();
            inner.takes = 5 * SECOND;
            inner.comes_back = Some(back);
        }
        // Of an earlier epoch, so that a wrong ticket shows.
        rig.flush(SECOND).await;
        let sent = rig.send(batch(0, 0));
        rig.track(&user(1), event("e")).expect("room");
        rig.track(&user(1), event("f")).expect("room");
        let start = Instant::now();
        let counts = rig.flush(60 * SECOND).await;
        let gone = if back == Back::Read { counts.delivered } else { counts.dropped };
        assert_eq!((gone, counts.accepted), (3, 3), "{back:?}");
        assert!(start.elapsed() < 5 * SECOND, "nobody waits for the confirmation of what has ended");
        sent.await.expect("the disk works");
        assert_eq!(start.elapsed(), 5 * SECOND);
        assert_eq!(rig.end(60 * SECOND).await, counts, "{back:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Through restarts, whatever fails: what was confirmed is delivered, and each count adds up.
    #[test]
    fn what_was_confirmed_is_delivered(
        runs in vec((1..60_usize, 0..4_u8, 0..3_000_u64, any::<bool>()), 1..5),
        spills in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut disk = Arc::new(Disk::default());
            let (mut confirmed, mut arrived) = (BTreeSet::new(), Vec::new());
            let mut next = 0;
            let last = runs.len();
            for (run, (count, weather, deadline, fails)) in runs.into_iter().enumerate() {
                disk = disk.restarted();
                disk.lock().takes = SECOND / 10;
                disk.lock().fails = fails && run + 1 < last;
                let fine = run + 1 == last;
                let road = Memory::taking(move |request| match weather {
                    _ if fine => (SECOND / 10, accepted()),
                    0 => (SECOND, refused(503)),
                    1 => (60 * SECOND, Err(Error::out_of_time())),
                    2 if request.number % 2 == 0 => (SECOND, refused(503)),
                    _ => (SECOND / 10, accepted()),
                });
                let when_full = if spills { WhenFull::Spill } else { WhenFull::Refuse };
                let store = Some(Arc::clone(&disk) as Arc<dyn Store>);
                let rig = rig_on(road, Settings { max_batches: 20, when_full, ..settings() }, store);
                for n in next..next + count {
                    let sent = rig.send(batch(n % 4, n));
                    if !spills && !disk.lock().fails && sent.await.is_ok() {
                        confirmed.insert(n.to_string());
                    }
                    assert!(rig.now().add_up());
                }
                next += count;
                let road = Arc::clone(&rig.road);
                let deadline = if fine { 3_600 * SECOND } else { Duration::from_millis(deadline) };
                let counts = rig.end(deadline).await;
                arrived.extend(road.accepted());
                assert!(!fine || counts.pending + counts.spooled == 0, "{counts:?}");
                assert_eq!(counts.spooled, disk.ids().len() as u64);
            }
            let arrived: BTreeSet<_> = arrived.into_iter().collect();
            assert!(confirmed.is_subset(&arrived), "{:?}", confirmed.difference(&arrived));
        });
    }
}

/// Sends these batches of one user, of which the disk fails to write those that are named, and waits until it has settled all.
async fn send_with_failures(rig: &Rig, disk: &Disk, ids: std::ops::Range<usize>, failing: &[usize]) {
    {
        let mut inner = disk.lock();
        inner.writes = 0;
        inner.breaks = failing.iter().map(|id| (id - ids.start) as u64).collect();
    }
    for id in ids {
        assert_eq!(rig.send(batch(0, id)).await.is_err(), failing.contains(&id), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_waits_for_the_older_records_and_newer_ones_wait_for_it() {
    // The service answers nothing for a while, so that no more than four batches are read ahead.
    let road = Memory::taking(|request| (if request.number == 0 { 100 * SECOND } else { SECOND / 10 }, accepted()));
    let (rig, disk) = on_disk(road, Settings { max_batches: 4, ..settings() });
    send_with_failures(&rig, &disk, 0..30, &[8, 9, 20]).await;
    assert!(disk.lock().unread.len() > 15, "older records and newer ones are unread");
    assert_eq!((rig.now().pending, rig.now().spooled), (3, 27));
    let road = Arc::clone(&rig.road);
    assert_eq!(rig.end(300 * SECOND).await.delivered, 30);
    assert_eq!(road.accepted(), (0..30).map(|id| id.to_string()).collect::<Vec<_>>());
    assert!(disk.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_failed_write_goes_to_the_disk_in_its_order() {
    for limit in [4, 10_000] {
        let road = Memory::taking(|_| (3_600 * SECOND, accepted()));
        let (rig, disk) = on_disk(road, Settings { max_batches: limit, ..settings() });
        send_with_failures(&rig, &disk, 0..30, &[8, 20]).await;
        let counts = rig.end(60 * SECOND).await;
        assert_eq!((counts.spooled, counts.pending), (30, 0));

        let disk = disk.restarted();
        let road = Memory::answering(|_| accepted());
        let rig = rig_on(road, settings(), Some(Arc::clone(&disk) as Arc<dyn Store>));
        let road = Arc::clone(&rig.road);
        assert_eq!(rig.end(60 * SECOND).await.delivered, 30);
        assert_eq!(road.accepted(), (0..30).map(|id| id.to_string()).collect::<Vec<_>>(), "{limit} batches in memory");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_unread_records_is_bounded() {
    let stalling = Memory::taking(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = on_disk(stalling, Settings { max_batches: 10, ..settings() });
    send_with_failures(&rig, &disk, 0..30, &[]).await;
    disk.lock().fails = true;
    let mut taken = 0_usize;
    while rig.try_send(batch(0, 30 + taken)).is_ok() {
        taken += 1;
        sleep(SECOND / 100).await;
        assert!(taken <= 11, "{taken} are in memory alone");
    }
    assert!(taken >= 9, "{taken}");
    let uploader = rig.uploader.clone();
    let counts = rig.end(4 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending), (30, taken as u64));
    let unsent: Vec<_> = uploader.take_unsent().iter().map(|batch| batch.source_request_id().to_owned()).collect();
    assert_eq!(unsent, (30..30 + taken).map(|id| id.to_string()).collect::<Vec<_>>());
}

/// The ids in the order in which they arrive at the next uploader. The service drops repeats.
async fn delivered_next(disk: &Disk) -> Vec<usize> {
    let disk = disk.restarted();
    disk.lock().fails = false;
    let rig = rig_on(Memory::answering(|_| accepted()), settings(), Some(Arc::clone(&disk) as Arc<dyn Store>));
    let road = Arc::clone(&rig.road);
    let counts = rig.end(600 * SECOND).await;
    assert_eq!((counts.pending, counts.spooled), (0, 0));
    let mut seen = BTreeSet::new();
    let ids = road.accepted().into_iter().map(|id| id.parse().expect("a number"));
    ids.filter(|id| seen.insert(*id)).collect()
}

/// An uploader of which memory alone has the first batch of a user, in flight, and the disk the other 29.
async fn one_in_memory_and_newer_ones_on_the_disk() -> (Rig, Arc<Disk>) {
    let stalling = Memory::taking(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = on_disk(stalling, Settings { max_batches: 2, when_full: WhenFull::Spill, ..settings() });
    rig.try_send(batch(0, 0)).expect("room");
    sleep(SECOND).await;
    (1..30).for_each(|id| rig.try_send(batch(0, id)).expect("room on the disk"));
    sleep(SECOND).await;
    assert_eq!((disk.ids().len(), rig.now().pending), (29, 1));
    assert!(disk.lock().unread.len() > 20, "most of it is not read ahead");
    (rig, disk)
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_batch_in_memory_is_spooled_before_newer_records_of_its_user() {
    let (rig, disk) = one_in_memory_and_newer_ones_on_the_disk().await;
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending, disk.lock().records.len()), (30, 0, 30));
    assert!(disk.lock().again.iter().all(|(_, appended)| *appended == DateTime::UNIX_EPOCH), "none becomes younger");
    assert_eq!(delivered_next(&disk).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_all_be_rewritten_stay_in_their_order() {
    for (no_room, breaks) in [(true, vec![]), (false, vec![20])] {
        let (rig, disk) = one_in_memory_and_newer_ones_on_the_disk().await;
        {
            let mut inner = disk.lock();
            (inner.no_room, inner.breaks, inner.writes) = (no_room, breaks, 0);
        }
        let counts = rig.end(60 * SECOND).await;
        assert_eq!((counts.spooled, counts.pending, disk.ids().len()), (30, 0, 30));
        assert_eq!(delivered_next(&disk).await, (1..30).chain([0]).collect::<Vec<_>>(), "without room: {no_room}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_full_spool_gave_up_is_spooled_before_newer_records_of_its_user() {
    let stalling = Memory::taking(|_| (3_600 * SECOND, accepted()));
    let (rig, disk) = on_disk(stalling, Settings { max_batches: 4, ..settings() });
    disk.lock().endpoint = Some(Endpoint::HistoricalEvents);
    for id in 0..30 {
        rig.send(batch(0, id)).await.expect("on the disk");
    }
    sleep(SECOND).await;
    assert_eq!(disk.lock().unread.len(), 25, "one is in flight, and four are read ahead");
    disk.lock().records.drain(..2);
    let counts = rig.end(60 * SECOND).await;
    assert_eq!((counts.spooled, counts.pending, disk.lock().records.len()), (30, 0, 30));
    let again = disk.lock().again.clone();
    assert!(again.iter().all(|it| *it == (Endpoint::HistoricalEvents, DateTime::UNIX_EPOCH)), "{again:?}");
    assert_eq!(delivered_next(&disk).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn records_whose_file_vanished_after_they_were_read_are_written_again_at_the_end() {
    for fails in [false, true] {
        let stalling = Memory::taking(|_| (3_600 * SECOND, accepted()));
        let (rig, disk) = on_disk(stalling, settings());
        for id in 0..10 {
            rig.send(batch(id, id)).await.expect("on the disk");
        }
        sleep(SECOND).await;
        assert_eq!(disk.lock().unread.len(), 0, "all are read");
        {
            let mut inner = disk.lock();
            (inner.vanishes, inner.fails) = (vec![0, 1, 7], fails);
        }
        let uploader = rig.uploader.clone();
        let counts = rig.end(60 * SECOND).await;
        let left = if fails { 3 } else { 0 };
        assert_eq!((counts.spooled, counts.pending), (10 - left, left), "the disk fails: {fails}");
        assert_eq!(disk.ids().len() as u64, counts.spooled, "what is said to be spooled is on the disk");
        let mut unsent: Vec<_> =
            uploader.take_unsent().iter().map(|batch| batch.source_request_id().to_owned()).collect();
        unsent.sort_unstable();
        assert_eq!(unsent, if fails { vec!["0", "1", "7"] } else { vec![] });
        assert_eq!(delivered_next(&disk).await.len() as u64, counts.spooled);
    }
}
