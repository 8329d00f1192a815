//! Splitting a batch that is too large: its parts, their ids, and batches that cannot be split.

mod support;

use mparticle::limits::MAX_BATCH_BYTES;
use mparticle::mock::MockServer;
use mparticle::{Batch, CustomEvent, CustomEventType, Environment, ErrorKind, SealedBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use support::ids;
use uuid::Uuid;

const ID: &str = "0b5ae9cc-ad97-4a1c-a2d3-1d4f9ac8d6b3";

/// Returns an event of about this size, by a field without a limit.
fn event(bytes: usize) -> CustomEvent {
    CustomEvent { view_controller: Some("x".repeat(bytes)), ..CustomEvent::new("e", CustomEventType::Other) }
}

/// Returns a batch with events of about these sizes.
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

/// Seals the parts of a batch with the same event ids at every call.
fn seal_parts(batch: Batch) -> Vec<SealedBatch> {
    let mut next = 0;
    batch
        .seal_parts_with(|| {
            next += 1;
            Uuid::from_u128(next)
        })
        .expect("a batch")
}

#[test]
fn a_batch_within_the_limit_is_one_unchanged_part() {
    let whole = batch(&[100, 200]);
    let sealed = seal_parts(whole.clone());
    let mut next = 0;
    let alone = whole.seal_with(|| {
        next += 1;
        Uuid::from_u128(next)
    });
    assert_eq!(sealed, [alone.expect("a batch")]);
    assert_eq!(ids(&sealed), [ID]);
}

#[test]
fn part_ids_follow_from_the_batch_id_and_the_event_range() {
    let part_id = |namespace: &Uuid, name: &str| Uuid::new_v5(namespace, name.as_bytes()).to_string();
    let uuid: Uuid = ID.parse().expect("a UUID");
    let sealed = seal_parts(batch(&[60_000, 60_000, 60_000, 60_000, 60_000]));
    assert_eq!(ids(&sealed), [part_id(&uuid, "0..1"), part_id(&uuid, "2..3"), part_id(&uuid, "4..4")]);

    // Any text can be an id. The service takes the same UUID in upper case for another id.
    for other in ["order 66", &ID.to_uppercase()] {
        let sealed = seal_parts(batch(&[60_000, 60_000, 60_000]).source_request_id(other));
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_OID, other.as_bytes());
        assert_eq!(ids(&sealed), [part_id(&namespace, "0..1"), part_id(&namespace, "2..2")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_keep_all_events_and_all_user_data(sizes in vec(0..50_000_usize, 1..12)) {
        let whole = batch(&sizes);
        let sealed = seal_parts(whole.clone());
        prop_assert_eq!(&sealed, &seal_parts(whole.clone()), "the same batch gives the same parts");

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
        // Parts are filled: the first event of the next part never fits into the one before.
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
fn a_batch_that_cannot_be_split_is_returned_in_an_error_with_the_cause() {
    let attributes = batch(&[10, 10]).user_attribute("history", "x".repeat(MAX_BATCH_BYTES));
    let table = [
        (attributes, "/user_attributes makes the batch too large: it has 1281"),
        (batch(&[10, MAX_BATCH_BYTES, 10]), "/events/1 is too large: its 1281"),
        // Without events there are no parts, whose ids would be shorter.
        (
            batch(&[]).source_request_id("x".repeat(MAX_BATCH_BYTES)),
            "/source_request_id makes the batch too large: it has 1281",
        ),
        // The event would fit alone, but not beside the user data.
        (batch(&[10, MAX_BATCH_BYTES - 250]), "/events/1 is too large: its 127"),
    ];
    for (batch, message) in table {
        let error = batch.clone().seal_parts().expect_err(message);
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Limit, 0));
        assert!(error.to_string().starts_with(message), "{error}");
        let returned = error.into_batch();
        assert_eq!((returned.events.len(), returned.source_request_id), (batch.events.len(), batch.source_request_id));
        assert_eq!(returned.user_attributes, batch.user_attributes);
    }
}

#[tokio::test]
async fn a_large_batch_is_uploaded_in_parts() {
    let server = MockServer::start().await;
    let client = support::client(&server);
    // With one id for all three, the service would drop two of them as repeats.
    let large = |id| batch(&[60_000; 5]).source_request_id(id);
    client.upload(large("a")).await.expect("accepted");
    let report = client.upload_bulk([large("b"), support::batch(), large("c")]).await.expect("accepted");
    assert_eq!((report.delivered(), report.rejected().len()), (3, 0), "a batch counts once, not once for each part");
    assert_eq!(server.batches().len(), 3 + 3 + 1 + 3);
    let events: usize = server.batches().iter().map(|batch| batch["events"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(events, 5 + 5 + 1 + 5);
    assert!(server.requests().iter().take(3).all(|request| request.path == "/events"));
}

#[tokio::test]
async fn a_large_batch_with_one_refused_part_is_rejected_once() {
    let server = MockServer::start().await;
    let client = support::client(&server);
    // Valid for the types, which hold text, but not for the mock, which checks the format.
    let mut bad = batch(&[60_000; 5]);
    let serde_json::Value::Object(mut event) = serde_json::to_value(&bad.events[0]).expect("JSON") else { panic!() };
    event["data"]["session_uuid"] = "no UUID".into();
    bad.events[2] = serde_json::from_value(event.into()).expect("an event");
    let report = client.upload_bulk([support::batch(), bad.clone()]).await.expect("a report");
    assert_eq!((report.delivered(), report.rejected().len()), (1, 1));
    let rejected = &report.rejected()[0];
    assert_eq!((rejected.index(), rejected.sealed().len()), (1, 1), "the report returns the refused part");
    assert!(rejected.unsealed().is_none());
    assert!(rejected.error().api_errors()[0].message.contains("session_uuid"));

    let error = client.upload(bad).await.expect_err("one part is refused");
    assert_eq!((error.unsent().len(), error.status().map(|status| status.as_u16())), (1, Some(400)));
}
