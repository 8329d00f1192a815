//! Reads gzip files.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first bytes of a gzip file.
pub const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// Decompresses the members of a gzip file one after the other. Zero bytes after the last one, which tapes and block devices add,
/// are ignored, as gzip does.
pub struct GzipReader<R> {
    /// The current member; `None` after the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzipReader<R> {
    pub fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.member {
            let bytes = decoder.read(buffer)?;
            if bytes > 0 || buffer.is_empty() {
                return Ok(bytes);
            }
            let Some(decoder) = self.member.take() else { break };
            let mut reader = decoder.into_inner();
            match next_nonzero(&mut reader)? {
                None => {}
                Some(byte) if byte == GZIP_MAGIC[0] => self.member = Some(GzDecoder::new(reader)),
                Some(_) => {
                    let message =
                        "data that is not gzip follows the end of the compressed data; all before it was read";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        }
        Ok(0)
    }
}

/// Skips zero bytes, and returns the byte after them without reading it; `None` at the end of the file.
fn next_nonzero(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let chunk = super::frames::fill(reader)?;
        let zeros = chunk.iter().take_while(|byte| **byte == 0).count();
        let (next, is_at_end) = (chunk.get(zeros).copied(), chunk.is_empty());
        reader.consume(zeros);
        if next.is_some() || is_at_end {
            return Ok(next);
        }
    }
}
