//! Any bytes, read as a segment of the spool: no panic, no memory without bound, and no record that is not in them.
//!
//! `tests/spool.rs` holds the same of the corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mparticle::spool::{MAX_RECORD_BYTES, Records};

fuzz_target!(|bytes: &[u8]| {
    let mut last = None;
    for record in Records::new(bytes).map_while(Result::ok) {
        assert!(last < Some(record.number) && record.batch.len() <= MAX_RECORD_BYTES);
        assert!(record.batch.is_empty() || bytes.windows(record.batch.len()).any(|part| part == record.batch));
        last = Some(record.number);
    }
});
