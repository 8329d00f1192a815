//! Replays the committed corpus of the fuzz targets; `just fuzz` searches for more inputs.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use mparticle::mock::MockServer;
use support::any_body;
use support::raw::exchange;

/// Long enough for a busy machine, and shorter than the timeout of the mock for a slow client.
const TIMEOUT: Duration = Duration::from_secs(20);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(directory).expect("a corpus").map(|file| file.expect("a file").path());
    let files: Vec<_> = files.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

#[tokio::test]
async fn mock_survives_arbitrary_bytes_on_a_connection() {
    let server = MockServer::start().await;
    for (path, bytes) in corpus("mock_request") {
        let exchange = exchange(&server.url(), &bytes, true, TIMEOUT);
        let hangs = matches!(exchange.ended, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!hangs, "{} hangs: {}", path.display(), exchange.text());
    }
    support::client(&server).upload(support::batch()).await.expect("the mock still responds");
}

#[test]
fn contract_checks_arbitrary_bodies() {
    for (path, bytes) in corpus("mock_body") {
        println!("{}", path.display()); // shown if it fails
        any_body::check(&bytes);
    }
}
