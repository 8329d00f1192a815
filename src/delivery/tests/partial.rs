//! Tests of 202 responses that list errors: the batches that those are about are rejected, and all others are delivered.

use std::collections::HashSet;
use std::sync::Mutex;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::memory::{MemoryRequest, accepted_unread, accepted_with_errors};
use super::*;

/// The way in which an error names its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Index,
    Position,
    /// An index and a position that contradict each other. The index is right.
    Both,
    Nothing,
}

/// Returns the body of a request, and the range of each batch in it.
fn body(request: &MemoryRequest) -> (String, Vec<std::ops::Range<usize>>) {
    let mut body = "[".to_owned();
    let mut ranges = Vec::new();
    for batch in &request.batches {
        let text = std::str::from_utf8(batch.json()).expect("text");
        ranges.push(body.len()..body.len() + text.len());
        body.push_str(text);
        body.push(',');
    }
    (body, ranges)
}

/// Returns an error message about the batch with this index.
fn message(request: &MemoryRequest, index: usize, naming: Naming) -> String {
    let id = &request.ids[index];
    let (body, ranges) = body(request);
    // The end of the batch's last character, in UTF-16 units.
    let position = |index: usize| body[..ranges[index].end].encode_utf16().count();
    match naming {
        Naming::Index => format!("batch {id} is bad. Path '[{index}].device_info'"),
        Naming::Position => {
            format!("batch {id} is bad. Path 'data.custom_attributes.x', line 1, position {}.", position(index))
        }
        Naming::Both => {
            let other = (index + 1) % ranges.len();
            format!("batch {id} is bad. Path '[{index}].device_info', line 1, position {}.", position(other))
        }
        Naming::Nothing => format!("batch {id} is bad"),
    }
}

/// Creates batches of these users in turn, each with an attribute of this text.
fn batches_with(texts: &[String], users: usize) -> Vec<SealedBatch> {
    let json = |(place, text): (usize, &String)| {
        let user = place % users;
        format!(r#"{{"source_request_id":"{place}","mpid":{user},"user_attributes":{{"name":"{text}"}}}}"#)
    };
    texts.iter().enumerate().map(|text| SealedBatch::from_json(json(text)).expect("a batch")).collect()
}

fn messages(outcome: &CallResult, place: usize) -> Vec<&str> {
    let Some(Err(error)) = &outcome.results[place] else { unreachable!("{place} is rejected") };
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, false));
    error.api_errors().iter().map(|error| error.message.as_str()).collect()
}

async fn deliver(transport: &MemoryTransport, batches: &[SealedBatch]) -> CallResult {
    deliverer(transport, RetryPolicy::new()).deliver(Endpoint::BulkEvents, batches).await
}

#[tokio::test(start_paused = true)]
async fn rejects_a_named_batch_with_all_errors_that_name_it() {
    let transport = MemoryTransport::responding(|request| {
        let about = |index, naming| message(request, index, naming);
        accepted_with_errors([about(1, Naming::Index), about(3, Naming::Position), about(1, Naming::Position)])
    });
    let outcome = deliver(&transport, &batches(5, 5)).await;
    assert_eq!((rejected(&outcome), delivered(&outcome), outcome.requests), (vec![1, 3], vec![0, 2, 4], 1));
    assert_eq!((messages(&outcome, 1).len(), messages(&outcome, 3).len()), (2, 1));
    let Some(Err(error)) = &outcome.results[1] else { unreachable!() };
    assert_eq!((error.status(), error.attempts()), (Some(StatusCode::ACCEPTED), 1));
}

#[tokio::test(start_paused = true)]
async fn bisects_to_find_the_batch_of_an_error_without_a_name() {
    for bad in [0, 1, 49, 98, 99] {
        let transport = MemoryTransport::responding(move |request| {
            let index = request.ids.iter().position(|id| *id == bad.to_string());
            index.map_or_else(accepted, |index| accepted_with_errors([message(request, index, Naming::Nothing)]))
        });
        let outcome = deliver(&transport, &batches(100, 100)).await;
        assert_eq!((rejected(&outcome), delivered(&outcome).len()), (vec![bad], 99));
        assert_eq!(messages(&outcome, bad), [format!("batch {bad} is bad")]);
        assert!(outcome.requests <= 15, "{} requests", outcome.requests);
    }
}

#[tokio::test(start_paused = true)]
async fn sends_a_batch_that_no_error_names_again_alone() {
    let transport = MemoryTransport::responding(|request| match request.number {
        0 => accepted_with_errors([message(request, 0, Naming::Index), "Invalid event batch.".to_owned()]),
        _ => accepted(),
    });
    let outcome = deliver(&transport, &batches(2, 2)).await;
    assert_eq!((rejected(&outcome), delivered(&outcome), outcome.requests), (vec![0], vec![1], 2));
    assert_eq!(transport.requests()[1].ids, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn any_error_rejects_the_only_batch_of_a_request() {
    for naming in [Naming::Index, Naming::Position, Naming::Nothing] {
        for endpoint in [Endpoint::Events, Endpoint::BulkEvents, Endpoint::HistoricalEvents] {
            let transport =
                MemoryTransport::responding(move |request| accepted_with_errors([message(request, 0, naming)]));
            let outcome = deliverer(&transport, RetryPolicy::new()).deliver(endpoint, &batches(1, 1)).await;
            assert_eq!((rejected(&outcome), outcome.requests), (vec![0], 1), "{naming:?}");
        }
    }
    // Also one that names a batch that does not exist.
    let transport = MemoryTransport::responding(|_| accepted_with_errors(["Path '[7].mpid'".to_owned()]));
    assert_eq!(rejected(&deliver(&transport, &batches(1, 1)).await), [0]);
}

#[tokio::test(start_paused = true)]
async fn rejects_all_batches_without_names_with_little_more_than_one_request_each() {
    let transport = MemoryTransport::responding(|_| accepted_with_errors(["Invalid event batch.".to_owned()]));
    let outcome = deliver(&transport, &batches(200, 200)).await;
    assert_eq!(rejected(&outcome).len(), 200);
    assert!(outcome.requests <= 200 + MAX_CONSECUTIVE_REFUSALS, "{} requests", outcome.requests);
}

#[tokio::test(start_paused = true)]
async fn refusals_count_up_until_something_is_accepted_and_all_errors_are_located() {
    let sent = batches(2, 2);
    let sent: Vec<_> = sent.iter().collect();
    // The messages of a response to two batches, and the number of consecutive refusals after it. There were 5 before.
    let table: [(&[&str], u32); 5] = [
        (&[], 0),
        (&["Path '[0]'"], 0),
        (&["Path '[0]'", "Path '[1]'"], 5),
        (&["no name"], 6),
        (&["Path '[0]'", "no name"], 6),
    ];
    for (messages, consecutive_refusals) in table {
        let mut refused = 5;
        let error = |message: &&str| ApiError { code: String::new(), message: (*message).to_owned() };
        let group = BatchGroup { places: vec![0, 1], attempts: Attempts::default() };
        let errors = messages.iter().map(error).collect();
        apply_accepted(&mut refused, group, &sent, StatusCode::ACCEPTED, errors, &mut [None, None]);
        assert_eq!(refused, consecutive_refusals, "{messages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_a_request_with_an_interrupted_response_twice_and_then_its_status_decides() {
    for (readable, requests, unread) in [(Some(1), 2, 0), (Some(2), 3, 0), (None, 3, 1)] {
        let transport = MemoryTransport::responding(move |request| match readable {
            Some(readable) if request.number >= readable => accepted(),
            _ => accepted_unread(ResponseBody::Interrupted),
        });
        let outcome = deliver(&transport, &batches(3, 3)).await;
        assert_eq!((delivered(&outcome).len(), outcome.requests, outcome.unread_responses), (3, requests, unread));
        assert!(transport.requests().iter().all(|request| request.ids == ["0", "1", "2"]), "the ids change");
    }
    // A body that is too long would be too long again, so the request is not repeated.
    let transport = MemoryTransport::responding(|_| accepted_unread(ResponseBody::TooLong));
    let outcome = deliver(&transport, &batches(3, 3)).await;
    assert_eq!((delivered(&outcome).len(), outcome.requests, outcome.unread_responses), (3, 1, 1));
    // Without retries, the batches count as unsent.
    let transport = MemoryTransport::responding(|_| accepted_unread(ResponseBody::Interrupted));
    let outcome = deliverer(&transport, RetryPolicy::never()).deliver(Endpoint::BulkEvents, &batches(3, 3)).await;
    assert_eq!((unsent(&outcome).len(), outcome.requests), (3, 1));
    assert_eq!(outcome.stopped.expect("an error").kind(), ErrorKind::ConnectionLost);
}

fn any_naming() -> impl Strategy<Value = Naming> {
    prop::sample::select(vec![Naming::Index, Naming::Position, Naming::Both, Naming::Nothing])
}

/// Generates text with characters of one to four bytes, whose length in UTF-16 units differs.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{0,20}", 1 => "[é€😀]{1,40}"]
}

proptest! {
    #[test]
    fn delivers_what_the_service_accepted_and_rejects_the_rest_with_its_errors(
        texts in vec(text(), 0..250),
        users in 1..40_usize,
        bad in vec(any::<prop::sample::Index>(), 0..60),
        namings in vec(any_naming(), 1..20),
        all_bad_is_400 in any::<bool>(),
        failures in vec(prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)], 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let sent = batches_with(&texts, users);
        let bad: HashSet<usize> = bad.iter().filter(|_| !sent.is_empty()).map(|index| index.index(sent.len())).collect();
        let service_bad = bad.clone();
        let stored: Arc<Mutex<Vec<usize>>> = Arc::default();
        let storage = Arc::clone(&stored);
        let is_failing = Mutex::new(false);
        let repeated: Arc<AtomicU32> = Arc::default();
        let repeats = Arc::clone(&repeated);
        let transport = MemoryTransport::responding(move |request| {
            let mut is_failing = is_failing.lock().expect("a state");
            let failure = failures[request.number % failures.len()];
            *is_failing = failure > 0 && !*is_failing;
            repeats.fetch_add(u32::from(*is_failing), Ordering::Relaxed);
            if *is_failing && failure == 1 {
                return refused(503);
            }
            let places: Vec<usize> = request.ids.iter().map(|id| id.parse().expect("a place")).collect();
            let mut storage = storage.lock().expect("a storage");
            for place in &places {
                // A repeat is dropped by its id.
                if !service_bad.contains(place) && !storage.contains(place) {
                    storage.push(*place);
                }
            }
            let errors: Vec<String> = (0..places.len())
                .filter(|index| service_bad.contains(&places[*index]))
                .map(|index| message(request, index, namings[(request.number + index) % namings.len()]))
                .collect();
            match errors.len() {
                _ if *is_failing => accepted_unread(ResponseBody::Interrupted),
                0 => accepted(),
                count if count == places.len() && all_bad_is_400 => refused(400),
                _ => accepted_with_errors(errors),
            }
        });
        // Every second request can fail here, which would exhaust the default retry budget.
        let policy = RetryPolicy::new().retry_budget(u32::MAX).request_timeout(Duration::MAX).call_timeout(Duration::MAX);
        let deliverer = deliverer(&transport, policy);
        let outcome = runtime.expect("a runtime").block_on(deliverer.deliver(Endpoint::BulkEvents, &sent));

        let good: Vec<usize> = (0..sent.len()).filter(|place| !bad.contains(place)).collect();
        prop_assert_eq!(&delivered(&outcome), &good);
        prop_assert_eq!(rejected(&outcome).len(), bad.len());
        for place in rejected(&outcome) {
            let messages = messages(&outcome, place);
            let is_about = |message: &&str| message.starts_with(&format!("batch {place} is bad")) || *message == "no to 400";
            prop_assert!(!messages.is_empty() && messages.iter().all(is_about), "{}: {:?}", place, messages);
        }
        let stored = stored.lock().expect("a storage");
        for user in 0..users {
            prop_assert!(stored.iter().filter(|place| **place % users == user).is_sorted());
        }
        // Requests that are repeated because of a failure do not count.
        let requests = outcome.requests - repeated.load(Ordering::Relaxed);
        let max = 2 * u32::try_from(sent.len()).expect("few") + MAX_CONSECUTIVE_REFUSALS;
        prop_assert!(requests <= max, "{} requests", requests);
    }
}
