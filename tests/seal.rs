//! Sealing: ids, exact bytes, and values without a JSON form.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use mparticle::types::{
    AttributeValue, Breadcrumb, CommonEventData, CrashReport, DeviceCurrentState, Event, FirstRun, Location, OptOut,
    Product, ProductAction, ProductActionType, UserAttributeValue,
};
use mparticle::{Batch, CustomEvent, CustomEventType, Environment, ErrorKind, SealedBatch};
use serde_json::{Value, json};
use uuid::Uuid;

/// Returns a source of the ids 1, 2, 3 and so on.
fn sequential_ids() -> impl FnMut() -> Uuid {
    let next = AtomicU64::new(1);
    move || Uuid::from_u128(next.fetch_add(1, Ordering::Relaxed).into())
}

fn custom(name: &str) -> CustomEvent {
    CustomEvent::new(name, CustomEventType::Other)
}

fn text(sealed: &SealedBatch) -> &str {
    std::str::from_utf8(sealed.json()).expect("UTF-8")
}

fn value(sealed: &SealedBatch) -> Value {
    serde_json::from_slice(sealed.json()).expect("JSON")
}

#[test]
fn ids_are_stamped_first_on_the_batch_then_on_its_events_in_order() {
    let batch = Batch::new(Environment::Development)
        .event(custom("a"))
        .event(FirstRun(CommonEventData::default()))
        .event(custom("c"));
    let sealed = batch.seal_with(sequential_ids()).expect("a batch");
    let id = |n: u128| Uuid::from_u128(n).to_string();
    let json = value(&sealed);
    assert_eq!(json["source_request_id"], id(1));
    assert_eq!(sealed.source_request_id(), id(1));
    for (index, n) in [2, 3, 4].into_iter().enumerate() {
        assert_eq!(json["events"][index]["data"]["source_message_id"], id(n));
    }
}

#[test]
fn ids_set_by_the_caller_are_kept() {
    let batch = Batch::new(Environment::Development)
        .source_request_id("mine")
        .event(custom("a").source_message_id("Event-A"))
        .event(custom("b"));
    let sealed = batch.seal_with(sequential_ids()).expect("a batch");
    let json = value(&sealed);
    assert_eq!(sealed.source_request_id(), "mine");
    assert_eq!(json["events"][0]["data"]["source_message_id"], "Event-A");
    assert_eq!(json["events"][1]["data"]["source_message_id"], Uuid::from_u128(1).to_string());
}

#[test]
fn an_empty_request_id_is_replaced() {
    let sealed = support::batch().source_request_id("").seal_with(sequential_ids()).expect("a batch");
    assert_eq!(sealed.source_request_id(), Uuid::from_u128(1).to_string());
}

#[test]
fn sealing_a_clone_assigns_other_ids() {
    let batch = support::batch();
    let (one, other) = (batch.clone().seal().expect("a batch"), batch.seal().expect("a batch"));
    assert_ne!(one.source_request_id(), other.source_request_id());
    assert_ne!(
        value(&one)["events"][0]["data"]["source_message_id"],
        value(&other)["events"][0]["data"]["source_message_id"]
    );
}

#[test]
fn serializing_an_unsealed_batch_adds_no_ids() {
    let batch = Batch::new(Environment::Production).event(OptOut { is_opted_out: false, ..opt_out() });
    let text = serde_json::to_string(&batch).expect("JSON");
    assert_eq!(
        text,
        r#"{"environment":"production","events":[{"event_type":"opt_out","data":{"is_opted_out":false}}]}"#
    );
    assert_eq!(serde_json::to_string(&batch).expect("JSON"), text);
}

fn opt_out() -> OptOut {
    serde_json::from_value(json!({ "is_opted_out": true })).expect("an event")
}

#[test]
fn the_bytes_are_exact() {
    let batch = Batch::new(Environment::Development)
        .mpid(-9_223_372_036_854_775_808)
        .user_attribute("big", (1_i64 << 53) + 1)
        .user_attribute("zero", 0)
        .user_attribute("no", false)
        .user_attribute("list", Vec::<String>::new())
        .user_attribute("tag", None::<bool>)
        .user_attribute("quote", "\"\u{7}é\u{1F600}")
        .event(custom("e").attribute("half", 0.5).attribute("whole", 5.0));
    let sealed = batch.seal_with(sequential_ids()).expect("a batch");
    let expected = concat!(
        r#"{"environment":"development","events":[{"event_type":"custom_event","data":{"#,
        r#""custom_attributes":{"half":0.5,"whole":5.0},"custom_event_type":"other","event_name":"e","#,
        r#""source_message_id":"00000000-0000-0000-0000-000000000002"}}],"mpid":-9223372036854775808,"#,
        r#""source_request_id":"00000000-0000-0000-0000-000000000001","user_attributes":{"#,
        r#""big":9007199254740993,"list":[],"no":false,"quote":"\"\u0007é😀","tag":null,"zero":0}}"#,
    );
    assert_eq!(text(&sealed), expected);
    assert_eq!(sealed.len(), expected.len());
}

#[test]
fn a_uuid_keeps_its_case() {
    let mut event = custom("e");
    event.session_uuid = Some("4E1C7D5A-09e4-4F3B-8a55-2A4B7F0D1C33".into());
    let sealed = Batch::new(Environment::Development).event(event).seal().expect("a batch");
    assert_eq!(value(&sealed)["events"][0]["data"]["session_uuid"], "4E1C7D5A-09e4-4F3B-8a55-2A4B7F0D1C33");
}

#[test]
fn nan_and_infinity_are_refused_with_their_pointer() {
    let location = |latitude, longitude| {
        let place: Location = serde_json::from_value(json!({ "latitude": 0, "longitude": 0 })).expect("a location");
        Location { latitude, longitude, ..place }
    };
    let with = |event: &dyn Fn(&mut CustomEvent)| {
        let mut custom = custom("e");
        event(&mut custom);
        Batch::new(Environment::Development).user_attribute("tag", None::<bool>).event(self::custom("d")).event(custom)
    };
    let refund_at = |price| {
        let mut action: ProductAction = serde_json::from_value(json!({ "action": "purchase" })).expect("an action");
        action.action = ProductActionType::Refund;
        action.products = vec![Product::default(), Product { price: Some(price), ..Product::default() }];
        let event: Event =
            mparticle::types::CommerceEvent { product_action: Some(action.into()), ..Default::default() }.into();
        Batch::new(Environment::Development).event(event)
    };
    let mut context = Batch::new(Environment::Development);
    let location_of_user = Some(location(1.0, f64::NEG_INFINITY).into());
    context.context = Some(mparticle::types::Context { location: location_of_user, data_plan: None }.into());
    let table = [
        (Batch::new(Environment::Development).user_attribute("a/b~c", f64::NAN), "/user_attributes/a~1b~0c"),
        (
            with(&|e| _ = e.custom_attributes.insert("x".into(), f64::INFINITY.into())),
            "/events/1/data/custom_attributes/x",
        ),
        (with(&|e| e.lifetime_value_change = Some(f64::NAN)), "/events/1/data/lifetime_value_change"),
        (with(&|e| e.location = Some(location(f64::NAN, 0.0).into())), "/events/1/data/location/latitude"),
        (
            with(&|e| {
                let state = DeviceCurrentState { battery_level: Some(f64::NAN), ..Default::default() };
                e.device_current_state = Some(state.into());
            }),
            "/events/1/data/device_current_state/battery_level",
        ),
        (refund_at(f64::NAN), "/events/0/data/product_action/products/1/price"),
        (context, "/context/location/longitude"),
    ];
    for (batch, pointer) in table {
        let error = batch.seal().expect_err(pointer);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), format!("{pointer} is NaN or infinite, which JSON cannot represent"));
        assert!(!error.is_retryable() && error.attempts() == 0);
    }
}

#[test]
fn meaningful_nulls_are_kept() {
    let batch = Batch::new(Environment::Development)
        .user_attribute("tag", UserAttributeValue::Null)
        .event(custom("e").attribute("none", AttributeValue::Null));
    let json = value(&batch.seal().expect("a batch"));
    assert_eq!(json["user_attributes"]["tag"], Value::Null);
    assert_eq!(json["events"][0]["data"]["custom_attributes"]["none"], Value::Null);
}

#[test]
fn breadcrumbs_inside_a_crash_report_get_no_ids() {
    let crumb: Breadcrumb = serde_json::from_value(json!({ "label": "x" })).expect("a breadcrumb");
    let crash: CrashReport = serde_json::from_value(json!({
        "severity": "error", "message": "m", "breadcrumbs": [{ "event_type": "breadcrumb", "data": crumb }],
    }))
    .expect("a crash report");
    let json = value(&Batch::new(Environment::Development).event(crash).seal().expect("a batch"));
    assert!(json["events"][0]["data"]["source_message_id"].is_string());
    assert_eq!(json["events"][0]["data"]["breadcrumbs"][0]["data"], json!({ "label": "x" }));
}

#[test]
fn from_json_keeps_the_bytes() {
    let json = r#"{ "unknown" : 1e400, "mpid": 18446744073709551616, "source_request_id" : "a\u0062c", "z":[ ] }"#;
    let sealed = SealedBatch::from_json(format!("  {json}\r\n")).expect("a batch");
    assert_eq!(text(&sealed), json);
    assert_eq!(sealed.source_request_id(), "abc");
    assert_eq!(sealed.len(), json.len());
}

#[test]
fn from_json_adds_a_missing_id() {
    let id = Uuid::from_u128(1);
    let table = [
        ("{}", format!(r#"{{"source_request_id":"{id}"}}"#)),
        (r#"{"source_request_id":""}"#, format!(r#"{{"source_request_id":"{id}"}}"#)),
        ("{ \n}", format!("{{\"source_request_id\":\"{id}\" \n}}")),
        (r#"{"environment":"x"}"#, format!(r#"{{"source_request_id":"{id}","environment":"x"}}"#)),
        (
            r#"{"a":null,"source_request_id": null ,"b":1}"#,
            format!(r#"{{"a":null,"source_request_id": "{id}" ,"b":1}}"#),
        ),
    ];
    for (json, expected) in table {
        let sealed = SealedBatch::from_json_with(json.to_owned(), || id).expect(json);
        assert_eq!(text(&sealed), expected);
        assert_eq!(sealed.source_request_id(), id.to_string());
        assert!(value(&sealed).is_object());
    }
}

#[test]
fn from_json_accepts_any_nesting_depth() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let sealed = SealedBatch::from_json(deep.clone()).expect("an object");
    assert!(text(&sealed).ends_with(&deep[1..]));
}

#[test]
fn from_json_refuses_anything_but_one_object_without_quoting_it() {
    let twice = r#"{"source_request_id":"user@example.com","source_request_id":"b"}"#;
    let deep = format!("{{\"a\":{}", "[".repeat(200_000));
    let table: [&[u8]; 13] = [
        b"",
        b"   ",
        b"null",
        b"[]",
        b"\"user@example.com\"",
        b"{",
        b"{\"a\":}",
        b"{} {}",
        b"{\"a\":\"user@example.com}",
        b"{\"source_request_id\":1}",
        b"\xEF\xBB\xBF{}",
        b"{\"a\":\"\xFF\"}",
        twice.as_bytes(),
    ];
    for json in table.into_iter().chain([deep.as_bytes()]) {
        let error = SealedBatch::from_json(json.to_vec()).expect_err("the JSON is not a batch");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let texts = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!texts.contains("example.com"), "{texts}");
    }
}

#[test]
fn debug_shows_no_user_data() {
    let sealed = support::batch().email("user@example.com").seal().expect("a batch");
    assert!(!format!("{sealed:?}").contains("example.com"));
}

#[test]
fn a_sealed_batch_serializes_as_its_exact_bytes_and_deserializes() {
    #[derive(serde::Deserialize)]
    struct Stored {
        left: Vec<SealedBatch>,
    }

    let sealed =
        SealedBatch::from_json(r#"{"source_request_id":"a", "big": 123456789012345678901234567890}"#).expect("JSON");
    let stored = serde_json::to_string(&json!({"left": [0]})).expect("JSON").replace('0', text(&sealed));
    assert_eq!(serde_json::to_string(&[&sealed]).expect("JSON"), format!("[{}]", text(&sealed)));
    let restored: Stored = serde_json::from_str(&stored).expect("JSON");
    assert_eq!((restored.left.len(), &restored.left[0]), (1, &sealed));
    assert_eq!(restored.left[0].as_ref(), &sealed.json()[..]);
    assert_eq!(std::collections::HashSet::from([sealed.clone()]).len(), 1);
    assert_eq!(sealed.clone().into_json(), *sealed.json());

    let error = serde_json::from_str::<SealedBatch>(r#"["user@example.com"]"#).expect_err("a list").to_string();
    assert!(error.starts_with("the batch is not a JSON object"), "{error}");
}
