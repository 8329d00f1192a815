//! Every batch has exactly one report by the end of the shutdown.

use std::collections::HashMap;
use std::sync::Mutex;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::sleep;

use super::spooled::Disk;
use super::*;
use crate::ErrorKind;
use crate::delivery::memory::{accepted, refused};

#[derive(Clone, Debug)]
enum Step {
    /// A batch with this number of parts, of which one is rejected if `is_bad`.
    Send {
        user: usize,
        parts: usize,
        is_bad: bool,
        awaited: bool,
    },
    Track(usize),
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let parts = prop_oneof![12 => Just(1_usize), 1 => 2..4_usize];
    let is_bad = prop_oneof![6 => Just(false), 1 => Just(true)];
    prop_oneof![
        4 => (0..4_usize, parts, is_bad, any::<bool>())
            .prop_map(|(user, parts, is_bad, awaited)| Step::Send { user, parts, is_bad, awaited }),
        1 => (0..4_usize).prop_map(Step::Track),
        1 => (1..2_000_u64).prop_map(Step::Pause),
    ]
}

/// The name of an event that the service rejects.
const BAD: &str = "rejected by the service";

/// Returns a batch that is split into this many parts.
fn split_batch(user: usize, parts: usize, is_bad: bool) -> Batch {
    let padding = "x".repeat(if parts == 1 { 10 } else { 100_000 });
    let padded = |name| CustomEvent { view_controller: Some(padding.clone()), ..event(name) };
    let batch = Batch::new(Environment::Development).customer_id(user.to_string());
    batch.events((0..parts).map(|part| padded(if is_bad && part == 0 { BAD } else { "good" })))
}

fn is_bad(batch: &SealedBatch) -> bool {
    batch.json().windows(BAD.len()).any(|window| window == BAD.as_bytes())
}

/// Returns the rank of a status. A submission has the status of its part with the lowest rank.
fn rank(status: &DeliveryStatus) -> usize {
    match status {
        DeliveryStatus::Pending => 0,
        DeliveryStatus::Spooled => 1,
        DeliveryStatus::Rejected(_) => 2,
        DeliveryStatus::Dropped(_) => 3,
        DeliveryStatus::Delivered => 4,
    }
}

fn counts_by_rank(stats: &UploaderStats) -> [u64; 5] {
    [stats.pending, stats.spooled, stats.rejected, stats.dropped, stats.delivered]
}

type Reports = Arc<Mutex<Vec<Arc<DeliveryReport>>>>;

fn collect_reports(settings: Config) -> (Config, Reports) {
    let reports = Reports::default();
    let into = Arc::clone(&reports);
    let on_delivery = move |report: &Arc<DeliveryReport>| into.lock().expect("reports").push(Arc::clone(report));
    (Config { on_delivery: Some(Arc::new(on_delivery)), ..settings }, reports)
}

/// Checks that no batch has two reports.
fn check_ids(reports: &[Arc<DeliveryReport>]) {
    let mut ids: Vec<_> = reports.iter().filter_map(|report| Some(report.batch()?.source_request_id())).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each batch has one report");
}

/// Checks that the reports agree with the statistics. `parts` has the number of parts of each tag.
fn check(reports: &[Arc<DeliveryReport>], stats: &UploaderStats, parts: &HashMap<u64, usize>) {
    let (mut submissions, mut by_tag) = ([0; 5], HashMap::<u64, Vec<usize>>::new());
    for report in reports {
        let rank = rank(report.status());
        assert_eq!(report.error().is_some(), matches!(rank, 2 | 3));
        assert!(report.batch().is_some() || rank == 1, "only reports of unread records have no batch");
        match report.tag() {
            Some(tag) => by_tag.entry(tag).or_default().push(rank),
            None => submissions[rank] += u64::from(report.submissions()),
        }
    }
    let parts_by_tag: HashMap<u64, usize> = by_tag.iter().map(|(tag, ranks)| (*tag, ranks.len())).collect();
    assert_eq!(&parts_by_tag, parts, "each part of a batch with a tag has one report with it");
    for ranks in by_tag.values() {
        submissions[*ranks.iter().min().expect("a part")] += 1;
    }
    assert_eq!(submissions, counts_by_rank(stats), "{stats:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_batch_has_one_report_by_the_end_of_the_shutdown(
        steps in vec(step(), 1..80),
        behaviour in vec(0..5_u8, 1..10),
        breaks in vec(0..80_u64, 0..5),
        takes in prop_oneof![Just(0), 0..800_u64],
        max_batches in 3..20_usize,
        linger in prop_oneof![Just(0), 0..3_000_u64],
        when_full in prop::sample::select(vec![
            WhenFull::Refuse, WhenFull::Wait(SECOND), WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Spill,
        ]),
        has_spool in any::<bool>(),
        shutdown_ms in prop_oneof![0..3_000_u64, Just(1_000_000)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let transport = MemoryTransport::delayed(move |request| match behaviour[request.number % behaviour.len()] {
                0 => (SECOND, refused(503)),
                1 => (60 * SECOND, accepted()),
                _ if request.batches.iter().any(is_bad) => (SECOND / 10, refused(400)),
                _ => (SECOND / 10, accepted()),
            });
            let disk = Arc::new(Disk::default());
            disk.lock().break_writes(Duration::from_millis(takes), breaks);
            let linger = Duration::from_millis(linger);
            let (settings, reports) = collect_reports(Config { linger, max_batches, when_full, ..settings() });
            let rig = rig_with_journal(transport, settings, has_spool.then(|| Arc::clone(&disk) as Arc<dyn Journal>));
            let mut stream = rig.reports();
            let (mut parts, mut handles) = (HashMap::new(), Vec::new());
            for (tag, step) in (0..).zip(steps) {
                match step {
                    Step::Send { user, parts: count, is_bad, awaited } => {
                        let batch = split_batch(user, count, is_bad);
                        if awaited {
                            handles.push((tag, count, rig.send_tagged(batch, tag)));
                        } else if rig.try_send_tagged(batch, tag).is_ok() {
                            parts.insert(tag, count);
                        }
                    }
                    Step::Track(of) => _ = rig.track(user(of), event("tracked")),
                    Step::Pause(ms) => sleep(Duration::from_millis(ms)).await,
                }
            }
            let uploader = rig.uploader.clone();
            let stats = rig.end(Duration::from_millis(shutdown_ms)).await;
            let mut delivered = HashMap::new();
            for (tag, count, handle) in handles {
                let result = handle.delivered().await;
                if !matches!(result, Err(DeliveryError::NotAccepted(_))) {
                    parts.insert(tag, count);
                }
                delivered.insert(tag, result);
            }
            let mut streamed = Vec::new();
            while let Some(report) = stream.next().await {
                streamed.push(report);
            }
            assert_eq!(stream.missed(), 0);
            let reports = std::mem::take(&mut *reports.lock().expect("reports"));
            assert_eq!(streamed.len(), reports.len(), "the stream has what the callback has, and ends");
            assert!(streamed.iter().zip(&reports).all(|(one, other)| Arc::ptr_eq(one, other)));
            check_ids(&reports);
            check(&reports, &stats, &parts);

            // The handles agree with the reports.
            for (tag, result) in delivered {
                let ranks = reports.iter().filter(|report| report.tag() == Some(tag)).map(|report| rank(report.status()));
                let ranks: Vec<_> = ranks.collect();
                match result {
                    Ok(()) => assert!(ranks.iter().all(|rank| *rank == 4)),
                    Err(DeliveryError::Rejected(_)) => assert!(ranks.contains(&2)),
                    Err(DeliveryError::Dropped(_)) => assert!(ranks.contains(&3) && !ranks.contains(&2)),
                    Err(DeliveryError::Spooled) => assert!(ranks.contains(&1) && !ranks.contains(&0)),
                    Err(DeliveryError::Pending) => assert!(ranks.contains(&0)),
                    Err(DeliveryError::NotAccepted(_)) => assert!(ranks.is_empty()),
                    Err(DeliveryError::Filtered) => panic!("there is no before_send"),
                }
            }
            assert!(uploader.reports().next().await.is_none(), "a stream that is created after the shutdown ends immediately");

            // The next uploader has no tags, and a report for each record. A record that was written again, behind an older
            // batch of its user, can exist twice.
            let records = disk.restart();
            records.lock().break_writes(Duration::ZERO, Vec::new());
            let (settings, reports) = collect_reports(self::settings());
            let transport = MemoryTransport::responding(|request| {
                if request.batches.iter().any(is_bad) { refused(400) } else { accepted() }
            });
            let rig = rig_with_journal(transport, settings, Some(records as Arc<dyn Journal>));
            let next = rig.end(1_000 * SECOND).await;
            assert_eq!((next.delivered + next.rejected, next.pending, next.spooled), (next.recovered, 0, 0));
            let reports = reports.lock().expect("reports");
            assert_eq!(reports.len() as u64, next.recovered);
            assert!(reports.iter().all(|report| report.tag().is_none()));
            check(&reports, &next, &HashMap::new());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn records_on_the_disk_only_are_reported_with_tags_and_without_batches() {
    let disk = Arc::new(Disk::default());
    let (settings, reports) = collect_reports(Config { max_batches: 2, ..settings() });
    let transport = MemoryTransport::responding(|_| refused(503));
    let rig = rig_with_journal(transport, settings, Some(Arc::clone(&disk) as Arc<dyn Journal>));
    for tag in 0..50 {
        rig.try_send_tagged(batch(0, tag), tag).expect("room on the disk");
    }
    sleep(SECOND).await;
    assert_eq!(rig.checked_stats().spooled, 50);
    assert!(reports.lock().expect("reports").is_empty(), "no batch has a report");
    let stats = rig.end(10 * SECOND).await;
    assert_eq!(stats.spooled, 50);
    let reports = reports.lock().expect("reports");
    check_ids(&reports);
    check(&reports, &stats, &(0..50).map(|tag| (tag, 1)).collect());
    let without_batch = reports.iter().filter(|report| report.batch().is_none()).count();
    assert!((40..50).contains(&without_batch), "{without_batch} reports without a batch");
    for report in reports.iter() {
        let id = report.batch().map(|batch| batch.source_request_id().to_owned());
        assert!(id.is_none() || id == report.tag().map(|tag| tag.to_string()), "the report has the tag of the batch");
    }
}

#[tokio::test(start_paused = true)]
async fn tracked_events_have_no_tag_and_one_report() {
    let (settings, reports) = collect_reports(Config { linger: SECOND, ..settings() });
    let rig = rig(MemoryTransport::responding(|_| accepted()), settings);
    (0..5).for_each(|name| rig.track(user(0), event(name)).expect("room"));
    rig.try_send(batch(1, "untagged")).expect("room");
    rig.end(60 * SECOND).await;
    let reports = reports.lock().expect("reports");
    let mut submissions: Vec<_> = reports.iter().map(|report| (report.submissions(), report.tag())).collect();
    submissions.sort_unstable();
    assert_eq!(submissions, [(1, None), (5, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_is_reported_with_its_tag() {
    for (when_full, dropped) in [(WhenFull::DropNewest, 2), (WhenFull::DropOldest, 0)] {
        let (settings, reports) = collect_reports(Config { max_batches: 2, when_full, ..settings() });
        let rig = rig(MemoryTransport::responding(|_| accepted()), settings);
        (0..3).for_each(|tag| rig.try_send_tagged(batch(0, tag), tag).expect("the queue drops the batch"));
        {
            let reports = reports.lock().expect("reports");
            assert_eq!((reports.len(), reports[0].tag()), (1, Some(dropped)), "{when_full:?}");
            assert_eq!(reports[0].error().map(Error::kind), Some(ErrorKind::QueueFull));
        }
        rig.end(SECOND).await;
        assert_eq!(reports.lock().expect("reports").len(), 3);
    }
}
