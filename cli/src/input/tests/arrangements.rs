//! Values in any arrangement.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::{compress, read_all, slow};
use crate::input::frames::{Frame, FrameReader};
use crate::input::{FilePosition, Source, invariants};

/// The way in which one value is written.
#[derive(Clone, Copy, Debug)]
enum Style {
    Compact,
    Pretty,
    PrettyWithoutIndentation,
    PrettyWithCarriageReturns,
}

/// Values with brackets, quotes, escapes, marks and wide characters in their texts.
fn batch() -> impl Strategy<Value = Value> {
    let texts = ["", "}{", "\"", "\\", "\\\"},{", "é\u{2028}日本🔍", "[\u{feff}]", "\u{1e}\n", "{\"environment\":1}"];
    (select(texts.to_vec()), 0_u32..3, any::<bool>()).prop_map(|(text, events, is_minimal)| {
        if is_minimal {
            return json!({ "environment": "development", "mpid": 1 });
        }
        let event = json!({ "event_type": "custom_event", "data": { "event_name": text, "custom_attributes": {} } });
        let events: Vec<_> = (0..events).map(|_| event.clone()).collect();
        json!({ "environment": "development", "user_attributes": { text: [text, 1.5, null] }, "events": events })
    })
}

fn write(value: &Value, style: Style) -> String {
    let pretty = || serde_json::to_string_pretty(value).expect("JSON");
    match style {
        Style::Compact => value.to_string(),
        Style::Pretty => pretty(),
        Style::PrettyWithCarriageReturns => pretty().replace('\n', "\r\n"),
        Style::PrettyWithoutIndentation => pretty().lines().map(|line| line.trim_start().to_owned() + "\n").collect(),
    }
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![
        3 => Just(Style::Compact),
        1 => Just(Style::Pretty),
        1 => Just(Style::PrettyWithoutIndentation),
        1 => Just(Style::PrettyWithCarriageReturns),
    ]
}

const SEPARATORS: [&str; 16] = [
    "\n",
    "\n",
    "\r\n",
    "\n\n",
    "",
    "",
    " ",
    "\t",
    "\r",
    ",",
    " ,\n",
    ",\r\n",
    "\u{1e}",
    "\n\u{1e}",
    "\u{feff}",
    "\n\u{feff} ",
];

/// Returns a file, and the texts of its values with their positions. Two values without a separator touch; some are in lists.
fn file() -> impl Strategy<Value = (String, Vec<(FilePosition, Value)>)> {
    vec((batch(), style(), select(SEPARATORS.to_vec()), 0_u8..6), 0..12).prop_map(|parts| {
        let (mut file, mut offsets, mut in_list) = (String::new(), Vec::new(), false);
        for (value, style, separator, choice) in parts {
            if choice == 0 && !in_list {
                file.push_str("[ ");
                in_list = true;
            }
            offsets.push((file.len(), value.clone()));
            file.push_str(&write(&value, style));
            match (in_list, choice) {
                (true, 1) => {
                    file.push_str("\n]");
                    file.push_str(separator);
                    in_list = false;
                }
                (true, _) => file.push_str(&format!("{},", separator.replace(',', ""))),
                (false, _) => file.push_str(separator),
            }
        }
        if in_list {
            file.push_str("{}]");
            offsets.push((file.len() - 3, json!({})));
        }
        let start = FilePosition { offset: 0, line: 1, column: 1 };
        let positions = offsets.into_iter().map(|(offset, value)| (position_of(&file, offset, start), value)).collect();
        (file, positions)
    })
}

/// Returns a position, counted from the characters before it.
fn position_of(file: &str, offset: usize, start: FilePosition) -> FilePosition {
    file[..offset].chars().fold(start, |FilePosition { offset, line, column }, character| {
        let offset = offset + character.len_utf8() as u64;
        match character {
            '\n' => FilePosition { offset, line: line + 1, column: 1 },
            _ => FilePosition { offset, line, column: column + 1 },
        }
    })
}

fn encode(text: &str, encoding: &str) -> Vec<u8> {
    match encoding {
        "utf-8" => text.into(),
        "utf-8 with a mark" => format!("\u{feff}{text}").into(),
        "utf-16le" => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

fn values(frames: impl Iterator<Item = std::io::Result<Frame>>) -> Vec<(FilePosition, Value)> {
    let value = |frame| match frame {
        Frame::Value { position, value, .. } => (position, value),
        other => panic!("{other:?}"),
    };
    frames.map(|frame| value(frame.expect("bytes"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn values_are_read_in_any_arrangement(
        (text, expected) in file(),
        encoding in select(vec!["utf-8", "utf-8 with a mark", "utf-16le", "utf-16be"]),
        compression in select(vec!["plain", "gz", "zst"]),
        piece in select(vec![1_usize, 7, 100_000]),
        resumed in any::<Index>(),
    ) {
        let bytes = compress(compression, &encode(&text, encoding));
        let frames = || FrameReader::new(Source::new(slow(bytes.clone(), piece), None).expect("a source")).expect("bytes");
        prop_assert_eq!(values(frames()), expected.clone());
        invariants::check(text.as_bytes());

        let mut before = frames();
        let read = resumed.index(expected.len() + 1);
        prop_assert_eq!(values(before.by_ref().take(read)).len(), read);
        let mut after = frames();
        after.skip_to(before.read_position()).expect("the same file");
        prop_assert_eq!(values(after), expected[read..].to_vec());
    }

    /// A value that is cut is reported at its place, and all the others are read.
    #[test]
    fn a_cut_value_affects_no_other(
        before in vec(batch(), 0..4),
        cut in batch(),
        after in vec(batch(), 0..4),
        at in any::<Index>(),
        separator in select(vec!["\n", "\r\n", "", "\u{1e}", " ", ",", ",\n"]),
        style in select(vec![Style::Compact, Style::Pretty]),
        is_list in any::<bool>(),
    ) {
        let separator = match style {
            Style::Pretty => ",\n",
            _ if is_list => if separator.ends_with('\n') { ",\n" } else { "," },
            _ => separator,
        };
        let whole = write(&cut, style);
        let length = (1 + at.index(whole.len() - 1)..=whole.len()).find(|&at| whole.is_char_boundary(at)).expect("the end");
        prop_assume!(length < whole.len());
        let (mut file, mut expected, mut cut_at) = (String::from(if is_list { "[" } else { "" }), Vec::new(), 0);
        if is_list && separator.ends_with('\n') {
            file.push('\n');
        }
        for (number, value) in before.iter().chain([&cut]).chain(&after).enumerate() {
            if number > 0 {
                file.push_str(separator);
            }
            if number == before.len() {
                cut_at = file.len();
                file.push_str(&whole[..length]);
            } else {
                expected.push((file.len() as u64, value.clone()));
                file.push_str(&write(value, style));
            }
        }
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for frame in FrameReader::new(file.as_bytes()).expect("memory") {
            match frame.expect("memory") {
                Frame::Value { position, value, .. } => found.push((position.offset, value)),
                Frame::Text { position, .. } => faults.push(position.offset),
                _ => {}
            }
        }
        prop_assert_eq!(found, expected, "{}", file);
        prop_assert_eq!(faults, vec![cut_at as u64], "{}", file);
        invariants::check(file.as_bytes());
    }

    #[test]
    fn no_byte_of_any_file_is_lost(bytes in prop_oneof![
        vec(any::<u8>(), 0..200),
        vec(select(b"{}[]\",:\\ \n\r\x1e01e-tn\xef\xbb\xbf".to_vec()), 0..200),
        (file(), any::<Index>(), any::<u8>()).prop_map(|((text, _), at, byte)| {
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        }),
    ]) {
        invariants::check(&bytes);
        let whole = read_all(bytes.clone(), 100_000);
        prop_assert_eq!(read_all(bytes, 1), whole);
    }
}

#[test]
fn the_corpus_of_the_fuzz_target_holds_the_invariants() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/json_frames");
    let files: Vec<_> = fs::read_dir(directory).expect("a corpus").map(|file| file.expect("a file").path()).collect();
    assert!(files.len() >= 10, "{}", files.len());
    for path in files {
        println!("{}", path.display()); // shown if it fails
        invariants::check(&fs::read(path).expect("a file"));
    }
}

#[test]
fn goes_on_after_a_fault_at_the_next_value() {
    let good = r#"{"environment":"development","mpid":1}"#;
    let table: &[(String, &[&str])] = &[
        // A line that is cut, or begins in the middle of a value.
        (format!("{{\"a\":\"x\n{good}\n"), &["1:1 {\"a\":\"x", "2:1 good"]),
        (format!("{{\"a\":[1,\n{good}\n{good}\n"), &["1:1 {\"a\":[1,", "2:1 good", "3:1 good"]),
        (format!("{{\"a\":\noops\n\n\u{1b}[31m\n{good}\n"), &["1:1 {\"a\":", "2:1 oops", "4:1 \u{1b}[31m", "5:1 good"]),
        (format!("x\",\"b\":{{}}}}\n{good}\n"), &["1:1 x\",\"b\":{}}", "2:1 good"]),
        // A text that is not closed among touching values, and brackets that do not belong to a value.
        (format!("{good}{{\"a\":\"x{good}{good}"), &["1:1 good", "1:39 {\"a\":\"x", "1:46 good", "1:84 good"]),
        (format!("{good}}}{good}"), &["1:1 good", "1:39 }", "1:40 good"]),
        (format!("{good}]}}{good}"), &["1:1 good", "1:39 unexpected ], which closes no list", "1:40 }", "1:41 good"]),
        // Data before a batch on its line.
        (format!("INFO {good}\n{good}"), &["1:1 INFO", "1:6 good", "2:1 good"]),
        // A trailing comma in a pretty-printed value, in a list and not.
        (format!("{{\n  \"a\": 1,\n}}\n{good}"), &["1:1 {\n  \"a\": 1,\n}", "4:1 good"]),
        (format!("[\n  {{\n    \"a\": 1,\n  }},\n  {good}\n]"), &["2:3 {\n    \"a\": 1,\n  }", "5:3 good"]),
        // A bracket that is missing in a pretty-printed value.
        (
            format!("[\n  {{\n    \"a\": [\n      1\n  }},\n  {good}\n]"),
            &["2:3 {\n    \"a\": [\n      1\n  }", "6:3 good"],
        ),
        (format!("{{\n  \"a\": [\n    1\n}}\n{good}"), &["1:1 {\n  \"a\": [\n    1\n}", "5:1 good"]),
        // A word in a list does not hide the end of the list.
        (format!("[oops]\n{good}"), &["1:2 oops", "2:1 good"]),
    ];
    for (text, expected) in table {
        let found: Vec<_> = read_all(text.as_str(), 3)
            .into_iter()
            .map(|line| {
                let (position, rest) = line.split_once(" @").expect("an offset");
                format!("{position} {}", rest.split_once(' ').expect("a text").1.replace(good, "good"))
            })
            .collect();
        assert_eq!(found, *expected, "{text:?}");
    }
}
