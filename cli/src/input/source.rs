//! Reads a file or stdin, decompresses it, converts it to UTF-8, and counts the bytes read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha1_smol::Digest;
use zstd::stream::read::Decoder;

use super::decode::{
    MAGIC_BYTES, MAX_MAGIC_BYTES, TextEncoding, Utf16Reader, is_zstd, text_encoding, unsupported_format,
};
use super::gzip::{GZIP_MAGIC, GzipReader};
use super::prefix_hash::PrefixHash;
use super::read_buffer::read_head;

const BUFFER_BYTES: usize = 128 * 1024;

/// The maximum window, which bounds memory: 2^23 bytes, which the format requires every decoder to support.
const ZSTD_MAX_WINDOW_LOG: u32 = 23;

/// Returns whether the path is `-`, for stdin, or for stdout where it names an output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Returns whether the path is a regular file that can be read again, and beside which other files can be kept. `/dev/stdin` and the
/// like are not, wherever they lead.
pub fn is_regular_file(path: &Path) -> bool {
    path.is_file() && !path.starts_with("/dev")
}

/// A decompressing reader of UTF-8. Detects gzip and zstd by their first bytes, independent of the file name, and UTF-16 by its
/// byte-order mark.
pub struct Source {
    reader: Box<dyn Read + Send>,
    size: Option<u64>,
    read: Arc<AtomicU64>,
    /// The hash of the decompressed bytes, if it is wanted.
    prefix: Option<Box<Mutex<PrefixHash>>>,
}

impl Source {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path) -> io::Result<Self> {
        if is_dash(path) {
            return Self::new(io::stdin(), None);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Self::new(file, metadata.is_file().then_some(metadata.len()))
    }

    /// Creates a source from a reader; `size` is the compressed size, if known.
    pub fn new(reader: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Self> {
        let read = Arc::<AtomicU64>::default();
        let counted = CountingReader { reader, read: Arc::clone(&read) };
        let packed = PeekedReader::new(BufReader::with_capacity(BUFFER_BYTES, counted))?;
        let reader: Box<dyn Read + Send> = if packed.head.starts_with(GZIP_MAGIC) {
            text_reader(BufReader::with_capacity(BUFFER_BYTES, GzipReader::new(packed.reader)))?
        } else if is_zstd(&packed.head) {
            let mut decoder = Decoder::with_buffer(packed.reader)?;
            decoder.window_log_max(ZSTD_MAX_WINDOW_LOG)?;
            text_reader(BufReader::with_capacity(BUFFER_BYTES, decoder))?
        } else {
            text_reader(packed.reader)?
        };
        Ok(Self { reader, size, read, prefix: None })
    }

    /// Hashes the decompressed bytes.
    pub fn with_prefix_hash(mut self) -> Self {
        self.prefix = Some(Box::default());
        self
    }

    /// Returns the hash of the decompressed bytes before this offset, which must not decrease; `None` if it is not known.
    pub fn prefix_hash(&self, offset: u64) -> Option<Digest> {
        self.prefix.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).at(offset)
    }

    /// Returns the bytes up to the end of the first line, or more; at most 64 KiB. They are read again afterwards.
    pub fn peek(&mut self) -> io::Result<Vec<u8>> {
        let head = read_head(&mut self.reader, |head| head.contains(&b'\n'))?;
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(io::Cursor::new(head.clone()).chain(rest));
        Ok(head)
    }

    /// Returns the compressed size of the file; `None` for a pipe.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the shared count of compressed bytes read so far.
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        if let Some(prefix) = &mut self.prefix {
            prefix.get_mut().unwrap_or_else(PoisonError::into_inner).push(&buffer[..bytes]);
        }
        Ok(bytes)
    }
}

/// Returns a reader of UTF-8 for a text.
fn text_reader(reader: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let PeekedReader { head, mut reader } = PeekedReader::new(reader)?;
    unsupported_format(&head)?;
    Ok(match text_encoding(&head)? {
        TextEncoding::Utf8 => Box::new(reader),
        TextEncoding::Utf16(encoding) => {
            reader.read_exact(&mut [0; 2])?;
            Box::new(Utf16Reader::new(reader, encoding))
        }
    })
}

/// A reader whose first bytes are known.
struct PeekedReader<R> {
    /// At least the first [`MAGIC_BYTES`] bytes, fewer at the end of the input, and at most [`MAX_MAGIC_BYTES`].
    head: Vec<u8>,
    reader: io::Chain<Cursor<Vec<u8>>, R>,
}

impl<R: BufRead> PeekedReader<R> {
    fn new(mut reader: R) -> io::Result<Self> {
        let mut head = Vec::new();
        // More than the first bytes are not waited for: a pipe may bring only a short batch for now.
        while head.len() < MAGIC_BYTES {
            let chunk = super::frames::fill(&mut reader)?;
            if chunk.is_empty() {
                break;
            }
            let taken = chunk.len().min(MAX_MAGIC_BYTES - head.len());
            head.extend_from_slice(&chunk[..taken]);
            reader.consume(taken);
        }
        Ok(Self { reader: Cursor::new(head.clone()).chain(reader), head })
    }
}

struct CountingReader<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
