//! The errors of each call: the batches that they return, their conversions, and no user data in their texts.

mod support;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use mparticle::limits::MAX_BATCH_BYTES;
use mparticle::{
    Batch, BatchTemplate, Client, CustomEvent, CustomEventType, Environment, Error, ErrorKind, RetryPolicy, SealError,
    TrySendError, UploadError, Uploader, WhenFull,
};
use support::builder;

const EMAIL: &str = "mira@shop.example";

/// Returns a client of a port where no server listens.
fn client() -> Client {
    builder("http://127.0.0.1:1").retry_policy(RetryPolicy::never()).build().expect("a client")
}

fn batch(id: &str) -> Batch {
    Batch::new(Environment::Development)
        .email(EMAIL)
        .source_request_id(id)
        .event(CustomEvent::new(EMAIL, CustomEventType::Other))
}

/// Returns a batch that has no JSON form.
fn unsealable(id: &str) -> Batch {
    batch(id).user_attribute("score", f64::NAN)
}

fn user() -> BatchTemplate {
    Batch::new(Environment::Development).email(EMAIL).into_template()
}

fn uploader() -> Uploader {
    let uploader = Uploader::builder(client()).linger(Duration::from_secs(60)).max_batches(1);
    uploader.when_full(WhenFull::Refuse).start().expect("an uploader")
}

/// Returns the `Debug` form of an error, and asserts that it shows no user data.
fn debug(error: &dyn std::error::Error) -> String {
    let text = format!("{error:?} {error:#?}");
    assert!(!text.contains(EMAIL) && !error.to_string().contains(EMAIL), "{text}");
    format!("{error:?}")
}

#[tokio::test]
async fn upload_bulk_returns_the_unsent_batches_and_reports_the_others() {
    let error = client().upload_bulk([batch("a"), unsealable("b"), batch("c")]).await.expect_err("no server listens");
    assert_eq!((error.kind(), error.attempts(), error.is_retryable()), (ErrorKind::Connect, 1, true));
    assert_eq!(error.to_string(), "upload failed: failed to connect to the service");
    let text = debug(&error);
    assert!(text.starts_with("UploadError { error: Error { kind: Connect,"), "{text}");
    assert!(text.contains(", unsent: 2, unsealed: 0, report: Report { delivered: 0, rejected: [Rejected {"), "{text}");
    assert!(text.contains(", sealed: 0, unsealed: 1, .. }"), "{text}");

    let (reason, unsent, report) = error.into_parts();
    assert!(reason.source().is_some(), "the source is the error of the system");
    let ids: Vec<_> = unsent.iter().map(mparticle::SealedBatch::source_request_id).collect();
    assert_eq!(ids, ["a", "c"]);
    let rejected = report.into_rejected().remove(0);
    assert_eq!((rejected.index(), rejected.error().kind(), rejected.sealed().len()), (1, ErrorKind::Invalid, 0));
    assert_eq!(rejected.unsealed().and_then(|batch| batch.source_request_id.as_deref()), Some("b"));
    assert_eq!(Error::from(rejected).kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn upload_returns_a_batch_that_cannot_be_sealed() {
    let error = client().upload(unsealable("a")).await.expect_err("NaN");
    assert_eq!((error.kind(), error.attempts(), error.unsent().len()), (ErrorKind::Invalid, 0, 0));
    assert_eq!((error.report().delivered(), error.report().requests()), (0, 0));
    assert!(debug(&error).contains(", unsent: 0, unsealed: 1, "), "{error:?}");
    assert_eq!(error.unsealed().map(|batch| batch.events.len()), Some(1));
    assert_eq!(error.into_unsealed().and_then(|batch| batch.source_request_id).as_deref(), Some("a"));
}

#[test]
fn seal_returns_the_batch_in_its_error() {
    let text = "/user_attributes/score is NaN or infinite, which JSON cannot represent";
    let errors: [SealError; 2] =
        [unsealable("a").seal().expect_err("NaN"), unsealable("a").seal_parts().expect_err("NaN")];
    for error in errors {
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, text));
        assert!(debug(&error).ends_with(", events: 1 }"), "{error:?}");
        assert_eq!(error.batch().events.len(), 1);
        let (reason, batch) = error.into_parts();
        assert_eq!((reason.kind(), batch.source_request_id.as_deref()), (ErrorKind::Invalid, Some("a")));
        batch.user_attribute("score", 1).seal().expect("the corrected batch can be sealed");
    }
}

#[test]
fn a_failed_submission_returns_the_batch() {
    let uploader = uploader();
    uploader.try_send(batch("a")).expect("the queue has room for one batch");
    let full = uploader.try_send(batch("b")).expect_err("the queue is full");
    assert!(matches!(&full, TrySendError::Full(batches) if batches[0].source_request_id() == "b"), "{full:?}");
    assert!(full.is_retryable() && full.error().is_retryable());
    assert_eq!(debug(&full), "Full(1)");
    assert_eq!(full.into_batches()[0].source_request_id(), "b");

    let event = || CustomEvent::new(EMAIL, CustomEventType::Other);
    let full = uploader.track(user(), event()).expect_err("the queue is full");
    assert!(matches!(&full, TrySendError::Full(batches) if batches.len() == 1), "{full:?}");

    let invalid = uploader.try_send(unsealable("c")).expect_err("NaN");
    assert_eq!(
        (invalid.error().kind(), invalid.is_retryable(), invalid.batches().len()),
        (ErrorKind::Invalid, false, 0)
    );
    debug(&invalid);
    let TrySendError::Invalid(error) = invalid else { panic!("{invalid:?}") };
    assert_eq!(error.into_batch().source_request_id.as_deref(), Some("c"));

    let invalid = uploader.track(user(), event().attribute("score", f64::NAN)).expect_err("NaN");
    let TrySendError::Invalid(error) = invalid else { panic!("{invalid:?}") };
    let batch_of_event = error.into_batch();
    assert_eq!((batch_of_event.events.len(), batch_of_event.user_identities), (1, batch("").user_identities));

    let too_large = uploader.track(user(), event().attribute("a", "x".repeat(MAX_BATCH_BYTES))).expect_err("large");
    let TrySendError::TooLarge(batches) = &too_large else { panic!("{too_large:?}") };
    let text = format!("the batch is too large: {} bytes, and the limit is 128000", batches[0].len());
    assert_eq!((too_large.error().kind(), too_large.to_string()), (ErrorKind::Limit, text));

    uploader.shutdown(Duration::ZERO).wait();
    for closed in [
        uploader.try_send(batch("d")).expect_err("shut down"),
        uploader.send(batch("d")).accepted().wait().expect_err("shut down"),
        uploader.track(user(), event()).expect_err("shut down"),
    ] {
        assert_eq!((closed.error().kind(), closed.is_retryable()), (ErrorKind::Closed, false));
        assert!(matches!(&closed, TrySendError::Closed(batches) if batches.len() == 1), "{closed:?}");
        assert_eq!(debug(&closed), "Closed(1)");
    }
}

#[tokio::test]
async fn each_error_converts_into_error() {
    async fn upload() -> Result<(), Error> {
        client().upload(batch("a")).await?;
        Ok(())
    }
    fn seal() -> Result<(), Error> {
        unsealable("a").seal()?;
        Ok(())
    }
    fn submit(uploader: &Uploader, batch: Batch) -> Result<(), Error> {
        Ok(uploader.try_send(batch)?)
    }
    fn to_io() -> io::Result<()> {
        seal()?;
        Ok(())
    }
    let uploader = uploader();
    submit(&uploader, batch("a")).expect("the queue has room for one batch");
    let table = [
        (upload().await, ErrorKind::Connect),
        (seal(), ErrorKind::Invalid),
        (submit(&uploader, batch("b")), ErrorKind::QueueFull),
        (submit(&uploader, unsealable("c")), ErrorKind::Invalid),
    ];
    for (result, kind) in table {
        assert_eq!(result.expect_err("an error").kind(), kind);
    }
    let error = to_io().expect_err("NaN");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.downcast::<Error>().expect("the error").kind(), ErrorKind::Invalid);

    let error: UploadError = client().upload(batch("a")).await.expect_err("no server listens");
    let clone = Error::clone(&error);
    assert_eq!(clone.to_string(), Error::from(error).to_string());
}
