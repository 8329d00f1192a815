//! The result of each batch for each kind of 2xx response, of the client and of the uploader, over a real socket.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mparticle::{Client, DeliveryStatus, ErrorKind, Rejected, RetryPolicy, Uploader};
use support::builder;
use support::responses::{Result, Row, batches, table};

fn client(url: String) -> Client {
    builder(url).retry_policy(RetryPolicy::new().initial_backoff(Duration::from_millis(1))).build().expect("a client")
}

/// Runs a check for each row, in parallel, since some are slow.
async fn check_rows<F: Future<Output = ()> + Send + 'static>(check: impl Fn(Row) -> F) {
    let tasks: Vec<_> = table().into_iter().map(|row| (row.name, tokio::spawn(check(row)))).collect();
    for (name, task) in tasks {
        task.await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_accepts_or_refuses_the_batch() {
    check_rows(async |row: Row| {
        let peer = row.serve();
        let result = client(peer.url()).upload(batches().remove(0)).await;
        assert_eq!(result.is_ok(), row.alone, "{}: {result:?}", row.name);
        let Err(error) = result else { return };
        assert!(!error.is_retryable(), "{}", row.name);
        assert_eq!(error.unsent(), &batches()[..1], "{}", row.name);
        assert_eq!(error.status().expect(row.name).as_str(), &row.status[..3]);
        match row.bulk {
            Result::Rejected(_) => assert_eq!(error.kind(), ErrorKind::Refused, "{}", row.name),
            Result::Stopped(named) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{}", row.name);
                assert!(error.to_string().contains(named), "{}: {error}", row.name);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_bulk_reports_each_batch() {
    check_rows(async |row: Row| {
        let peer = row.serve();
        let result = client(peer.url()).upload_bulk(batches()).await;
        match (row.bulk, result) {
            (Result::Rejected(expected), Ok(report)) => {
                let rejected: Vec<_> = report.rejected().iter().map(Rejected::index).collect();
                assert_eq!((&rejected[..], report.delivered()), (expected, 3 - expected.len()), "{}", row.name);
                assert_eq!(u64::from(report.unread_responses()), row.unread, "{}", row.name);
                for rejected in report.rejected() {
                    let error = rejected.error();
                    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, false), "{}", row.name);
                    assert!(!error.api_errors().is_empty(), "{}: the error has no message of the service", row.name);
                }
            }
            (Result::Stopped(named), Err(error)) => {
                assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::UnexpectedResponse, 3), "{}", row.name);
                assert!(error.to_string().contains(named), "{}: {error}", row.name);
                assert_eq!(peer.requests().len(), 1, "{}", row.name);
            }
            (expected, result) => panic!("{}: expected {expected:?}, found {result:?}", row.name),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uploader_reports_each_batch_or_keeps_everything() {
    check_rows(async |row: Row| {
        let peer = row.serve();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reports);
        let uploader = Uploader::builder(client(peer.url()))
            .linger(Duration::from_secs(60))
            .on_delivery(move |report| {
                let delivered = match report.status() {
                    DeliveryStatus::Pending => None,
                    status => Some(status.is_delivered()),
                };
                seen.lock()
                    .expect("the reports")
                    .push((report.batch().expect("the batch").source_request_id().to_owned(), delivered));
            })
            .start()
            .expect("an uploader");
        for batch in batches() {
            uploader.try_send(batch).expect("room");
        }
        let stats = uploader.shutdown(Duration::from_secs(60)).await;
        let mut reports = reports.lock().expect("the reports").clone();
        reports.sort_unstable();
        match row.bulk {
            Result::Rejected(rejected) => {
                let expected: Vec<_> = (0..3).map(|n| (format!("id-{n}"), Some(!rejected.contains(&n)))).collect();
                assert_eq!(reports, expected, "{}", row.name);
                assert_eq!((stats.rejected, stats.pending), (rejected.len() as u64, 0), "{}", row.name);
                assert_eq!(stats.unread_responses, row.unread, "{}", row.name);
            }
            Result::Stopped(named) => {
                assert_eq!((stats.delivered, stats.pending), (0, 3), "{}", row.name);
                assert_eq!(reports, (0..3).map(|n| (format!("id-{n}"), None)).collect::<Vec<_>>(), "{}", row.name);
                let error = uploader.status().into_stopped().expect(row.name);
                assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{}", row.name);
                assert!(error.to_string().contains(named), "{}: {error}", row.name);
                assert_eq!(uploader.take_unsent(), batches(), "{}", row.name);
            }
        }
    })
    .await;
}
