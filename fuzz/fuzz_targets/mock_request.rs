//! Sends arbitrary bytes to the mock: no panic, no hang, bounded memory. `tests/corpus.rs` replays the corpus.
#![no_main]

#[path = "../../tests/support/raw.rs"]
#[allow(dead_code, reason = "the tests also read the bytes")]
mod raw;

use std::io::ErrorKind;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mparticle::mock::MockServer;

static SERVER: LazyLock<MockServer> = LazyLock::new(MockServer::start_blocking);

fuzz_target!(|bytes: &[u8]| {
    let exchange = raw::exchange(&SERVER.url(), bytes, true, Duration::from_secs(10));
    assert_ne!(exchange.ended, Err(ErrorKind::WouldBlock), "the mock hangs");
});
