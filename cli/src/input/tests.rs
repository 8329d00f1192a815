//! Tests with valid, unusual and hostile files.

use std::io::{self, Cursor, Read, Write};

use mparticle::diagnostics::{Diagnostic, Severity};

use super::frames::{Frame, MAX_TEXT_BYTES};
use super::validate::*;
use super::*;

mod arrangements;
mod encodings;

const GOOD: &str = r#"{"environment":"development","user_identities":{"customer_id":"1"},"events":[]}"#;

/// A reader that returns at most `piece` bytes at a time, to test every chunk boundary.
pub struct Slow {
    bytes: Cursor<Vec<u8>>,
    piece: usize,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.piece);
        self.bytes.read(&mut buffer[..count])
    }
}

pub fn slow(bytes: impl Into<Vec<u8>>, piece: usize) -> Slow {
    Slow { bytes: Cursor::new(bytes.into()), piece }
}

/// Returns a description of each frame, with its position.
pub fn read_all(bytes: impl Into<Vec<u8>>, piece: usize) -> Vec<String> {
    let frames = FrameReader::new(slow(bytes, piece)).expect("a layout");
    frames
        .map(|frame| match frame.expect("bytes") {
            Frame::Value { position, text, .. } | Frame::Text { position, text } => {
                format!("{position} @{} {}", position.offset, String::from_utf8_lossy(&text))
            }
            Frame::TooLong { position, bytes } => format!("{position} @{} {bytes} bytes", position.offset),
            Frame::Misplaced { position, message } | Frame::Broken { position, message } => {
                format!("{position} @{} {message}", position.offset)
            }
        })
        .collect()
}

#[test]
fn reads_every_layout_independent_of_chunk_boundaries() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("\n \r\n\t", &[]),
        ("{\"a\":1}", &["1:1 @0 {\"a\":1}"]),
        ("{\"a\":1}\n{\"b\":2}\n", &["1:1 @0 {\"a\":1}", "2:1 @8 {\"b\":2}"]),
        // CRLF, empty lines, surrounding white space.
        ("{\"a\":1}\r\n\r\n  {\"b\":2} \r\n", &["1:1 @0 {\"a\":1}", "3:3 @13 {\"b\":2}"]),
        // A byte-order mark does not count.
        ("\u{feff}{\"a\":1}\n{\"b\":2}", &["1:1 @0 {\"a\":1}", "2:1 @8 {\"b\":2}"]),
        ("\u{feff}[{\"a\":1}]", &["1:2 @1 {\"a\":1}"]),
        // An invalid line does not affect the others, even if it is the first.
        ("{\"a\":\n{\"b\":2}\n", &["1:1 @0 {\"a\":", "2:1 @6 {\"b\":2}"]),
        ("oops\n{\"b\":2}\n", &["1:1 @0 oops", "2:1 @5 {\"b\":2}"]),
        // Pretty-printed values, one and two.
        ("{\n  \"a\": 1\n}\n", &["1:1 @0 {\n  \"a\": 1\n}"]),
        ("{\n  \"a\": \"}\\\"\"\n}\n\n {\"b\": [{}]}\n", &["1:1 @0 {\n  \"a\": \"}\\\"\"\n}", "5:2 @19 {\"b\": [{}]}"]),
        // An array, on one line and on several.
        ("[]", &[]),
        (" [ ] \n", &[]),
        ("[{\"a\":\"é,]\"}, {\"b\":2}]", &["1:2 @1 {\"a\":\"é,]\"}", "1:15 @15 {\"b\":2}"]),
        ("[\n  {\"a\": [1, 2]},\n  {\"b\": {}}\n]\n", &["2:3 @4 {\"a\": [1, 2]}", "3:3 @21 {\"b\": {}}"]),
        ("[1,\"x\",null]", &["1:2 @1 1", "1:4 @3 \"x\"", "1:8 @7 null"]),
        // A list with errors between its values.
        ("[{} {}]", &["1:2 @1 {}", "1:5 @4 expected a comma between the values of the list", "1:5 @4 {}"]),
        ("[{},]", &["1:2 @1 {}", "1:4 @3 trailing comma in the list"]),
        ("[,{}]", &["1:2 @1 expected a value before the comma", "1:3 @2 {}"]),
        ("[{},,{}]", &["1:2 @1 {}", "1:5 @4 expected a value before the comma", "1:6 @5 {}"]),
        ("{}]", &["1:1 @0 {}", "1:3 @2 unexpected ], which closes no list"]),
        ("[{}", &["1:2 @1 {}", "1:4 @3 the file ends inside of a list; values may be missing"]),
        ("[", &["1:2 @1 the file ends inside of a list; values may be missing"]),
        ("[{}] x", &["1:2 @1 {}", "1:6 @5 x"]),
        ("[{\"a\":[}", &["1:2 @1 {\"a\":[}", "1:9 @8 the file ends inside of a list; values may be missing"]),
    ];
    for (bytes, expected) in table {
        for piece in [1, 2, 3, 7, 100_000] {
            assert_eq!(read_all(*bytes, piece), *expected, "{bytes:?} in pieces of {piece}");
        }
    }
}

#[test]
fn resumes_reading_at_any_frame() {
    for text in [
        "{\"a\":1}\r\n\n{\"b\":\"é\"} \n{\"c\":3}",
        "[{\"a\":1} ,\n{\"b\":\"é\"}, {\"c\":3}]",
        "\u{feff}{\n\"a\":1}{\"b\":2}\n{}",
    ] {
        let frames = || FrameReader::new(slow(text, 5)).expect("a layout");
        let all: Vec<_> = frames().map(|frame| frame.expect("bytes")).collect();
        let mut before = frames();
        for read in 0..=all.len() {
            let mut after = frames();
            after.skip_to(before.read_position()).expect("the same file");
            let rest: Vec<_> = after.map(|frame| frame.expect("bytes")).collect();
            assert_eq!(rest, all[read..], "{text:?} after {read}");
            before.next();
        }
        let position = FilePosition { offset: 1000, line: 1, column: 1 };
        let beyond = ReadPosition { position, in_list: false };
        assert!(frames().skip_to(beyond).is_err(), "the file is shorter than the position");
    }
}

/// A generated file: a head, followed by one byte repeated.
struct Endless {
    head: Cursor<Vec<u8>>,
    byte: u8,
    left: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => {
                let count = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                buffer[..count].fill(self.byte);
                self.left -= count as u64;
                Ok(count)
            }
            read => Ok(read),
        }
    }
}

#[test]
fn skips_an_unterminated_text() {
    const BYTES: u64 = 1 << 24;
    for (head, name) in [("{\"a\":\"", "a line"), ("[{\"a\":\"", "an element"), ("{\n\"a\":\"", "a value")] {
        let mut head = head.as_bytes().to_vec();
        let start = u64::from(head[0] == b'[');
        let expected = BYTES + head.len() as u64 - start;
        let source = Endless { head: Cursor::new(std::mem::take(&mut head)), byte: b'x', left: BYTES };
        let mut frames = FrameReader::new(source).expect("a layout");
        match frames.next() {
            Some(Ok(Frame::TooLong { position, bytes })) => {
                assert_eq!((position.offset, bytes), (start, expected), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn reads_the_text_after_one_that_is_too_large() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_TEXT_BYTES));
    let lines = read_all(format!("{GOOD}\n{long}\n{{}}\n"), 100_000);
    assert_eq!((lines.len(), lines[1].as_str(), &lines[2][..4]), (3, "2:1 @80 1048584 bytes", "3:1 "));
    let list = read_all(format!("[{GOOD},{long},{{}}]"), 100_000);
    assert_eq!((list.len(), list[1].as_str(), &list[2][list[2].len() - 2..]), (3, "1:82 @81 1048584 bytes", "{}"));
    let whole = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES - 2));
    assert!(matches!(FrameReader::new(slow(whole, 100_000)).expect("a layout").next(), Some(Ok(Frame::Value { .. }))));
}

pub fn compress(how: &str, bytes: &[u8]) -> Vec<u8> {
    match how {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "zst" => zstd::encode_all(bytes, 1).expect("memory"),
        _ => bytes.to_vec(),
    }
}

#[test]
fn reads_compressed_files() {
    let text = format!("{GOOD}\n").repeat(5_000);
    for how in ["plain", "gz", "zst"] {
        // Concatenated compressed files are read as one.
        let bytes = [compress(how, text.as_bytes()), compress(how, text.as_bytes())].concat();
        let size = bytes.len() as u64;
        let source = Source::new(slow(bytes, 1000), Some(size)).expect("a source");
        let (progress, mut count) = (source.progress(), 0);
        for frame in FrameReader::new(source).expect("a layout") {
            assert!(matches!(frame, Ok(Frame::Value { .. })), "{how}: {frame:?}");
            count += 1;
        }
        assert_eq!((count, progress.load(std::sync::atomic::Ordering::Relaxed)), (10_000, size), "{how}");
    }
}

#[test]
fn reads_a_truncated_compressed_file_up_to_the_error() {
    let text = (0..100_000).map(|number| format!("{{\"a\":{number}}}")).collect::<Vec<_>>().join("\n");
    for how in ["gz", "zst"] {
        let whole = compress(how, text.as_bytes());
        let source = Source::new(Cursor::new(whole[..whole.len() / 2].to_vec()), None).expect("a source");
        let frames: Vec<_> = FrameReader::new(source).expect("a layout").collect();
        let (last, before) = frames.split_last().expect("frames");
        assert!(before.iter().all(Result::is_ok) && before.len() > 100, "{how}: {}", before.len());
        let error = last.as_ref().expect_err(how);
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{how}: {error}");
    }
}

fn check_text(text: &[u8]) -> Vec<String> {
    let position = FilePosition { offset: 0, line: 7, column: 1 };
    let checked = Validator::default().check(Frame::Text { position, text: text.to_vec() });
    let format_located = |located: &LocatedDiagnostic| {
        let range = String::from_utf8_lossy(&text[located.range.clone()]).into_owned();
        let Diagnostic { code, pointer, message, .. } = &located.diagnostic;
        format!("{} {code} {pointer}: {message} [{range}]", located.position)
    };
    checked.diagnostics.iter().map(format_located).collect()
}

#[test]
fn locates_json_errors() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let table: &[(&[u8], &str)] = &[
        (
            b"{\"a\":\"\xff\"}",
            "7:7 json : invalid UTF-8, perhaps another encoding such as Latin-1; convert the file to UTF-8 [\u{fffd}]",
        ),
        (b"{\"a\":1,}", "7:7 json : trailing comma [,]"),
        (b"{\"a\":1 ,\n}", "7:8 json : trailing comma [,]"),
        (b"{\"a\":1", "7:7 json : EOF while parsing an object []"),
        (b"{\"a\":tru}", "7:9 json : expected ident [}]"),
        (b"{\"a\":1e999}", "7:10 json : number out of range [9]"),
        (b"{\"a\":1} {}", "7:9 json : trailing characters [{]"),
        (b"{\"\xc3\xa9\":1,\n \"b\":x}", "8:6 json : expected value [x]"),
        (b"{\"a\":{\"b\":1,\"b\":1}}", "7:15 json : duplicate name \"b\" in an object [\"]"),
        (b"{\"a\":1,\"\\u0061\":1}", "7:15 json : duplicate name \"a\" in an object [\"]"),
        (deep.as_bytes(), "7:128 json : recursion limit exceeded [[]"),
    ];
    for (text, expected) in table {
        let found = check_text(text);
        assert_eq!(found, [*expected], "{}", String::from_utf8_lossy(&text[..text.len().min(80)]));
    }
}

#[test]
fn locates_violations_of_the_contract() {
    let text = concat!(
        r#"{"environment":"development","user_identities":{"customerid":"1"},"mpid":9007199254740993,"#,
        "\n",
        r#" "events":[{"event_type":"opt_out","data":{"timestamp_unixtime_ms":1523039002,"is_opted_out":"é"}}]}"#
    );
    assert_eq!(
        check_text(text.as_bytes()),
        [
            "7:49 unknown-field /user_identities/customerid: unknown field, did you mean \"customer_id\"? [\"customerid\"]",
            "8:68 seconds /events/0/data/timestamp_unixtime_ms: looks like seconds instead of milliseconds; the service \
             reads it as milliseconds, a time in the early 1970s [1523039002]",
            "8:94 type /events/0/data/is_opted_out: expected true or false, found \"é\" [\"é\"]",
        ]
    );
    assert_eq!(check_text(GOOD.as_bytes()), [""; 0]);
    assert_eq!(check_text(b"7"), ["7:1 type : expected an object, found 7 [7]"]);
}

#[test]
fn rejects_a_batch_that_is_too_large_with_its_id() {
    let batch = |name: &str, bytes: usize| {
        let head = r#"{"environment":"development","mpid":1,"#;
        let id = if name == "id" { r#""source_request_id":"x","# } else { "" };
        let rest = bytes
            - head.len()
            - id.len()
            - r#""events":[]"#.len()
            - r#","application_info":{"application_name":""}}"#.len();
        format!(r#"{head}{id}"events":[],"application_info":{{"application_name":"{}"}}}}"#, "x".repeat(rest))
    };
    for (name, bytes, fits) in
        [("id", 128_000, true), ("id", 128_001, false), ("", 127_941, true), ("", 127_942, false)]
    {
        let found = check_text(batch(name, bytes).as_bytes());
        assert_eq!(found.is_empty(), fits, "{bytes} bytes: {:?}", found.iter().map(|f| &f[..50]).collect::<Vec<_>>());
    }
}

#[test]
fn limits_the_diagnostics_of_one_text() {
    let members: Vec<_> = (0..2_000).map(|number| format!("\"x{number}\":1")).collect();
    let text = format!("{{\"environment\":\"development\",\"mpid\":1,{}}}", members.join(","));
    let found = check_text(text.as_bytes());
    assert_eq!(found.len(), 101);
    assert!(found[100].contains("more problems, not listed"), "{}", found[100]);
}

#[test]
fn keeps_an_error_behind_many_warnings() {
    let now = chrono::Utc::now();
    let validator = Validator { historical: Some(now), ..Validator::default() };
    let event = |name: usize, hours: i64| {
        let (name, time) = ("x".repeat(name), now.timestamp_millis() - hours * 3_600_000);
        format!(
            r#"{{"event_type":"custom_event","data":{{"event_name":"{name}","custom_event_type":"other","timestamp_unixtime_ms":{time}}}}}"#
        )
    };
    let mut events = vec![event(300, 100); 150];
    events.push(event(1, 1));
    let text = format!(r#"{{"environment":"development","mpid":1,"events":[{}]}}"#, events.join(","));
    let position = FilePosition { offset: 0, line: 1, column: 1 };
    let checked = validator.check(Frame::Text { position, text: text.into_bytes() });
    let errors: Vec<_> = checked.diagnostics.iter().filter(|located| located.is_error()).collect();
    assert_eq!((checked.diagnostics.len(), errors.len(), checked.has_errors()), (MAX_DIAGNOSTICS + 1, 1, true));
    assert_eq!(errors[0].diagnostic.pointer, "/events/150/data/timestamp_unixtime_ms");
}

#[test]
fn adds_or_enforces_the_requested_environment() {
    let validator = Validator { environment: Some(mparticle::Environment::Development), ..Validator::default() };
    let check = |text: &str| {
        let position = FilePosition { offset: 0, line: 1, column: 1 };
        validator.check(Frame::Text { position, text: text.into() })
    };
    let sent = |checked: CheckedText| String::from_utf8(validator.with_environment(checked.text)).expect("UTF-8");
    let added = check(r#"{"mpid":1,"events":[]}"#);
    assert!(added.diagnostics.is_empty(), "{:?}", added.diagnostics);
    assert_eq!(sent(added), r#"{"environment":"development","mpid":1,"events":[]}"#);
    let null = check(r#"{"mpid":1, "environment" : null, "events":[]}"#);
    assert_eq!(sent(null), r#"{"mpid":1, "environment" : "development", "events":[]}"#);
    let other = check(r#"{"mpid":1,"environment":"production","events":[]}"#);
    assert_eq!(other.diagnostics[0].diagnostic.message, "expected the environment development, found production");
    assert_eq!((other.diagnostics[0].position.column, other.diagnostics[0].diagnostic.severity), (25, Severity::Error));
}
