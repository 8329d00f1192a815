//! Batches that are too large: what they are split into, with which ids, and what cannot be split.

mod support;

use mparticle::limits::MAX_BATCH_BYTES;
use mparticle::mock::MockServer;
use mparticle::{Batch, CustomEvent, CustomEventType, Environment, ErrorKind, SealedBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

const ID: &str = "0b5ae9cc-ad97-4a1c-a2d3-1d4f9ac8d6b3";

/// An event of about this size, by a field that has no limit of its own.
fn event(bytes: usize) -> CustomEvent {
    CustomEvent { view_controller: Some("x".repeat(bytes)), ..CustomEvent::new("e", CustomEventType::Other) }
}

/// A batch with events of about these sizes.
fn batch(sizes: &[usize]) -> Batch {
    Batch::new(Environment::Development)
        .customer_id("1")
        .source_request_id(ID)
        .user_attribute("plans", ["free", "pro"])
        .events(sizes.iter().map(|size| event(*size)))
}

fn value(sealed: &SealedBatch) -> Value {
    serde_json::from_slice(sealed.json()).expect("JSON")
}

fn ids(parts: &[SealedBatch]) -> Vec<&str> {
    parts.iter().map(SealedBatch::source_request_id).collect()
}

/// As `seal_parts`, with event ids that do not differ from one call to the next.
fn parts(batch: Batch) -> Vec<SealedBatch> {
    let mut next = 0;
    batch
        .seal_parts_with(|| {
            next += 1;
            Uuid::from_u128(next)
        })
        .expect("a batch")
}

#[test]
fn what_fits_is_one_part_as_it_is() {
    let whole = batch(&[100, 200]);
    let sealed = parts(whole.clone());
    let mut next = 0;
    let alone = whole.seal_with(|| {
        next += 1;
        Uuid::from_u128(next)
    });
    assert_eq!(sealed, [alone.expect("a batch")]);
    assert_eq!(ids(&sealed), [ID]);
}

#[test]
fn parts_have_ids_of_the_batch_and_their_events() {
    let of = |namespace: &Uuid, name: &str| Uuid::new_v5(namespace, name.as_bytes()).to_string();
    let uuid: Uuid = ID.parse().expect("a UUID");
    let sealed = parts(batch(&[60_000, 60_000, 60_000, 60_000, 60_000]));
    assert_eq!(ids(&sealed), [of(&uuid, "0..1"), of(&uuid, "2..3"), of(&uuid, "4..4")]);

    // Any text may be an id; one that only spells a UUID in another way is another id for the service.
    for other in ["order 66", &ID.to_uppercase()] {
        let sealed = parts(batch(&[60_000, 60_000, 60_000]).source_request_id(other));
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_OID, other.as_bytes());
        assert_eq!(ids(&sealed), [of(&namespace, "0..1"), of(&namespace, "2..2")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_keep_all_events_and_all_user_data(sizes in vec(0..50_000_usize, 1..12)) {
        let whole = batch(&sizes);
        let sealed = parts(whole.clone());
        prop_assert_eq!(&sealed, &parts(whole.clone()), "the same batch gives the same parts");

        let mut id = 0;
        let whole = value(&whole.seal_with(|| { id += 1; Uuid::from_u128(id) }).expect("a batch"));
        let mut events = Vec::new();
        for part in &sealed {
            prop_assert!(part.len() <= MAX_BATCH_BYTES);
            let mut part = value(part);
            let of_part = part["events"].take();
            prop_assert!(!of_part.as_array().expect("events").is_empty());
            events.extend(of_part.as_array().expect("events").clone());
            let mut rest = whole.clone();
            rest["events"].take();
            rest["source_request_id"] = part["source_request_id"].clone();
            prop_assert_eq!(part, rest);
        }
        prop_assert_eq!(&Value::from(events), &whole["events"]);
        // As many events as fit: two neighbours are never small enough for one.
        for pair in sealed.windows(2) {
            prop_assert!(pair[0].len() + value(&pair[1])["events"][0].to_string().len() + 1 > MAX_BATCH_BYTES);
        }
        let mut unique = ids(&sealed);
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), sealed.len());
    }
}

#[test]
fn what_cannot_be_split_is_refused_by_name_and_comes_back() {
    let attributes = batch(&[10, 10]).user_attribute("history", "x".repeat(MAX_BATCH_BYTES));
    let table = [
        (attributes, "/user_attributes makes the batch too large: it has 1281"),
        (batch(&[10, MAX_BATCH_BYTES, 10]), "/events/1 is too large: its 1281"),
        // There are no parts whose shorter ids would make room.
        (
            batch(&[]).source_request_id("x".repeat(MAX_BATCH_BYTES)),
            "/source_request_id makes the batch too large: it has 1281",
        ),
        // Alone it would fit, beside the user data it does not.
        (batch(&[10, MAX_BATCH_BYTES - 250]), "/events/1 is too large: its 127"),
    ];
    for (batch, words) in table {
        let error = batch.clone().seal_parts().expect_err(words);
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Limit, 0));
        assert!(error.to_string().starts_with(words), "{error}");
        let back = error.into_batch();
        assert_eq!((back.events.len(), back.source_request_id), (batch.events.len(), batch.source_request_id));
        assert_eq!(back.user_attributes, batch.user_attributes);
    }
}

#[tokio::test]
async fn a_large_batch_is_uploaded_in_its_parts() {
    let server = MockServer::start().await;
    let client = support::client(&server);
    // Under one id the service would take it once.
    let large = |id| batch(&[60_000; 5]).source_request_id(id);
    client.upload(large("a")).await.expect("accepted");
    let report = client.upload_bulk([large("b"), support::batch(), large("c")]).await.expect("accepted");
    assert_eq!((report.delivered(), report.rejected().len()), (3, 0), "whole batches are counted");
    assert_eq!(server.batches().len(), 3 + 3 + 1 + 3);
    let events: usize = server.batches().iter().map(|batch| batch["events"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(events, 5 + 5 + 1 + 5);
    assert!(server.requests().iter().take(3).all(|request| request.path == "/events"));
}

#[tokio::test]
async fn a_large_batch_of_which_one_part_is_refused_is_rejected_once() {
    let server = MockServer::start().await;
    let client = support::client(&server);
    // Only the mock minds: it is no property of the document's.
    let mut bad = batch(&[60_000; 5]);
    let serde_json::Value::Object(mut event) = serde_json::to_value(&bad.events[0]).expect("JSON") else { panic!() };
    event["data"]["session_uuid"] = "no UUID".into();
    bad.events[2] = serde_json::from_value(event.into()).expect("an event");
    let report = client.upload_bulk([support::batch(), bad.clone()]).await.expect("a report");
    assert_eq!((report.delivered(), report.rejected().len()), (1, 1));
    let rejected = &report.rejected()[0];
    assert_eq!((rejected.index(), rejected.sealed().len()), (1, 1), "the one part comes back");
    assert!(rejected.unsealed().is_none());
    assert!(rejected.error().api_errors()[0].message.contains("session_uuid"));

    let error = client.upload(bad).await.expect_err("one part is refused");
    assert_eq!((error.unsent().len(), error.status().map(|status| status.as_u16())), (1, Some(400)));
}
