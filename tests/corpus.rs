//! The committed corpus of the fuzz targets, replayed: `just fuzz` looks for more.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use mparticle::mock::MockServer;
use support::any_body;
use support::raw::exchange;

/// Longer than anything takes on a busy machine, and shorter than the time that the mock gives a slow client.
const PATIENCE: Duration = Duration::from_secs(20);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(directory).expect("a corpus").map(|file| file.expect("a file").path());
    let files: Vec<_> = files.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

#[tokio::test]
async fn any_bytes_on_a_connection_leave_the_mock_standing() {
    let server = MockServer::start().await;
    for (path, bytes) in corpus("mock_request") {
        let exchange = exchange(&server.url(), &bytes, true, PATIENCE);
        let hangs = matches!(exchange.ended, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!hangs, "{} hangs: {}", path.display(), exchange.text());
    }
    support::client(&server).upload(support::batch()).await.expect("it still answers");
}

#[test]
fn any_body_is_held_against_the_contract() {
    for (path, bytes) in corpus("mock_body") {
        println!("{}", path.display()); // shown if it fails
        any_body::check(&bytes);
    }
}
