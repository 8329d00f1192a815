//! The client against the mock: endpoints, limits, settings, runtimes.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mparticle::limits::{MAX_BATCH_BYTES, MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use mparticle::mock::MockServer;
use mparticle::{
    Batch, Client, Credentials, Environment, Error, ErrorKind, Pod, Rejected, SealError, SealedBatch, TrySendError,
    UploadError,
};
use serde_json::Value;
use support::peer::{ACCEPTED, Peer};
use support::{batch, batch_of, builder, client, ids};
use uuid::Uuid;

#[tokio::test]
async fn each_upload_sends_the_sealed_bytes_to_its_endpoint() {
    let server = MockServer::start().await;
    let client = client(&server);
    let sealed: Vec<_> = (0..3).map(|_| batch().seal().expect("a batch")).collect();

    client.upload(sealed[0].clone()).await.expect("one");
    assert_eq!(client.upload_bulk(sealed.clone()).await.expect("many").delivered(), 3);
    assert_eq!(client.upload_historical(vec![batch()]).await.expect("old ones").delivered(), 1);

    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.path.as_str())).collect();
    assert_eq!(targets, [("POST", "/events"), ("POST", "/bulkevents"), ("POST", "/bulkevents/historical")]);
    assert_eq!(requests[0].body, sealed[0].json()[..]);
    let joined: Vec<_> = sealed.iter().map(|batch| std::str::from_utf8(batch.json()).expect("UTF-8")).collect();
    assert_eq!(std::str::from_utf8(&requests[1].body).expect("UTF-8"), format!("[{}]", joined.join(",")));
    assert_eq!(server.batches().len(), 3, "one batch was sent twice, and the historical one has no timestamp");
}

#[tokio::test]
async fn requests_have_only_the_headers_that_the_service_needs() {
    let server = MockServer::start().await;
    client(&server).upload(batch()).await.expect("accepted");
    let request = &server.requests()[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("user-agent"), Some(concat!("mparticle-rust/", env!("CARGO_PKG_VERSION"))));
    let length = request.body.len().to_string();
    assert_eq!(request.header("content-length"), Some(length.as_str()));
    for absent in ["api-version", "content-encoding", "authorization", "cookie"] {
        assert_eq!(request.header(absent), None);
    }
}

#[tokio::test]
async fn raw_endpoints_use_the_credentials_and_change_no_body() {
    let server = MockServer::start().await;
    let raw = client(&server).raw().expect("the raw client");
    let batches = vec![batch(), Batch::new(Environment::Production)];
    assert_eq!(raw.upload_events(&batches[0]).await.expect("one").status(), 202);
    assert_eq!(raw.bulk_upload_events(&batches).await.expect("many").status(), 202);
    assert_eq!(raw.bulk_upload_historical_events(&batches).await.expect("old ones").status(), 202);

    let requests = server.requests();
    assert_eq!(requests[1].body, serde_json::to_vec(&batches).expect("JSON"));
    assert_eq!(requests[1].header("user-agent"), Some(concat!("mparticle-rust/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(requests[1].header("api-version"), None);
    assert_eq!(server.batches()[0].get("source_request_id"), None);
}

#[tokio::test]
async fn a_raw_error_contains_the_whole_response() {
    let body = r#"{"errors":[{"code":"A","message":"b"}]}"#;
    let peer = Peer::with_response(format!(
        "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let raw = builder(peer.url()).build().expect("a client").raw().expect("the raw client");
    let error = raw.upload_events(&batch()).await.expect_err("429");
    let mparticle::raw::Error::UnexpectedResponse(response) = error else { panic!("{error:?}") };
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.text().await.expect("the body"), body);
}

#[tokio::test]
async fn a_batch_is_limited_to_128000_bytes() {
    let server = MockServer::start().await;
    let client = client(&server);
    client.upload(batch_of(MAX_BATCH_BYTES)).await.expect("the batch has the maximum size");
    assert_eq!(server.requests()[0].body.len(), MAX_BATCH_BYTES);

    // A sealed batch is never split. `tests/split.rs` has the tests of batches with events.
    let sealed = || batch_of(MAX_BATCH_BYTES + 1).seal().expect("a batch");
    let rejected = client.upload_bulk([sealed()]).await.expect("a report").into_rejected().remove(0);
    let (error, unsent, report) =
        client.upload(sealed()).await.expect_err("the batch is one byte too large").into_parts();
    assert_eq!((rejected.sealed().len(), unsent.len(), report.requests()), (1, 1, 0));
    for error in [error, rejected.into_error()] {
        assert_eq!((error.kind(), error.attempts(), error.elapsed()), (ErrorKind::Limit, 0, Duration::ZERO));
        assert_eq!(error.to_string(), "the batch is too large: 128001 bytes, and the limit is 128000");
        assert!(!error.is_retryable());
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn upload_bulk_sends_at_most_100_batches_per_request() {
    let server = MockServer::start().await;
    let client = client(&server);
    for count in [0, 1, 99, MAX_BATCHES_PER_REQUEST, MAX_BATCHES_PER_REQUEST + 1, 250] {
        let report = client.upload_bulk((0..count).map(|_| batch())).await.expect("accepted");
        assert_eq!((report.delivered(), report.rejected().len()), (count, 0));
        assert_eq!(report.requests() as usize, count.div_ceil(MAX_BATCHES_PER_REQUEST));
    }
    assert_eq!(server.batches().len(), 1 + 99 + 100 + 101 + 250);
}

#[tokio::test]
async fn a_request_is_limited_to_256000_bytes() {
    let server = MockServer::start().await;
    let client = client(&server);
    // Two batches, two brackets and a comma.
    let half = (MAX_REQUEST_BYTES - 3) / 2;
    let rest = MAX_REQUEST_BYTES - 3 - half;
    for second in [rest, rest + 1] {
        let report = client.upload_bulk([batch_of(half), batch_of(second)]).await.expect("accepted");
        assert_eq!(report.delivered(), 2);
    }
    let sizes: Vec<_> = server.requests().iter().map(|request| request.body.len()).collect();
    assert_eq!(sizes, [MAX_REQUEST_BYTES, half + 2, rest + 3]);
}

#[tokio::test]
async fn a_batch_that_cannot_be_sealed_is_rejected_and_the_others_are_delivered() {
    let server = MockServer::start().await;
    let bad = batch().user_attribute("score", f64::NAN);
    let report = client(&server).upload_bulk([batch(), bad.clone(), batch(), bad]).await.expect("a report");
    assert_eq!(report.delivered(), 2);
    let indices: Vec<_> = report.rejected().iter().map(mparticle::Rejected::index).collect();
    assert_eq!(indices, [1, 3]);
    let rejected = report.into_rejected().remove(0);
    assert_eq!((rejected.error().kind(), rejected.sealed().len()), (ErrorKind::Invalid, 0));
    assert_eq!(rejected.error().to_string(), "/user_attributes/score is NaN or infinite, which JSON cannot represent");
    let unsealed = rejected.into_unsealed().expect("the report returns the batch");
    assert!(unsealed.source_request_id.is_some() && unsealed.events.len() == 1);
    assert_eq!(server.batches().len(), 2);
}

#[tokio::test]
async fn unsent_batches_keep_their_ids_when_sent_again() {
    let peer = Peer::with_response("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    let error = builder(peer.url()).build().expect("a client").upload_bulk([batch(), batch()]).await.expect_err("503");
    assert!(error.is_retryable());
    let server = MockServer::start().await;
    assert_eq!(client(&server).upload_bulk(error.unsent()).await.expect("accepted").delivered(), 2);
    client(&server).upload(&error.unsent()[0]).await.expect("accepted");
    let arrived: Vec<_> = server.batches().iter().map(|batch| batch["source_request_id"].clone()).collect();
    assert_eq!(arrived, ids(error.unsent()));
    assert_eq!(server.stats().duplicates, 1);
}

#[tokio::test]
async fn a_stopped_upload_returns_the_unsent_batches() {
    let hanging = Peer::with_response("");
    let stop = || tokio::time::sleep(Duration::from_millis(50));
    let client = builder(hanging.url()).build().expect("a client");
    let error = client.upload_bulk_until([batch(), batch()], stop()).await.expect_err("the upload is stopped");
    assert_eq!((error.kind(), error.is_retryable(), error.unsent().len()), (ErrorKind::Cancelled, true, 2));
    assert_eq!(error.to_string(), "the caller stopped the upload before everything was sent");
    let error = client.upload_historical_until(error.unsent(), stop()).await.expect_err("the upload is stopped");
    assert_eq!(error.unsent().len(), 2);

    let server = MockServer::start().await;
    let report = support::client(&server).upload_bulk_until(error.unsent(), std::future::pending::<()>()).await;
    assert_eq!(report.expect("accepted").delivered(), 2);
}

#[tokio::test]
async fn uploading_by_reference_does_not_change_the_batch() {
    let server = MockServer::start().await;
    let (kept, many) = (batch(), [batch(), batch()]);
    client(&server).upload(&kept).await.expect("accepted");
    assert_eq!(client(&server).upload_bulk(&many).await.expect("accepted").delivered(), 2);
    assert_eq!(kept, batch());
    assert_eq!(server.stats().batches, 3);
}

#[tokio::test]
async fn ids_come_from_the_id_source() {
    let server = MockServer::start().await;
    let next = AtomicU64::new(0);
    let client = builder(server.url())
        .id_source(move || Uuid::from_u128(next.fetch_add(1, Ordering::SeqCst).into()))
        .build()
        .expect("a client");
    client.upload(batch()).await.expect("accepted");
    let arrived: Value = server.batches().remove(0);
    assert_eq!(arrived["source_request_id"], Uuid::from_u128(0).to_string());
    assert_eq!(arrived["events"][0]["data"]["source_message_id"], Uuid::from_u128(1).to_string());
}

#[tokio::test]
async fn connections_are_reused() {
    let peer = Peer::with_response(ACCEPTED);
    let client = builder(peer.url()).build().expect("a client");
    for _ in 0..5 {
        client.upload(batch()).await.expect("accepted");
    }
    client.raw().expect("the raw client").upload_events(&batch()).await.expect("accepted");
    assert_eq!((peer.requests().len(), peer.connections()), (6, 1));
}

/// Returns a client of this peer, and the number of HTTP clients that its factory has created.
fn client_with_counter(peer: &Peer) -> (Client, Arc<AtomicUsize>) {
    let created = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&created);
    let client = builder(peer.url())
        .http_client(move || {
            count.fetch_add(1, Ordering::SeqCst);
            reqwest::Client::builder().build()
        })
        .build()
        .expect("a client");
    (client, created)
}

#[test]
fn each_runtime_has_its_own_http_client() {
    let peer = Peer::with_response(ACCEPTED);
    let (client, created) = client_with_counter(&peer);
    assert_eq!(created.load(Ordering::SeqCst), 0, "the factory is called on the first upload");
    // More runtimes than the client remembers, each dropped before the next one is created.
    for runtimes in 1..=20 {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        for _ in 0..2 {
            runtime.block_on(client.upload(batch())).expect("accepted");
        }
        assert_eq!(created.load(Ordering::SeqCst), runtimes);
    }
}

#[tokio::test]
async fn a_failing_http_client_factory_is_an_error() {
    let client = builder("http://127.0.0.1:9")
        .http_client(|| reqwest::Client::builder().user_agent("\n").build())
        .build()
        .expect("settings");
    let error = client.upload(batch()).await.expect_err("no HTTP client");
    assert_eq!((error.kind(), error.attempts(), error.unsent().len()), (ErrorKind::Config, 0, 1));
    assert_eq!(client.raw().expect_err("no HTTP client").kind(), ErrorKind::Config);
}

#[test]
fn a_runtime_in_use_keeps_its_http_client_while_other_runtimes_end() {
    let peer = Peer::with_response(ACCEPTED);
    let (client, created) = client_with_counter(&peer);
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    for _ in 0..40 {
        main.block_on(client.upload(batch())).expect("accepted");
        tokio::runtime::Runtime::new().expect("a runtime").block_on(client.upload(batch())).expect("accepted");
    }
    assert_eq!(created.load(Ordering::SeqCst), 41);
}

#[test]
fn upload_outside_a_runtime_returns_an_error_without_panicking() {
    let client = builder("http://127.0.0.1:9").build().expect("a client");
    let mut upload = std::pin::pin!(client.upload(batch()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(result) = upload.as_mut().poll(&mut context) else { panic!("the upload waits") };
    let error = result.expect_err("no runtime");
    assert_eq!((error.kind(), error.attempts(), error.unsent().len()), (ErrorKind::Config, 0, 1));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Peer::with_response(ACCEPTED);
    let location = elsewhere.url();
    let peer =
        Peer::with_response(format!("HTTP/1.1 307 Moved\r\nlocation: {location}/events\r\ncontent-length: 0\r\n\r\n"));
    let error = builder(peer.url()).build().expect("a client").upload(batch()).await.expect_err("307");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(307));
    assert!(elsewhere.requests().is_empty());

    // An HTTP client that follows a 302 sends a GET without the batch.
    let peer =
        Peer::with_response(format!("HTTP/1.1 302 Found\r\nlocation: {location}/login\r\ncontent-length: 0\r\n\r\n"));
    let builder_with_redirects = builder(peer.url()).http_client(|| reqwest::Client::builder().no_proxy().build());
    let error = builder_with_redirects.build().expect("a client").upload(batch()).await.expect_err("a redirect");
    assert_eq!((error.kind(), error.is_retryable(), error.unsent().len()), (ErrorKind::UnexpectedResponse, false, 1));
    assert_eq!(elsewhere.requests().len(), 1);
}

#[tokio::test]
async fn the_status_of_a_redirect_target_rejects_no_batch() {
    for status in ["400 Bad Request", "413 Content Too Large", "422 Unprocessable", "429 Slow Down", "503 Unavailable"]
    {
        let elsewhere = Peer::with_response(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
        let location = elsewhere.url();
        let peer = Peer::with_response(format!(
            "HTTP/1.1 302 Found\r\nlocation: {location}/login\r\ncontent-length: 0\r\n\r\n"
        ));
        let builder_with_redirects = builder(peer.url()).http_client(|| reqwest::Client::builder().no_proxy().build());
        let client = builder_with_redirects.build().expect("a client");
        let error = client.upload_bulk([batch(), batch()]).await.expect_err("a redirect");
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::UnexpectedResponse, 2), "{status}");
        assert_eq!(peer.requests().len(), 1, "{status}");
    }
}

#[test]
fn rejects_invalid_settings() {
    const NO_SCHEME: &str = "the base URL has no scheme: write for example https://s2s.mparticle.com/v2, or http://127.0.0.1:8080 for a mock";
    let with_key = |key: &str, secret: &str| Client::builder(Credentials::new(key, secret)).build();
    let with_key_builder = || Client::builder(Credentials::new("k", "s"));
    let with_url = |url: &str| with_key_builder().base_url(url).build();
    let table = [
        (with_key("", "s"), "the API key is empty"),
        (with_key("k", ""), "the API secret is empty"),
        (with_key("k\n", "s"), "the API key begins or ends with white space"),
        (with_key("k", " s"), "the API secret begins or ends with white space"),
        (with_key("k:x", "s"), "the API key contains a colon, which basic authentication does not allow"),
        (with_url(""), "invalid base URL"),
        (with_url("s2s.mparticle.com"), NO_SCHEME),
        (with_url("localhost:8080"), NO_SCHEME),
        (with_url("//s2s.mparticle.com"), NO_SCHEME),
        (with_url("https//s2s.mparticle.com"), NO_SCHEME),
        (with_url("ftp://s2s.mparticle.com"), "unsupported scheme in the base URL (expected https)"),
        (
            with_url("https://user:pass@s2s.mparticle.com"),
            "the base URL contains credentials: pass them as Credentials instead",
        ),
        (with_url("https://s2s.mparticle.com?key=1"), "the base URL contains a query or a fragment"),
        (with_key_builder().timeout(Duration::ZERO).build(), "timeouts must be greater than zero"),
        (with_key_builder().connect_timeout(Duration::ZERO).build(), "timeouts must be greater than zero"),
    ];
    for (result, message) in table {
        let error = result.expect_err(message);
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Config, message));
    }
}

#[test]
fn plain_http_is_refused_outside_loopback_unless_explicitly_allowed() {
    for url in
        ["http://127.0.0.1:1", "http://127.9.9.9", "http://localhost:1/v2/", "http://[::1]:1", "https://example.com"]
    {
        builder(url).build().expect(url);
    }
    for url in [
        "http://s2s.mparticle.com/v2",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "http://[::2]",
        "http://localhost.example",
    ] {
        let error: Error = builder(url).build().expect_err(url);
        assert!(error.to_string().contains("plain HTTP"), "{error}");
        builder(url).dangerously_send_secrets_over_plain_http().build().expect(url);
    }
    for pod in [Pod::Us1, Pod::Us2, Pod::Eu1, Pod::Au1] {
        Client::builder(Credentials::new("k", "s")).pod(pod).build().expect("a pod");
    }
}

#[test]
fn clients_and_errors_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    fn check_future<T: Send>(_: T) {}
    check::<Client>();
    check::<Error>();
    check::<UploadError>();
    check::<SealError>();
    check::<TrySendError>();
    check::<SealedBatch>();
    let client = builder("http://127.0.0.1:9").build().expect("a client");
    check_future(client.upload(batch()));
    check_future(client.upload_bulk(vec![batch()]));
}

/// A `Result` is moved through each caller, so its size matters.
#[test]
fn errors_are_at_most_a_few_words_large() {
    const WORD: usize = size_of::<usize>();
    assert_eq!((size_of::<Error>(), size_of::<UploadError>()), (WORD, WORD));
    assert_eq!(size_of::<SealError>(), 2 * WORD);
    assert!(size_of::<Result<(), TrySendError>>() <= 4 * WORD);
    assert!(size_of::<Rejected>() <= 6 * WORD);
}

/// Removes the address of the device, adds a tag, and keeps only batches with user identities.
fn scrub(batch: &mut Batch) -> bool {
    batch.ip = None;
    batch.user_attributes.insert("tag".into(), "shop".into());
    batch.user_identities.is_some()
}

#[tokio::test]
async fn before_send_changes_and_discards_batches() {
    let server = MockServer::start().await;
    let client = builder(server.url()).before_send(scrub).build().expect("a client");
    let address = std::net::Ipv4Addr::LOCALHOST;
    client.upload(batch().ip(address)).await.expect("accepted");

    let anonymous = Batch::new(Environment::Development).ip(address).source_request_id("anonymous");
    let error = client.upload(anonymous.clone()).await.expect_err("discarded");
    assert_eq!((error.kind(), error.is_retryable(), error.attempts()), (ErrorKind::Filtered, false, 0));
    assert_eq!(error.unsealed().and_then(|batch| batch.source_request_id.as_deref()), Some("anonymous"));

    let report =
        client.upload_bulk([batch().ip(address), anonymous.clone(), batch().ip(address)]).await.expect("accepted");
    assert_eq!((report.delivered(), report.filtered(), report.rejected().len()), (2, 1, 0));
    let report = client.upload_historical([anonymous.clone(), anonymous.clone()]).await.expect("nothing to send");
    assert_eq!((report.delivered(), report.filtered(), report.requests()), (0, 2, 0));

    let arrived = server.batches();
    assert_eq!(arrived.len(), 3);
    for batch in &arrived {
        assert_eq!((batch.get("ip"), &batch["user_attributes"]["tag"]), (None, &"shop".into()));
    }

    // The callback does not receive sealed batches.
    client.upload(anonymous.seal().expect("a batch")).await.expect("accepted");
    assert_eq!(server.batches()[3]["ip"], "127.0.0.1");
}

#[tokio::test]
async fn before_send_does_not_change_the_indices_of_other_batches() {
    let client = builder("http://127.0.0.1:1").before_send(scrub).build().expect("a client");
    let anonymous = Batch::new(Environment::Development);
    let unsealable = batch().user_attribute("score", f64::NAN);
    let error = client.upload_bulk([anonymous, unsealable, batch(), batch()]).await.expect_err("no server listens");
    let report = error.report();
    assert_eq!((report.delivered(), report.filtered(), report.rejected()[0].index()), (0, 1, 1));
    assert_eq!((error.unsent().len(), error.unsent_indices()), (2, &[2, 3][..]));
}

#[tokio::test]
async fn a_disabled_client_validates_and_sends_nothing() {
    let server = MockServer::start().await;
    let client = builder(server.url()).disabled(true).build().expect("a client");
    assert!(client.is_disabled());
    assert_eq!(client.upload(batch()).await.expect("reported as accepted").status(), 202);
    let report = client.upload_bulk([batch(), batch().user_attribute("score", f64::NAN)]).await.expect("a report");
    assert_eq!((report.delivered(), report.rejected().len()), (1, 1));
    let large = support::batch_of(MAX_BATCH_BYTES + 1).seal().expect("a batch");
    assert_eq!(client.upload(large).await.expect_err("too large").kind(), ErrorKind::Limit);
    assert_eq!(client.raw().expect_err("the raw client would send").kind(), ErrorKind::Config);
    assert_eq!(server.stats().requests, 0);

    // It needs no credentials, but still validates the other settings.
    let without_credentials = || Client::builder(Credentials::new("", ""));
    assert!(without_credentials().build().is_err());
    assert!(without_credentials().disabled(true).build().is_ok());
    assert!(without_credentials().disabled(true).timeout(Duration::ZERO).build().is_err());
    assert!(Client::disabled().expect("a client").upload(batch()).await.is_ok());
    assert!(!support::client(&server).is_disabled());
}

#[tokio::test]
async fn for_mock_uses_the_url_and_credentials_of_the_mock() {
    let server = MockServer::start().await;
    Client::for_mock(&server).expect("a client").upload(batch()).await.expect("accepted");
    assert_eq!((server.stats().batches, server.stats().refused), (1, 0));
}
