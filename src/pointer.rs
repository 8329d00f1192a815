//! JSON pointers (RFC 6901), by which errors and findings name a place.

/// A name as a part of a pointer: `~` and `/` have to be told apart from the pointer's own.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
