//! The next bytes of a source, as many as are asked for, and its beginning.

use std::io::{self, Read};
use std::ops::Range;

/// The number of bytes by which the buffer grows.
const CHUNK_BYTES: usize = 64 * 1024;

/// The smallest room that is offered to the source.
const MIN_ROOM_BYTES: usize = 4096;

/// A buffer that grows as long as nothing is consumed, so that a reader can look ahead.
pub struct ReadBuffer<R> {
    source: R,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are read and not consumed.
    unread: Range<usize>,
    is_at_end: bool,
}

impl<R: Read> ReadBuffer<R> {
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), unread: 0..0, is_at_end: false }
    }

    /// Returns the source.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// Returns the buffered bytes that are not consumed.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    /// Returns whether the source has ended.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Appends bytes of the source to the buffer; returns whether there were any.
    pub fn read_more(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.buffer.len() < self.unread.end + MIN_ROOM_BYTES {
            self.buffer.resize(self.unread.end + CHUNK_BYTES, 0);
        }
        let read = loop {
            match self.source.read(&mut self.buffer[self.unread.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.unread.end += read;
        self.is_at_end = read == 0;
        Ok(!self.is_at_end)
    }

    /// Reads until at least `count` bytes are buffered or the source ends.
    pub fn read_at_least(&mut self, count: usize) -> io::Result<()> {
        while self.bytes().len() < count && self.read_more()? {}
        Ok(())
    }

    /// Consumes buffered bytes.
    pub fn consume(&mut self, count: usize) {
        self.unread.start += count;
    }
}

/// Reads the beginning of a source until it is enough, at the latest after 64 KiB or a bit more.
pub fn read_head(source: &mut impl Read, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    const MAX_BYTES: usize = 64 * 1024;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while head.len() < MAX_BYTES && !is_enough(&head) {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}
