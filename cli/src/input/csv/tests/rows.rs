//! Tests of rows and fields, compared with another CSV library where the input is unambiguous.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::input::csv::rows::*;
use crate::input::frames::MAX_TEXT_BYTES;
use crate::input::tests::slow;

/// Returns each row with its position and its fields or its error, and last the end position of the file.
fn read_all(bytes: &[u8], dialect: Dialect, piece: usize) -> Vec<String> {
    let mut rows = RowReader::new(slow(bytes, piece), dialect).expect("a beginning");
    let mut items = Vec::new();
    while let Some(row) = rows.next().expect("bytes") {
        items.push(match row {
            Ok(row) => {
                let fields: Vec<_> = (0..row.len()).map(|index| row.field(index)).collect();
                format!("{} @{} {fields:?}", row.position, row.position.offset)
            }
            Err(RowError { position, text, at, message, .. }) => {
                format!("{position} @{} {:?} {at} {message}", position.offset, String::from_utf8_lossy(&text))
            }
        });
    }
    items.push(format!("{} @{}", rows.current_position(), rows.current_position().offset));
    items
}

#[test]
fn reads_rows_independent_of_chunk_boundaries() {
    let table: &[(&str, &[&str])] = &[
        ("", &["1:1 @0"]),
        ("\n\r\n", &["3:1 @3"]),
        ("a,b\nc,d\n", &["1:1 @0 [\"a\", \"b\"]", "2:1 @4 [\"c\", \"d\"]", "3:1 @8"]),
        // CRLF, no line break at the end, a byte-order mark.
        (
            "\u{feff}a,b\r\n,\r\n\"c\"\r\nd",
            &["1:1 @0 [\"a\", \"b\"]", "2:1 @5 [\"\", \"\"]", "3:1 @8 [\"c\"]", "4:1 @13 [\"d\"]", "4:2 @14"],
        ),
        // Quoted delimiters and line breaks, and a quote in an unquoted field.
        (
            "\"a,\r\n\"\"b\"\"\",c\n5\" pipe,\"\"\n",
            &["1:1 @0 [\"a,\\r\\n\\\"b\\\"\", \"c\"]", "3:1 @14 [\"5\\\" pipe\", \"\"]", "4:1 @25"],
        ),
        ("\"\"\n", &["1:1 @0 [\"\"]", "2:1 @3"]),
        // Data after a closing quote invalidates its row.
        (
            "é,\"b\"c,\"\nd\n",
            &["1:1 @0 \"é,\\\"b\\\"c,\\\"\" 1:6 unexpected data after the closing quote", "2:1 @10 [\"d\"]", "3:1 @12"],
        ),
        (
            "\"a\"\r,b\nc",
            &["1:1 @0 \"\\\"a\\\"\\r,b\" 1:5 unexpected data after the closing quote", "2:1 @7 [\"c\"]", "2:2 @8"],
        ),
        // An unclosed quote invalidates the rest, and is located where it opens.
        (
            "a\nb,\"c\nd\n",
            &["1:1 @0 [\"a\"]", "2:1 @2 \"b,\\\"c\\nd\" 2:3 unclosed quote; 2 lines are skipped", "4:1 @9"],
        ),
    ];
    for (text, expected) in table {
        for piece in [1, 2, 3, 1000] {
            assert_eq!(read_all(text.as_bytes(), Dialect::default(), piece), *expected, "{text:?} by {piece}");
        }
    }
    let tabs = Dialect { delimiter: b'\t', quote: None };
    assert_eq!(read_all(b"\"a\tb\"\n", tabs, 9), ["1:1 @0 [\"\\\"a\", \"b\\\"\"]", "2:1 @6"]);
    let single = Dialect { delimiter: b';', quote: Some(b'\'') };
    assert_eq!(read_all(b"'a;''b';\"c\"\n", single, 9), ["1:1 @0 [\"a;'b\", \"\\\"c\\\"\"]", "2:1 @12"]);
    let not_text = read_all(b"a,b\nc,\xff\nd\n", Dialect::default(), 9);
    assert_eq!(
        not_text[1..3],
        [
            "2:1 @4 \"c,\u{fffd}\" 2:3 invalid UTF-8, perhaps another encoding such as Latin-1; convert the file to UTF-8",
            "3:1 @8 [\"d\"]"
        ]
    );
}

#[test]
fn skips_rows_that_are_too_large() {
    for line in [vec![b'x'; 3 * MAX_TEXT_BYTES], vec![b','; 3 * MAX_TEXT_BYTES]] {
        let items = read_all(&[&line[..], b"\nb\n"].concat(), Dialect::default(), 100_000);
        let expected = "1:1 @0 \"\" 1:1 3145729 bytes, too large for a row; rows over 1048576 bytes are skipped";
        assert_eq!(items, [expected, "2:1 @3145729 [\"b\"]", "3:1 @3145731"]);
    }
}

#[test]
fn an_open_quote_skips_a_bounded_part_of_the_file() {
    let row = "u-1,\"Tea, black\",\n";
    let open = "u-2,\"5 inch,x\n";
    let rows = 60_000;
    // The other rows have no quotes, or the next one closes the quote and is followed by data.
    for (row, lines, error) in [
        ("u-1,Tea,\n", 14_564, "2:5 unclosed quote, or a field longer than 128 KiB; 14564 lines are skipped"),
        (row, 2, "3:6 unexpected data after the closing quote; the quote opens at 2:5; 2 lines are skipped"),
    ] {
        let text = [row, open, &row.repeat(rows)].concat();
        for piece in [7, 100_000] {
            let mut reader = RowReader::new(slow(text.as_bytes(), piece), Dialect::default()).expect("a beginning");
            let (mut read, mut errors) = (0, Vec::new());
            while let Some(row) = reader.next().expect("bytes") {
                match row {
                    Ok(row) => {
                        assert_eq!(row.len(), 3);
                        read += 1;
                    }
                    Err(RowError { at, message, lines, text, .. }) => {
                        assert!(text.len() < MAX_QUOTED_BYTES + 100, "only the lines that are skipped");
                        errors.push((format!("{at} {message}"), lines));
                    }
                }
            }
            assert_eq!(errors, [(error.to_owned(), lines)]);
            assert_eq!(read + lines, rows as u64 + 2, "each line is read or counted");
        }
    }
}

#[test]
fn a_first_line_with_the_delimiter_is_no_row() {
    let dialect = Dialect::default();
    for line in ["sep=;\n", "sep=;\r\n", "\u{feff}sep=;\r\n", "\"sep=;\"\n", "SEP=;\n", "sep=;;;;\n"] {
        let text = format!("{line}a;b\n1,5;2\n");
        let start = text.find("a;").expect("a header") - if line.starts_with('\u{feff}') { 3 } else { 0 };
        let (second, end) = (start + 4, start + 10);
        let expected =
            [format!("2:1 @{start} [\"a\", \"b\"]"), format!("3:1 @{second} [\"1,5\", \"2\"]"), format!("4:1 @{end}")];
        assert_eq!(read_all(text.as_bytes(), dialect, 3), expected, "{line:?}");
    }
    assert_eq!(read_all(b"sep=\t\na\tb", dialect, 9)[0], "2:1 @6 [\"a\", \"b\"]");
    for line in ["sep=;,a", "sep=", "sep", "separator=;", "a,sep=;"] {
        assert!(read_all(line.as_bytes(), dialect, 9)[0].starts_with("1:1 @0 "), "{line}");
    }
}

#[test]
fn reads_lines_that_end_with_a_carriage_return() {
    let expected = ["1:1 @0 [\"a\", \"b\"]", "2:1 @4 [\"1\", \"2\\n3\"]", "4:1 @12 [\"4\", \"5\"]", "5:1 @16"];
    for piece in [1, 3, 100] {
        assert_eq!(read_all(b"a,b\r1,\"2\n3\"\r4,5\r", Dialect::default(), piece), expected);
    }
    let after_separator = read_all(b"sep=;\ra;b\r1;2\r", Dialect::default(), 2);
    assert_eq!(after_separator, ["2:1 @6 [\"a\", \"b\"]", "3:1 @10 [\"1\", \"2\"]", "4:1 @14"]);
    // In a file with other line ends, a carriage return is a character of a cell.
    assert_eq!(read_all(b"a\rb,c\n", Dialect::default(), 1)[0], "1:1 @0 [\"a\\rb\", \"c\"]");
    let long = [b"a,b\r", &b"1,2\r".repeat(50_000)[..]].concat();
    assert_eq!(read_all(&long, Dialect::default(), 10_000).len(), 50_002);
}

#[test]
fn the_corpus_of_the_fuzz_target_is_read() {
    let files = std::fs::read_dir("../fuzz/corpus/csv_reader").expect("a corpus");
    let files: Vec<_> = files.map(|file| std::fs::read(file.expect("a file").path()).expect("a file")).collect();
    assert!(files.len() > 10);
    for bytes in files {
        super::any_rows::check(&bytes);
    }
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9 ]{0,6}", r#"[a"',;\n\r|é🔍]{0,6}"#, any::<String>(),]
}

proptest! {
    /// Reads what the crate `csv` writes.
    #[test]
    fn reads_what_the_csv_crate_writes(
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
            let row = row.expect("a valid row");
            read.push((0..row.len()).map(|index| row.field(index).into_owned()).collect::<Vec<_>>());
        }
        prop_assert_eq!(read, table);
    }

    #[test]
    fn reads_any_bytes_without_loss_and_resumes_at_any_row(
        bytes in vec(prop_oneof![3 => prop::sample::select(&b"a,\"\n\r;"[..]), 1 => any::<u8>()], 0..60),
        piece in 1_usize..9,
    ) {
        let dialect = Dialect::default();
        let all = read_all(&bytes, dialect, piece);
        prop_assert_eq!(&all, &read_all(&bytes, dialect, 1000));
        let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let end = format!(" @{}", bytes.len() - mark);
        prop_assert!(all.last().expect("an end").ends_with(&end), "{:?}", all);
        // Resuming at each row reads the same number of rows.
        let mut rows = RowReader::new(&bytes[..], dialect).expect("bytes");
        for left in (0..all.len()).rev() {
            let mut again = RowReader::new(&bytes[..], dialect).expect("bytes");
            again.skip_to(rows.current_position()).expect("a position in the file");
            let mut count = 0;
            while again.next().expect("bytes").is_some() {
                count += 1;
            }
            prop_assert_eq!(count, left);
            rows.next().expect("bytes");
        }
    }
}
