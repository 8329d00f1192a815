use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::uploader::accounting::Accounting;

#[derive(Clone, Debug)]
enum Step {
    /// A record of one of a few submissions, with this distance to the previous number.
    Insert(u64, usize),
    Remove(Index),
    RemoveRecovered,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_u64, 0..5_usize).prop_map(|(gap, token)| Step::Insert(gap, token)),
        3 => any::<Index>().prop_map(Step::Remove),
        1 => Just(Step::RemoveRecovered),
    ]
}

/// Returns the tokens of submissions, of which only the first is untagged.
fn tokens(count: u64) -> Vec<SubmissionToken> {
    let mut accounting = Accounting::default();
    (0..count).map(|tag| accounting.accept(1, (tag > 0).then_some(tag), None)).collect()
}

/// Returns the number of records of each token, by its debug form.
fn counts(tokens: impl Iterator<Item = (SubmissionToken, u64)>) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for (token, records) in tokens.filter(|(_, records)| *records > 0) {
        *counts.entry(format!("{token:?}")).or_default() += records;
    }
    counts
}

fn unchanged(token: SubmissionToken) -> SubmissionToken {
    token
}

proptest! {
    #[test]
    fn each_record_returns_its_token_in_any_order_of_removal(
        steps in vec(step(), 0..300),
        recovered in 0..5_u64,
        older in 1..10_u64,
    ) {
        let tokens = tokens(5);
        let mut backlog = Backlog::new(recovered);
        let mut model: BTreeMap<u64, SubmissionToken> = BTreeMap::new();
        let (mut unread, mut number) = (recovered, older);
        for step in steps {
            match step {
                Step::Insert(gap, token) => {
                    number += gap;
                    backlog.insert(number, tokens[token], unchanged);
                    model.insert(number, tokens[token]);
                }
                Step::Remove(index) if !model.is_empty() => {
                    let number = *model.keys().nth(index.index(model.len())).expect("a record");
                    prop_assert_eq!(backlog.remove(Some(number), None), model.remove(&number));
                }
                Step::RemoveRecovered if unread > 0 => {
                    unread -= 1;
                    let number = (unread % 2 == 0).then_some(older - 1);
                    prop_assert_eq!(backlog.remove(number, None), Some(SubmissionToken::RECOVERED));
                }
                Step::Remove(_) | Step::RemoveRecovered => {}
            }
            prop_assert_eq!(backlog.is_empty(), model.is_empty() && unread == 0);
            let expected = model.values().map(|token| (*token, 1)).chain([(SubmissionToken::RECOVERED, unread)]);
            prop_assert_eq!(counts(backlog.tokens()), counts(expected));
        }
        for (number, token) in model {
            prop_assert_eq!(backlog.remove(Some(number), None), Some(token));
        }
        prop_assert!(backlog.ranges.is_empty());
    }
}

#[test]
fn a_million_whole_untagged_submissions_take_one_range() {
    let mut accounting = Accounting::default();
    let mut backlog = Backlog::new(0);
    for number in 0..1_000_000 {
        backlog.insert(number, accounting.accept(1, None, None), unchanged);
    }
    assert_eq!(backlog.ranges.len(), 1);
    let whole = accounting.accept(1, None, None);
    // Reads remove records from the front, and evictions from anywhere.
    for number in (0..1_000).chain([500_000, 999_999]) {
        assert_eq!(backlog.remove(Some(number), None), Some(whole));
    }
    assert_eq!(backlog.ranges.len(), 1);
    assert_eq!(backlog.tokens().map(|(_, records)| records).sum::<u64>(), 998_998);
}

#[test]
fn ranges_of_unawaited_submissions_are_merged() {
    let tokens = tokens(3);
    let mut backlog = Backlog::new(0);
    for number in 0..10_000 {
        backlog.insert(number, tokens[1 + usize::from(number % 2 == 0)], |_| tokens[0]);
        assert!(backlog.ranges.len() <= MIN_RANGES);
    }
    // Ranges of awaited submissions are not merged.
    let mut backlog = Backlog::new(0);
    for number in 0..10_000 {
        backlog.insert(number, tokens[1 + usize::from(number % 2 == 0)], unchanged);
    }
    assert_eq!(backlog.ranges.len(), 10_000);
    for number in (0..10_000).rev() {
        assert_eq!(backlog.remove(Some(number), None), Some(tokens[1 + usize::from(number % 2 == 0)]));
    }
}

#[test]
fn may_have_older_covers_own_and_recovered_records() {
    let (user, sharing, other) = (0, COUNTERS as u64, 1);
    let [user, sharing, other] = [user, sharing, other].map(UserKey::numbered);
    let mut backlog = Backlog::new(1);
    assert!(backlog.may_have_older(other));
    assert_eq!(backlog.remove(None, None), Some(SubmissionToken::RECOVERED));
    assert_eq!(backlog.remove(None, None), None, "the record is counted once");
    assert!(!backlog.may_have_older(other));
    backlog.add_user(user);
    backlog.add_user(sharing);
    assert!(backlog.may_have_older(user) && backlog.may_have_older(sharing) && !backlog.may_have_older(other));
    backlog.remove_user(user);
    assert!(backlog.may_have_older(user), "the other user of the counter has one");
    backlog.remove_user(sharing);
    assert!(!backlog.may_have_older(user));
    backlog.add_user(other);
    backlog.forget_users();
    assert!(!backlog.may_have_older(other));
}
