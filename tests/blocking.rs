//! The blocking client: outside and inside of a runtime, from many threads, and its errors.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use mparticle::mock::MockServer;
use mparticle::{ErrorKind, RetryPolicy, UploadError, blocking};
use reqwest::dns::{Name, Resolve, Resolving};
use support::{batch, builder, client};

fn start(server: &MockServer) -> blocking::Client {
    blocking::Client::new(client(server)).expect("a thread")
}

#[test]
fn it_uses_the_same_endpoints() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    client.upload(batch()).expect("one");
    assert_eq!(client.upload_bulk([batch(), batch()]).expect("many").delivered(), 2);
    let report = client.upload_historical([batch().seal().expect("a batch")]).expect("old ones");
    assert_eq!(report.delivered(), 1);
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/events", "/bulkevents", "/bulkevents/historical"]);
}

#[tokio::test(flavor = "current_thread")]
async fn it_can_be_called_inside_a_runtime_of_one_thread() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    client.upload(batch()).expect("accepted");
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_called_inside_a_runtime_of_many_threads() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    client.upload(batch()).expect("accepted");
    tokio::spawn(async move { client.upload(batch()).map(drop) }).await.expect("the task").expect("accepted");
}

#[test]
fn many_threads_share_it() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    client.upload(batch()).expect("accepted");
                }
            });
        }
    });
    assert_eq!(server.batches().len(), 80);
}

#[test]
fn neither_a_call_nor_the_end_waits_for_a_name_lookup() {
    struct Silent;
    impl Resolve for Silent {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async {
                tokio::task::spawn_blocking(|| thread::sleep(Duration::from_secs(60))).await?;
                Err("nobody knows it".into())
            })
        }
    }
    let client = builder("http://host.invalid")
        .dangerously_send_secrets_over_plain_http()
        .http_client(|| reqwest::Client::builder().no_proxy().dns_resolver(Silent).build())
        .retry_policy(RetryPolicy::new().request_timeout(Duration::from_millis(300)));
    let client = blocking::Client::new(client.build().expect("a client")).expect("a thread");
    let started = Instant::now();
    let error = client.upload(batch()).expect_err("no address");
    drop(client);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Timeout, 1));
}

#[test]
fn its_errors_hand_back_what_was_not_sent() {
    let client = blocking::Client::new(builder("http://127.0.0.1:1").build().expect("a client")).expect("a thread");
    let one: UploadError = client.upload(batch()).expect_err("nobody listens");
    assert_eq!((one.kind(), one.unsent().len(), one.attempts()), (ErrorKind::Connect, 1, 1));
    let many = client.upload_bulk([batch(), batch()]).expect_err("nobody listens");
    assert_eq!((many.kind(), many.into_unsent().len()), (ErrorKind::Connect, 2));
    let report = client.upload_bulk([batch().user_attribute("a", f64::NAN)]).expect("nothing is unsent");
    assert_eq!((report.delivered(), report.rejected().len(), report.requests()), (0, 1, 0));
    let none = client.upload(batch().user_attribute("a", f64::NAN)).expect_err("NaN");
    assert_eq!(none.to_string(), "/user_attributes/a is NaN or infinite, which JSON cannot represent");
    assert_eq!((none.unsealed().map(|batch| batch.events.len()), none.unsent().len()), (Some(1), 0));
    assert!(none.into_unsealed().expect("the batch comes back").source_request_id.is_some());
}
