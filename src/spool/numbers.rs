//! A set of record numbers, kept as ranges: what is done lies close together.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// First number to last, with gaps between them.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl Numbers {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number below the greatest of all; whether it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last));
        let first = match before {
            Some((_, last)) if number <= last => return false,
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let last = self.ranges.remove(&(number + 1)).unwrap_or(number);
        self.ranges.insert(first, last);
        self.count += 1;
        true
    }

    /// Takes out those from the first to the last.
    pub(super) fn take(&mut self, first: u64, last: u64) -> Self {
        let overlapping = self.ranges.range(..=last).rev().take_while(|(_, end)| **end >= first);
        let overlapping: Vec<_> = overlapping.map(|(start, end)| (*start, *end)).collect();
        let mut taken = Self::default();
        for (start, end) in overlapping {
            self.ranges.remove(&start);
            if start < first {
                self.ranges.insert(start, first - 1);
            }
            if end > last {
                self.ranges.insert(last + 1, end);
            }
            let (start, end) = (start.max(first), end.min(last));
            taken.ranges.insert(start, end);
            taken.count += end - start + 1;
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

    /// The set of these ranges, if they rise and do not touch the greatest of all numbers.
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
        fn it_is_a_set(inserted in prop::collection::vec(0_u64..40, 0..60)) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
            for number in inserted {
                prop_assert_eq!(numbers.insert(number), model.insert(number));
            }
            prop_assert_eq!(numbers.count(), model.len() as u64);
            for number in 0..41 {
                prop_assert_eq!(numbers.contains(number), model.contains(&number));
            }
            let ranges: Vec<_> = numbers.ranges().collect();
            prop_assert!(ranges.is_sorted_by(|one, next| one.1 + 1 < next.0), "{:?}", ranges);
            prop_assert_eq!(Numbers::from_ranges(ranges), Some(numbers));
        }

        #[test]
        fn taking_out_splits_it(inserted in prop::collection::btree_set(0_u64..40, 0..40), first in 0_u64..42, length in 0_u64..42) {
            let mut numbers = Numbers::default();
            for number in &inserted {
                prop_assert!(numbers.insert(*number));
            }
            let taken = numbers.take(first, first + length);
            let (inside, outside): (Vec<_>, Vec<_>) =
                inserted.into_iter().partition(|number| (first..=first + length).contains(number));
            let list = |numbers: &Numbers| numbers.ranges().flat_map(|(first, last)| first..=last).collect::<Vec<_>>();
            prop_assert_eq!((taken.count(), numbers.count()), (inside.len() as u64, outside.len() as u64));
            prop_assert_eq!((list(&taken), list(&numbers)), (inside, outside));
        }
    }
}
