//! The layout of a bulk request body: `[`, the sealed batches joined by `,`, and `]`. Only this module knows it.

use bytes::{Bytes, BytesMut};

use crate::seal::SealedBatch;

pub(super) const OPEN: &[u8] = b"[";
const CLOSE: &[u8] = b"]";
const SEPARATOR: &[u8] = b",";

/// The size of a body in addition to [`batch_bytes`] of each batch: both brackets, less the separator that the first batch
/// does not need.
pub(super) const EXTRA_BYTES: usize = OPEN.len() + CLOSE.len() - SEPARATOR.len();

/// Returns the number of bytes that a batch of this size takes in a body, including its separator.
pub(super) const fn batch_bytes(batch: usize) -> usize {
    batch + SEPARATOR.len()
}

/// Returns the content between the brackets: each batch, with the separator before it.
pub(super) fn parts<'a>(batches: &'a [&SealedBatch]) -> impl Iterator<Item = (&'static [u8], &'a Bytes)> {
    let separators = std::iter::once(&b""[..]).chain(std::iter::repeat(SEPARATOR));
    separators.zip(batches.iter().map(|batch| batch.json()))
}

/// Returns the body of a bulk request. Writes it into `buffer`, which keeps its spare capacity, and reuses the memory of the
/// body once that has been dropped.
///
/// The copy replaces system calls: hyper writes a body that is a chain of the batches with one call for every few of them. TLS
/// copies in any case. reqwest can also send a body again after a redirect only if it is in one piece.
pub(crate) fn join(batches: &[&SealedBatch], buffer: &mut BytesMut) -> Bytes {
    let size = EXTRA_BYTES + batches.iter().map(|batch| batch_bytes(batch.len())).sum::<usize>();
    buffer.reserve(size.max(OPEN.len() + CLOSE.len()));
    buffer.extend_from_slice(OPEN);
    for (separator, json) in parts(batches) {
        buffer.extend_from_slice(separator);
        buffer.extend_from_slice(json);
    }
    buffer.extend_from_slice(CLOSE);
    buffer.split().freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_body_has_the_computed_size() {
        let batch = |json: &str| SealedBatch::from_json(json.to_owned()).expect("a batch");
        let batches = [batch(r#"{"source_request_id":"a"}"#), batch(r#"{"source_request_id":"b","mpid":1}"#)];
        let mut buffer = BytesMut::new();
        for _ in 0..2 {
            let body = join(&batches.each_ref(), &mut buffer);
            assert_eq!(body[..], br#"[{"source_request_id":"a"},{"source_request_id":"b","mpid":1}]"#[..]);
            assert_eq!(body.len(), batches.iter().map(|batch| batch.len() + 1).sum::<usize>() + 1);
        }
        assert_eq!(join(&[], &mut buffer)[..], b"[]"[..]);
    }
}
