//! The uploader over real sockets, in real time: with and without a runtime, through a short outage and hanging requests.
//! The tests in virtual time are in `src/uploader/tests/`.

mod support;

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mparticle::mock::{Fault, MockServer};
use mparticle::{
    Batch, BatchTemplate, Client, CustomEvent, CustomEventType, DeliveryReport, DeliveryStatus, Environment, ErrorKind,
    RetryPolicy, TrySendError, Uploader, UploaderStatus, WhenFull,
};
use support::peer::{ACCEPTED, Peer};
use support::{batch, builder};

const MINUTE: Duration = Duration::from_secs(60);

/// Returns a client with short timeouts.
fn client(url: impl Into<String>) -> Client {
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(5)).max_backoff(Duration::from_millis(50));
    builder(url).timeout(Duration::from_millis(500)).retry_policy(policy).build().expect("a client")
}

fn start(client: Client) -> Uploader {
    Uploader::builder(client).linger(Duration::from_millis(20)).initial_rate(10_000).start().expect("a thread")
}

fn user(name: &str) -> BatchTemplate {
    Batch::new(Environment::Development).customer_id(name).into_template()
}

fn event(name: impl Into<String>) -> CustomEvent {
    CustomEvent::new(name, CustomEventType::Other)
}

#[test]
fn delivers_without_a_runtime() {
    let server = MockServer::start_blocking();
    let uploader = start(client(server.url()));
    for n in 0..50 {
        uploader.track(user("1"), event(n.to_string())).expect("room");
    }
    uploader.send(batch()).accepted().wait().expect("room");
    let stats = uploader.shutdown(MINUTE).wait();
    assert_eq!((stats.accepted, stats.delivered), (51, 51));
    let events: Vec<_> = server.batches().iter().map(|batch| batch["events"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(events.iter().sum::<usize>(), 51);
    assert!(events.len() < 51, "the events were not coalesced: {events:?}");
    let times = server.batches()[0]["events"][0]["data"]["timestamp_unixtime_ms"].as_i64();
    assert!(times.is_some(), "a tracked event has no timestamp");
}

#[tokio::test(flavor = "current_thread")]
async fn delivers_beside_a_current_thread_runtime() {
    let server = MockServer::start().await;
    let uploader = start(client(server.url()));
    for _ in 0..250 {
        uploader.send(batch()).accepted().await.expect("room");
    }
    assert_eq!(uploader.flush(MINUTE).await.delivered, 250);
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(MINUTE).await.delivered, 251);
}

#[tokio::test(flavor = "multi_thread")]
async fn delivers_beside_a_multi_thread_runtime() {
    let server = MockServer::start().await;
    let uploader = start(client(server.url()));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let uploader = uploader.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    uploader.send(batch()).accepted().await.expect("room");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task");
    }
    assert_eq!(uploader.shutdown(MINUTE).await.delivered, 400);
    assert_eq!(server.batches().len(), 400);
}

#[tokio::test]
async fn dropping_the_last_handle_delivers_inside_a_runtime() {
    let server = MockServer::start().await;
    let uploader = start(client(server.url()));
    let other = uploader.clone();
    (0..150).for_each(|_| uploader.try_send(batch()).expect("room"));
    drop(uploader);
    other.try_send(batch()).expect("the other handle keeps the uploader running");
    drop(other);
    assert_eq!(server.batches().len(), 151);
}

#[test]
fn drop_times_out_while_a_request_hangs() {
    let peer = Peer::start(|_| thread::sleep(MINUTE));
    let hanging = builder(peer.url()).timeout(MINUTE).build().expect("a client");
    let uploader = Uploader::builder(hanging)
        .linger(Duration::ZERO)
        .drop_timeout(Duration::from_millis(200))
        .start()
        .expect("a thread");
    uploader.try_send(batch()).expect("room");
    let started = Instant::now();
    drop(uploader);
    // Closer to the timeout than to the duration of the request.
    assert!(started.elapsed() < MINUTE / 2);
}

#[test]
fn a_short_outage_loses_nothing() {
    // 503, resets and timeouts in turn, and then acceptance.
    const FAILURES: usize = 6;
    let count = AtomicUsize::new(0);
    let peer = Peer::start(move |stream| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        match number % 3 {
            _ if number >= FAILURES => _ = stream.write_all(ACCEPTED.as_bytes()),
            0 => _ = stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"),
            1 => _ = stream.shutdown(Shutdown::Both),
            // No response: the attempt times out.
            _ => {}
        }
    });
    let uploader = start(client(peer.url()));
    for n in 0..500 {
        let sent = uploader.send(batch().source_request_id(n.to_string()));
        sent.accepted().wait().expect("room");
    }
    let stats = uploader.shutdown(MINUTE).wait();
    assert_eq!((stats.delivered, stats.pending), (500, 0));
    assert!(peer.requests().len() > FAILURES, "the peer did not fail first");
}

#[test]
fn delivery_resumes_within_5_seconds_after_refused_connections() {
    // The port is bound, so that it stays reserved, but nothing listens on it.
    let port = tokio::net::TcpSocket::new_v4().expect("a socket");
    port.set_reuseaddr(true).expect("an option");
    port.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = port.local_addr().expect("an address");
    let client = || builder(format!("http://{address}")).retry_policy(RetryPolicy::new()).build().expect("a client");
    let builder = || Uploader::builder(client()).linger(Duration::ZERO);
    let default = builder().start().expect("a thread");
    let eager = builder().max_probe_interval(Duration::from_millis(200)).start().expect("a thread");
    for uploader in [&default, &eager] {
        (0..10).for_each(|_| uploader.try_send(batch()).expect("room"));
    }
    thread::sleep(Duration::from_secs(4));
    assert_eq!(default.status().error().expect("no server listens").kind(), ErrorKind::Connect);
    drop(port);
    let server = MockServer::builder().listen(address).start_blocking();
    let returned = Instant::now();
    for (uploader, longest) in [(eager, Duration::from_millis(200)), (default, Duration::from_secs(5))] {
        while uploader.stats().delivered == 0 {
            let waited = returned.elapsed();
            assert!(waited < longest + Duration::from_secs(1), "nothing is delivered after {waited:?}");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(uploader.shutdown(MINUTE).wait().delivered, 10);
    }
    assert_eq!(server.batches().len(), 20);
}

#[test]
fn a_rejected_batch_is_reported_with_the_error_of_the_service() {
    let server = MockServer::start_blocking();
    let received = Arc::new(Mutex::new(Vec::new()));
    let callback = Arc::clone(&received);
    let uploader = Uploader::builder(client(server.url()))
        .initial_rate(10_000)
        .on_delivery(move |report: &Arc<DeliveryReport>| {
            if let DeliveryStatus::Rejected(error) = report.status() {
                callback.lock().expect("the messages").push(error.api_errors()[0].message.clone());
            }
        })
        .start()
        .expect("a thread");
    for n in 0..300 {
        let batch = if n == 137 { Batch { ip: Some("?".into()), ..batch() } } else { batch() };
        uploader.try_send(batch).expect("room");
    }
    let stats = uploader.shutdown(MINUTE).wait();
    assert_eq!((stats.delivered, stats.rejected), (299, 1));
    let received = received.lock().expect("the messages");
    assert!(received.len() == 1 && received[0].contains("/ip"), "{received:?}");
}

#[test]
fn a_wrong_secret_stops_the_uploader_and_keeps_all_batches() {
    let server = MockServer::builder().credentials("other", "secret").start_blocking();
    let uploader = start(client(server.url()));
    for _ in 0..5 {
        uploader.try_send(batch()).expect("room");
    }
    let stats = uploader.shutdown(MINUTE).wait();
    assert_eq!((stats.pending, stats.delivered), (5, 0), "shutdown returns the batches of a stopped uploader");
    assert_eq!(uploader.status().into_stopped().expect("an error").status().map(|status| status.as_u16()), Some(403));
    assert_eq!(uploader.take_unsent().len(), 5);
    assert!(uploader.take_unsent().is_empty());
}

#[test]
fn the_last_error_keeps_its_source() {
    let uploader = start(client("http://127.0.0.1:1"));
    uploader.try_send(batch()).expect("room");
    let started = Instant::now();
    let error = loop {
        match uploader.status() {
            UploaderStatus::Retrying(error) => break error,
            _ => assert!(started.elapsed() < MINUTE, "no server listens"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 1));
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let refused = cause.downcast_ref::<std::io::Error>().expect("an error of the operating system");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    uploader.shutdown(Duration::ZERO).wait();
}

#[tokio::test]
async fn start_fails_if_the_http_client_cannot_be_created() {
    let created = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&created);
    let failing = builder("http://127.0.0.1:1").http_client(move || {
        count.fetch_add(1, Ordering::SeqCst);
        reqwest::Client::builder().user_agent("\n").build()
    });
    let failing = failing.build().expect("settings");
    assert_eq!(created.load(Ordering::SeqCst), 0, "the factory is called by `start`");
    let error = Uploader::builder(failing).start().expect_err("no HTTP client");
    assert_eq!((error.kind(), created.load(Ordering::SeqCst)), (ErrorKind::Config, 1));
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");

    let server = MockServer::start_blocking();
    let count = Arc::clone(&created);
    let working = builder(server.url()).http_client(move || {
        count.fetch_add(1, Ordering::SeqCst);
        reqwest::Client::builder().no_proxy().build()
    });
    let uploader = start(working.build().expect("a client"));
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(MINUTE).wait().delivered, 1);
    assert_eq!(created.load(Ordering::SeqCst), 2, "the uploader uses the client that `start` created");
}

#[test]
fn on_retry_of_the_client_receives_each_retry() {
    let server = MockServer::builder().fault_sequence([Fault::status(503), Fault::status(500)]).start_blocking();
    let (sender, received) = std::sync::mpsc::channel();
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(5)).max_backoff(Duration::from_millis(50));
    let reporting = builder(server.url()).retry_policy(policy).on_retry(move |retry| {
        let status = retry.error().status().map(|status| status.as_u16());
        sender.send((status, retry.attempt())).expect("the test receives");
    });
    let uploader = start(reporting.build().expect("a client"));
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(MINUTE).wait().delivered, 1);
    assert_eq!(received.try_iter().collect::<Vec<_>>(), [(Some(503), 1), (Some(500), 2)]);
}

#[test]
fn the_uploader_shares_the_retry_after_of_its_client() {
    let responses = AtomicUsize::new(0);
    let peer = Peer::start(move |stream| {
        let response = match responses.fetch_add(1, Ordering::SeqCst) {
            0 => "HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
            _ => ACCEPTED,
        };
        let _ = stream.write_all(response.as_bytes());
    });
    let client = builder(peer.url()).build().expect("a client");
    let uploader = start(client.clone());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let started = Instant::now();
    runtime.block_on(client.upload(batch())).expect_err("429");
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(MINUTE).wait().delivered, 1);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    fn check_future<T: Send + Future>(_: T) {}
    check::<Uploader>();
    check::<BatchTemplate>();
    let uploader = start(client("http://127.0.0.1:1"));
    check_future(uploader.flush(Duration::ZERO));
    check_future(uploader.send(batch()).delivered());
    let error: TrySendError = Uploader::builder(client("http://127.0.0.1:1"))
        .when_full(WhenFull::Wait(Duration::ZERO))
        .max_batches(1)
        .max_bytes(10)
        .drop_timeout(Duration::ZERO)
        .start()
        .expect("a thread")
        .try_send(batch())
        .expect_err("too large for ten bytes");
    assert_eq!(error.error().kind(), ErrorKind::Limit);
    assert!(matches!(error, TrySendError::TooLarge(batches) if batches.len() == 1));
    uploader.shutdown(Duration::ZERO).wait();
}

/// Consumes messages from a queue, and removes each one only when its batch is delivered.
fn consume(uploader: &Uploader, queue: &Mutex<Vec<String>>) {
    let messages = queue.lock().expect("the queue").clone();
    for message in messages {
        let sent = uploader.send(batch().source_request_id(&message));
        sent.accepted().wait().expect("room");
        if sent.delivered().wait().is_ok() {
            queue.lock().expect("the queue").retain(|other| *other != message);
        }
    }
}

fn messages() -> Mutex<Vec<String>> {
    Mutex::new((0..10).map(|number| format!("message-{number}")).collect())
}

#[test]
fn a_consumer_acknowledges_a_message_only_after_it_is_delivered() {
    let server =
        MockServer::builder().fault_sequence([Fault::status(503), Fault::status(500), Fault::ok()]).start_blocking();
    let (uploader, queue) = (start(client(server.url())), messages());
    thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(&uploader, &queue));
        while !consumer.is_finished() {
            // In this order, because a message that is no longer in the queue must have arrived.
            let left = queue.lock().expect("the queue").clone();
            let arrived = server.batches();
            for message in messages().into_inner().expect("messages") {
                let has_arrived = arrived.iter().any(|batch| batch["source_request_id"] == message.as_str());
                assert!(left.contains(&message) || has_arrived, "{message} is acknowledged but not delivered");
            }
        }
    });
    assert!(queue.into_inner().expect("the queue").is_empty());
    assert_eq!(uploader.shutdown(MINUTE).wait().delivered, 10);
    assert_eq!(server.batches().len(), 10);
}

#[test]
fn a_consumer_keeps_its_messages_while_the_service_is_down() {
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start_blocking();
    let (uploader, queue) = (start(client(server.url())), Mutex::new(vec!["message".to_owned()]));
    thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(&uploader, &queue));
        while server.stats().requests < 3 {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!consumer.is_finished());
        assert_eq!(uploader.shutdown(Duration::from_millis(100)).wait().pending, 1);
    });
    assert_eq!(queue.into_inner().expect("the queue"), ["message"]);
}

#[test]
fn before_send_changes_extends_and_discards_batches() {
    let server = MockServer::start_blocking();
    let uploader = Uploader::builder(client(server.url()))
        .linger(MINUTE)
        .before_send(|batch| {
            let keep = !batch.events.is_empty() && batch.user_attributes.get("consent") != Some(&false.into());
            batch.user_attributes.remove("consent");
            if batch.user_attributes.remove("twice").is_some() {
                batch.events.push(event("added").into());
            }
            keep
        })
        .start()
        .expect("a thread");
    let user = |name: &str, value: bool| {
        Batch::new(Environment::Development).customer_id("1").user_attribute(name, value).into_template()
    };
    uploader.track(user("consent", true), event("a")).expect("room");
    uploader.track(Batch::new(Environment::Development).customer_id("1"), event("c")).expect("room");
    uploader.track(user("twice", true), event("b")).expect("room");
    uploader.track(user("consent", false), event("never")).expect("discarded");
    uploader.try_send(Batch::new(Environment::Development)).expect("discarded");
    let discarded = uploader.send(Batch::new(Environment::Development));
    assert!(discarded.accepted().wait().is_ok());
    let error = discarded.delivered().wait().expect_err("discarded");
    assert!(matches!(error, mparticle::DeliveryError::Filtered), "{error:?}");
    assert_eq!((error.error().kind(), error.error().is_retryable()), (ErrorKind::Filtered, false));
    let sent = uploader.send(batch().user_attribute("twice", true));

    let stats = uploader.shutdown(MINUTE).wait();
    sent.delivered().wait().expect("delivered");
    // Two events, an event with one that was added, and a batch.
    assert_eq!((stats.accepted, stats.delivered, stats.filtered, stats.lost()), (4, 4, 3, 0));
    let arrived = server.batches();
    let events: Vec<_> =
        arrived.iter().flat_map(|batch| batch["events"].as_array().cloned().unwrap_or_default()).collect();
    let mut names: Vec<_> = events.iter().filter_map(|event| event["data"]["event_name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names.iter().filter(|name| **name == "added").count(), 2);
    assert_eq!(names.len(), 6, "{names:?}");
    for event in &events {
        let data = &event["data"];
        assert!(data["timestamp_unixtime_ms"].is_i64() && data["source_message_id"].is_string(), "{data}");
    }
    // The callback removed the attributes, so the events of the user were coalesced into one batch.
    assert!(arrived.iter().all(|batch| batch.get("user_attributes").is_none()));
    assert_eq!(arrived.len(), 3);
}

#[test]
fn a_tracked_event_and_those_that_before_send_adds_are_queued_together_or_not_at_all() {
    let server = MockServer::start_blocking();
    let uploader = Uploader::builder(client(server.url()))
        .max_batches(1)
        .before_send(|batch| {
            // Together they are too large for one batch.
            batch.events.extend([event("x".repeat(100_000)).into(), event("last").into()]);
            true
        })
        .start()
        .expect("a thread");
    let error = uploader.track(user("1"), event("y".repeat(100_000))).expect_err("two batches do not fit");
    let events = |batch: &mparticle::SealedBatch| {
        let batch: Batch = serde_json::from_slice(batch.json()).expect("a batch");
        batch.events.len()
    };
    assert_eq!(error.batches().iter().map(events).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(uploader.shutdown(MINUTE).wait().accepted, 0);
}

#[test]
fn uploaders_use_before_send_of_their_client_and_propagate_its_panics() {
    let server = MockServer::start_blocking();
    let discarding = builder(server.url()).before_send(|_| false).build().expect("a client");
    let uploader = start(discarding.clone());
    uploader.track(user("1"), event("never")).expect("discarded");
    assert_eq!(uploader.shutdown(MINUTE).wait().filtered, 1);
    let uploader = Uploader::builder(discarding).before_send(|_| true).start().expect("a thread");
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(MINUTE).wait().delivered, 1);

    let panicking = Uploader::builder(client(server.url())).before_send(|_| panic!("the callback panics")).start();
    let panicking = panicking.expect("a thread");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panicking.try_send(batch())));
    assert!(caught.is_err());
    let stats = panicking.shutdown(MINUTE).wait();
    assert_eq!((stats.accepted, stats.filtered), (0, 0));
}

#[test]
fn the_status_follows_delivery() {
    let server = MockServer::builder().fault_sequence([Fault::status(503), Fault::status(403)]).start_blocking();
    let policy = RetryPolicy::new().initial_backoff(Duration::from_secs(1));
    let client = builder(server.url()).retry_policy(policy).build().expect("a client");
    let uploader = Uploader::builder(client).linger(Duration::ZERO).start().expect("a thread");
    let idle = uploader.status();
    assert!(matches!(idle, UploaderStatus::Running) && idle.error().is_none());
    assert_eq!(idle.to_string(), "running");

    uploader.try_send(batch()).expect("room");
    let wait_for = |wanted: fn(&UploaderStatus) -> bool| {
        let started = Instant::now();
        while !wanted(&uploader.status()) {
            assert!(started.elapsed() < MINUTE, "{}", uploader.status());
            thread::sleep(Duration::from_millis(5));
        }
        uploader.status()
    };
    let retrying = wait_for(|status| matches!(status, UploaderStatus::Retrying(_)));
    assert!(retrying.to_string().contains("503 Service Unavailable"), "{retrying}");
    assert!(retrying.into_stopped().is_none());
    let stopped = wait_for(|status| matches!(status, UploaderStatus::Stopped(_)));
    assert!(stopped.to_string().starts_with("stopped: ") && stopped.to_string().contains("403"), "{stopped}");
    uploader.resume();
    let running = wait_for(|status| !matches!(status, UploaderStatus::Stopped(_)));
    assert!(running.error().is_none(), "{running}");
    let stats = uploader.shutdown(MINUTE).wait();
    assert!(stats.is_drained(), "{stats}");
    assert_eq!(uploader.status().to_string(), "shut down");
}
