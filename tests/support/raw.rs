//! Arbitrary bytes on a raw socket, and the bytes that come back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// The bytes that were read, and the error that ended the connection, if any. `WouldBlock` is the timeout.
pub struct Exchange {
    pub bytes: Vec<u8>,
    pub ended: Result<(), ErrorKind>,
}

impl Exchange {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Writes bytes to a server, shuts down the sending side if `end` is set, and reads until the end, or until no byte arrives for
/// `timeout`.
pub fn exchange(url: &str, bytes: &[u8], end: bool, timeout: Duration) -> Exchange {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
    stream.set_read_timeout(Some(timeout)).expect("a timeout");
    stream.set_write_timeout(Some(timeout)).expect("a timeout");
    // A server that has responded may close the connection before it has read everything.
    let _ = stream.write_all(bytes);
    if end {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut read = Vec::new();
    let ended = stream.read_to_end(&mut read).map(drop).map_err(|error| error.kind());
    Exchange { bytes: read, ended }
}
