//! Sealed batches to request bodies, as full as they get within the limits, each user's batches in their order. Pure.

use std::collections::HashMap;

use super::body::{EXTRA_BYTES, batch_bytes};
use crate::limits::{MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use crate::seal::{SealedBatch, UserKey};

/// So many bodies are looked at for room. More would fill the last gaps, and cost time for each batch.
const OPEN_BODIES: usize = 64;

/// Takes batches and their places, and gives the places of each body. The bodies are to be sent in their order, one after
/// the other.
///
/// First fit: a batch goes into the first body that has room, but into none before the last one of its user. Every batch
/// has to fit into a body alone.
pub(crate) fn pack<'a>(batches: impl Iterator<Item = (usize, &'a SealedBatch)> + Clone) -> Vec<Vec<usize>> {
    first_fit(batches.map(|(place, batch)| (place, batch.len(), batch.user())))
}

/// What a body has so far.
struct PackedBody {
    places: Vec<usize>,
    bytes: usize,
}

impl PackedBody {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.places.len() < MAX_BATCHES_PER_REQUEST && self.bytes + batch_bytes(bytes) <= MAX_REQUEST_BYTES
    }
}

fn first_fit(batches: impl Iterator<Item = (usize, usize, UserKey)> + Clone) -> Vec<Vec<usize>> {
    if let Some(all) = pack_into_one(batches.clone()) {
        return all;
    }
    let mut bodies: Vec<PackedBody> = Vec::new();
    let mut last_body_of = HashMap::new();
    for (place, bytes, user) in batches {
        let last = last_body_of.entry(user).or_insert(0);
        let first = (*last).max(bodies.len().saturating_sub(OPEN_BODIES));
        let body = (first..bodies.len()).find(|&body| bodies[body].has_room_for(bytes)).unwrap_or(bodies.len());
        if body == bodies.len() {
            bodies.push(PackedBody { places: Vec::new(), bytes: EXTRA_BYTES });
        }
        bodies[body].places.push(place);
        bodies[body].bytes += batch_bytes(bytes);
        *last = body;
    }
    bodies.into_iter().map(|body| body.places).collect()
}

/// What fits into one body needs no look at its users.
fn pack_into_one(batches: impl Iterator<Item = (usize, usize, UserKey)>) -> Option<Vec<Vec<usize>>> {
    let count = batches.size_hint().1.unwrap_or(0).min(MAX_BATCHES_PER_REQUEST);
    let mut body = PackedBody { places: Vec::with_capacity(count), bytes: EXTRA_BYTES };
    for (place, bytes, _) in batches {
        if !body.has_room_for(bytes) {
            return None;
        }
        body.places.push(place);
        body.bytes += batch_bytes(bytes);
    }
    Some(if body.places.is_empty() { Vec::new() } else { vec![body.places] })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::limits::MAX_BATCH_BYTES;

    fn pack_sizes(batches: &[(usize, u64)]) -> Vec<Vec<usize>> {
        let user = |(place, (bytes, user)): (usize, &(usize, u64))| (place, *bytes, UserKey::numbered(*user));
        first_fit(batches.iter().enumerate().map(user))
    }

    fn body_bytes(batches: &[(usize, u64)], body: &[usize]) -> usize {
        body.iter().map(|place| batches[*place].0 + 1).sum::<usize>() + 1
    }

    /// No packing at all needs fewer bodies than this.
    fn least_bodies(batches: &[(usize, u64)]) -> usize {
        let bytes: usize = batches.iter().map(|(bytes, _)| bytes + 1).sum();
        batches.len().div_ceil(MAX_BATCHES_PER_REQUEST).max(bytes.div_ceil(MAX_REQUEST_BYTES - 1))
    }

    /// Sizes from the smallest batch to the largest, small ones more often, and few users.
    fn batches() -> impl Strategy<Value = Vec<(usize, u64)>> {
        let size = prop_oneof![3 => 2..4_000_usize, 1 => 2..=MAX_BATCH_BYTES];
        vec((size, 0..20_u64), 0..600)
    }

    proptest! {
        #[test]
        fn every_batch_is_in_one_body_and_no_body_is_over_a_limit(batches in batches()) {
            let bodies = pack_sizes(&batches);
            let mut seen: Vec<_> = bodies.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..batches.len()).collect::<Vec<_>>());
            for body in &bodies {
                prop_assert!((1..=MAX_BATCHES_PER_REQUEST).contains(&body.len()));
                prop_assert!(body_bytes(&batches, body) <= MAX_REQUEST_BYTES);
            }
        }

        #[test]
        fn each_user_keeps_the_order(batches in batches()) {
            let order = pack_sizes(&batches).concat();
            for user in 0..20 {
                let of_user: Vec<_> = order.iter().filter(|place| batches[**place].1 == user).collect();
                prop_assert!(of_user.is_sorted());
            }
        }

        #[test]
        fn two_neighbours_never_fit_into_one(batches in batches()) {
            let bodies = pack_sizes(&batches);
            for pair in bodies.windows(2) {
                let fits = pair[0].len() + pair[1].len() <= MAX_BATCHES_PER_REQUEST
                    && body_bytes(&batches, &pair[0]) + body_bytes(&batches, &pair[1]) - 1 <= MAX_REQUEST_BYTES;
                prop_assert!(!fits);
            }
        }

        #[test]
        fn batches_of_many_users_fill_their_bodies(sizes in vec(200..20_000_usize, 1..2_000)) {
            let batches: Vec<_> = sizes.into_iter().zip(0..).collect();
            let least = least_bodies(&batches);
            let bodies = pack_sizes(&batches).len();
            prop_assert!(bodies <= least + least / 20 + 1, "{} bodies, at least {}", bodies, least);
        }
    }

    #[test]
    fn bodies_end_exactly_at_the_limits() {
        let half = (MAX_REQUEST_BYTES - 3) / 2;
        let rest = MAX_REQUEST_BYTES - 3 - half;
        assert_eq!(pack_sizes(&[(half, 1), (rest, 2)]), [[0, 1]]);
        assert_eq!(pack_sizes(&[(half, 1), (rest + 1, 2)]).len(), 2);
        assert_eq!(pack_sizes(&[(100, 1); 100]).len(), 1);
        assert_eq!(pack_sizes(&[(100, 1); 101]).len(), 2);
        assert!(pack_sizes(&[]).is_empty());
    }
}
