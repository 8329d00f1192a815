//! A connection that can be told to misbehave in ways that an HTTP server does not on its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is written instead of an answer.
const GARBAGE: &[u8] = b"\x16\x03\x01\x00\xa5\x01 this is not HTTP \xff\xfe\r\n\r\n";

/// What a request can ask of the connection that it came in on.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Orders>);

#[derive(Default)]
struct Orders {
    reset: AtomicBool,
    garbage: AtomicBool,
}

impl Wire {
    /// The connection ends with a reset instead of an orderly close.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// The next answer is replaced by bytes that are not HTTP, and everything after it by nothing.
    pub(super) fn garbage(&self) {
        self.0.garbage.store(true, Ordering::Relaxed);
    }
}

/// The stream of a connection, doing what its [`Wire`] was told.
pub(super) struct Stream {
    inner: TcpStream,
    wire: Wire,
    garbage_written: usize,
}

impl Stream {
    pub(super) fn new(inner: TcpStream, wire: Wire) -> Self {
        Self { inner, wire, garbage_written: 0 }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.wire.0.reset.load(Ordering::Relaxed) {
            // Closing with a linger of zero sends RST. If it fails the connection is gone already.
            let _ = self.inner.set_zero_linger();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.wire.0.garbage.load(Ordering::Relaxed) {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        while self.garbage_written < GARBAGE.len() {
            let rest = &GARBAGE[self.garbage_written..];
            self.garbage_written += ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.0.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(())); // An orderly end first would spare the client the reset.
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
