//! JSON pointers (RFC 6901), by which errors and findings name a place.

use std::fmt;

/// A name as a part of a pointer: `~` and `/` have to be told apart from the pointer's own.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A place in a JSON document, kept as the way to it: the pointer is written only where somebody is told of the place.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// Where the looking begins: the pointer of a part, or nothing for the whole.
    Root(&'a str),
    /// The value of this name in an object.
    Name(&'a Place<'a>, &'a str),
    /// The entry of this index in a list.
    Index(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub(crate) fn name(&'a self, name: &'a str) -> Self {
        Self::Name(self, name)
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(pointer) => f.write_str(pointer),
            Self::Name(parent, name) => write!(f, "{parent}/{}", escaped(name)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}
