//! Bytes on a raw socket, as no HTTP client would write them, and whatever comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// What was read until the end, and how it ended: in order, or by an error. `WouldBlock` is the end of patience.
pub struct Exchange {
    pub bytes: Vec<u8>,
    pub ended: Result<(), ErrorKind>,
}

impl Exchange {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Writes bytes to a server, ends the sending side if asked to, and reads until the end, or until nothing comes for as long as
/// there is patience.
pub fn exchange(url: &str, bytes: &[u8], end: bool, patience: Duration) -> Exchange {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    stream.set_write_timeout(Some(patience)).expect("a timeout");
    // A server that has answered may close before it has read everything.
    let _ = stream.write_all(bytes);
    if end {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut read = Vec::new();
    let ended = stream.read_to_end(&mut read).map(drop).map_err(|error| error.kind());
    Exchange { bytes: read, ended }
}
