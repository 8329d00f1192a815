//! The calls that a newcomer types after reading the first screen of the README. Each has to compile and work.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use mparticle::chrono::{DateTime, Local, TimeDelta, Utc};
use mparticle::mock::{Fault, MockServer, event_named};
use mparticle::uuid::Uuid;
use mparticle::{
    AppState, AttributeValue, Batch, CcpaConsent, Client, ClientBuilder, Consent, CustomEvent, CustomEventType,
    DeliveryError, Environment, Error, ErrorKind, Pod, Product, ProductAction, RetryPolicy, ScreenView, SealedBatch,
    Session, Settings, Uploader, UploaderStatus,
};
use serde::Serialize;
use serde_json::json;
use support::json_of;
use tokio::sync::oneshot;

fn batch() -> Batch {
    Batch::new(Environment::Development).customer_id("123456")
}

fn event() -> CustomEvent {
    CustomEvent::new("Example", CustomEventType::Other)
}

/// A form as a web framework deserializes it.
#[derive(Clone, Serialize)]
struct Form {
    seats: usize,
    referrer: Option<String>,
    coupon: Option<String>,
    newsletter: bool,
    plans: Vec<String>,
}

fn form() -> Form {
    Form { seats: 5, referrer: None, coupon: None, newsletter: true, plans: vec!["free".into(), "pro".into()] }
}

enum Channel {
    Web,
}

impl From<Channel> for AttributeValue {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Web => "web".into(),
        }
    }
}

#[test]
fn attributes_accept_common_types() {
    let (cart, form, id) = (vec!["tea", "cup"], form(), Uuid::nil());
    let time = DateTime::from_timestamp_millis(1_795_643_815_394).expect("a time");
    let event = event()
        .attribute("items", cart.len())
        .attribute("user_id", id)
        .attribute("seats", form.seats)
        .attribute("referrer", None::<Uuid>)
        .attribute("signed_up_at", time)
        .attribute("seen_at", SystemTime::from(time))
        .attribute("channel", Channel::Web)
        .attribute("plan", &form.plans[0])
        .attributes([("a", 1), ("b", 2)]);
    assert_eq!(
        json_of(&event.custom_attributes),
        json!({
            "items": 2, "user_id": id.to_string(), "seats": 5, "referrer": null,
            "signed_up_at": "2026-11-25T21:56:55.394Z", "seen_at": "2026-11-25T21:56:55.394Z",
            "channel": "web", "plan": "free", "a": 1, "b": 2,
        })
    );
}

#[test]
fn user_attributes_accept_lists_and_maps() {
    let form = form();
    let extra = BTreeMap::from([("score", 0.5)]);
    let batch = batch()
        .user_attribute("plans", &form.plans)
        .user_attribute("upper", form.plans.iter().map(|plan| plan.to_uppercase()).collect::<Vec<_>>())
        .user_attributes(extra)
        .user_attribute("channel", AttributeValue::from(Channel::Web));
    assert_eq!(
        json_of(&batch.user_attributes),
        json!({ "plans": ["free", "pro"], "upper": ["FREE", "PRO"], "score": 0.5, "channel": "web" })
    );
}

#[test]
fn a_struct_becomes_attributes() -> Result<(), Error> {
    let batch = batch().user_attributes_of(&form())?;
    assert_eq!(
        json_of(&batch.user_attributes),
        json!({ "seats": 5, "referrer": null, "coupon": null, "newsletter": true, "plans": ["free", "pro"] })
    );
    let error = event().attributes_of(&form()).expect_err("event attributes cannot be lists");
    assert_eq!(
        error.to_string(),
        "attribute \"plans\": the value of an event attribute cannot be a list: only user attributes can"
    );
    Ok(())
}

#[test]
fn identities_and_ids_accept_integers() {
    let (customer, order) = (4_711_i64, 90_u64);
    let purchase =
        ProductAction::purchase().transaction_id(order).product(Product::new(7, "Tea").attribute("seats", 3));
    let sent = json_of(&batch().customer_id(customer).source_request_id(order).event(purchase.into_event()));
    assert_eq!((&sent["user_identities"]["customer_id"], &sent["source_request_id"]), (&json!("4711"), &json!("90")));
    let action = &sent["events"][0]["data"]["product_action"];
    assert_eq!((&action["transaction_id"], &action["products"][0]["id"]), (&json!("90"), &json!("7")));
    assert_eq!(action["products"][0]["custom_attributes"], json!({ "seats": "3" }));
}

#[test]
fn timestamps_accept_system_time_and_chrono() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_643_815_394);
    let utc = DateTime::<Utc>::from(now);
    for event in [
        event().timestamp(now),
        event().timestamp(utc),
        event().timestamp(utc.with_timezone(&Local)),
        event().timestamp(utc.fixed_offset()),
    ] {
        assert_eq!(event.timestamp_unixtime_ms, Some(1_795_643_815_394));
    }
    let old = batch().event(event().timestamp(now));
    assert_eq!(old.check_historical(now + Duration::from_secs(40 * 86_400)), []);
    assert_eq!(old.check_historical(now).len(), 1, "younger than 72 hours");
}

#[test]
fn consent_accepts_the_answer_of_a_form() {
    let (form, now) = (form(), SystemTime::now());
    let batch = batch()
        .gdpr_consent("newsletter", Consent::answered(form.newsletter, now).document("terms.v3"))
        .gdpr_consent("analytics", Consent::denied(Utc::now()))
        .ccpa_consent(CcpaConsent::opted_out(now));
    let consent = json_of(&batch.consent_state);
    assert_eq!(consent["gdpr"]["newsletter"]["consented"], true);
    assert_eq!(consent["gdpr"]["analytics"]["consented"], false);
    assert_eq!(consent["ccpa"]["data_sale_opt_out"]["consented"], true);
}

#[test]
fn when_some_sets_present_values() {
    let form = form();
    let action = ProductAction::purchase().when_some(form.coupon, ProductAction::coupon_code);
    assert_eq!(json_of(&action), json!({ "action": "purchase" }));
    let batch = batch().when_some(Some("Ada"), Batch::user_firstname).when_some(Some(event()), Batch::event);
    assert_eq!((batch.user_attributes["$firstname"].clone(), batch.events.len()), ("Ada".into(), 1));
    let builder = Client::builder(mparticle::Credentials::new("key", "secret"))
        .when_some(Some(Pod::Eu1), ClientBuilder::pod)
        .when_some(None::<String>, ClientBuilder::base_url);
    assert!(builder.build().expect("a client").base_url().contains("eu1"));
}

#[test]
fn a_session_is_stored_as_text_and_assigned_to_every_event() -> Result<(), Error> {
    let session = Session::start(SystemTime::now());
    let stored = session.to_string();
    assert!(
        stored.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)),
        "{stored} cannot be the value of a cookie"
    );
    assert_eq!(stored.parse::<Session>()?, session);
    assert_eq!(json_of(&session), stored);
    let batch = batch()
        .event(session.start_event())
        .event(ScreenView::new("Home"))
        .events([AppState::foreground(), AppState::background()])
        .event(session.end_event(Utc::now() + TimeDelta::minutes(5)))
        .in_session(&session);
    for event in &batch.events {
        assert_eq!(json_of(event)["data"]["session_uuid"], session.id().to_string());
    }
    Ok(())
}

#[test]
fn a_purchase_becomes_an_event_with_the_setters_of_events() {
    let session = Session::start(SystemTime::now());
    let (order, cart) = (Uuid::new_v4(), vec!["assam", "darjeeling"]);
    let event = ProductAction::purchase()
        .transaction_id(order)
        .product(Product::new("TEA", "Assam").price(12.99_f32).quantity(cart.len()))
        .total(25.98)
        .into_event()
        .currency_code("EUR")
        .timestamp(SystemTime::now())
        .session(&session);
    let batch = batch().event(event);
    assert_eq!(batch.check(), []);
    let action = &json_of(&batch)["events"][0]["data"]["product_action"];
    assert_eq!(action["transaction_id"], order.to_string());
    assert_eq!(action["products"][0], json!({ "id": "TEA", "name": "Assam", "price": 12.99, "quantity": 2.0 }));
}

#[test]
fn parse_errors_list_the_known_values() {
    fn parse(text: &str) -> Result<Environment, Error> {
        Ok(text.parse::<Environment>()?)
    }
    assert_eq!(parse("production").expect("a known environment"), Environment::Production);
    let error = parse("prod").expect_err("an unknown environment");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "unknown Environment, expected one of: production, development");
    let error = "moon".parse::<Pod>().expect_err("an unknown pod");
    assert_eq!(error.to_string(), "unknown pod (expected us1, us2, eu1 or au1)");
}

#[test]
fn from_env_names_the_missing_variable() {
    // Cargo's tests run without these variables.
    for (result, message) in [
        (Environment::from_env().map(drop), "MPARTICLE_ENVIRONMENT is not set"),
        (mparticle::Credentials::from_env().map(drop), "MPARTICLE_API_KEY is not set"),
        (Client::from_env().map(drop), "MPARTICLE_API_KEY is not set"),
    ] {
        assert_eq!(result.expect_err("no variable is set").to_string(), message);
    }
}

#[tokio::test]
async fn unsent_batches_can_be_stored_and_sent_later() -> Result<(), Error> {
    let server = MockServer::builder().fault_sequence([Fault::status(503)]).start().await;
    let client = ClientBuilder::for_mock(&server).retry_policy(RetryPolicy::never()).build()?;
    let error = client.upload_bulk(vec![batch(), batch()]).await.expect_err("the service is down");
    assert!(error.is_retryable() && error.unsent_indices() == [0, 1]);

    let stored: Vec<String> = error.unsent().iter().map(|batch| serde_json::to_string(batch).expect("JSON")).collect();
    let report = client.upload_bulk(error.unsent()).await?;
    assert_eq!((report.delivered(), report.rejected().len()), (2, 0));
    // The stored batches have the same ids, so the service drops them as repeats.
    let restored = stored.iter().map(|json| serde_json::from_str::<SealedBatch>(json).expect("a batch"));
    assert_eq!(client.upload_bulk(restored).await?.delivered(), 2);
    assert_eq!((server.stats().batches, server.stats().duplicates), (2, 2));
    Ok(())
}

#[tokio::test]
async fn batches_are_uploaded_by_value_or_by_reference() -> Result<(), Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    let batches = [batch().source_request_id("1"), batch().source_request_id("2")];
    client.upload(&batches[0]).await?;
    assert_eq!(client.upload_bulk(&batches).await?.delivered(), 2);
    client.upload(batches[1].clone().seal()?).await?;
    assert_eq!((server.stats().batches, server.stats().duplicates), (2, 2));
    Ok(())
}

#[tokio::test]
async fn upload_bulk_until_accepts_any_future() -> Result<(), Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    // The outputs of the futures are `io::Result` and `Result`.
    let report = client.upload_bulk_until([batch()], tokio::signal::ctrl_c()).await?;
    assert_eq!(report.delivered(), 1);
    let (stop, stopped) = oneshot::channel::<()>();
    drop(stop);
    let error = client.upload_bulk_until([batch()], stopped).await.expect_err("the upload is stopped");
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Cancelled, 1));
    Ok(())
}

#[tokio::test]
async fn the_uploader_tracks_sends_and_reports_its_status() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let server = MockServer::start().await;
    server.expect(event_named("Example").attribute("items", 2)).times(1);
    let uploader = Uploader::builder(Client::for_mock(&server)?).linger(Duration::from_millis(10)).start()?;
    uploader.track(batch(), event().attribute("items", 2))?;
    tokio::time::timeout(Duration::from_secs(10), uploader.send(batch()).delivered()).await??;
    assert!(matches!(uploader.status(), UploaderStatus::Running), "{}", uploader.status());
    let stats = uploader.shutdown(Duration::from_secs(10)).await;
    assert!(stats.is_drained() && stats.lost() == 0, "{stats}");
    assert_eq!(json_of(&stats)["delivered"], 2);
    let error = uploader.send(batch()).delivered().await.expect_err("the uploader is shut down");
    assert!(matches!(error, DeliveryError::NotAccepted(_)) && !error.error().is_retryable());
    Ok(())
}

#[tokio::test]
async fn detailed_adds_the_messages_of_the_service() -> Result<(), Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;
    let invalid = Batch { ip: Some("home".into()), ..batch() };
    let error = client.upload(invalid).await.expect_err("the address is invalid");
    let (text, detailed) = (error.to_string(), error.detailed().to_string());
    assert!(detailed.starts_with(&text) && detailed.contains("/ip") && !text.contains("/ip"), "{detailed}");
    Ok(())
}

#[test]
fn settings_are_deserialized_with_serde() -> Result<(), Box<dyn std::error::Error>> {
    let settings: Settings = serde_json::from_value(json!({ "pod": "eu1", "linger": "500ms", "disabled": true }))?;
    let client = settings.client(mparticle::Credentials::new("key", "secret"))?;
    assert!(client.is_disabled() && client.base_url().contains("eu1"));
    Ok(())
}
