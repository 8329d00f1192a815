//! Reads a file or stdin, decompresses it, and counts the bytes read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::MultiGzDecoder;
use sha1_smol::Digest;
use zstd::stream::read::Decoder;

use super::prefix_hash::PrefixHash;

const BUFFER_BYTES: usize = 128 * 1024;

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// The maximum window, which bounds memory: 2^23 bytes, which the format requires every decoder to support.
const ZSTD_MAX_WINDOW_LOG: u32 = 23;

/// Returns whether the path is `-`, for stdin, or for stdout where it names an output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A decompressing reader. Detects gzip and zstd by their first bytes, independent of the file name.
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
        let mut packed = BufReader::with_capacity(BUFFER_BYTES, counted);
        let magic = buffered(&mut packed)?;
        let reader: Box<dyn Read + Send> = if magic.starts_with(GZIP_MAGIC) {
            Box::new(MultiGzDecoder::new(packed))
        } else if magic.starts_with(ZSTD_MAGIC) {
            let mut decoder = Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_MAX_WINDOW_LOG)?;
            Box::new(decoder)
        } else {
            Box::new(packed)
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
        const MAX_BYTES: usize = 64 * 1024;
        let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
        while head.len() < MAX_BYTES && !head.contains(&b'\n') {
            match self.reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => head.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
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

/// Returns the buffered bytes, none for an empty input. Reads once only: a first read shorter than a magic number does not
/// occur with compressed files in practice.
fn buffered(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return reader.fill_buf(),
        }
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
