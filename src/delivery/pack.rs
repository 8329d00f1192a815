//! Packs sealed batches into request bodies, as full as the limits allow, with the batches of each user in order. Pure.

use std::collections::HashMap;

use super::body::{EXTRA_BYTES, batch_bytes};
use crate::limits::{MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use crate::seal::{SealedBatch, UserKey};

/// The number of bodies that are searched for room. More would fill the last gaps, but cost time for each batch.
const OPEN_BODIES: usize = 64;

/// Packs batches, each with its index, and returns the indexes of each body. The bodies must be sent in order, one after the
/// other.
///
/// First fit: a batch goes into the first body with room that is not before the last body of its user. Every batch must fit
/// into a body of its own.
pub(crate) fn pack<'a>(batches: impl Iterator<Item = (usize, &'a SealedBatch)> + Clone) -> Vec<Vec<usize>> {
    first_fit(batches.map(|(place, batch)| (place, batch.len(), batch.user())))
}

/// The content of a body so far.
struct PackedBody {
    places: Vec<usize>,
    bytes: usize,
}

impl PackedBody {
    fn is_full(&self) -> bool {
        self.places.len() == MAX_BATCHES_PER_REQUEST
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        !self.is_full() && self.bytes + batch_bytes(bytes) <= MAX_REQUEST_BYTES
    }
}

fn first_fit(batches: impl Iterator<Item = (usize, usize, UserKey)> + Clone) -> Vec<Vec<usize>> {
    if let Some(all) = pack_into_one(batches.clone()) {
        return all;
    }
    let mut bodies: Vec<PackedBody> = Vec::new();
    let mut last_body_of = HashMap::new();
    // The number of bodies at the start that are full. Without it, small batches would search all full ones each time.
    let mut full = 0;
    for (place, bytes, user) in batches {
        let last = last_body_of.entry(user).or_insert(0);
        let first = (*last).max(full).max(bodies.len().saturating_sub(OPEN_BODIES));
        let body = (first..bodies.len()).find(|&body| bodies[body].has_room_for(bytes)).unwrap_or(bodies.len());
        if body == bodies.len() {
            bodies.push(PackedBody { places: Vec::new(), bytes: EXTRA_BYTES });
        }
        bodies[body].places.push(place);
        bodies[body].bytes += batch_bytes(bytes);
        full += bodies[full..].iter().take_while(|body| body.is_full()).count();
        *last = body;
    }
    bodies.into_iter().map(|body| body.places).collect()
}

/// Packs all batches into one body if they fit, which needs no order by user.
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

    /// Returns a lower bound of the number of bodies.
    fn least_bodies(batches: &[(usize, u64)]) -> usize {
        let bytes: usize = batches.iter().map(|(bytes, _)| bytes + 1).sum();
        batches.len().div_ceil(MAX_BATCHES_PER_REQUEST).max(bytes.div_ceil(MAX_REQUEST_BYTES - 1))
    }

    /// Generates sizes from the smallest batch to the largest, mostly small ones, for few users.
    fn batches() -> impl Strategy<Value = Vec<(usize, u64)>> {
        let size = prop_oneof![3 => 2..4_000_usize, 1 => 2..=MAX_BATCH_BYTES];
        vec((size, 0..20_u64), 0..600)
    }

    proptest! {
        #[test]
        fn each_batch_is_in_one_body_within_the_limits(batches in batches()) {
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
        fn keeps_the_order_of_each_user(batches in batches()) {
            let order = pack_sizes(&batches).concat();
            for user in 0..20 {
                let of_user: Vec<_> = order.iter().filter(|place| batches[**place].1 == user).collect();
                prop_assert!(of_user.is_sorted());
            }
        }

        #[test]
        fn adjacent_bodies_do_not_fit_into_one(batches in batches()) {
            let bodies = pack_sizes(&batches);
            for pair in bodies.windows(2) {
                let fits = pair[0].len() + pair[1].len() <= MAX_BATCHES_PER_REQUEST
                    && body_bytes(&batches, &pair[0]) + body_bytes(&batches, &pair[1]) - 1 <= MAX_REQUEST_BYTES;
                prop_assert!(!fits);
            }
        }

        #[test]
        fn fills_bodies_with_batches_of_many_users(sizes in vec(200..20_000_usize, 1..2_000)) {
            let batches: Vec<_> = sizes.into_iter().zip(0..).collect();
            let least = least_bodies(&batches);
            let bodies = pack_sizes(&batches).len();
            prop_assert!(bodies <= least + least / 20 + 1, "{} bodies, at least {}", bodies, least);
        }
    }

    #[test]
    fn packs_up_to_the_exact_limits() {
        let half = (MAX_REQUEST_BYTES - 3) / 2;
        let rest = MAX_REQUEST_BYTES - 3 - half;
        assert_eq!(pack_sizes(&[(half, 1), (rest, 2)]), [[0, 1]]);
        assert_eq!(pack_sizes(&[(half, 1), (rest + 1, 2)]).len(), 2);
        assert_eq!(pack_sizes(&[(100, 1); 100]).len(), 1);
        assert_eq!(pack_sizes(&[(100, 1); 101]).len(), 2);
        assert!(pack_sizes(&[]).is_empty());
    }
}
