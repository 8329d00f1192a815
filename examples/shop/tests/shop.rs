//! Tests of the service against the mock: requests, acknowledgements and shutdown.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use mparticle::mock::{Fault, MockServer, event_named, events};
use mparticle::{Batch, Client, ClientBuilder, Environment, Error, ErrorKind, RetryPolicy, Session, Uploader};
use shop::backfill::{Row, backfill};
use shop::orders::{Ack, Message, Order, consume};
use shop::{Shop, web};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tower::ServiceExt;

const ENVIRONMENT: Environment = Environment::Development;

/// Returns an uploader with short waits between its attempts.
fn uploader(server: &MockServer) -> Result<Uploader, Error> {
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(1)).max_backoff(Duration::from_millis(10));
    let client = ClientBuilder::for_mock(server).retry_policy(policy).build()?;
    Uploader::builder(client).linger(Duration::from_millis(10)).max_probe_interval(Duration::from_millis(20)).start()
}

/// Starts the service and the consumer of its orders.
fn start(server: &MockServer) -> Result<(Router, Uploader), Error> {
    let (uploader, (queue, messages)) = (uploader(server)?, mpsc::channel(500));
    tokio::spawn(consume(uploader.clone(), ENVIRONMENT, messages));
    Ok((web::router(Shop::new(uploader.clone(), ENVIRONMENT, queue)), uploader))
}

async fn post(app: &Router, path: &str, form: &'static str) -> StatusCode {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(Body::from(form)).expect("a request");
    app.clone().oneshot(request).await.expect("a response").status()
}

async fn health(app: &Router) -> (StatusCode, String) {
    let request = Request::get("/health").body(Body::empty()).expect("a request");
    let response = app.clone().oneshot(request).await.expect("a response");
    let (status, body) = (response.status(), to_bytes(response.into_body(), 1000).await.expect("a body"));
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn wait_for_requests(server: &MockServer, requests: u64) {
    while server.stats().requests < requests {
        sleep(Duration::from_millis(1)).await;
    }
}

fn send_order(queue: &mpsc::Sender<Message>, customer: &str, currency: &str) -> oneshot::Receiver<Ack> {
    let mut order = Order::new(customer, Session::start(SystemTime::now()), Vec::new(), None);
    order.currency = currency.into();
    let (message, acknowledged) = Message::new(order);
    queue.try_send(message).expect("there is room");
    acknowledged
}

fn rows() -> Vec<Row> {
    (0..10_000).map(|id| Row { id, plan: "pro".into(), seats: 5 }).collect()
}

#[tokio::test]
async fn all_events_of_a_visit_have_its_session() -> Result<(), Error> {
    let server = MockServer::builder().deny_warnings().start().await;
    server.expect(event_named("Signed Up").identity("customer_id", "c1").attribute("seats", 5)).times(1);
    server.expect(events().event_type("commerce_event").attribute("items", 1)).times(1);
    server.expect(events().event_type("commerce_event").attribute("items", 2)).times(1);
    server.expect(events().event_type("session_end")).times(1);
    let (app, uploader) = start(&server)?;

    let form = "customer=c1&email=a@example.com&first_name=Ada&newsletter=true&channel=web&seats=5";
    assert_eq!(post(&app, "/customers", form).await, 201);
    assert_eq!(post(&app, "/customers/c1/cart", "sku=TEA&name=Assam&price=12.5&quantity=2").await, 204);
    assert_eq!(post(&app, "/customers/c1/cart", "sku=CUP&name=Cup&price=5&quantity=1").await, 204);
    assert_eq!(post(&app, "/customers/c1/checkout", "coupon=SUMMER").await, 201);
    assert_eq!(post(&app, "/customers/c1/checkout", "").await, 404, "the visit is over");
    server.verify_within(Duration::from_secs(10)).await.expect("all events");
    let stats = uploader.shutdown(Duration::from_secs(10)).await;
    assert!(stats.is_drained() && stats.lost() == 0, "{stats}");

    let events = server.events();
    let sessions: Vec<_> = events.iter().map(|event| event["data"]["session_uuid"].as_str()).collect();
    assert!(sessions.iter().all(|session| session.is_some() && *session == sessions[0]), "{sessions:?}");
    let purchase = events.iter().find(|event| event["data"]["product_action"]["action"] == "purchase");
    let action = &purchase.expect("a purchase")["data"]["product_action"];
    assert_eq!((action["total_amount"].as_f64(), action["coupon_code"].as_str()), (Some(30.0), Some("SUMMER")));
    let signed_up: Vec<Batch> = server.batches_as().expect("batches");
    let signed_up = signed_up.iter().find(|batch| batch.consent_state.is_some()).expect("consent");
    assert!(signed_up.consent_state.as_ref().is_some_and(|consent| consent.gdpr["newsletter"].consented));
    assert_eq!(signed_up.user_attributes["$firstname"], "Ada".into());
    Ok(())
}

#[tokio::test]
async fn an_order_is_acknowledged_only_when_it_is_delivered() -> Result<(), Error> {
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start().await;
    let (app, uploader) = start(&server)?;
    let (queue, messages) = mpsc::channel(1);
    tokio::spawn(consume(uploader, ENVIRONMENT, messages));
    let mut acknowledged = send_order(&queue, "c1", "EUR");

    wait_for_requests(&server, 3).await;
    assert_eq!(acknowledged.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    let (status, text) = health(&app).await;
    assert!(status == 200 && text.starts_with("retrying: ") && text.contains("503"), "{status}: {text}");

    server.clear_faults();
    assert_eq!(acknowledged.await, Ok(Ack::Done));
    assert_eq!(server.batches().len(), 1);
    assert!(health(&app).await.1.starts_with("running; 1 accepted"));
    Ok(())
}

#[tokio::test]
async fn a_rejected_order_does_not_delay_the_others() -> Result<(), Error> {
    let server = MockServer::start().await;
    let (queue, messages) = mpsc::channel(500);
    tokio::spawn(consume(uploader(&server)?, ENVIRONMENT, messages));
    let currency = |order| if order == 137 { "euro" } else { "EUR" };
    let acknowledged: Vec<_> =
        (0..500).map(|order| send_order(&queue, &format!("c{order}"), currency(order))).collect();
    for (order, acknowledged) in acknowledged.into_iter().enumerate() {
        let expected = if order == 137 { Ack::Reject } else { Ack::Done };
        assert_eq!(acknowledged.await, Ok(expected), "order {order}");
    }
    assert_eq!(server.batches().len(), 499);
    Ok(())
}

#[tokio::test]
async fn an_order_left_at_shutdown_is_requeued() -> Result<(), Error> {
    let server = MockServer::builder().fault_rate(1.0, Fault::status(503)).start().await;
    let (uploader, (queue, messages)) = (uploader(&server)?, mpsc::channel(1));
    let consumer = tokio::spawn(consume(uploader.clone(), ENVIRONMENT, messages));
    let acknowledged = send_order(&queue, "c1", "EUR");
    wait_for_requests(&server, 1).await;
    drop(queue);
    let stats = uploader.shutdown(Duration::ZERO).await;
    assert_eq!((stats.pending, acknowledged.await), (1, Ok(Ack::Requeue)));
    consumer.await.expect("the consumer ends with the queue");
    Ok(())
}

#[tokio::test]
async fn health_fails_with_a_wrong_key() -> Result<(), Error> {
    let server = MockServer::builder().fault_rate(1.0, Fault::status(401)).start().await;
    let (app, _uploader) = start(&server)?;
    post(&app, "/customers", "customer=c1&email=a@example.com&channel=app&seats=1").await;
    while health(&app).await.0 == 200 {
        sleep(Duration::from_millis(1)).await;
    }
    let (status, text) = health(&app).await;
    assert!(status == 503 && text.starts_with("stopped: ") && text.contains("401"), "{status}: {text}");
    Ok(())
}

#[tokio::test]
async fn a_stopped_backfill_can_be_started_again_and_counts_each_row_once() -> Result<(), Error> {
    let server = MockServer::start().await;
    let (client, rows) = (Client::for_mock(&server)?, rows());
    let stop = wait_for_requests(&server, 3);
    let error = backfill(&client, ENVIRONMENT, &rows, stop).await.expect_err("the backfill is stopped");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Cancelled, true));
    let delivered = error.report().delivered();
    assert!(delivered > 0 && delivered + error.unsent().len() == 10_000, "{delivered} delivered");
    let first = &rows[error.unsent_indices()[0]];
    assert_eq!(error.unsent()[0].source_request_id(), format!("accounts-{}", first.id));

    let report = backfill(&client, ENVIRONMENT, &rows, std::future::pending()).await?;
    assert_eq!((report.delivered(), report.rejected().len()), (10_000, 0));
    let stats = server.stats();
    assert_eq!(stats.batches, 10_000);
    assert!(stats.duplicates >= delivered as u64, "{stats:?}");
    Ok(())
}
