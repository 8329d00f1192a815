//! The limits that the service documents, and that are checked before anything is sent.

/// At most this many bytes in one batch, written as JSON: the service says that a batch should not exceed 128 KB.
pub const MAX_BATCH_BYTES: usize = 128_000;

/// At most this many bytes in the body of one request: the service documents "under 256 KB", and one kB is taken as
/// 1,000 bytes here, to be on the safe side of both readings.
pub const MAX_REQUEST_BYTES: usize = 256_000;

/// At most this many batches in one bulk request.
pub const MAX_BATCHES_PER_REQUEST: usize = 100;
