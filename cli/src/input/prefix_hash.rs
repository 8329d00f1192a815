//! The running hash of the bytes of a file, by which a later run recognizes the part of the file that was sent.

use sha1_smol::{Digest, Sha1};

use super::frames::BYTE_ORDER_MARK;

/// The number of bytes that are kept at least, so that the hash of a position can be taken until the reader has read so much
/// more. Readers look ahead by much less.
const KEPT_BYTES: usize = 4 << 20;

/// Hashes the decompressed bytes of a file, without a byte-order mark, up to increasing offsets.
#[derive(Default)]
pub struct PrefixHash {
    hash: Sha1,
    /// The number of hashed bytes.
    hashed: u64,
    /// The bytes after them; those before `start` are hashed already.
    pending: Vec<u8>,
    start: usize,
    /// Set once the beginning of the file was seen.
    has_begun: bool,
}

impl PrefixHash {
    /// Adds bytes that were read from the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() - self.start > 2 * KEPT_BYTES {
            // A long text, in which no run can resume.
            self.advance(KEPT_BYTES);
        }
    }

    /// Returns the hash of the bytes before this offset. Offsets must not decrease; `None` for one whose bytes are not known.
    pub fn at(&mut self, offset: u64) -> Option<Digest> {
        self.skip_mark();
        let bytes = usize::try_from(offset.checked_sub(self.hashed)?).ok()?;
        if bytes > self.pending.len() - self.start {
            return None;
        }
        self.advance(bytes);
        Some(self.hash.digest())
    }

    fn skip_mark(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            if self.pending.starts_with(BYTE_ORDER_MARK) {
                self.start = BYTE_ORDER_MARK.len();
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.skip_mark();
        let end = (self.start + bytes).min(self.pending.len());
        self.hash.update(&self.pending[self.start..end]);
        self.hashed += (end - self.start) as u64;
        self.start = end;
        if self.start > self.pending.len() / 2 {
            self.pending.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_hash_of_the_prefix_for_any_chunks() {
        let bytes: Vec<u8> = (0..=250).cycle().take(12_000_000).collect();
        for chunk in [1_000, 65_536, 3_000_000] {
            let mut hash = PrefixHash::default();
            let (mut read, mut offset) = (0, 0);
            for piece in bytes.chunks(chunk) {
                hash.push(piece);
                read += piece.len();
                while offset + 2_777_777 < read {
                    offset += 2_777_777;
                    assert_eq!(hash.at(offset as u64), Some(Sha1::from(&bytes[..offset]).digest()), "{offset}");
                }
                assert!(hash.pending.len() <= 4 * KEPT_BYTES + chunk, "{}", hash.pending.len());
            }
            assert_eq!(hash.at(bytes.len() as u64 + 1), None, "beyond the end");
        }
        // The bytes of a long text are bounded, and the position after it is known.
        let mut hash = PrefixHash::default();
        for piece in bytes.chunks(65_536) {
            hash.push(piece);
            assert!(hash.pending.len() <= 4 * KEPT_BYTES);
        }
        assert_eq!(hash.at(1), None, "hashed already");
        assert_eq!(hash.at(bytes.len() as u64), Some(Sha1::from(&bytes).digest()));
    }

    #[test]
    fn omits_a_byte_order_mark() {
        let (mut with, mut without) = (PrefixHash::default(), PrefixHash::default());
        with.push(b"\xef\xbb\xbfabc");
        without.push(b"abc");
        assert_eq!((with.at(2), with.at(4)), (without.at(2), None));
        assert_eq!(PrefixHash::default().at(0), Some(Sha1::new().digest()));
    }
}
