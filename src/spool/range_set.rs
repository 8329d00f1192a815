//! A set of record numbers, stored as ranges: done and outstanding records are mostly adjacent.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet {
    /// The last number of each range, by the first. The ranges do not touch.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl RangeSet {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.range_of(number).is_some()
    }

    /// Returns the range that contains a number.
    fn range_of(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.ranges.range(..=number).next_back()?;
        (number <= *last).then_some((*first, *last))
    }

    /// Adds a number, which must be less than `u64::MAX`. Returns whether it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let last = self.ranges.remove(&(number + 1)).unwrap_or(number);
        match self.ranges.range_mut(..number).next_back() {
            Some((_, before)) if *before + 1 == number => *before = last,
            _ => _ = self.ranges.insert(number, last),
        }
        self.count += 1;
        true
    }

    /// Removes a number. Returns whether it was in the set.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let Some(range) = self.range_of(number) else { return false };
        self.cut(range, (number, number));
        self.count -= 1;
        true
    }

    /// Removes a part of a range.
    fn cut(&mut self, (first, last): (u64, u64), (start, end): (u64, u64)) {
        if first < start {
            self.ranges.insert(first, start - 1);
        } else {
            self.ranges.remove(&first);
        }
        if end < last {
            self.ranges.insert(end + 1, last);
        }
    }

    /// Returns the numbers of the set from `first` to `last`, inclusive.
    pub(super) fn intersection(&self, first: u64, last: u64) -> Self {
        let mut within = Self::default();
        for (start, end) in self.ranges.range(..=last).rev().take_while(|(_, end)| **end >= first) {
            let (start, end) = ((*start).max(first), (*end).min(last));
            within.ranges.insert(start, end);
            within.count += end - start + 1;
        }
        within
    }

    /// Removes the numbers from `first` to `last`, inclusive, and returns them.
    pub(super) fn remove_range(&mut self, first: u64, last: u64) -> Self {
        let taken = self.intersection(first, last);
        for part in taken.ranges() {
            if let Some(range) = self.range_of(part.0) {
                self.cut(range, part);
            }
        }
        self.count -= taken.count;
        taken
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.ranges.keys().next().copied()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// Returns the numbers, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.ranges().flat_map(|(first, last)| first..=last)
    }

    /// Creates a set of these ranges. Returns `None` unless they are in ascending order, disjoint, and below `u64::MAX`.
    pub(super) fn from_ranges(ranges: impl IntoIterator<Item = (u64, u64)>) -> Option<Self> {
        let mut numbers = Self::default();
        let mut free = 0;
        for (first, last) in ranges {
            if first < free || last < first || last == u64::MAX {
                return None;
            }
            free = last + 1;
            numbers.count += free - first;
            numbers.ranges.insert(first, last);
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn behaves_like_a_btree_set(steps in prop::collection::vec((any::<bool>(), 0_u64..40), 0..80)) {
            let (mut numbers, mut model) = (RangeSet::default(), BTreeSet::new());
            for (inserts, number) in steps {
                if inserts {
                    prop_assert_eq!(numbers.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(numbers.remove(number), model.remove(&number));
                }
            }
            prop_assert_eq!(numbers.count(), model.len() as u64);
            for number in 0..41 {
                prop_assert_eq!(numbers.contains(number), model.contains(&number));
            }
            prop_assert!(numbers.iter().eq(model.iter().copied()));
            let ranges: Vec<_> = numbers.ranges().collect();
            prop_assert!(ranges.is_sorted_by(|range, next| range.1 + 1 < next.0), "{:?}", ranges);
            prop_assert_eq!(RangeSet::from_ranges(ranges), Some(numbers));
        }

        #[test]
        fn remove_range_splits_the_set(inserted in prop::collection::btree_set(0_u64..40, 0..40), first in 0_u64..42, length in 0_u64..42) {
            let mut numbers = RangeSet::default();
            for number in &inserted {
                prop_assert!(numbers.insert(*number));
            }
            let within = numbers.intersection(first, first + length);
            let taken = numbers.remove_range(first, first + length);
            let (inside, outside): (Vec<_>, Vec<_>) =
                inserted.into_iter().partition(|number| (first..=first + length).contains(number));
            prop_assert_eq!((taken.count(), numbers.count()), (inside.len() as u64, outside.len() as u64));
            prop_assert_eq!(&within, &taken);
            let list = |numbers: &RangeSet| numbers.iter().collect::<Vec<_>>();
            prop_assert_eq!((list(&taken), list(&numbers)), (inside, outside));
        }
    }
}
