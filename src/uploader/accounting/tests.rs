use chrono::DateTime;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::Instant;

use super::*;
use crate::completion;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::seal::SealedBatch;
use crate::uploader::entry::RecordId;

const STAGES: [Stage; 7] =
    [Stage::Moving, Stage::Writing, Stage::Deferred, Stage::Queued, Stage::Blocked, Stage::InFlight, Stage::Stored];

#[derive(Clone, Debug)]
enum Step {
    /// A submission of this many parts, tagged or not.
    Accept(usize, bool),
    Join(Index),
    /// Moves an entry to another stage, on the disk or not.
    Move(Index, Stage, bool),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let ends = SubmissionState::ALL[2..].iter().map(|state| Stage::Ended(*state));
    let stage = prop::sample::select(STAGES.into_iter().chain(ends).collect::<Vec<_>>());
    prop_oneof![
        1 => (1..4_usize, any::<bool>()).prop_map(|(parts, is_tagged)| Step::Accept(parts, is_tagged)),
        1 => any::<Index>().prop_map(Step::Join),
        4 => (any::<Index>(), stage, any::<bool>()).prop_map(|(index, to, is_stored)| Step::Move(index, to, is_stored)),
        1 => Just(Step::Flush),
    ]
}

const ID: RecordId = RecordId { number: 0, appended: DateTime::UNIX_EPOCH };

/// Returns a batch whose size depends on the number.
fn batch(number: usize) -> SealedBatch {
    let json = format!(r#"{{"source_request_id":"{number}","mpid":1,"padding":"{}"}}"#, "x".repeat(number % 50));
    SealedBatch::from_json(json).expect("a batch")
}

fn entry(number: usize, token: SubmissionToken) -> Entry {
    Entry::new(batch(number), Endpoint::BulkEvents, token, Instant::now())
}

/// Counts each submission in its state, which is the first of the states of its parts.
fn expected_stats(entries: &[Entry]) -> UploaderStats {
    let mut stats = UploaderStats::default();
    let mut counted: Vec<u64> = Vec::new();
    for entry in entries {
        let id = entry.token.id;
        if id != 0 && counted.contains(&id) {
            continue;
        }
        counted.push(id);
        let is_part = |other: &&Entry| if id == 0 { std::ptr::eq(*other, entry) } else { other.token.id == id };
        let part_states: Vec<SubmissionState> = entries.iter().filter(is_part).map(|part| part.state).collect();
        let first = SubmissionState::ALL
            .into_iter()
            .find(|state| part_states.contains(state))
            .expect("a submission has a part");
        *stats.count_mut(first) += u64::from(entry.token.submissions);
    }
    stats
}

fn sum<'a>(entries: impl Iterator<Item = &'a Entry>) -> Amount {
    entries.map(Entry::amount).fold(Amount::default(), std::ops::Add::add)
}

proptest! {
    #[test]
    fn every_submission_has_one_state_and_every_batch_one_stage(
        steps in vec(step(), 0..200),
        recovered in 0..5_usize,
    ) {
        let mut accounting = Accounting::default();
        accounting.record_recovered(recovered as u64);
        let stored = |number| Entry::from_record(batch(number), Endpoint::BulkEvents, SubmissionToken::RECOVERED, ID);
        let mut entries: Vec<Entry> = (0..recovered).map(stored).collect();
        let mut accepted = 0;
        let mut flushes: Vec<(u32, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Accept(parts, is_tagged) => {
                    accepted += 1;
                    let token = accounting.accept(parts, is_tagged.then_some(7), None);
                    let first = entries.len();
                    entries.extend((first..first + parts).map(|number| entry(number, token)));
                }
                Step::Join(index) if entries.len() > recovered => {
                    let entry = index.get_mut(&mut entries[recovered..]);
                    let is_current = entry.token.epoch == accounting.epoch();
                    if entry.token.id == 0 && entry.state == SubmissionState::Memory && is_current {
                        accepted += 1;
                        accounting.join(&mut entry.token);
                    }
                }
                Step::Move(index, to, is_stored) if !entries.is_empty() => {
                    let entry = index.get_mut(&mut entries);
                    if entry.state.is_open() {
                        entry.record = is_stored.then_some(ID);
                        accounting.set_stage(entry, to);
                        prop_assert_eq!(entry.stage, to);
                    }
                }
                Step::Flush => flushes.push((accounting.end_epoch(), entries.len())),
                Step::Join(_) | Step::Move(..) => {}
            }
            let stats = accounting.stats();
            prop_assert!(stats.adds_up(), "{stats:?}");
            let expected = UploaderStats { accepted, recovered: recovered as u64, ..expected_stats(&entries) };
            prop_assert_eq!(stats, expected);
            for (epoch, before) in &flushes {
                let is_over = entries[..*before].iter().all(|entry| !entry.state.is_open());
                prop_assert_eq!(accounting.is_over(*epoch), is_over);
            }
            for stage in STAGES.into_iter().filter(|stage| stage.slot().is_some()) {
                let of_stage = sum(entries.iter().filter(|entry| entry.stage == stage));
                prop_assert_eq!(accounting.amount(stage), of_stage);
            }
            let in_memory = entries.iter().filter(|entry| {
                let is_queued = matches!(entry.stage, Stage::Deferred | Stage::Queued | Stage::Blocked | Stage::InFlight);
                is_queued && entry.state == SubmissionState::Memory
            });
            prop_assert_eq!(accounting.held(), sum(in_memory));
        }
        let open = entries.iter().filter(|entry| entry.state.is_open() && entry.token.id != 0);
        let open: std::collections::HashSet<u64> = open.map(|entry| entry.token.id).collect();
        prop_assert_eq!(accounting.tracked.len(), open.len(), "ended submissions take no memory");
    }
}

#[test]
fn submissions_that_have_ended_or_are_forgotten_take_no_room() {
    const LARGE: usize = 10_000;
    let mut accounting = Accounting::default();
    let tagged: Vec<_> = (0..LARGE).map(|_| accounting.accept(1, Some(7), None)).collect();
    assert!(accounting.tracked.capacity() >= LARGE);
    for token in tagged {
        accounting.count(token, SubmissionState::Memory, SubmissionState::Delivered);
    }
    assert!(accounting.tracked.capacity() < LARGE / 2, "{}", accounting.tracked.capacity());

    let abandoned: Vec<_> = (0..LARGE)
        .map(|_| {
            let (completer, _) = completion::pair(|| Ok(()));
            accounting.accept(1, None, Some(completer))
        })
        .collect();
    assert!(accounting.tracked.capacity() >= LARGE);
    for token in abandoned {
        accounting.forget_unawaited(token);
    }
    assert!(accounting.tracked.capacity() < LARGE / 2, "{}", accounting.tracked.capacity());
}

#[test]
fn a_split_submission_ends_with_its_last_part() {
    let mut accounting = Accounting::default();
    let token = accounting.accept(3, None, None);
    accounting.count(token, SubmissionState::Memory, SubmissionState::Delivered);
    accounting.count(token, SubmissionState::Memory, SubmissionState::Rejected);
    assert_eq!((accounting.stats().pending, accounting.stats().rejected), (1, 0));
    accounting.count(token, SubmissionState::Memory, SubmissionState::Delivered);
    let stats = accounting.stats();
    assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 1, 0));
    assert!(accounting.tracked.is_empty());
}

#[test]
fn a_rejection_of_one_part_outweighs_a_drop_of_another() {
    let error = Error::queue_full;
    let statuses = [DeliveryStatus::Dropped(error()), DeliveryStatus::Rejected(Error::config("rejected"))];
    for order in [[0, 1], [1, 0]] {
        let mut accounting = Accounting::default();
        let (completer, completion) = completion::pair(|| Ok(()));
        let token = accounting.accept(3, None, Some(completer));
        for status in order.map(|index: usize| &statuses[index]) {
            accounting.record_end(token, status);
            let state = if matches!(status, DeliveryStatus::Dropped(_)) {
                SubmissionState::Dropped
            } else {
                SubmissionState::Rejected
            };
            accounting.count(token, SubmissionState::Memory, state);
            assert!(accounting.results.is_empty());
        }
        accounting.count(token, SubmissionState::Memory, SubmissionState::Delivered);
        for (completer, result) in accounting.results.drain(..) {
            completer.complete(result);
        }
        assert!(matches!(completion.wait(), Err(DeliveryError::Rejected(_))), "{order:?}");
    }
}

#[test]
fn forget_unawaited_keeps_awaited_tagged_and_split_submissions() {
    let mut accounting = Accounting::default();
    let (completer, completion) = completion::pair(|| Ok(()));
    let awaited = accounting.accept(1, None, Some(completer));
    let tagged = accounting.accept(1, Some(7), None);
    let split = accounting.accept(2, None, None);
    for token in [awaited, tagged, split] {
        assert_eq!(accounting.forget_unawaited(token), token);
    }
    drop(completion);
    let forgotten = accounting.forget_unawaited(awaited);
    assert_eq!((forgotten.id, accounting.tracked.len()), (0, 2));
    accounting.count(forgotten, SubmissionState::Memory, SubmissionState::Delivered);
    assert_eq!((accounting.stats().delivered, accounting.stats().pending), (1, 2));
    assert_eq!((accounting.tag(tagged), accounting.tag(split), accounting.tag(forgotten)), (Some(7), None, None));
}

#[test]
fn statistics_display_as_one_line_and_show_what_is_left() {
    let mut stats =
        UploaderStats { accepted: 9, recovered: 1, delivered: 3, rejected: 2, dropped: 1, ..Default::default() };
    assert_eq!((stats.lost(), stats.is_drained()), (3, true));
    stats.spooled = 3;
    assert!(!stats.is_drained());
    (stats.spooled, stats.pending) = (3, 1);
    assert_eq!(
        stats.to_string(),
        "9 accepted, 1 recovered, 3 delivered, 2 rejected, 1 dropped, 3 spooled, 1 pending, 0 filtered, 0 responses unread"
    );
    let json = serde_json::to_value(stats).unwrap();
    assert_eq!((&json["delivered"], &json["pending"]), (&3.into(), &1.into()));
    (stats.spooled, stats.pending) = (0, 4);
    assert!(!stats.is_drained());
}
