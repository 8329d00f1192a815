//! Rows and fields: as another reader sees them, and where that one would guess.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::input::csv::rows::*;
use crate::input::frames::MAX_TEXT_BYTES;
use crate::input::tests::slow;

/// Each row with its place and its fields, or its text and what is wrong with it; at last where the file ended.
fn described(bytes: &[u8], dialect: Dialect, piece: usize) -> Vec<String> {
    let mut rows = RowReader::new(slow(bytes, piece), dialect).expect("a beginning");
    let mut described = Vec::new();
    while let Some(row) = rows.next().expect("bytes") {
        described.push(match row {
            Ok(row) => {
                let fields: Vec<_> = (0..row.len()).map(|index| row.field(index)).collect();
                format!("{} @{} {fields:?}", row.position, row.position.offset)
            }
            Err(RowError { position, text, at, message }) => {
                format!("{position} @{} {:?} {at} {message}", position.offset, String::from_utf8_lossy(&text))
            }
        });
    }
    described.push(format!("{} @{}", rows.current_position(), rows.current_position().offset));
    described
}

#[test]
fn rows_are_told_with_their_places_wherever_the_reads_end() {
    let table: &[(&str, &[&str])] = &[
        ("", &["1:1 @0"]),
        ("\n\r\n", &["3:1 @3"]),
        ("a,b\nc,d\n", &["1:1 @0 [\"a\", \"b\"]", "2:1 @4 [\"c\", \"d\"]", "3:1 @8"]),
        // CRLF, no end of the last line, a byte-order mark.
        (
            "\u{feff}a,b\r\n,\r\n\"c\"\r\nd",
            &["1:1 @0 [\"a\", \"b\"]", "2:1 @5 [\"\", \"\"]", "3:1 @8 [\"c\"]", "4:1 @13 [\"d\"]", "4:2 @14"],
        ),
        // What quotes can hold, and a quote that opens nothing.
        (
            "\"a,\r\n\"\"b\"\"\",c\n5\" pipe,\"\"\n",
            &["1:1 @0 [\"a,\\r\\n\\\"b\\\"\", \"c\"]", "3:1 @14 [\"5\\\" pipe\", \"\"]", "4:1 @25"],
        ),
        ("\"\"\n", &["1:1 @0 [\"\"]", "2:1 @3"]),
        // What follows a quote costs its row.
        (
            "é,\"b\"c,\"\nd\n",
            &["1:1 @0 \"é,\\\"b\\\"c,\\\"\" 1:6 something follows the closing quote", "2:1 @10 [\"d\"]", "3:1 @12"],
        ),
        (
            "\"a\"\r,b\nc",
            &["1:1 @0 \"\\\"a\\\"\\r,b\" 1:5 something follows the closing quote", "2:1 @7 [\"c\"]", "2:2 @8"],
        ),
        // What is never closed costs the rest, at the place where it opens.
        (
            "a\nb,\"c\nd\n",
            &["1:1 @0 [\"a\"]", "2:1 @2 \"b,\\\"c\\nd\" 2:3 the quote that opens here is never closed", "4:1 @9"],
        ),
    ];
    for (text, expected) in table {
        for piece in [1, 2, 3, 1000] {
            assert_eq!(described(text.as_bytes(), Dialect::default(), piece), *expected, "{text:?} by {piece}");
        }
    }
    let tabs = Dialect { delimiter: b'\t', quote: None };
    assert_eq!(described(b"\"a\tb\"\n", tabs, 9), ["1:1 @0 [\"\\\"a\", \"b\\\"\"]", "2:1 @6"]);
    let single = Dialect { delimiter: b';', quote: Some(b'\'') };
    assert_eq!(described(b"'a;''b';\"c\"\n", single, 9), ["1:1 @0 [\"a;'b\", \"\\\"c\\\"\"]", "2:1 @12"]);
    let not_text = described(b"a,b\nc,\xff\nd\n", Dialect::default(), 9);
    assert_eq!(not_text[1..3], ["2:1 @4 \"c,\u{fffd}\" 2:3 this is not UTF-8", "3:1 @8 [\"d\"]"]);
}

#[test]
fn a_row_without_end_is_passed_over() {
    for line in [vec![b'x'; 3 * MAX_TEXT_BYTES], vec![b','; 3 * MAX_TEXT_BYTES]] {
        let described = described(&[&line[..], b"\nb\n"].concat(), Dialect::default(), 100_000);
        let expected = "1:1 @0 \"\" 1:1 3145729 bytes; a row of more than 1048576 is not looked at";
        assert_eq!(described, [expected, "2:1 @3145729 [\"b\"]", "3:1 @3145731"]);
    }
    let unclosed = [b"a,\"", &vec![b'\n'; 3 * MAX_TEXT_BYTES][..]].concat();
    let described = described(&unclosed, Dialect::default(), 100_000);
    assert_eq!(described[0], "1:1 @0 \"\" 1:3 the quote that opens here is never closed");
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9 ]{0,6}", r#"[a"',;\n\r|é🔍]{0,6}"#, any::<String>(),]
}

proptest! {
    /// The crate `csv` writes it and reads it.
    #[test]
    fn what_another_program_wrote_is_read_as_it_was_meant(
        table in (1_usize..5).prop_flat_map(|columns| vec(vec(cell(), columns), 0..8)),
        crlf: bool,
        piece in 1_usize..40,
        delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).delimiter(delimiter).from_writer(Vec::new());
        for row in &table {
            writer.write_record(row).expect("memory");
        }
        let text = writer.into_inner().expect("memory");
        let mut rows = RowReader::new(slow(text, piece), Dialect { delimiter, quote: Some(b'"') }).expect("bytes");
        let mut read = Vec::new();
        while let Some(row) = rows.next().expect("bytes") {
            let row = row.expect("a right row");
            read.push((0..row.len()).map(|index| row.field(index).into_owned()).collect::<Vec<_>>());
        }
        prop_assert_eq!(read, table);
    }

    #[test]
    fn any_bytes_are_rows_or_told_and_none_is_lost(
        bytes in vec(prop_oneof![3 => prop::sample::select(&b"a,\"\n\r;"[..]), 1 => any::<u8>()], 0..60),
        piece in 1_usize..9,
    ) {
        let dialect = Dialect::default();
        let all = described(&bytes, dialect, piece);
        prop_assert_eq!(&all, &described(&bytes, dialect, 1000));
        let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let end = format!(" @{}", bytes.len() - mark);
        prop_assert!(all.last().expect("an end").ends_with(&end), "{:?}", all);
        // From each row on, the same is read again.
        let mut rows = RowReader::new(&bytes[..], dialect).expect("bytes");
        for left in (0..all.len()).rev() {
            let mut again = RowReader::new(&bytes[..], dialect).expect("bytes");
            again.skip_to(rows.current_position()).expect("a place in it");
            let mut count = 0;
            while again.next().expect("bytes").is_some() {
                count += 1;
            }
            prop_assert_eq!(count, left);
            rows.next().expect("bytes");
        }
    }
}
