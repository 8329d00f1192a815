//! The blocking client outside and inside a runtime and from several threads, and its errors.

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
fn uses_the_endpoints_of_the_async_client() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    client.upload(batch()).expect("accepted");
    assert_eq!(client.upload_bulk([batch(), batch()]).expect("accepted").delivered(), 2);
    let report = client.upload_historical([batch().seal().expect("a batch")]).expect("accepted");
    assert_eq!(report.delivered(), 1);
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/events", "/bulkevents", "/bulkevents/historical"]);
}

#[tokio::test(flavor = "current_thread")]
async fn can_be_called_inside_a_current_thread_runtime() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    client.upload(batch()).expect("accepted");
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn can_be_called_inside_a_multi_thread_runtime() {
    let server = MockServer::start_blocking();
    let client = start(&server);
    client.upload(batch()).expect("accepted");
    tokio::spawn(async move { client.upload(batch()).map(drop) }).await.expect("the task").expect("accepted");
}

#[test]
fn can_be_shared_by_threads() {
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
fn neither_upload_nor_drop_waits_for_a_name_lookup() {
    struct HangingResolver;
    impl Resolve for HangingResolver {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async {
                tokio::task::spawn_blocking(|| thread::sleep(Duration::from_secs(60))).await?;
                Err("the name does not exist".into())
            })
        }
    }
    let client = builder("http://host.invalid")
        .dangerously_send_secrets_over_plain_http()
        .http_client(|| reqwest::Client::builder().no_proxy().dns_resolver(HangingResolver).build())
        .retry_policy(RetryPolicy::new().request_timeout(Duration::from_millis(300)));
    let client = blocking::Client::new(client.build().expect("a client")).expect("a thread");
    let started = Instant::now();
    let error = client.upload(batch()).expect_err("the lookup hangs");
    drop(client);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Timeout, 1));
}

#[test]
fn errors_return_the_batches_that_were_not_sent() {
    let client = blocking::Client::new(builder("http://127.0.0.1:1").build().expect("a client")).expect("a thread");
    let one: UploadError = client.upload(batch()).expect_err("no server listens");
    assert_eq!((one.kind(), one.unsent().len(), one.attempts()), (ErrorKind::Connect, 1, 1));
    let many = client.upload_bulk([batch(), batch()]).expect_err("no server listens");
    assert_eq!((many.kind(), many.into_unsent().len()), (ErrorKind::Connect, 2));
    let report = client.upload_bulk([batch().user_attribute("a", f64::NAN)]).expect("no batch is unsent");
    assert_eq!((report.delivered(), report.rejected().len(), report.requests()), (0, 1, 0));
    let invalid = client.upload(batch().user_attribute("a", f64::NAN)).expect_err("NaN");
    assert_eq!(invalid.to_string(), "/user_attributes/a is NaN or infinite, which JSON cannot represent");
    assert_eq!((invalid.unsealed().map(|batch| batch.events.len()), invalid.unsent().len()), (Some(1), 0));
    assert!(invalid.into_unsealed().expect("the error returns the batch").source_request_id.is_some());
}
