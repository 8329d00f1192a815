//! Random ids, with one call to the system for many ids: such a call costs more than sealing an event.

use uuid::{Builder, Uuid};

/// A source of UUIDs of version 4 that count up from a random one. They must be unique, which the 122 random bits of the first
/// one ensure for all that follow.
///
/// It is created for one call and dropped with it: a forked process would share a longer-lived state, and produce the same
/// ids.
pub(crate) struct RandomIds(Option<u128>);

impl RandomIds {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    pub(crate) fn next(&mut self) -> Uuid {
        let bits = self.0.get_or_insert_with(|| Uuid::new_v4().as_u128());
        let id = Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        *bits = bits.wrapping_add(1);
        id
    }
}

/// Sets an id that is not set. An empty id counts as not set: two batches that share it would be one to the service.
pub(super) fn fill(id: &mut Option<String>, new_id: impl FnOnce() -> Uuid) {
    if id.as_ref().is_none_or(String::is_empty) {
        *id = Some(text(new_id()));
    }
}

/// Returns the hyphenated text of an id, in lower case.
pub(super) fn text(id: Uuid) -> String {
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::{Variant, Version};

    use super::*;

    #[test]
    fn ids_are_unique_and_of_version_4() {
        let starts = [None, Some(u128::MAX), Some(u128::from(u64::MAX)), Some(!(0b11 << 62))];
        for start in starts {
            let mut source = RandomIds(start);
            let ids: HashSet<_> = (0..1_000).map(|_| source.next()).collect();
            assert_eq!(ids.len(), 1_000, "{start:?}");
            for id in ids {
                assert_eq!((id.get_version(), id.get_variant()), (Some(Version::Random), Variant::RFC4122));
                assert_eq!(text(id), id.to_string());
            }
        }
        assert_ne!(RandomIds::new().next(), RandomIds::new().next());
    }
}
