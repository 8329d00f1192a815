//! The constructors and setters of the model that other tests do not use: optional values, several at once, sessions.

mod support;

use std::time::{Duration, SystemTime};

use mparticle::types::{CommonEventData, SourceChannel, SourceInfo};
use mparticle::{
    Batch, CustomEvent, CustomEventType, Environment, ErrorKind, Event, FirstRun, IdentityType, Product, ProductAction,
    ScreenView, Session, UserAttributeChange,
};
use serde::Serialize;
use serde_json::{Value, json};
use support::json_of;

fn event() -> CustomEvent {
    CustomEvent::new("e", CustomEventType::Other)
}

#[derive(Serialize)]
struct Account<'a> {
    plan: &'a str,
    #[serde(rename = "seatCount")]
    seats: u64,
    score: f64,
    referrer: Option<&'a str>,
}

#[test]
fn system_time_is_converted_to_milliseconds() {
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_767_225_600, 123_456_789);
    let event = event().timestamp(time).start_timestamp(time - Duration::from_secs(1));
    assert_eq!(event.timestamp_unixtime_ms, Some(1_767_225_600_123));
    assert_eq!(event.event_start_unixtime_ms, Some(1_767_225_599_123));
}

#[test]
fn when_some_sets_a_value_only_if_there_is_one() {
    let action = ProductAction::purchase().when_some(Some("SUMMER"), ProductAction::coupon_code);
    assert_eq!(action.coupon_code.as_deref(), Some("SUMMER"));
    assert_eq!(
        ProductAction::purchase().when_some(None::<String>, ProductAction::coupon_code),
        ProductAction::purchase()
    );
    let batch =
        Batch::new(Environment::Development).when_some(Some("a@b.c"), Batch::email).when_some(None, Batch::mpid);
    assert_eq!(json_of(&batch), json!({ "environment": "development", "user_identities": { "email": "a@b.c" } }));
    let first_run = FirstRun::new().when_some(Some(7), |event, value| event.attribute("n", value));
    assert_eq!(json_of(&first_run), json!({ "custom_attributes": { "n": 7 } }));
}

#[test]
fn attributes_sets_several_at_once() {
    let event = event().attributes([("a", 1), ("b", 2)]).attribute("c", "x");
    assert_eq!(json_of(&event.custom_attributes), json!({ "a": 1, "b": 2, "c": "x" }));
}

#[test]
fn attributes_of_sets_the_fields_of_a_struct() {
    let account = Account { plan: "pro", seats: 5, score: 0.5, referrer: None };
    let expected = json!({ "plan": "pro", "seatCount": 5, "score": 0.5, "referrer": null });
    let event = event().attributes_of(&account).expect("scalars");
    assert_eq!(json_of(&event.custom_attributes), expected);
    let batch = Batch::new(Environment::Development).user_attributes_of(&account).expect("scalars");
    assert_eq!(json_of(&batch.user_attributes), expected);
}

#[test]
fn attributes_of_names_a_field_that_cannot_be_an_attribute() {
    let table = [
        (json!({ "plan": "pro", "tags": ["a"] }), "\"tags\""),
        (json!({ "address": { "city": "Berlin" } }), "\"address\""),
        (json!(["a"]), "the fields of a struct"),
        (json!(7), "the fields of a struct"),
    ];
    for (value, named) in table {
        let error = event().attributes_of(&value).expect_err("the value has no attributes");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(named), "{error}");
    }
    let nan = Account { plan: "pro", seats: 5, score: f64::NAN, referrer: None };
    let error = event().attributes_of(&nan).expect_err("NaN");
    assert!(error.to_string().contains("/score"), "{error}");
    // Users can have lists.
    let batch = Batch::new(Environment::Development).user_attributes_of(&json!({ "tags": ["a"] })).expect("a list");
    assert_eq!(json_of(&batch.user_attributes), json!({ "tags": ["a"] }));
}

#[test]
fn in_session_does_not_change_events_of_another_session() {
    let (ours, other) = (Session::start(SystemTime::now()), Session::resume(7, SystemTime::now()));
    let batch = Batch::new(Environment::Development)
        .event(ScreenView::new("Home"))
        .event(FirstRun::new())
        .event(ScreenView::new("Cart").session(&other))
        .in_session(&ours)
        .event(ScreenView::new("Later"));
    let sessions: Vec<_> = batch.events.iter().map(|event| json_of(event)["data"].clone()).collect();
    for data in &sessions[..2] {
        assert_eq!(data["session_uuid"], ours.id().to_string());
        assert_eq!(data["session_start_unixtime_ms"], ours.started_at().timestamp_millis());
    }
    assert_eq!((&sessions[2]["session_id"], &sessions[2]["session_uuid"]), (&json!(7), &Value::Null));
    assert_eq!(sessions[3]["session_uuid"], Value::Null);
}

#[test]
fn amounts_and_quantities_accept_integers() {
    let tea = Product::new("TEA", "Tea").price(12).quantity(2_u32);
    let event = ProductAction::purchase().product(tea).total(24.5).tax(4).into_event();
    assert_eq!(
        json_of(&event),
        json!({ "product_action": {
            "action": "purchase", "tax_amount": 4.0, "total_amount": 24.5,
            "products": [{ "id": "TEA", "name": "Tea", "price": 12.0, "quantity": 2.0 }],
        }})
    );
}

#[test]
fn event_type_returns_the_name_on_the_wire() {
    let events: [(Event, &str); 3] = [
        (event().into(), "custom_event"),
        (FirstRun::new().into(), "first_run"),
        (UserAttributeChange::new("plan").into(), "user_attribute_change"),
    ];
    for (event, name) in events {
        assert_eq!(event.event_type(), name);
        assert_eq!(json_of(&event)["event_type"], name);
    }
}

#[test]
fn enumerations_list_and_parse_their_values() {
    assert_eq!(IdentityType::ALL.len(), 22);
    for identity_type in IdentityType::ALL {
        assert_eq!(identity_type.as_str().parse::<IdentityType>().ok(), Some(*identity_type));
        assert_eq!(json_of(identity_type), identity_type.as_str());
    }
    let error = "prod".parse::<Environment>().expect_err("an unknown environment");
    assert_eq!(error.to_string(), "unknown Environment, expected one of: production, development");
}

/// A type without a hand-written constructor has a generated one.
#[test]
fn with_required_takes_the_required_properties() {
    let info = SourceInfo::with_required(SourceChannel::ServerToServer);
    assert_eq!(json_of(&info), json!({ "channel": "server_to_server" }));
    assert_eq!(json_of(&FirstRun::from(CommonEventData::default())), json!({}));
}
