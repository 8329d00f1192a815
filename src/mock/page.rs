//! The live page: its files, its event stream, and the checks that keep other sites out.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, SendError, Sender};
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, ORIGIN, REFERRER_POLICY};
use hyper::header::{HeaderName, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body::MockResponseBody;
use super::engine::Engine;
use super::received::ReceivedRequest;
use super::request_stream::RequestStream;
use crate::contract;

/// The interval of heartbeats on an idle stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The maximum number of earlier requests that a new page receives, which is also the most that it shows.
const MAX_REPLAYED_REQUESTS: u64 = 1000;

/// Allows nothing from other origins and nothing inline, and forbids framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

macro_rules! files {
    ($($name:literal: $kind:ident),* $(,)?) => {
        &[$((concat!("/page/", $name), $kind, include_str!(concat!("page/", $name)))),*]
    };
}

const FILES: &[(&str, &str, &str)] = files! {
    "base.css": CSS,
    "cards.css": CSS,
    "events.css": CSS,
    "style.css": CSS,
    "announce.js": JAVASCRIPT,
    "card.js": JAVASCRIPT,
    "counts.js": JAVASCRIPT,
    "dom.js": JAVASCRIPT,
    "filter.js": JAVASCRIPT,
    "json.js": JAVASCRIPT,
    "keys.js": JAVASCRIPT,
    "main.js": JAVASCRIPT,
    "request.js": JAVASCRIPT,
    "store.js": JAVASCRIPT,
    "stream.js": JAVASCRIPT,
    "view.js": JAVASCRIPT,
};

/// Returns the response to a request for the page or the document, or `None` if the request is for an endpoint of the service.
///
/// Refuses every request that a page of another site makes a browser send.
pub(super) fn respond(engine: &Arc<Engine>, head: &Parts) -> Option<Response<MockResponseBody>> {
    if is_cross_site(&head.headers) {
        return Some(text_response(403, "requests from other sites are refused\n"));
    }
    let path = head.uri.path();
    let file = FILES.iter().find(|(name, ..)| *name == path);
    if file.is_none() && !matches!(path, "/" | "/page/stream" | "/openapi.json" | "/openapi.strict.json") {
        return None;
    }
    if !is_local_name(&head.headers) {
        return Some(text_response(403, "unknown host name: use an IP address or localhost\n"));
    }
    if head.method != "GET" && head.method != "HEAD" {
        return Some(text_response(405, "method not allowed: use GET or HEAD\n"));
    }
    Some(match path {
        "/" => file_response(HTML, include_str!("page/index.html")),
        "/page/stream" => stream(engine, head),
        "/openapi.json" => file_response(JSON, contract::DOCUMENT),
        "/openapi.strict.json" => file_response(JSON, contract::strict_document()),
        _ => file.map_or_else(|| text_response(404, ""), |(_, kind, content)| file_response(kind, *content)),
    })
}

/// Returns whether a browser sent the request for another site. Another port of this machine counts as another site.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let own = text(HOST).unwrap_or_default();
    text(ORIGIN).is_some_and(|origin| origin.split_once("://").is_none_or(|(_, host)| host != own))
}

/// Returns whether the host of the request is an IP address or `localhost`. The owner of any other name could point it at this
/// machine to read the page (DNS rebinding).
fn is_local_name(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    })
}

fn text_response(status: u16, message: &'static str) -> Response<MockResponseBody> {
    let mut response = file_response("text/plain; charset=utf-8", message);
    *response.status_mut() = status.try_into().expect("a valid status");
    response
}

fn file_response(kind: &str, content: impl Into<Bytes>) -> Response<MockResponseBody> {
    secured(kind, Either::Left(Full::new(content.into())))
}

fn secured(kind: &str, body: MockResponseBody) -> Response<MockResponseBody> {
    Response::builder()
        .header(CONTENT_TYPE, kind)
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(REFERRER_POLICY, "no-referrer")
        .header("cross-origin-resource-policy", "same-origin")
        .header("cross-origin-opener-policy", "same-origin")
        .header(CACHE_CONTROL, "no-store")
        .body(body)
        .expect("valid headers")
}

/// Returns the requests as server-sent events: first the kept ones, then each new one.
fn stream(engine: &Arc<Engine>, head: &Parts) -> Response<MockResponseBody> {
    let Ok(permit) = Arc::clone(&engine.listeners).try_acquire_owned() else {
        return text_response(503, "too many pages are listening\n");
    };
    // A page that reconnects sends the mock's session and the last request that it received.
    let seen = head.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.rsplit_once(':'));
    let seen = seen.filter(|(session, _)| *session == engine.session.to_string());
    let seen: Option<u64> = seen.and_then(|(_, number)| number.parse().ok());
    let seen = seen.unwrap_or_else(|| engine.state().store.stats().requests.saturating_sub(MAX_REPLAYED_REQUESTS));
    let (sender, body) = Channel::new(4);
    let engine = Arc::clone(engine);
    tokio::spawn(async move {
        // Fails when the page is closed.
        let _ = send_events(&engine, sender, seen).await;
        drop(permit);
    });
    secured("text/event-stream", Either::Right(body))
}

async fn send_events(engine: &Arc<Engine>, mut sender: Sender<Bytes>, seen: u64) -> Result<(), SendError> {
    let kept = engine.state().store.retention();
    let hello = json!({
        "mode": if engine.settings.lenient { "lenient" } else { "strict" },
        "partial_responses": engine.settings.partial_responses,
        "rate": engine.settings.rate,
        "kept_requests": kept.requests,
        "kept_bytes": kept.bytes,
        "session": engine.session.to_string(),
        "names": contract::event_names(),
    });
    sender.send_data(encode_event("hello", None, &hello.to_string())).await?;
    let mut requests = RequestStream::new(engine, seen);
    let mut missed = 0;
    loop {
        // Sends all available requests, then the statistics, and then waits for the next request.
        let mut next = requests.try_next();
        while let Some(request) = next {
            if requests.missed() > missed {
                let gap = json!({ "missed": requests.missed() - missed });
                sender.send_data(encode_event("gap", None, &gap.to_string())).await?;
                missed = requests.missed();
            }
            let id = format!("{}:{}", engine.session, request.number);
            sender.send_data(encode_event("request", Some(&id), &request_json(&request))).await?;
            next = requests.try_next();
        }
        sender.send_data(encode_event("counts", None, &stats_json(engine).to_string())).await?;
        loop {
            match tokio::time::timeout(HEARTBEAT, requests.wait()).await {
                Ok(Some(())) => break,
                Ok(None) => return Ok(()),
                Err(_) => sender.send_data(Bytes::from_static(b": still here\n\n")).await?,
            }
        }
    }
}

fn stats_json(engine: &Engine) -> Value {
    let rate_used = engine.rate_limit_used_percent();
    let counts = engine.state().store.stats();
    json!({
        "requests": counts.requests,
        "batches": counts.batches,
        "events": counts.events,
        "duplicates": counts.duplicates,
        "ignored": counts.ignored,
        "refused": counts.refused,
        "rate_used": rate_used,
    })
}

/// Returns a request as JSON for the page. Contains the batches verbatim, so that 64-bit integers stay exact.
fn request_json(request: &ReceivedRequest) -> String {
    const MAX_TEXT_BYTES: usize = 2000;
    let body = serde_json::from_slice::<&RawValue>(&request.body).ok().map(RawValue::get);
    let batches = match body.filter(|_| request.has_batches) {
        Some(body) if body.starts_with('[') => body.to_owned(),
        Some(body) => format!("[{body}]"),
        None => "null".to_owned(),
    };
    // Bodies without batches are shown as text.
    let text = match body {
        Some(_) if request.has_batches => None,
        None if request.body.is_empty() && !request.has_batches => None,
        _ => Some(String::from_utf8_lossy(&request.body[..request.body.len().min(MAX_TEXT_BYTES)])),
    };
    let mut shown = request.to_json();
    shown["text"] = json!(text);
    let shown = shown.to_string();
    // Inserts a member before the closing brace.
    format!("{},\"batches\":{batches}}}", &shown[..shown.len() - 1])
}

/// Encodes a server-sent event. Each line of the data, which JSON can have several of, needs its own field name.
fn encode_event(name: &str, id: Option<&str>, data: &str) -> Bytes {
    let mut event = format!("event: {name}\n");
    if let Some(id) = id {
        let _ = writeln!(event, "id: {id}");
    }
    for line in data.split(['\r', '\n']) {
        let _ = writeln!(event, "data: {line}");
    }
    event.push('\n');
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn refuses_requests_from_other_sites() {
        let host = ("host", "127.0.0.1:8080");
        let table = [
            (vec![host], false),
            (vec![host, ("sec-fetch-site", "none")], false),
            (vec![host, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")], false),
            (vec![host, ("sec-fetch-site", "same-site")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], true),
            (vec![host, ("origin", "http://127.0.0.1:3000")], true),
            (vec![host, ("origin", "https://evil.example")], true),
            (vec![host, ("origin", "null")], true),
            (vec![("origin", "http://127.0.0.1:8080")], true),
        ];
        for (pairs, expected) in table {
            assert_eq!(is_cross_site(&headers(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn serves_the_page_only_under_local_host_names() {
        for name in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "192.168.0.7:80"] {
            assert!(is_local_name(&headers(&[("host", name)])), "{name}");
        }
        for name in ["evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example", "", "a b", "@"] {
            assert!(!is_local_name(&headers(&[("host", name)])), "{name}");
        }
        assert!(!is_local_name(&headers(&[])));
    }

    #[test]
    fn encodes_each_line_of_an_event() {
        let event = encode_event("request", Some("s:1"), "{\n\"a\":\r1}");
        assert_eq!(&event[..], b"event: request\nid: s:1\ndata: {\ndata: \"a\":\ndata: 1}\n\n");
    }
}
