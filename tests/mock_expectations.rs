//! What a test expects of the mock: what counts, and how it is told what came instead.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mparticle::mock::{MockServer, batches, event_named, events, requests};
use mparticle::{Batch, Client, CustomEvent, CustomEventType, Environment, ScreenView, Session};

fn signed_up(plan: &str) -> CustomEvent {
    CustomEvent::new("Signed Up", CustomEventType::Other).attribute("plan", plan)
}

fn of(customer: &str) -> Batch {
    Batch::new(Environment::Development).customer_id(customer).user_attribute("seats", 5)
}

/// Two batches of three events, one of which comes twice.
async fn sent() -> (MockServer, Client) {
    let server = MockServer::start().await;
    let client = support::client(&server);
    let first = of("1").event(signed_up("pro")).event(ScreenView::new("Home")).source_request_id("first");
    client.upload(first.clone()).await.expect("accepted");
    client.upload(first).await.expect("accepted, and dropped");
    let session = Session::start(chrono::Utc::now());
    let report = client.upload_bulk([of("2").event(session.start_event())]).await.expect("accepted");
    assert_eq!(report.delivered(), 1);
    (server, client)
}

#[tokio::test]
async fn requests_batches_and_events_are_counted() {
    let (server, _) = sent().await;
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
    server.verify().expect("all of it");
}

#[tokio::test]
async fn what_came_instead_is_told() {
    let (server, _) = sent().await;
    server.expect(event_named("Signed Up").attribute("plan", "free").identity("customer_id", "1")).times(1);
    server.expect(batches().identity("email", "a@b.example")).times(2..);
    server.expect(requests().status(400));
    server.expect(events()).times(..=2);
    let unmet = server.verify().expect_err("not met").to_string();
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
    assert_eq!(unmet, expected);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(server))).expect_err("dropping verifies");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(expected));
}

#[tokio::test]
async fn a_long_list_of_what_came_is_cut() {
    let server = MockServer::start().await;
    let many = (0..30).fold(of("1"), |batch, n| batch.event(ScreenView::new(format!("Screen {n}"))));
    support::client(&server).upload(many).await.expect("accepted");
    server.expect(event_named("Home")).times(1);
    let unmet = server.verify().expect_err("not met").to_string();
    assert_eq!(unmet.lines().count(), 12, "{unmet}");
    assert!(unmet.ends_with("  and 20 more"), "{unmet}");
    server.expect(event_named("Screen 7")).times(1);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(server))).is_err());
}

#[tokio::test]
async fn refused_batches_do_not_count() {
    let server = MockServer::start().await;
    let wrong = of("1").event(ScreenView::new("Home")).mp_deviceid("no UUID");
    support::client(&server).upload(wrong).await.expect_err("400");
    server.expect(events()).times(0);
    server.expect(requests().status(400)).times(1);
}

#[tokio::test]
async fn what_is_forgotten_still_counts() {
    let server = MockServer::builder().keep(1, usize::MAX).start().await;
    server.expect(events()).times(5);
    let client = support::client(&server);
    for _ in 0..5 {
        client.upload(of("1").event(ScreenView::new("Home"))).await.expect("accepted");
    }
}

#[tokio::test]
async fn what_is_sent_in_the_background_can_be_waited_for() {
    let (server, client) = sent().await;
    server.expect(events()).times(4);
    assert!(server.verify().is_err());
    let sending = tokio::spawn(async move { client.upload(of("3").event(ScreenView::new("Home"))).await });
    server.verify_within(Duration::from_secs(30)).await.expect("it comes");
    sending.await.expect("no panic").expect("accepted");

    server.expect(event_named("Never")).times(1);
    assert!(server.verify_within(Duration::from_millis(20)).await.is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(server))).is_err());
}

#[test]
fn a_test_that_fails_already_is_not_failed_twice() {
    let failed = catch_unwind(|| {
        let server = MockServer::start_blocking();
        server.expect(events()).times(1);
        panic!("the test's own words");
    });
    assert_eq!(failed.expect_err("a panic").downcast_ref::<&str>(), Some(&"the test's own words"));
}
