//! A TCP stream that injects faults which an HTTP server cannot produce itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The bytes that are written instead of a response.
const MALFORMED_RESPONSE: &[u8] = b"\x16\x03\x01\x00\xa5\x01 this is not HTTP \xff\xfe\r\n\r\n";

/// Controls the faults of one connection, from the handler of its requests.
#[derive(Clone, Default)]
pub(super) struct ConnectionFaults(Arc<FaultFlags>);

#[derive(Default)]
struct FaultFlags {
    reset: AtomicBool,
    malformed: AtomicBool,
}

impl ConnectionFaults {
    /// Closes the connection with a TCP reset.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// Replaces the next response by bytes that are not HTTP, and discards everything written after it.
    pub(super) fn write_malformed(&self) {
        self.0.malformed.store(true, Ordering::Relaxed);
    }
}

/// The stream of a connection, with the faults that its [`ConnectionFaults`] requests.
pub(super) struct FaultyStream {
    inner: TcpStream,
    faults: ConnectionFaults,
    malformed_written: usize,
}

impl FaultyStream {
    pub(super) fn new(inner: TcpStream, faults: ConnectionFaults) -> Self {
        Self { inner, faults, malformed_written: 0 }
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        if self.faults.0.reset.load(Ordering::Relaxed) {
            // Closing with a linger of zero sends RST. If this fails, the connection is already closed.
            let _ = self.inner.set_zero_linger();
        }
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.faults.0.malformed.load(Ordering::Relaxed) {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        while self.malformed_written < MALFORMED_RESPONSE.len() {
            let rest = &MALFORMED_RESPONSE[self.malformed_written..];
            self.malformed_written += ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.faults.0.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(())); // After an orderly shutdown the client would not see the reset.
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
