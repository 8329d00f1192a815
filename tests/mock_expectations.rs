//! Expectations of the mock: the matches that count, and the report of what was received instead.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mparticle::mock::{MockServer, Times, batches, event_named, events, requests};
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, ScreenView, Session};

fn signed_up(plan: &str) -> CustomEvent {
    CustomEvent::new("Signed Up", CustomEventType::Other).attribute("plan", plan)
}

fn batch_of(customer: &str) -> Batch {
    Batch::new(Environment::Development).customer_id(customer).user_attribute("seats", 5)
}

/// Sends two batches with three events in total, the first one twice.
async fn send_events() -> (MockServer, Client) {
    let server = MockServer::start().await;
    let client = support::client(&server);
    let first = batch_of("1").event(signed_up("pro")).event(ScreenView::new("Home")).source_request_id("first");
    client.upload(first.clone()).await.expect("accepted");
    client.upload(first).await.expect("accepted as a duplicate");
    let session = Session::start(chrono::Utc::now());
    let report = client.upload_bulk([batch_of("2").event(session.start_event())]).await.expect("accepted");
    assert_eq!(report.delivered(), 1);
    (server, client)
}

#[tokio::test]
async fn counts_requests_batches_and_events() {
    let (server, _) = send_events().await;
    server.expect(requests()).times(3);
    server.expect(requests().path("/bulkevents").status(202)).times(1);
    server.expect(requests().event_type("session_start").identity("customer_id", "2")).times(1);
    server.expect(requests().satisfies("is a list", serde_json::Value::is_array)).times(1);
    server.expect(batches()).times(2);
    server.expect(batches().identity("customer_id", "1").name("Home")).times(1);
    server.expect(batches().user_attribute("seats", 5)).times(2);
    server.expect(batches().satisfies("has no event", |batch| batch["events"].is_null())).times(0);
    server.expect(events()).times(3);
    server.expect(events().event_type("screen_view"));
    server.expect(event_named("Signed Up").attribute("plan", "pro").identity("customer_id", "1")).times(1);
    server.expect(event_named("Signed Up").attribute("plan", "free")).times(0);
    server.expect(event_named("signed up")).times(..=0);
    server.expect(events()).times(2..);
    server.expect(events()).times(1..=3);
    server.verify().expect("all are met");
}

#[tokio::test]
async fn failed_verification_reports_what_was_received_instead() {
    let (server, _) = send_events().await;
    server.expect(event_named("Signed Up").attribute("plan", "free").identity("customer_id", "1")).times(1);
    server.expect(batches().identity("email", "a@b.example")).times(2..);
    server.expect(requests().status(400));
    server.expect(events()).times(..=2);
    let error = server.verify().expect_err("unmet").to_string();
    let expected = r#"expected exactly 1 events named "Signed Up" with the attribute "plan" "free" of customer_id "1", received 0
  custom_event "Signed Up" of {"customer_id":"1"}, not with the attribute "plan" "free"
  screen_view "Home" of {"customer_id":"1"}, not named "Signed Up"
  session_start of {"customer_id":"2"}, not named "Signed Up"
expected at least 2 batches of email "a@b.example", received 0
  a batch with 2 events of {"customer_id":"1"}, not of email "a@b.example"
  a batch with 1 events of {"customer_id":"2"}, not of email "a@b.example"
expected at least 1 requests with status 400, received 0
  POST /events with status 202, not with status 400
  POST /events with status 202, not with status 400
  POST /bulkevents with status 202, not with status 400
expected at most 2 events, received 3"#;
    assert_eq!(error, expected);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(server))).expect_err("dropping verifies");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(expected));
}

#[tokio::test]
async fn failed_verification_reports_at_most_ten_near_misses() {
    let server = MockServer::start().await;
    let many = (0..30).fold(batch_of("1"), |batch, n| batch.event(ScreenView::new(format!("Screen {n}"))));
    support::client(&server).upload(many).await.expect("accepted");
    server.expect(event_named("Home")).times(1);
    let error = server.verify().expect_err("unmet").to_string();
    assert_eq!(error.lines().count(), 12, "{error}");
    assert!(error.ends_with("  and 20 more"), "{error}");
    server.expect(event_named("Screen 7")).times(1);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(server))).is_err());
}

#[tokio::test]
async fn refused_batches_do_not_count() {
    let server = MockServer::start().await;
    let invalid = batch_of("1").event(ScreenView::new("Home")).mp_deviceid("no UUID");
    support::client(&server).upload(invalid).await.expect_err("400");
    server.expect(events()).times(0);
    server.expect(requests().status(400)).times(1);
}

#[tokio::test]
async fn discarded_requests_still_count() {
    let server = MockServer::builder().keep(1, usize::MAX).start().await;
    server.expect(events()).times(5);
    let client = support::client(&server);
    for _ in 0..5 {
        client.upload(batch_of("1").event(ScreenView::new("Home"))).await.expect("accepted");
    }
}

#[tokio::test]
async fn verify_within_waits_for_background_uploads() {
    let (server, client) = send_events().await;
    server.expect(events()).times(4);
    assert!(server.verify().is_err());
    let sending = tokio::spawn(async move { client.upload(batch_of("3").event(ScreenView::new("Home"))).await });
    server.verify_within(Duration::from_secs(30)).await.expect("met in time");
    sending.await.expect("no panic").expect("accepted");

    server.expect(event_named("Never")).times(1);
    assert!(server.verify_within(Duration::from_millis(20)).await.is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(server))).is_err());
}

#[test]
fn drop_does_not_panic_while_panicking() {
    let failed = catch_unwind(|| {
        let server = MockServer::start_blocking();
        server.expect(events()).times(1);
        panic!("the test's own message");
    });
    assert_eq!(failed.expect_err("a panic").downcast_ref::<&str>(), Some(&"the test's own message"));
}

#[tokio::test]
async fn every_range_is_a_number_of_times() {
    let (server, _) = send_events().await;
    let count = |times: Times| {
        let server = &server;
        server.expect(events()).times(times);
        server.verify().is_ok()
    };
    assert!(count(3.into()) && count((1..4).into()) && count((1..=3).into()) && count((3..).into()));
    assert!(count((..4).into()) && count((..=3).into()) && count((..).into()));
}

#[tokio::test]
async fn range_without_the_number_is_not_met() {
    for (times, text) in [
        (Times::from(1..3), "1 to 2"),
        (Times::from(..3), "at most 2"),
        (Times::from(..1), "exactly 0"),
        (Times::from(4..), "at least 4"),
        (Times::from(..0), "an impossible number of"),
        (Times::from(3..3), "an impossible number of"),
    ] {
        let (server, _) = send_events().await;
        server.expect(events()).times(times);
        let error = server.verify().expect_err("unmet").to_string();
        assert_eq!(error, format!("expected {text} events, received 3"));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(server))).is_err());
    }
}

#[tokio::test]
async fn denied_warning_fails_the_verification_even_if_its_request_was_discarded() {
    let long = || batch_of("1").event(signed_up(&"x".repeat(5_000)));
    let expected = "expected no warnings, received 1\n  POST /events: /events/0/data/custom_attributes/plan: \
        5000 characters in the value of an attribute, at most 4096; ";
    let server = MockServer::builder().deny_warnings().keep(1, usize::MAX).start().await;
    let client = support::client(&server);
    client.upload(batch_of("1")).await.expect("accepted");
    server.verify().expect("no warnings");
    client.upload(long()).await.expect("accepted");
    let error = server.verify().expect_err("a warning").to_string();
    assert!(error.starts_with(expected), "{error}");
    client.upload(batch_of("1")).await.expect("accepted");
    assert_eq!(server.verify().expect_err("a warning").to_string(), "expected no warnings, received 1");
    let panic = catch_unwind(AssertUnwindSafe(|| drop(server))).expect_err("dropping verifies");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("expected no warnings, received 1"));

    let server = MockServer::start().await;
    support::client(&server).upload(long()).await.expect("accepted");
    server.verify().expect("warnings are not denied");
}
