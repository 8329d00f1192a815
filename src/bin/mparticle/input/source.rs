//! The bytes of a file: from the disk or from stdin, unpacked if they are packed, counted as they are read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

const BUFFER_BYTES: usize = 128 * 1024;

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// A frame that needs more memory to be unpacked is refused: 2^23 bytes are what the format asks of every reader.
const ZSTD_MAX_WINDOW_LOG: u32 = 23;

/// Whether `-` is given instead of a file: stdin, or stdout where something is written.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What is read, unpacked. Gzip and zstd are known by their first bytes, whatever the name of the file says.
pub struct Source {
    reader: Box<dyn Read + Send>,
    size: Option<u64>,
    read: Arc<AtomicU64>,
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

    /// Reads from anywhere; the size is that of the packed bytes, if it is known.
    pub fn new(reader: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Self> {
        let read = Arc::<AtomicU64>::default();
        let counted = CountingReader { reader, read: Arc::clone(&read) };
        let mut packed = BufReader::with_capacity(BUFFER_BYTES, counted);
        let magic = peek(&mut packed)?;
        let reader: Box<dyn Read + Send> = if magic.starts_with(GZIP_MAGIC) {
            Box::new(MultiGzDecoder::new(packed))
        } else if magic.starts_with(ZSTD_MAGIC) {
            let mut decoder = Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_MAX_WINDOW_LOG)?;
            Box::new(decoder)
        } else {
            Box::new(packed)
        };
        Ok(Self { reader, size, read })
    }

    /// How many bytes the file has, packed as it is; `None` for a pipe.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Tells, from any thread, how many bytes of the file have been read so far.
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// The buffer's bytes; an empty input has none. A first read that gives less than a magic number is asked no more: packed
/// files come in larger pieces.
fn peek(reader: &mut impl BufRead) -> io::Result<&[u8]> {
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
