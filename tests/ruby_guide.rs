//! The samples of the service's guide for Ruby, written in Rust, with the exact JSON that they produce.
//!
//! The JSON corrects the mistakes of the guide: `customer_id` (not `customerid`), and milliseconds in a consent.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use mparticle::mock::MockServer;
use mparticle::{
    AppState, Batch, CcpaConsent, Consent, CustomEvent, CustomEventType, DeviceInfo, Environment, Event, Product,
    ProductAction, Session, blocking, contract,
};
use serde_json::{Value, json};

const START_MS: i64 = 1_402_521_613_976;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(START_MS).expect("a time")
}

fn development() -> Batch {
    Batch::new(Environment::Development)
}

/// Returns the JSON of a batch, and asserts that it is valid.
fn json_of(batch: &Batch) -> Value {
    let json = serde_json::to_value(batch).expect("JSON");
    assert_eq!(support::errors(contract::check_batch(&json)), []);
    json
}

/// Returns the only event of a batch.
fn event(event: impl Into<Event>) -> Value {
    json_of(&development().event(event))["events"][0].take()
}

#[test]
fn batch() {
    assert_eq!(json_of(&development()), json!({ "environment": "development" }));
}

#[test]
fn user_identities() {
    let batch = development().customer_id("123456").email("user@example.com");
    let identities = json!({ "customer_id": "123456", "email": "user@example.com" });
    assert_eq!(json_of(&batch), json!({ "environment": "development", "user_identities": identities }));
}

#[test]
fn device_information() {
    let device = DeviceInfo::default()
        .ios_advertising_id("07d2ebaa-e956-407e-a1e6-f05f871bf4e2")
        .android_advertising_id("a26f9736-c262-47ea-988b-0b0504cee874");
    let expected = json!({
        "ios_advertising_id": "07d2ebaa-e956-407e-a1e6-f05f871bf4e2",
        "android_advertising_id": "a26f9736-c262-47ea-988b-0b0504cee874",
    });
    assert_eq!(json_of(&development().device_info(device))["device_info"], expected);
}

#[test]
fn user_attributes() {
    let batch = development()
        .user_attribute("Account type", "trial")
        .user_attribute("seats", 5)
        .user_attribute("plans", ["free", "pro"]);
    assert_eq!(
        json_of(&batch)["user_attributes"],
        json!({ "Account type": "trial", "seats": 5, "plans": ["free", "pro"] })
    );
}

#[test]
fn app_event() {
    let app_event = CustomEvent::new("Example", CustomEventType::Navigation).timestamp(start());
    let data = json!({ "event_name": "Example", "custom_event_type": "navigation", "timestamp_unixtime_ms": START_MS });
    assert_eq!(event(app_event), json!({ "event_type": "custom_event", "data": data }));
}

#[test]
fn purchase() {
    let product = Product::new("sample-sku", "Example Product").price(19.99);
    let action = ProductAction::purchase().product(product).tax(1.50).total(21.49);
    let action_json = json!({
        "action": "purchase",
        "tax_amount": 1.5,
        "total_amount": 21.49,
        "products": [{ "id": "sample-sku", "name": "Example Product", "price": 19.99 }],
    });
    assert_eq!(event(action), json!({ "event_type": "commerce_event", "data": { "product_action": action_json } }));
}

#[test]
fn session_pair() {
    let end = start() + TimeDelta::minutes(5);
    let end_ms = START_MS + 300_000;

    let numbered = Session::resume(4_826_311_982, start());
    let expected = json!({ "session_id": 4_826_311_982_i64, "session_start_unixtime_ms": START_MS, "timestamp_unixtime_ms": START_MS });
    assert_eq!(event(numbered.start_event()), json!({ "event_type": "session_start", "data": expected }));
    let expected = json!({
        "session_id": 4_826_311_982_i64,
        "session_start_unixtime_ms": START_MS,
        "session_duration_ms": 300_000,
        "timestamp_unixtime_ms": end_ms,
    });
    assert_eq!(event(numbered.end_event(end)), json!({ "event_type": "session_end", "data": expected }));

    let named = Session::start(start());
    let (first, last) = (event(named.start_event()), event(named.end_event(end)));
    assert_eq!(first["data"]["session_uuid"], last["data"]["session_uuid"]);
    assert_eq!(first["data"]["source_message_id"], first["data"]["session_uuid"]);
    assert_eq!(last["data"]["source_message_id"], Value::Null);
    let stored = Session::resume("4E1C7D5A-09E4-4F3B-8A55-2A4B7F0D1C33", start());
    assert_eq!(event(stored.end_event(end))["data"]["session_uuid"], "4E1C7D5A-09E4-4F3B-8A55-2A4B7F0D1C33");
    assert_eq!(event(stored.end_event(start() - TimeDelta::hours(1)))["data"]["session_duration_ms"], 0);
}

#[test]
fn install() {
    let data =
        json!({ "application_transition_type": "application_initialized", "is_first_run": true, "is_upgrade": false });
    assert_eq!(event(AppState::install()), json!({ "event_type": "application_state_transition", "data": data }));
}

#[test]
fn upgrade() {
    let data =
        json!({ "application_transition_type": "application_initialized", "is_first_run": false, "is_upgrade": true });
    assert_eq!(event(AppState::upgrade()), json!({ "event_type": "application_state_transition", "data": data }));
}

#[test]
fn foreground() {
    let data = json!({ "application_transition_type": "application_foreground" });
    assert_eq!(event(AppState::foreground()), json!({ "event_type": "application_state_transition", "data": data }));
}

#[test]
fn background() {
    let data = json!({ "application_transition_type": "application_background" });
    assert_eq!(event(AppState::background()), json!({ "event_type": "application_state_transition", "data": data }));
}

#[test]
fn attribution() {
    let install = event(CustomEvent::install_attribution("publisher", "campaign"))["data"].take();
    assert_eq!(
        install,
        json!({
            "event_name": "attribution",
            "custom_event_type": "attribution",
            "custom_attributes": { "publisher": "publisher", "campaign": "campaign" },
        })
    );
    assert_eq!(event(CustomEvent::re_engagement())["data"]["event_name"], "re-engagement");
    assert_eq!(event(CustomEvent::engagement("any"))["data"]["custom_event_type"], "attribution");
}

#[test]
fn ccpa() {
    let consent = CcpaConsent::opted_out(start())
        .document("document_agreement.v2")
        .location("dtmgbank.com/signup")
        .hardware_id("IDFA:a5d934n0-232f-4afc-2e9a-3832d95zc702");
    let expected = json!({
        "consented": true,
        "timestamp_unixtime_ms": START_MS,
        "document": "document_agreement.v2",
        "location": "dtmgbank.com/signup",
        "hardware_id": "IDFA:a5d934n0-232f-4afc-2e9a-3832d95zc702",
    });
    let state = json!({ "ccpa": { "data_sale_opt_out": expected } });
    assert_eq!(json_of(&development().ccpa_consent(consent))["consent_state"], state);

    let opted_in = json_of(&development().ccpa_consent(CcpaConsent::opted_in(start())));
    assert_eq!(opted_in["consent_state"]["ccpa"]["data_sale_opt_out"]["consented"], false);
}

#[test]
fn gdpr() {
    let consent = Consent::granted(start()).document("document_agreement.v2").location("dtmgbank.com/signup");
    let expected = json!({
        "consented": true,
        "timestamp_unixtime_ms": START_MS,
        "document": "document_agreement.v2",
        "location": "dtmgbank.com/signup",
    });
    let batch = development().gdpr_consent("My Purpose", consent).gdpr_consent("Other", Consent::denied(start()));
    let state = json_of(&batch)["consent_state"].take();
    assert_eq!(state["gdpr"]["My Purpose"], expected);
    assert_eq!(state["gdpr"]["Other"], json!({ "consented": false, "timestamp_unixtime_ms": START_MS }));
}

fn sample() -> Batch {
    development().customer_id("123456").event(CustomEvent::new("Example", CustomEventType::Navigation))
}

#[tokio::test]
async fn single_upload() {
    let server = MockServer::start().await;
    assert_eq!(support::client(&server).upload(sample()).await.expect("accepted").status(), 202);
    assert_eq!(server.batches().len(), 1);
}

#[tokio::test]
async fn bulk_upload() {
    let server = MockServer::start().await;
    assert_eq!(support::client(&server).upload_bulk([sample(), sample()]).await.expect("accepted").delivered(), 2);
    assert_eq!(server.batches().len(), 2);
}

/// The guide passes a block to the upload and joins its thread. The equivalent here is a task.
#[tokio::test]
async fn callback_style() {
    let server = MockServer::start().await;
    let client = support::client(&server);
    let upload = tokio::spawn(async move { client.upload(sample()).await.map(|accepted| accepted.status()) });
    assert_eq!(upload.await.expect("the task").expect("accepted"), 202);
}

#[test]
fn synchronous_use() {
    let server = MockServer::start_blocking();
    let client = blocking::Client::new(support::client(&server)).expect("a thread");
    assert_eq!(client.upload(sample()).expect("accepted").status(), 202);
    assert_eq!(server.batches().len(), 1);
}
