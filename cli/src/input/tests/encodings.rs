//! Encodings and formats, by the first bytes of a file.

use std::io::ErrorKind;

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
    ];
    for (bytes, expected) in table {
        for compression in ["plain", "gz"] {
            let error = Source::new(slow(compress(compression, bytes), 1), None).err().expect("an error");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
    for text in ["", "7", "BZh,PK\n", "PAR1,a\n", "\u{feff}", "ﬀ"] {
        assert!(Source::new(slow(text, 1), None).is_ok(), "{text:?}");
    }
}
