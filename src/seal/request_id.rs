//! The id of a sealed batch.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The number of bytes of a UUID as text.
const INLINE_BYTES: usize = 36;

/// An id as text. That of a UUID needs no allocation of its own, since a queue may hold very many.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum RequestId {
    /// The bytes after the first `len` are zero.
    Inline {
        len: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Shared(Arc<str>),
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(inline), Ok(len)) => {
                inline.copy_from_slice(text.as_bytes());
                Self::Inline { len, bytes }
            }
            _ => Self::Shared(text.into()),
        }
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            // It was text when it was copied.
            Self::Inline { len, bytes } => str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Self::Shared(text) => text,
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_reads_back_equal_and_a_uuid_is_inline() {
        let uuid = uuid::Uuid::nil().to_string();
        for text in ["", "x", "Zoë", &uuid, &format!("{uuid}x"), &"é".repeat(18), &"é".repeat(19), &"x".repeat(1_000)]
        {
            let id = RequestId::from(text);
            assert_eq!((&*id, format!("{id:?}")), (text, format!("{text:?}")));
            assert_eq!(matches!(id, RequestId::Inline { .. }), text.len() <= uuid.len(), "{text}");
            assert_eq!(id, RequestId::from(text));
            assert_ne!(id, RequestId::from("other"));
        }
    }
}
