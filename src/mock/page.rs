//! The live page: what it is made of, the stream that it listens to, and whom it is shown to.

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

use super::body::ResponseBody;
use super::engine::Engine;
use super::received::ReceivedRequest;
use super::request_stream::RequestStream;
use crate::contract;

/// How often a stream without news says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A page that is opened is told of this many requests that came before, the newest ones: it shows no more.
const BEFORE: u64 = 1000;

/// Nothing from elsewhere, nothing inline, and nobody may frame the page.
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

/// What is answered to a request for the page or for the document; `None` if it is for an endpoint of the service.
///
/// A request that a foreign page makes a browser send is refused, wherever it goes.
pub(super) fn answer(engine: &Arc<Engine>, head: &Parts) -> Option<Response<ResponseBody>> {
    if is_cross_site(&head.headers) {
        return Some(plain(403, "requests from other sites are refused\n"));
    }
    let path = head.uri.path();
    let file = FILES.iter().find(|(name, ..)| *name == path);
    if file.is_none() && !matches!(path, "/" | "/page/stream" | "/openapi.json" | "/openapi.strict.json") {
        return None;
    }
    if !is_local_name(&head.headers) {
        return Some(plain(403, "this host name is not one of this machine\n"));
    }
    if head.method != "GET" && head.method != "HEAD" {
        return Some(plain(405, "only to be read\n"));
    }
    Some(match path {
        "/" => text(HTML, include_str!("page/index.html")),
        "/page/stream" => stream(engine, head),
        "/openapi.json" => text(JSON, contract::DOCUMENT),
        "/openapi.strict.json" => text(JSON, contract::strict_document()),
        _ => file.map_or_else(|| plain(404, ""), |(_, kind, content)| text(kind, *content)),
    })
}

/// Browsers say from which site a request comes. Another port of this machine is another site, too.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let own = text(HOST).unwrap_or_default();
    text(ORIGIN).is_some_and(|origin| origin.split_once("://").is_none_or(|(_, host)| host != own))
}

/// Whether the request came to an address or to `localhost`. Any other name may have been pointed here by a foreign page's
/// owner, to read what is shown.
fn is_local_name(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    })
}

fn plain(status: u16, words: &'static str) -> Response<ResponseBody> {
    let mut response = text("text/plain; charset=utf-8", words);
    *response.status_mut() = status.try_into().expect("a status of our own");
    response
}

fn text(kind: &str, content: impl Into<Bytes>) -> Response<ResponseBody> {
    guarded(kind, Either::Left(Full::new(content.into())))
}

fn guarded(kind: &str, body: ResponseBody) -> Response<ResponseBody> {
    Response::builder()
        .header(CONTENT_TYPE, kind)
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(REFERRER_POLICY, "no-referrer")
        .header("cross-origin-resource-policy", "same-origin")
        .header("cross-origin-opener-policy", "same-origin")
        .header(CACHE_CONTROL, "no-store")
        .body(body)
        .expect("headers of our own")
}

/// The requests as server-sent events: first those that are kept, then each as it comes.
fn stream(engine: &Arc<Engine>, head: &Parts) -> Response<ResponseBody> {
    let Ok(place) = Arc::clone(&engine.listeners).try_acquire_owned() else {
        return plain(503, "too many pages are listening\n");
    };
    // A page that was cut off tells what it had seen, of which mock.
    let seen = head.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.rsplit_once(':'));
    let seen = seen.filter(|(session, _)| *session == engine.session.to_string());
    let seen: Option<u64> = seen.and_then(|(_, number)| number.parse().ok());
    let seen = seen.unwrap_or_else(|| engine.state().store.stats().requests.saturating_sub(BEFORE));
    let (sender, body) = Channel::new(4);
    let engine = Arc::clone(engine);
    tokio::spawn(async move {
        // It ends when the page is closed.
        let _ = tell(&engine, sender, seen).await;
        drop(place);
    });
    guarded("text/event-stream", Either::Right(body))
}

async fn tell(engine: &Arc<Engine>, mut sender: Sender<Bytes>, seen: u64) -> Result<(), SendError> {
    let kept = engine.state().store.kept();
    let hello = json!({
        "mode": if engine.settings.lenient { "lenient" } else { "strict" },
        "partial_responses": engine.settings.partial_responses,
        "rate": engine.settings.rate,
        "kept_requests": kept.requests,
        "kept_bytes": kept.bytes,
        "session": engine.session.to_string(),
        "names": contract::event_names(),
    });
    sender.send_data(event("hello", None, &hello.to_string())).await?;
    let mut requests = RequestStream::after(engine, seen);
    let mut missed = 0;
    loop {
        // All that is there, then the counts, then the next one when it comes.
        let mut next = requests.try_next();
        while let Some(request) = next {
            if requests.missed() > missed {
                let gap = json!({ "missed": requests.missed() - missed });
                sender.send_data(event("gap", None, &gap.to_string())).await?;
                missed = requests.missed();
            }
            let id = format!("{}:{}", engine.session, request.number);
            sender.send_data(event("request", Some(&id), &shown(&request))).await?;
            next = requests.try_next();
        }
        sender.send_data(event("counts", None, &counts(engine).to_string())).await?;
        loop {
            match tokio::time::timeout(HEARTBEAT, requests.wait()).await {
                Ok(Some(())) => break,
                Ok(None) => return Ok(()),
                Err(_) => sender.send_data(Bytes::from_static(b": still here\n\n")).await?,
            }
        }
    }
}

fn counts(engine: &Engine) -> Value {
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

/// A request as the page takes it. The batches stand in it as they came: numbers of 64 bits stay exact.
fn shown(request: &ReceivedRequest) -> String {
    const SHOWN_OF_OTHERS: usize = 2000;
    let body = serde_json::from_slice::<&RawValue>(&request.body).ok().map(RawValue::get);
    let batches = match body.filter(|_| request.has_batches) {
        Some(body) if body.starts_with('[') => body.to_owned(),
        Some(body) => format!("[{body}]"),
        None => "null".to_owned(),
    };
    // What has no batches is shown as it came.
    let text = match body {
        Some(_) if request.has_batches => None,
        None if request.body.is_empty() && !request.has_batches => None,
        _ => Some(String::from_utf8_lossy(&request.body[..request.body.len().min(SHOWN_OF_OTHERS)])),
    };
    let mut shown = request.to_json();
    shown["text"] = json!(text);
    let shown = shown.to_string();
    // An object written by us ends with a brace, before which one more member fits.
    format!("{},\"batches\":{batches}}}", &shown[..shown.len() - 1])
}

/// One server-sent event. JSON may be spread over lines, and each line of an event is marked.
fn event(name: &str, id: Option<&str>, data: &str) -> Bytes {
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
    fn what_another_site_makes_a_browser_send_is_refused() {
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
    fn only_names_of_this_machine_lead_to_the_page() {
        for name in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "192.168.0.7:80"] {
            assert!(is_local_name(&headers(&[("host", name)])), "{name}");
        }
        for name in ["evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example", "", "a b", "@"] {
            assert!(!is_local_name(&headers(&[("host", name)])), "{name}");
        }
        assert!(!is_local_name(&headers(&[])));
    }

    #[test]
    fn lines_of_an_event_are_marked() {
        let event = event("request", Some("s:1"), "{\n\"a\":\r1}");
        assert_eq!(&event[..], b"event: request\nid: s:1\ndata: {\ndata: \"a\":\ndata: 1}\n\n");
    }
}
