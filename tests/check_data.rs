//! The rules on data that programs write by accident: placeholders, floats, seconds, texts, and fields in the wrong place.

mod support;

use mparticle::contract;
use mparticle::diagnostics::{Code, Diagnostic, Fix, Severity};
use mparticle::{Batch, CustomEvent, CustomEventType, DeviceInfo, Environment, ScreenView};
use serde_json::{Value, json};
use support::batch;

fn bare() -> Batch {
    Batch::new(Environment::Development)
}

fn found(diagnostics: &[Diagnostic]) -> Vec<(&str, Code)> {
    diagnostics.iter().map(|found| (found.pointer.as_str(), found.code)).collect()
}

/// Returns the diagnostics of an event with these fields.
fn of_event(event_type: &str, data: &Value) -> Vec<Diagnostic> {
    let event = json!({ "event_type": event_type, "data": data });
    contract::check_batch(&json!({ "environment": "development", "mpid": 1, "events": [event] }))
}

fn of_batch(members: &Value) -> Vec<Diagnostic> {
    let mut batch = json!({ "environment": "development", "mpid": 1 });
    batch.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    contract::check_batch(&batch)
}

fn replace(json: &str) -> Fix {
    Fix::Replace(json.into())
}

#[test]
fn placeholder_is_no_identity() {
    let zeros = "00000000-0000-0000-0000-000000000000";
    let device = |id: &str| DeviceInfo::default().ios_advertising_id(id);
    let table = [
        (bare().customer_id(""), "/user_identities/customer_id"),
        (bare().email(" NULL"), "/user_identities/email"),
        (bare().other_id_10("undefined"), "/user_identities/other_id_10"),
        (bare().customer_id("[object Object]"), "/user_identities/customer_id"),
        (bare().mpid(0), "/mpid"),
        (bare().mp_deviceid(zeros), "/mp_deviceid"),
        (bare().partner_identity("None"), "/partner_identity"),
        (bare().partner_identity_for("P_Id", "NaN"), "/partner_identities/P_Id"),
        (bare().device_info(device(zeros)), "/device_info/ios_advertising_id"),
    ];
    for (batch, pointer) in table {
        let diagnostics = batch.check();
        assert_eq!(found(&diagnostics), [(pointer, Code::PlaceholderIdentity), ("", Code::NoIdentity)]);
        assert!(diagnostics.iter().all(|found| found.severity == Severity::Warning && found.fix.is_none()));
        // The identity beside it counts.
        assert_eq!(found(&batch.other("u-1").check()), [(pointer, Code::PlaceholderIdentity)]);
    }
    let message = &bare().customer_id(format!("  [object {}", "x".repeat(100))).check()[0].message;
    assert!(message.starts_with("\"[object xxx") && message.len() < 160, "{message}");
}

#[test]
fn white_space_around_an_identity_is_part_of_it() {
    for id in [" u-17 ", "u-17\n", "\u{a0}u-17", "u-17\u{200b}", "\u{feff}u-17"] {
        let diagnostics = bare().customer_id(id).check();
        assert_eq!(found(&diagnostics), [("/user_identities/customer_id", Code::IdentityBlanks)], "{id:?}");
        assert_eq!(diagnostics[0].fix, None);
    }
    assert_eq!(bare().customer_id("u 17").check(), []);
}

#[test]
fn nul_is_found_in_any_text_and_name() {
    let batch = batch()
        .user_attribute("$firstname", "\0")
        .event(CustomEvent::new("a\0b", CustomEventType::Other).attribute("c\0", 1))
        .event(ScreenView::new("fine").attribute("fine", "\u{1}"));
    let expected = [
        ("/events/1/data/custom_attributes/c\0", Code::Nul),
        ("/events/1/data/event_name", Code::Nul),
        ("/user_attributes/$firstname", Code::Nul),
    ];
    assert_eq!(found(&batch.check()), expected);
}

#[test]
fn lengths_are_counted_in_utf_16_units() {
    let emoji = |count: usize| "😀".repeat(count);
    let event = |name: String| batch().event(CustomEvent::new(name, CustomEventType::Other));
    assert_eq!(event(emoji(128)).check(), []);
    let diagnostics = event(emoji(129)).check();
    assert_eq!(found(&diagnostics), [("/events/1/data/event_name", Code::EventName)]);
    assert_eq!(diagnostics[0].actual.as_deref(), Some("258"));
    assert!(diagnostics[0].message.ends_with("; most emoji count as two"), "{}", diagnostics[0].message);
    assert_eq!(batch().user_attribute("a", emoji(2048)).check(), []);
    assert_eq!(batch().user_attribute("a", emoji(2049)).check()[0].code, Code::AttributeValue);
}

#[test]
fn warns_about_fields_that_the_service_sets() {
    let mut batch = batch();
    batch.batch_id = Some(1);
    batch.timestamp_unixtime_ms = Some(1_767_225_600_000);
    let mut event = ScreenView::new("s");
    event.event_id = Some(-1);
    let batch = batch.event(event);
    let expected = [
        ("/batch_id", Code::ReadOnly),
        ("/timestamp_unixtime_ms", Code::ReadOnly),
        ("/events/1/data/event_id", Code::ReadOnly),
    ];
    assert_eq!(found(&batch.check()), expected);

    let data = json!({ "product_action": { "action": "purchase" }, "custom_event_type": "purchase", "event_id": null });
    assert_eq!(found(&of_event("commerce_event", &data)), [("/events/0/data/custom_event_type", Code::ReadOnly)]);
    let data = json!({ "event_name": "n", "custom_event_type": "other" });
    assert_eq!(of_event("custom_event", &data), []);
}

#[test]
fn float_in_the_place_of_a_whole_number_is_an_error() {
    let at = "/events/0/data/timestamp_unixtime_ms";
    let table = [
        ("1694208763973.0", Code::WholeNumber, Some(replace("1694208763973"))),
        ("1.694208763973e12", Code::WholeNumber, Some(replace("1694208763973"))),
        ("1694208763972.9998", Code::WholeNumber, None),
        ("-0.0", Code::WholeNumber, Some(replace("0"))),
        ("1694208763.0", Code::LooksLikeSeconds, Some(replace("1694208763000"))),
        ("1694208763.973", Code::LooksLikeSeconds, Some(replace("1694208763973"))),
        ("1.694208763e9", Code::LooksLikeSeconds, Some(replace("1694208763000"))),
        ("9007199254740991.0", Code::WholeNumber, Some(replace("9007199254740991"))),
        ("9007199254740992.0", Code::LostDigits, None),
        ("-7346244611012968448.0", Code::LostDigits, None),
        ("1.2297829382473034e+19", Code::Value, None),
        ("-9223372036854775809", Code::LostDigits, None),
    ];
    for (number, code, fix) in table {
        let data: Value = serde_json::from_str(&format!(r#"{{"timestamp_unixtime_ms":{number}}}"#)).expect("JSON");
        let diagnostics = of_event("first_run", &data);
        assert_eq!(found(&diagnostics), [(at, code)], "{number}");
        assert_eq!((diagnostics[0].severity, &diagnostics[0].fix), (Severity::Error, &fix), "{number}");
    }
    // A duration is no time.
    let duration = of_event("session_end", &json!({ "session_duration_ms": 150_000_000.0 }));
    assert_eq!((duration[0].code, &duration[0].fix), (Code::WholeNumber, &Some(replace("150000000"))));
    // Other integers, of 32 bits and without a range, and numbers that are none.
    let float = of_batch(&json!({ "device_info": { "timezone_offset": 1.0 }, "mpid": 7.346_244_611_012_969e18 }));
    let expected = [("/device_info/timezone_offset", Code::WholeNumber), ("/mpid", Code::LostDigits)];
    let mut pairs = found(&float);
    pairs.sort_unstable();
    assert_eq!(pairs, expected);
    let data = json!({ "severity": "s", "message": "m", "ios_image_size": 4.0 });
    assert_eq!(of_event("crash_report", &data)[0].fix, Some(replace("4")));
    let data = json!({ "lifetime_value_change": 1.0, "custom_attributes": { "rate": 2.0, "big": 1e300 } });
    assert_eq!(of_event("first_run", &data), []);
}

#[test]
fn text_and_spelling_are_fixed_where_nothing_is_guessed() {
    let table = [
        (json!({ "mpid": "-7636538281262557001" }), Some(replace("-7636538281262557001"))),
        (json!({ "mpid": "9223372036854775808" }), None),
        (json!({ "mpid": "7.3e18" }), None),
        (json!({ "mpid": "007" }), None),
        (json!({ "mpid": " 7" }), None),
        (json!({ "device_info": { "screen_height": "900" } }), Some(replace("900"))),
        (json!({ "device_info": { "is_tablet": "true" } }), Some(replace("true"))),
        (json!({ "device_info": { "is_tablet": "No" } }), None),
        (json!({ "context": { "location": { "latitude": "52.5", "longitude": 1 } } }), Some(replace("52.5"))),
        (json!({ "context": { "location": { "latitude": "52,5", "longitude": 1 } } }), None),
        (json!({ "application_info": { "os": "iOS" } }), Some(replace("\"IOS\""))),
        (json!({ "device_info": { "platform": "Smart TV" } }), Some(replace("\"smart_tv\""))),
        (json!({ "device_info": { "platform": "symbian" } }), None),
        (json!({ "environment": "Production" }), Some(replace("\"production\""))),
        (json!({ "user_identities": { "customer_id": 4711 } }), Some(Fix::Quote)),
        (json!({ "user_identities": { "customer_id": 4711.0 } }), Some(replace("\"4711\""))),
        (json!({ "user_identities": { "customer_id": 4711.5 } }), None),
        (json!({ "user_identities": { "customer_id": 7.346e18 } }), None),
        (json!({ "user_identities": { "customer_id": true } }), None),
        (json!({ "partner_identities": { "P_Id": 1e300 } }), None),
        (json!({ "partner_identity": 1.5 }), None),
        (json!({ "device_info": { "android_uuid": 1e20 } }), None),
        (json!({ "application_info": { "package": 1.5 } }), Some(Fix::Quote)),
    ];
    for (members, fix) in table {
        let errors = support::errors(of_batch(&members));
        assert_eq!((errors.len(), &errors[0].fix), (1, &fix), "{members}: {errors:?}");
    }
}

#[test]
fn names_the_owner_of_a_field_in_the_wrong_place() {
    let message = |diagnostics: &[Diagnostic]| diagnostics[0].to_string();
    let screen = |field: &str| of_event("screen_view", &json!({ "screen_name": "Home", field: "x" }));
    assert_eq!(
        message(&screen("is_new_attribute")),
        "/events/0/data/is_new_attribute: is a field of user_attribute_change, not of screen_view (event 0, screen_view)"
    );
    assert_eq!(screen("is_new_attribute")[0].code, Code::OtherEventType);
    // The name of the event has another field in each event type.
    let nameless = of_event("screen_view", &json!({ "event_name": "Home" }));
    let renamed = nameless.iter().find(|found| found.code == Code::OtherEventType).expect("the field");
    assert_eq!(
        (renamed.message.as_str(), renamed.suggestion.as_deref()),
        (
            "is a field of commerce_event and custom_event, not of screen_view, did you mean \"screen_name\"?",
            Some("screen_name")
        )
    );
    assert_eq!(screen("event_name")[0].suggestion, None, "the event has its name already");
    let severe = of_event("commerce_event", &json!({ "severity": "fatal" }));
    let severe = severe.iter().find(|found| found.code == Code::OtherEventType).expect("the field");
    assert_eq!(severe.suggestion, None, "the severity is no name");
    let misplaced = [
        (screen("email"), "/events/0/data/email: belongs to `user_identities` (event 0, screen_view)"),
        (screen("user_attributes"), "/events/0/data/user_attributes: belongs to the batch (event 0, screen_view)"),
        (of_batch(&json!({ "customer_id": "1" })), "/customer_id: belongs to `user_identities`"),
        (of_batch(&json!({ "event_name": "x" })), "/event_name: belongs to the `data` of an event"),
        (of_batch(&json!({ "device_info": { "mpid": 1 } })), "/device_info/mpid: belongs to the batch"),
        (
            of_batch(&json!({ "user_attributes": { "score": 1, "events": [{ "data": {} }, { "data": {} }] } })),
            "/user_attributes/events: belongs to the batch, not to the attributes",
        ),
        (
            of_batch(&json!({ "user_attributes": { "device_info": { "platform": "web" } } })),
            "/user_attributes/device_info: belongs to the batch, not to the attributes",
        ),
    ];
    for (diagnostics, expected) in misplaced {
        assert_eq!((diagnostics.len(), message(&diagnostics).as_str()), (1, expected));
        assert_eq!((diagnostics[0].code, diagnostics[0].severity), (Code::MisplacedField, Severity::Error));
    }
    // An attribute may have any name and value, and a misspelt field belongs where it is.
    assert_eq!(of_batch(&json!({ "user_attributes": { "events": ["a"], "mpid": 1 } })), []);
    let attribute = of_batch(&json!({ "user_attributes": { "shop": { "id": 1 } } }));
    assert_eq!(found(&attribute), [("/user_attributes/shop", Code::Type)]);
    assert_eq!(of_batch(&json!({ "user_identities": { "customerid": "1" } }))[0].code, Code::UnknownField);
}

#[test]
fn numbered_name_keeps_its_number() {
    let suggestion = |name: &str| {
        let mut diagnostics = of_batch(&json!({ "user_identities": { name: "x" } }));
        let only = diagnostics.pop().expect("a diagnostic");
        (only.suggestion, only.fix)
    };
    let rename = |name: &str| (Some(name.to_owned()), Some(Fix::Rename(name.to_owned())));
    assert_eq!(suggestion("other5"), rename("other_id_5"));
    assert_eq!(suggestion("Other-10"), rename("other_id_10"));
    assert_eq!(suggestion("phone2"), (Some("phone_number_2".into()), None));
    assert_eq!(suggestion("email_address"), (Some("email".into()), None));
}
