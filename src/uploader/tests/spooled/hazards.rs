//! Withdrawals, evictions, hanging disks and blocked callbacks at inconvenient moments.
#![expect(
    clippy::await_holding_lock,
    reason = "a gate is held on purpose, and `unlock` takes the state before the await"
)]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Wake, Waker};

use tokio::time::{sleep, timeout};

use super::super::super::disk_journal::DiskJournal;
use super::super::super::dispatcher::wait_for_write;
use super::*;
use crate::delivery::memory::{accepted, refused};

/// Processes writes like a dispatcher.
async fn wait_for_all_writes(shared: &Shared) {
    while !shared.lock().queue.pending_writes.is_empty() {
        wait_for_write(shared).await;
    }
}

#[tokio::test(start_paused = true)]
async fn acceptance_completes_at_shutdown_even_if_the_disk_hangs() {
    let (rig, disk) = rig_on_disk(MemoryTransport::responding(|_| accepted()), settings());
    disk.lock().takes = 1_000_000 * SECOND;
    let handle = rig.send(batch(0, 0));
    let counts = rig.uploader.shutdown(SECOND).await;
    assert_eq!(counts.pending, 1);
    assert!(handle.delivered().is_complete());
    assert!(timeout(60 * SECOND, handle.accepted()).await.is_ok(), "accepted() never completes");
}

#[tokio::test(start_paused = true)]
async fn a_batch_evicted_before_it_was_taken_counts_once() {
    let disk = Arc::new(Disk::default());
    let config = Config { max_batches: 2, ..settings() };
    let shared = Arc::new(Shared::new(config, Arc::clone(&disk) as Arc<dyn Journal>));
    let uploader = Uploader::new(Arc::clone(&shared), None);
    let mut reports = uploader.reports();
    // Records 0 and 1 are sent from memory, and record 2 is left on the disk.
    for id in 0..3 {
        uploader.try_send(batch(0, id)).expect("taken");
    }
    wait_for_all_writes(&shared).await;
    let sent = shared.lock().queue.take(2);
    assert_eq!(sent.len(), 2);
    assert_eq!(disk.lock().unread.len(), 1);
    // The writer evicts the segment of records 2 and 3 for record 4, and reports that only after it has read the segment.
    disk.lock().comes_back = Some(EarlyEffect::Evicted);
    uploader.try_send(batch(1, 3)).expect("taken");
    let mut evicted = {
        let mut inner = disk.lock();
        inner.comes_back = None;
        inner.unread.clear();
        let (number, batch) = inner.records.remove(2);
        assert_eq!(number, 2);
        let first = EvictedRecord { number: Some(2), batch: Some(batch), error: Error::config("full") };
        let mut evicted = vec![first];
        evicted.append(&mut inner.evicted);
        evicted
    };
    // Record 3 is never unread: the disk commits no record that it evicts early.
    uploader.try_send(batch(0, 4)).expect("taken");
    wait_for_all_writes(&shared).await;
    assert_eq!(shared.lock().queue.ready.iter().count(), 1, "3 is in memory");
    assert_eq!(disk.lock().unread.len(), 1, "4 is on the disk");
    evicted.drain(..).for_each(|one| {
        let mut state = shared.lock();
        state.queue.drop_evicted(vec![one]);
        shared.unlock(state);
    });
    let dropped = uploader.stats().dropped;
    let mut state = shared.lock();
    state.queue.unblock(sent.iter().map(|entry| entry.batch.user()));
    for entry in sent {
        state.queue.complete(entry, Ok(()));
    }
    let mut order = Vec::new();
    loop {
        if let Some(limit) = state.queue.begin_read() {
            let record = disk.next_record(limit).expect("read");
            state.queue.end_read(record);
        }
        let next = state.queue.take(1);
        if next.is_empty() {
            break;
        }
        for entry in next {
            order.push(entry.batch.source_request_id().to_owned());
            state.queue.unblock([entry.batch.user()].into_iter());
            state.queue.complete(entry, Ok(()));
        }
    }
    shared.unlock(state);
    let mut reported = Vec::new();
    while let Ok(Some(report)) = timeout(SECOND, reports.next()).await {
        let id = report.batch().map(|batch| batch.source_request_id().to_owned());
        reported.push((id, report.status().is_delivered()));
    }
    assert_eq!((dropped, order), (1, vec!["3".to_owned(), "4".to_owned()]));
}

struct Probe(Uploader, AtomicBool);

impl Wake for Probe {
    fn wake(self: Arc<Self>) {
        let (sender, receiver) = mpsc::channel();
        let uploader = self.0.clone();
        std::thread::spawn(move || sender.send(uploader.stats()));
        if receiver.recv_timeout(SECOND / 2).is_err() {
            self.1.store(true, Ordering::SeqCst);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_waker_of_a_withdrawn_submission_runs_under_the_lock() {
    let shared = Arc::new(Shared::new(Config { max_batches: 1, ..settings() }, Arc::new(NoJournal)));
    let uploader = Uploader::new(Arc::clone(&shared), None);
    uploader.try_send(batch(0, 0)).expect("taken");
    let handle = uploader.send(batch(0, 1));
    let probe = Arc::new(Probe(uploader.clone(), AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&probe));
    let mut accepted = handle.accepted();
    assert!(Pin::new(&mut accepted).poll(&mut Context::from_waker(&waker)).is_pending());
    drop((accepted, handle));
    let _ = uploader.try_send(batch(0, 2));
    assert!(!probe.1.load(Ordering::SeqCst), "a waker ran under the lock");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_submission_lets_later_ones_in() {
    let rig = rig(MemoryTransport::responding(|_| refused(401)), Config { max_batches: 2, ..settings() });
    rig.try_send(batch(0, 0)).expect("taken");
    sleep(SECOND).await;
    assert!(rig.status().into_stopped().is_some());
    let parts = [1, 2].map(|id| batch(0, id).seal().expect("a batch")).to_vec();
    let large = rig.uploader.0.shared.send(parts, None);
    let small = rig.send(batch(0, 3));
    sleep(SECOND).await;
    assert!(!small.accepted().is_complete());
    drop(large);
    assert!(timeout(600 * SECOND, small.accepted()).await.is_ok(), "there is room, but it is not used");
}

#[tokio::test(start_paused = true)]
async fn flushes_do_not_make_memory_grow_with_the_backlog() {
    let (rig, _disk) =
        rig_on_disk(MemoryTransport::responding(|_| refused(503)), Config { max_batches: 2, ..settings() });
    for id in 0..6_000 {
        rig.send(batch(id % 7, id)).accepted().await.expect("written");
        rig.flush(Duration::from_millis(1)).await;
    }
    let ranges = rig.uploader.0.shared.lock().queue.backlog.tokens().count();
    assert!(ranges < 3_000, "{ranges} ranges");
}

#[tokio::test(start_paused = true)]
async fn new_batches_do_not_overtake_after_an_eviction() {
    let disk = Arc::new(Disk::default());
    let config = Config { max_batches: 2, ..settings() };
    let shared = Arc::new(Shared::new(config, Arc::clone(&disk) as Arc<dyn Journal>));
    let uploader = Uploader::new(Arc::clone(&shared), None);
    for id in 0..3 {
        uploader.try_send(batch(0, id)).expect("taken");
    }
    wait_for_all_writes(&shared).await;
    let sent = shared.lock().queue.take(2);
    // Record 2 is evicted, and not reported yet.
    let evicted = {
        let mut inner = disk.lock();
        inner.unread.clear();
        let (number, batch) = inner.records.remove(2);
        EvictedRecord { number: Some(number), batch: Some(batch), error: Error::config("full") }
    };
    uploader.try_send(batch(1, 3)).expect("taken"); // hot; nothing is unread then
    wait_for_all_writes(&shared).await;
    uploader.try_send(batch(0, 4)).expect("taken"); // cold: no room
    wait_for_all_writes(&shared).await;
    shared.lock().queue.drop_evicted(vec![evicted]);
    let mut order: Vec<_> =
        shared.lock().queue.take(1).iter().map(|e| e.batch.source_request_id().to_owned()).collect();
    uploader.try_send(batch(0, 5)).expect("taken");
    wait_for_all_writes(&shared).await;
    let mut state = shared.lock();
    state.queue.unblock(sent.iter().map(|entry| entry.batch.user()));
    loop {
        while let Some(limit) = state.queue.begin_read() {
            let record = disk.next_record(limit).expect("read");
            let is_last = record.is_none();
            state.queue.end_read(record);
            if is_last {
                break;
            }
        }
        let next = state.queue.take(1);
        if next.is_empty() {
            break;
        }
        for e in next {
            order.push(e.batch.source_request_id().to_owned());
            state.queue.unblock([e.batch.user()].into_iter());
        }
    }
    drop(state);
    assert_eq!(order, ["3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_while_a_callback_blocks() {
    let dir = std::env::temp_dir().join(format!("mparticle-adversary-{}", std::process::id()));
    let journal = DiskJournal::open(dir.clone(), crate::spool::SpoolOptions::new()).expect("a spool");
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().expect("the gate");
    let waits = Arc::clone(&gate);
    let config = Config {
        max_batches: 100,
        max_bytes: 100_000,
        on_delivery: Some(Arc::new(move |_| drop(waits.lock()))),
        ..settings()
    };
    let rig = rig_with_journal(MemoryTransport::responding(|_| accepted()), config, Some(Arc::new(journal)));
    rig.try_send(batch(0, 0)).expect("taken");
    std::thread::sleep(SECOND / 2);
    let mut taken = 0;
    for id in 1..20_000 {
        taken += u64::from(rig.try_send(batch(id % 7, id)).is_ok());
    }
    std::thread::sleep(SECOND / 2);
    let stats = rig.stats();
    let writing = rig.uploader.0.shared.lock().queue.pending_writes.len();
    drop(held);
    rig.end(30 * SECOND).await;
    std::fs::remove_dir_all(dir).ok();
    assert!(writing < 2_000, "{taken} taken, {writing} in memory, {stats:?}");
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_does_not_overtake_a_record_of_its_user() {
    let linger = Duration::from_millis(51);
    let config = Config { linger, max_in_flight: 2, max_batches: 15, when_full: WhenFull::Spill, ..settings() };
    let (rig, disk) = rig_on_disk(MemoryTransport::delayed(|_| (3 * SECOND, accepted())), config);
    disk.lock().takes = SECOND / 20;
    rig.try_send(batch(0, 0)).expect("taken");
    sleep(Duration::from_millis(229)).await;
    for id in 2..16 {
        rig.try_send(batch(0, id)).expect("taken");
    }
    rig.try_send(batch(5, "first")).expect("taken");
    rig.track(user(0), event("other")).expect("taken");
    rig.track(user(5), event("second")).expect("taken");
    sleep(Duration::from_millis(229)).await;
    let transport = Arc::clone(&rig.transport);
    rig.end(60 * SECOND).await;
    let key = batch(5, "key").seal().expect("a batch").user();
    let sent: Vec<_> = transport.requests().into_iter().flat_map(|request| request.batches).collect();
    let ids: Vec<_> = sent.iter().filter(|batch| batch.user() == key).map(SealedBatch::source_request_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], "first", "the tracked event came first");
}

/// A subscriber that blocks in warnings.
struct Slow(Arc<Mutex<()>>, mpsc::Sender<()>);

impl tracing::Subscriber for Slow {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() == tracing::Level::WARN {
            let _ = self.1.send(());
            drop(self.0.lock());
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_being_published_at_shutdown_is_not_lost() {
    let config = Config { max_batches: 2, when_full: WhenFull::DropNewest, ..settings() };
    let (rig, disk) = rig_on_disk(MemoryTransport::delayed(|_| (SECOND, accepted())), config);
    let mut reports = rig.reports();
    disk.lock().break_writes(Duration::ZERO, vec![0]);
    assert!(rig.send(batch(0, 0)).accepted().await.is_err()); // in memory alone, and in flight
    rig.send(batch(1, 1)).accepted().await.expect("written");
    disk.lock().full = true;
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().expect("the gate");
    let (sender, receiver) = mpsc::channel();
    let uploader = rig.uploader.clone();
    let slow = Slow(Arc::clone(&gate), sender);
    let thread = std::thread::spawn(move || {
        tracing::subscriber::with_default(slow, || {
            tracing::callsite::rebuild_interest_cache();
            let parts = [2, 3].map(|id| batch(2, id).seal().expect("a batch")).to_vec();
            uploader.0.shared.try_send(Submission::new(parts, None))
        })
    });
    receiver.recv_timeout(5 * SECOND).expect("a warning");
    let counts = rig.end(5 * SECOND).await;
    drop(held);
    thread.join().expect("no panic").expect("dropped");
    assert_eq!(counts.dropped, 1);
    let mut reported = 0;
    while let Ok(Some(_)) = timeout(SECOND, reports.next()).await {
        reported += 1;
    }
    assert_eq!(reported, counts.accepted + 1, "one of the batches has two parts");
}
