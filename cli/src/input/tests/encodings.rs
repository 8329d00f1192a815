//! Encodings and formats, by the first bytes of a file.

use std::io::{ErrorKind, Read};

use super::{compress, slow};
use crate::input::frames::{Frame, FrameReader};
use crate::input::{CheckedText, Source, Validator};

const TEXT: &str = "{\"environment\":\"development\",\"user_identities\":{\"customer_id\":\"日本 🔍\"}}\r\n7\n";

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn utf32(text: &str, to_bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().flat_map(|character| to_bytes(u32::from(character))).collect()
}

#[test]
fn reads_utf_16_after_a_byte_order_mark() {
    let with_mark = format!("\u{feff}{TEXT}");
    for bytes in [utf16(&with_mark, u16::to_le_bytes), utf16(&with_mark, u16::to_be_bytes)] {
        for (compression, piece) in [("plain", 1), ("plain", 1000), ("gz", 3), ("zst", 1000)] {
            let source = Source::new(slow(compress(compression, &bytes), piece), None).expect("a source");
            let frames: Vec<_> = FrameReader::new(source).expect("bytes").map(|frame| frame.expect("bytes")).collect();
            let [Frame::Value { text, .. }, Frame::Value { position, .. }] = &frames[..] else { panic!("{frames:?}") };
            assert_eq!((text.as_slice(), position.line, position.column), (&TEXT.as_bytes()[..TEXT.len() - 4], 2, 1));
        }
    }
}

#[test]
fn reports_invalid_utf_16_at_its_line() {
    let mut bytes = utf16("\u{feff}{\"a\":\"é", u16::to_le_bytes);
    bytes.extend(0xd83d_u16.to_le_bytes());
    bytes.extend(utf16("\"}\n7\n", u16::to_le_bytes));
    // Half a character at the end of the file.
    bytes.push(b'8');
    let source = Source::new(slow(bytes, 5), None).expect("a source");
    let check = |frame| -> CheckedText { Validator::default().check(frame) };
    let checked: Vec<_> = FrameReader::new(source).expect("bytes").map(|frame| check(frame.expect("bytes"))).collect();
    let found: Vec<_> = checked.iter().map(|checked| checked.diagnostics[0].clone()).collect();
    let found: Vec<_> =
        found.iter().map(|located| format!("{} {}", located.position, located.diagnostic.code)).collect();
    assert_eq!(found, ["1:8 json", "2:1 type", "3:1 json"]);
}

/// Returns the first block of a tar archive.
fn tar() -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..8].copy_from_slice(b"a.ndjson");
    block[257..262].copy_from_slice(b"ustar");
    block
}

#[test]
fn says_which_encoding_is_invalid() {
    let mut utf_16 = utf16("\u{feff}\"a", u16::to_le_bytes);
    utf_16.extend(0xd83d_u16.to_le_bytes());
    utf_16.extend(utf16("\"\n", u16::to_le_bytes));
    for (bytes, expected) in [
        (utf_16, "invalid UTF-16: half of a character"),
        (
            b"\"K\xf6ln\"\n".to_vec(),
            "invalid UTF-8, perhaps another encoding such as Latin-1; convert the file to UTF-8",
        ),
    ] {
        let source = Source::new(slow(bytes, 3), None).expect("a source");
        let frame = FrameReader::new(source).expect("bytes").next().expect("a text").expect("bytes");
        assert_eq!(Validator::default().check(frame).diagnostics[0].diagnostic.message, expected);
    }
}

/// Returns all bytes of a compressed file, or the error after them.
fn decompress(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<String>) {
    let mut read = Vec::new();
    let result = Source::new(slow(bytes, piece), None).and_then(|mut source| source.read_to_end(&mut read));
    (read, result.err().map(|error| error.to_string()))
}

#[test]
fn reads_zstd_after_a_frame_that_is_skipped() {
    let frame = b"\x5a\x2a\x4d\x18\x04\0\0\0skip";
    let whole = [&frame[..], &compress("zst", TEXT.as_bytes()), frame, &compress("zst", b"8\n")].concat();
    for piece in [1, 1000] {
        assert_eq!(decompress(&whole, piece), (format!("{TEXT}8\n").into(), None));
    }
}

#[test]
fn gzip_ends_at_padding_and_names_what_else_follows() {
    let member = compress("gz", TEXT.as_bytes());
    let junk = "data that is not gzip follows the end of the compressed data; all before it was read";
    let table: [(Vec<u8>, usize, Option<&str>); 6] = [
        (vec![], 1, None),
        (vec![0; 300_000], 1, None),
        (member.clone(), 2, None),
        ([vec![0; 512], member.clone()].concat(), 2, None),
        (b"junk".to_vec(), 1, Some(junk)),
        (compress("zst", b"7"), 1, Some(junk)),
    ];
    for (rest, members, error) in table {
        for piece in [7, 100_000] {
            let (read, found) = decompress(&[&member[..], &rest].concat(), piece);
            assert_eq!(read, TEXT.repeat(members).into_bytes());
            assert_eq!(found.as_deref(), error);
        }
    }
    for cut in [1, 10, member.len() - 1] {
        let bytes = [&member[..], &member[..cut]].concat();
        assert!(decompress(&bytes, 1000).1.is_some(), "a member that is cut after {cut} bytes");
    }
    for inner in ["gz", "zst"] {
        let (_, error) = decompress(&compress("gz", &compress(inner, TEXT.as_bytes())), 1000);
        assert!(error.expect("an error").starts_with("the file is compressed twice; "));
    }
}

#[test]
fn names_encodings_and_formats_that_cannot_be_read() {
    let with_mark = format!("\u{feff}{TEXT}");
    let table: &[(Vec<u8>, &str)] = &[
        (
            utf32(&with_mark, u32::to_le_bytes),
            "the file is UTF-32; convert it to UTF-8, for example with `iconv -f UTF-32 ",
        ),
        (utf32(&with_mark, u32::to_be_bytes), "the file is UTF-32; "),
        (utf32(TEXT, u32::to_le_bytes), "the file is UTF-32LE without a byte-order mark; "),
        (utf32(TEXT, u32::to_be_bytes), "the file is UTF-32BE without a byte-order mark; "),
        (utf16(TEXT, u16::to_le_bytes), "the file is UTF-16LE without a byte-order mark; "),
        (utf16(TEXT, u16::to_be_bytes), "the file is UTF-16BE without a byte-order mark; "),
        (b"PK\x03\x04\x14\0\0\0".to_vec(), "the file is a zip archive or an Excel workbook; unpack it"),
        (b"\xfd7zXZ\0\0\x04".to_vec(), "the file is compressed with xz; decompress it first"),
        (b"BZh91AY&SY".to_vec(), "the file is compressed with bzip2; decompress it first"),
        (b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), "the file is a 7z archive; "),
        (b"PAR1\x15\x04\x15".to_vec(), "the file is a Parquet file; "),
        (b"Obj\x01\x04\x14".to_vec(), "the file is an Avro file; "),
        (b"\x5d\0\0\x80\0\xff".to_vec(), "the file is compressed with lzma; "),
        (b"\x1f\x9d\x90{".to_vec(), "the file is compressed with compress; "),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(),
            "the file is an old Excel workbook or another Office document; ",
        ),
        (b"Rar!\x1a\x07\x01\0".to_vec(), "the file is a rar archive; "),
        (b"%PDF-1.7\n".to_vec(), "the file is a PDF document; "),
        (b"SQLite format 3\0".to_vec(), "the file is an SQLite database; "),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><html>".to_vec(), "the file is a web page, perhaps of a sign-in; "),
        (b"<HTML lang=\"en\">".to_vec(), "the file is a web page, perhaps of a sign-in; "),
        (b"<?xml version=\"1.0\"?>".to_vec(), "the file is XML; "),
        (tar(), "the file is a tar archive; unpack it first: `tar -xOf FILE.tar"),
    ];
    for (bytes, expected) in table {
        for compression in ["plain", "gz"] {
            let error = Source::new(slow(compress(compression, bytes), 1000), None).err().expect("an error");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
    for text in ["", "7", "BZh,PK\n", "PAR1,a\n", "%PDF,a\n", "SQLite format 3\n", "ustar,a\n", "\u{feff}", "ﬀ"] {
        assert!(Source::new(slow(text, 1), None).is_ok(), "{text:?}");
    }
}
