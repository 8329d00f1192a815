//! Reads arbitrary bytes as a segment of the spool: no panic, bounded memory, and no record that is not in the bytes.
//!
//! `tests/spool.rs` replays the corpus.
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
