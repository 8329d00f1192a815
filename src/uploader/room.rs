//! Frees the room of collections that were large during an outage.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The number of entries for which a collection keeps room when it is nearly empty.
const MIN_CAPACITY: usize = 1_024;

/// Frees a half of the room of a queue that uses at most a quarter of it, so that a queue that is only emptied moves each entry a
/// constant number of times.
///
/// The entries move to a new allocation: one that shrinks in place could keep the allocator from returning the memory before it.
pub(super) fn free_queue_room<T>(queue: &mut VecDeque<T>) {
    if let Some(capacity) = smaller_capacity(queue.len(), queue.capacity()) {
        let mut smaller = VecDeque::with_capacity(capacity);
        smaller.extend(queue.drain(..));
        *queue = smaller;
    }
}

/// Frees a half of the room of a map that uses at most a quarter of it.
pub(super) fn free_map_room<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if let Some(capacity) = smaller_capacity(map.len(), map.capacity()) {
        map.shrink_to(capacity);
    }
}

fn smaller_capacity(len: usize, capacity: usize) -> Option<usize> {
    // Not above twice the minimum, since a map rounds the number up.
    (capacity > 2 * MIN_CAPACITY && len <= capacity / 4).then(|| (capacity / 2).max(MIN_CAPACITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 100_000;

    #[test]
    fn a_queue_that_was_large_frees_its_room() {
        let mut queue: VecDeque<usize> = (0..LARGE).collect();
        let mut moves = 0;
        for first in 0..LARGE {
            assert_eq!(queue.pop_front(), Some(first));
            let before = queue.capacity();
            free_queue_room(&mut queue);
            moves += if queue.capacity() < before { queue.len() } else { 0 };
        }
        assert!(queue.capacity() <= 2 * MIN_CAPACITY, "{}", queue.capacity());
        assert!(moves <= LARGE, "{moves}");
    }

    #[test]
    fn a_map_that_was_large_frees_its_room() {
        let mut map: HashMap<usize, usize> = (0..LARGE).map(|key| (key, key)).collect();
        for key in 0..LARGE {
            assert_eq!(map.remove(&key), Some(key));
            free_map_room(&mut map);
        }
        assert!(map.capacity() <= 2 * MIN_CAPACITY, "{}", map.capacity());
    }

    #[test]
    fn a_collection_that_is_in_use_keeps_its_room() {
        let mut queue: VecDeque<usize> = (0..LARGE).collect();
        let capacity = queue.capacity();
        queue.truncate(capacity / 4 + 1);
        free_queue_room(&mut queue);
        assert_eq!(queue.capacity(), capacity);
        let mut small: VecDeque<usize> = VecDeque::with_capacity(MIN_CAPACITY);
        free_queue_room(&mut small);
        assert!(small.capacity() >= MIN_CAPACITY);
    }
}
