//! Converts UTF-16 to UTF-8, and recognizes formats and encodings that cannot be read.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};

use super::gzip::GZIP_MAGIC;

/// The number of bytes from which all but a few formats and encodings are known.
pub const MAGIC_BYTES: usize = 6;

/// The maximum number of bytes that [`unsupported_format`] looks at.
pub const MAX_MAGIC_BYTES: usize = 512;

/// The bytes in place of invalid UTF-16. They are invalid in UTF-8 too, so that the fault is reported where it is.
const INVALID: &[u8] = b"\xff\xff";

/// The number of bytes that are decoded at once.
const DECODED_BYTES: usize = 64 * 1024;

/// The encoding of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    Utf8,
    /// UTF-16 after a byte-order mark of two bytes.
    Utf16(&'static Encoding),
}

const COMPRESSED_TWICE: &str =
    "compressed twice; decompress it once first: `gzip -dc FILE.gz | mparticle ...`, or `zstd -dc`";

const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// Returns whether these are the first bytes of a zstd file. It may begin with a frame that is skipped, as those of `pzstd` do.
pub fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(ZSTD_MAGIC) || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The first bytes of formats that are not read, and how the file is called in an error.
const FORMATS: [(&[u8], &str); 21] = [
    (
        b"PK\x03\x04",
        "a zip archive or an Excel workbook; unpack it (`unzip -p FILE.zip | mparticle ...`), or save it as CSV",
    ),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook or another Office document; save it as CSV"),
    (b"\xfd7zXZ\0", "compressed with xz; decompress it first: `xz -dc FILE.xz | mparticle ...`"),
    (b"\x5d\0\0", "compressed with lzma; decompress it first: `xz -dc --format=lzma FILE.lzma | mparticle ...`"),
    (b"\x1f\x9d", "compressed with compress; decompress it first: `gzip -dc FILE.Z | mparticle ...`"),
    (b"BZh", "compressed with bzip2; decompress it first: `bzip2 -dc FILE.bz2 | mparticle ...`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first: `7z x -so FILE.7z | mparticle ...`"),
    (b"Rar!\x1a\x07", "a rar archive; unpack it first: `unrar p -inul FILE.rar | mparticle ...`"),
    (b"\x04\x22\x4d\x18", "compressed with lz4; decompress it first: `lz4 -dc FILE.lz4 | mparticle ...`"),
    (b"\xff\x06\0\0sN", "compressed with Snappy; decompress it first"),
    (GZIP_MAGIC, COMPRESSED_TWICE),
    (ZSTD_MAGIC, COMPRESSED_TWICE),
    (b"PAR1\x15", "a Parquet file; export it as JSON lines or CSV"),
    (b"Obj\x01", "an Avro file; export it as JSON lines or CSV"),
    (b"SQLite format 3\0", "an SQLite database; export it as JSON lines or CSV"),
    (b"%PDF-", "a PDF document; export the data as JSON lines or CSV"),
    (b"<!doctype html", "a web page, perhaps of a sign-in; download the data itself"),
    (b"<html", "a web page, perhaps of a sign-in; download the data itself"),
    (b"<?xml", "XML; export the data as JSON lines or CSV"),
    (b"<workbook", "XML; export the data as JSON lines or CSV"),
];

/// The position of the name `ustar` in the first block of a tar archive.
const USTAR: std::ops::Range<usize> = 257..262;

/// Returns an error that names a format that is neither text nor a compression that is read.
pub fn unsupported_format(head: &[u8]) -> io::Result<()> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let is = |magic: &[u8]| match magic[0] {
        b'<' => text.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic)),
        // These letters alone may be a text.
        b'B' => matches!(
            *head,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..]
        ),
        _ => head.starts_with(magic),
    };
    let tar = head.get(USTAR).is_some_and(|name| name == b"ustar");
    let tar = tar.then_some("a tar archive; unpack it first: `tar -xOf FILE.tar | mparticle ...`");
    match tar.or_else(|| FORMATS.iter().find(|(magic, _)| is(magic)).map(|(_, format)| *format)) {
        Some(format) => Err(invalid_data(&format!("the file is {format}"))),
        None => Ok(()),
    }
}

/// Returns the encoding that the first bytes of a text show.
///
/// # Errors
///
/// UTF-32, and UTF-16 without a byte-order mark. Without one, UTF-16 is recognized by the zero bytes of ASCII characters.
pub fn text_encoding(head: &[u8]) -> io::Result<TextEncoding> {
    let unsupported = |name: &str| {
        Err(invalid_data(&format!(
            "the file is {name}; convert it to UTF-8, for example with `iconv -f {} -t UTF-8 FILE`",
            name.split_whitespace().next().unwrap_or_default()
        )))
    };
    match *head {
        // The mark of UTF-32LE begins with that of UTF-16LE.
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => unsupported("UTF-32"),
        [0xff, 0xfe, ..] => Ok(TextEncoding::Utf16(UTF_16LE)),
        [0xfe, 0xff, ..] => Ok(TextEncoding::Utf16(UTF_16BE)),
        [first, 0, 0, 0, ..] if first != 0 => unsupported("UTF-32LE without a byte-order mark"),
        [0, 0, 0, fourth, ..] if fourth != 0 => unsupported("UTF-32BE without a byte-order mark"),
        [first, 0, third, 0, ..] if first != 0 && third != 0 => unsupported("UTF-16LE without a byte-order mark"),
        [0, second, 0, fourth, ..] if second != 0 && fourth != 0 => unsupported("UTF-16BE without a byte-order mark"),
        _ => Ok(TextEncoding::Utf8),
    }
}

/// Returns what is wrong with bytes that begin with invalid UTF-8, after [`Utf16Reader`] or without it.
pub fn describe_invalid(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(INVALID) {
        "invalid UTF-16: half of a character"
    } else {
        "invalid UTF-8, perhaps another encoding such as Latin-1; convert the file to UTF-8"
    }
}

fn invalid_data(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Reads UTF-16 as UTF-8.
pub struct Utf16Reader<R> {
    reader: R,
    decoder: Decoder,
    decoded: Vec<u8>,
    /// The index of the next byte of `decoded`.
    at: usize,
    is_at_end: bool,
}

impl<R: BufRead> Utf16Reader<R> {
    /// Creates a reader of bytes that follow the byte-order mark.
    pub fn new(reader: R, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { reader, decoder, decoded: Vec::with_capacity(DECODED_BYTES), at: 0, is_at_end: false }
    }

    /// Decodes the next bytes.
    fn decode(&mut self) -> io::Result<()> {
        let input = super::frames::fill(&mut self.reader)?;
        let is_last = input.is_empty();
        self.decoded.resize(DECODED_BYTES, 0);
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(input, &mut self.decoded, is_last);
        self.decoded.truncate(written);
        self.at = 0;
        match result {
            DecoderResult::Malformed(..) => self.decoded.extend_from_slice(INVALID),
            DecoderResult::InputEmpty => self.is_at_end = is_last,
            DecoderResult::OutputFull => {}
        }
        self.reader.consume(read);
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.decoded.len() && !self.is_at_end {
            self.decode()?;
        }
        let count = buffer.len().min(self.decoded.len() - self.at);
        buffer[..count].copy_from_slice(&self.decoded[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
