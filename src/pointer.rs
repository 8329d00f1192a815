//! JSON pointers (RFC 6901).

use std::fmt;

/// Escapes a name for use in a JSON pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A JSON pointer as a linked list of steps, so that building one allocates nothing until it is formatted.
#[derive(Clone, Copy)]
pub(crate) enum JsonPointer<'a> {
    /// The pointer of the starting point. Empty for the whole document.
    Root(&'a str),
    /// The value of this name in an object.
    Name(&'a JsonPointer<'a>, &'a str),
    /// The entry of this index in a list.
    Index(&'a JsonPointer<'a>, usize),
}

impl<'a> JsonPointer<'a> {
    pub(crate) fn name(&'a self, name: &'a str) -> Self {
        Self::Name(self, name)
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for JsonPointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(pointer) => f.write_str(pointer),
            Self::Name(parent, name) => write!(f, "{parent}/{}", escaped(name)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}
