//! Responses of 2xx, by status, content type and body, with the expected result for the batches of a request.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mparticle::SealedBatch;

use super::peer::{ACCEPTED, Peer};

/// A body on the wire.
#[derive(Clone)]
pub enum Body {
    None,
    Whole(String),
    /// In chunks that arrive separately.
    Chunks(&'static [&'static [u8]]),
    /// The connection ends in the middle of the body.
    CutOff(&'static str),
    /// The body stalls, and the connection stays open.
    Stalled(&'static str),
    /// A body of 100 MB that begins like this.
    Long(&'static str),
}

/// The expected result for the three batches of a bulk request.
#[derive(Clone, Debug, PartialEq)]
pub enum Result {
    /// These batches are rejected, and the others are delivered.
    Rejected(&'static [usize]),
    /// No batch is delivered and all are kept; the error contains this text.
    Stopped(&'static str),
}

pub struct Row {
    pub name: &'static str,
    pub status: &'static str,
    pub content_type: Option<&'static str>,
    pub body: Body,
    /// The number of requests with this response; the others are accepted without a body.
    pub times: usize,
    pub bulk: Result,
    /// True if the first batch is accepted when it is uploaded alone, to `/events`.
    pub alone: bool,
    /// The number of 202 responses that count as accepted although their body could not be read.
    pub unread: u64,
}

impl Row {
    /// Starts a server that sends the response, and counts requests.
    pub fn serve(&self) -> Peer {
        let Self { status, body, times, .. } = self;
        let (status, body, times) = (*status, body.clone(), *times);
        let content_type = self.content_type.map(|kind| format!("content-type: {kind}\r\n")).unwrap_or_default();
        let count = AtomicUsize::new(0);
        Peer::start(move |stream| {
            if count.fetch_add(1, Ordering::SeqCst) >= times {
                let _ = stream.write_all(ACCEPTED.as_bytes());
                return;
            }
            let (start, length) = match &body {
                Body::None => (String::new(), 0),
                Body::Whole(text) => (text.clone(), text.len()),
                Body::CutOff(text) | Body::Stalled(text) => ((*text).to_owned(), text.len() + 50),
                Body::Long(text) => ((*text).to_owned(), 100_000_000),
                Body::Chunks(chunks) => return write_chunks(stream, status, &content_type, chunks),
            };
            let head = format!("HTTP/1.1 {status}\r\n{content_type}content-length: {length}\r\n\r\n{start}");
            let _ = stream.write_all(head.as_bytes());
            match body {
                Body::CutOff(_) => _ = stream.shutdown(Shutdown::Both),
                Body::Stalled(_) => std::thread::sleep(Duration::from_secs(10)),
                Body::Long(_) => while stream.write_all(&[b'x'; 50_000]).is_ok() {},
                Body::None | Body::Whole(_) | Body::Chunks(_) => {}
            }
        })
    }
}

fn write_chunks(stream: &mut TcpStream, status: &str, content_type: &str, chunks: &[&[u8]]) {
    let head = format!("HTTP/1.1 {status}\r\n{content_type}transfer-encoding: chunked\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    for chunk in chunks.iter().chain([&&b""[..]]) {
        // Long enough for the client to read each chunk separately.
        std::thread::sleep(Duration::from_millis(20));
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        let _ = stream.write_all(&framed);
    }
}

/// Returns three batches of three users. The second one has non-ASCII text: its end in bytes is within the third one in UTF-16 units.
pub fn batches() -> Vec<SealedBatch> {
    let json = |(id, name): (usize, &str)| {
        let user = format!(r#""user_identities":{{"customer_id":"{id}"}},"user_attributes":{{"name":"{name}"}}"#);
        format!(r#"{{"environment":"development","source_request_id":"id-{id}",{user},"events":[]}}"#)
    };
    ["Anna", "Zoé Ünal, 東京 😀😀😀", "Bob"]
        .into_iter()
        .enumerate()
        .map(|row| SealedBatch::from_json(json(row)).expect("a batch"))
        .collect()
}

/// Returns the position in the body of the three batches that is `behind` UTF-16 code units after the start of a batch.
fn position(batch: usize, behind: usize) -> usize {
    let units = |batch: &SealedBatch| std::str::from_utf8(batch.json()).expect("text").encode_utf16().count();
    1 + batches()[..batch].iter().map(|batch| units(batch) + 1).sum::<usize>() + behind
}

fn errors(messages: &[&str]) -> Body {
    let entries: Vec<_> =
        messages.iter().map(|message| serde_json::json!({ "code": "BAD_REQUEST", "message": message })).collect();
    Body::Whole(serde_json::json!({ "errors": entries }).to_string())
}

/// Returns the table of responses.
#[expect(clippy::too_many_lines, reason = "one row per line")]
pub fn table() -> Vec<Row> {
    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const HTML: Option<&str> = Some("text/html; charset=utf-8");
    const TEXT: Option<&str> = Some("text/plain");
    const ALWAYS: usize = usize::MAX;
    const ALL: Result = Result::Rejected(&[]);
    const PORTAL: &str = "<!doctype html><html><title>Sign in</title></html>";
    let whole = |text: &str| Body::Whole(text.to_owned());
    let row = |name, status, content_type, body, times, bulk: Result, alone| Row {
        name,
        status,
        content_type,
        body,
        times,
        bulk,
        alone,
        unread: 0,
    };
    let unread = |unread, row: Row| Row { unread, ..row };
    let at = |batch, behind| format!("Unexpected token. Path 'data.x', line 1, position {}.", position(batch, behind));
    vec![
        row("nothing", "202 Accepted", None, Body::None, ALWAYS, ALL, true),
        row("nothing, as JSON", "202 Accepted", JSON, Body::None, ALWAYS, ALL, true),
        row("200 and nothing", "200 OK", None, Body::None, ALWAYS, ALL, true),
        row("204", "204 No Content", None, Body::None, ALWAYS, ALL, true),
        row("{}", "202 Accepted", JSON, whole("{}"), ALWAYS, ALL, true),
        row("no errors", "202 Accepted", JSON, whole(r#"{"errors":[]}"#), ALWAYS, ALL, true),
        row("null errors", "202 Accepted", JSON, whole(r#"{"errors":null}"#), ALWAYS, ALL, true),
        row("200 and JSON", "200 OK", TEXT, whole("{\"status\":\"ok\"}"), ALWAYS, ALL, true),
        row("text", "202 Accepted", TEXT, whole("Accepted, thank you"), ALWAYS, ALL, true),
        row("a broken object", "202 Accepted", JSON, whole("{thank you}"), ALWAYS, ALL, true),
        row("200 and text", "200 OK", TEXT, whole("ok"), ALWAYS, Result::Stopped("200 text/plain"), false),
        row(
            "200 and untyped text",
            "200 OK",
            None,
            whole("ok"),
            ALWAYS,
            Result::Stopped("200 without a content type"),
            false,
        ),
        row(
            "200 and broken JSON",
            "200 OK",
            JSON,
            whole("{\"a\""),
            ALWAYS,
            Result::Stopped("200 application/json"),
            false,
        ),
        row("200 and HTML", "200 OK", HTML, whole(PORTAL), ALWAYS, Result::Stopped("200 text/html"), false),
        row("202 and HTML", "202 Accepted", HTML, whole(PORTAL), ALWAYS, Result::Stopped("202 text/html"), false),
        row(
            "HTML by its body",
            "202 Accepted",
            JSON,
            whole(PORTAL),
            ALWAYS,
            Result::Stopped("202 application/json"),
            false,
        ),
        row("HTML by its type", "202 Accepted", HTML, whole("{}"), ALWAYS, Result::Stopped("202 text/html"), false),
        row(
            "by index",
            "202 Accepted",
            JSON,
            errors(&["bad. Path '[1].device_info.ios_idfv', line 1, position 3."]),
            ALWAYS,
            Result::Rejected(&[1]),
            false,
        ),
        row("200, by index", "200 OK", JSON, errors(&["bad. Path '[1].mpid'"]), ALWAYS, Result::Rejected(&[1]), false),
        row(
            "two by index",
            "202 Accepted",
            TEXT,
            errors(&["Path '[0].mpid'", "Path '[2].mpid'", "Path '[0].ip'"]),
            ALWAYS,
            Result::Rejected(&[0, 2]),
            false,
        ),
        row(
            "all by index",
            "202 Accepted",
            JSON,
            errors(&["Path '[0]'", "Path '[1]'", "Path '[2]'"]),
            ALWAYS,
            Result::Rejected(&[0, 1, 2]),
            false,
        ),
        row("by position", "202 Accepted", JSON, errors(&[&at(1, 10)]), ALWAYS, Result::Rejected(&[1]), false),
        row(
            "by position, behind other characters",
            "202 Accepted",
            JSON,
            errors(&[&at(2, 60)]),
            ALWAYS,
            Result::Rejected(&[2]),
            false,
        ),
        row("position of two batches", "202 Accepted", JSON, errors(&[&at(2, 4)]), 1, ALL, false),
        row(
            "index and position contradict each other",
            "202 Accepted",
            JSON,
            errors(&[&format!("Path '[0].mpid', line 1, position {}.", position(2, 60))]),
            ALWAYS,
            Result::Rejected(&[0]),
            false,
        ),
        row(
            "no named batch",
            "202 Accepted",
            JSON,
            errors(&["Invalid event batch."]),
            ALWAYS,
            Result::Rejected(&[0, 1, 2]),
            false,
        ),
        row("no named batch, once", "202 Accepted", JSON, errors(&["Invalid event batch."]), 1, ALL, false),
        row(
            "one error with a named batch and one without",
            "202 Accepted",
            JSON,
            errors(&["Path '[2].mpid'", "Invalid event batch."]),
            1,
            Result::Rejected(&[2]),
            false,
        ),
        row(
            "index out of range",
            "202 Accepted",
            JSON,
            errors(&["Path '[3].mpid', line 1, position 10."]),
            1,
            ALL,
            false,
        ),
        row(
            "position of something else",
            "202 Accepted",
            JSON,
            errors(&["The product at position 3 lacks an id."]),
            1,
            ALL,
            false,
        ),
        row(
            "half a surrogate pair in a name",
            "202 Accepted",
            JSON,
            whole(r#"{"\ud83d":1,"errors":[{"message":"Path '[1].mpid'"}]}"#),
            ALWAYS,
            Result::Rejected(&[1]),
            false,
        ),
        row(
            "half a surrogate pair in the text",
            "202 Accepted",
            JSON,
            whole(r#"{"errors":[{"message":"\"x\ud83d\" is bad. Path '[1].mpid'"},{"message":"Path '[2].mpid'"}]}"#),
            ALWAYS,
            Result::Rejected(&[1, 2]),
            false,
        ),
        row(
            "in chunks, behind a byte order mark",
            "202 Accepted",
            JSON,
            Body::Chunks(&[b"\xEF", b"\xBB\xBF", b" \n", b"{", b"\"errors\":", b"[{\"message\":\"Path '[1]'\"}]}"]),
            ALWAYS,
            Result::Rejected(&[1]),
            false,
        ),
        row("position out of range", "202 Accepted", JSON, errors(&["line 1, position 100000."]), 1, ALL, false),
        row("errors of another form", "202 Accepted", JSON, whole(r#"{"errors":"Path '[1]'"}"#), 1, ALL, false),
        row(
            "cut off in the list",
            "202 Accepted",
            JSON,
            Body::CutOff(r#"{"errors":[{"code":"A","message":"Path '[1].mpid'"},{"#),
            1,
            Result::Rejected(&[1]),
            false,
        ),
        row("cut off before the list, once", "202 Accepted", JSON, Body::CutOff("{\"err"), 1, ALL, true),
        unread(1, row("cut off before the list", "202 Accepted", JSON, Body::CutOff("{\"err"), ALWAYS, ALL, true)),
        row("cut off after the list", "202 Accepted", JSON, Body::CutOff(r#"{"errors":[],"a"#), ALWAYS, ALL, true),
        row("cut off before the first byte", "202 Accepted", JSON, Body::CutOff(""), ALWAYS, ALL, true),
        row(
            "200 and text that is cut off where it could be JSON",
            "200 OK",
            TEXT,
            Body::CutOff("n"),
            ALWAYS,
            Result::Stopped("200 text/plain"),
            false,
        ),
        row("200, cut off before the list, once", "200 OK", JSON, Body::CutOff("{\"err"), 1, ALL, true),
        row("stalled, empty", "202 Accepted", JSON, Body::Stalled(""), ALWAYS, ALL, true),
        row("stalled text", "202 Accepted", TEXT, Body::Stalled("thank"), ALWAYS, ALL, true),
        row("stalled object, once", "202 Accepted", JSON, Body::Stalled("{"), 1, ALL, true),
        row("stalled list", "202 Accepted", JSON, Body::Stalled(r#"{"errors":["#), 1, ALL, false),
        row("100 MB of text", "202 Accepted", TEXT, Body::Long("x"), ALWAYS, ALL, true),
        row(
            "200 and 100 MB of text",
            "200 OK",
            TEXT,
            Body::Long("x"),
            ALWAYS,
            Result::Stopped("200 text/plain"),
            false,
        ),
        unread(1, row("100 MB of an object", "202 Accepted", JSON, Body::Long("{\"a\":\""), ALWAYS, ALL, true)),
        row(
            "100 MB of errors",
            "202 Accepted",
            JSON,
            Body::Long(r#"{"errors":[{"message":"Path '[1].mpid'"},{"message":""#),
            1,
            Result::Rejected(&[1]),
            false,
        ),
    ]
}
