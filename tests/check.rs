//! The warnings about silent effects of the service: each rule at its limit and one over it.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use mparticle::diagnostics::{Code, Diagnostic, Severity};
use mparticle::limits::MAX_BATCH_BYTES;
use mparticle::types::PushMessageType;
use mparticle::{
    Batch, Breadcrumb, Consent, CrashReport, CustomEvent, CustomEventType, DeviceInfo, Environment, Event, FirstRun,
    PushMessage, ScreenView, UserAttributeChange,
};
use support::{batch, batch_of};

fn event(name: &str) -> CustomEvent {
    CustomEvent::new(name, CustomEventType::Other)
}

fn details(found: &[Diagnostic]) -> Vec<(&str, Code, Option<&str>, Option<&str>)> {
    found.iter().map(|d| (d.pointer.as_str(), d.code, d.actual.as_deref(), d.expected.as_deref())).collect()
}

/// A batch at a limit, a batch one over it, and the pointer, the code and the limit of the expected diagnostic.
type Case = (Batch, Batch, String, Code, usize);

#[test]
fn warns_one_over_each_limit() {
    let text = |length: usize| "é".repeat(length);
    let list = |entries: usize, length: usize| vec![text(length); entries];
    let push =
        |identifier: usize| PushMessage::new("t", PushMessageType::Sent, "{}").action_identifier(text(identifier));
    let many = |count: usize| (0..count).fold(event("e"), |event, n| event.attribute(format!("n{n}"), true));
    let users = |count: usize| batch().user_attributes((0..count).map(|n| (format!("n{n}"), true)));
    let on = |event: Event| batch().event(event);
    let table: [Case; 11] = [
        (
            on(event(&text(256)).into()),
            on(event(&text(257)).into()),
            "/events/1/data/event_name".into(),
            Code::EventName,
            256,
        ),
        (on(many(100).into()), on(many(101).into()), "/events/1/data/custom_attributes".into(), Code::Attributes, 100),
        (users(100), users(101), "/user_attributes".into(), Code::Attributes, 100),
        (
            on(event("e").attribute(text(256), 1).into()),
            on(event("e").attribute(text(257), 1).into()),
            format!("/events/1/data/custom_attributes/{}", text(257)),
            Code::AttributeName,
            256,
        ),
        (
            batch().user_attribute("a/b~", text(4096)),
            batch().user_attribute("a/b~", text(4097)),
            "/user_attributes/a~1b~0".into(),
            Code::AttributeValue,
            4096,
        ),
        (
            batch().user_attribute("l", list(1000, 1)),
            batch().user_attribute("l", list(1001, 1)),
            "/user_attributes/l".into(),
            Code::ListEntries,
            1000,
        ),
        (
            batch().user_attribute("l", list(1, 512)),
            batch().user_attribute("l", list(1, 513)),
            "/user_attributes/l/0".into(),
            Code::ListEntry,
            512,
        ),
        (
            on(UserAttributeChange::new(text(256)).into()),
            on(UserAttributeChange::new(text(257)).into()),
            "/events/1/data/user_attribute_name".into(),
            Code::AttributeName,
            256,
        ),
        (
            on(CrashReport::new("s", "m").breadcrumb(Breadcrumb::new("l").attribute("a", text(4096))).into()),
            on(CrashReport::new("s", "m").breadcrumb(Breadcrumb::new("l").attribute("a", text(4097))).into()),
            "/events/1/data/breadcrumbs/0/data/custom_attributes/a".into(),
            Code::AttributeValue,
            4096,
        ),
        (
            on(push(100).into()),
            on(push(101).into()),
            "/events/1/data/action_identifier".into(),
            Code::ActionIdentifier,
            100,
        ),
        (batch_of(MAX_BATCH_BYTES), batch_of(MAX_BATCH_BYTES + 1), String::new(), Code::BatchBytes, MAX_BATCH_BYTES),
    ];
    for (within, over, pointer, code, limit) in table {
        assert_eq!(within.check(), [], "{code:?} at its limit");
        let (actual, expected) = ((limit + 1).to_string(), format!("at most {limit}"));
        let found = over.check();
        assert_eq!(details(&found), [(pointer.as_str(), code, Some(actual.as_str()), Some(expected.as_str()))]);
        let (message, parts) = (&found[0].message, [format!("{actual} "), format!(", {expected}; ")]);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert_eq!(found[0].severity, Severity::Warning);
    }
}

#[test]
fn warns_about_times_in_seconds_at_any_depth() {
    let seconds = DateTime::from_timestamp_millis(1_523_039_002).expect("a time");
    let batch = batch()
        .gdpr_consent("p", Consent::granted(seconds))
        .event(ScreenView::new("s").timestamp(seconds))
        .event(event("e").attribute("timestamp_unixtime_ms", 1_523_039_002));
    let code = Code::LooksLikeSeconds;
    assert_eq!(
        details(&batch.check()),
        [
            ("/consent_state/gdpr/p/timestamp_unixtime_ms", code, None, None),
            ("/events/1/data/timestamp_unixtime_ms", code, None, None),
        ]
    );
    let right = support::batch().event(FirstRun::new().timestamp(Utc::now()));
    assert_eq!(right.check(), []);
}

#[test]
fn warns_about_implausible_times() {
    let now = DateTime::from_timestamp_millis(1_767_225_600_000).expect("a time");
    let at = |time: i64| {
        let time = DateTime::from_timestamp_millis(time).expect("a time");
        let found = batch().event(ScreenView::new("s").timestamp(time)).check_historical(now);
        let historical = [Code::HistoricalTooYoung, Code::HistoricalWithoutTime];
        found.iter().map(|diagnostic| diagnostic.code).filter(|code| !historical.contains(code)).collect::<Vec<_>>()
    };
    let day = 24 * 60 * 60 * 1000;
    let (ahead, now) = (now.timestamp_millis() + day, now.timestamp_millis());
    let table = [
        (-2_209_161_600_000, Some(Code::TooEarly)),
        (0, Some(Code::TooEarly)),
        (99_999_999, Some(Code::TooEarly)),
        (100_000_000, Some(Code::LooksLikeSeconds)),
        (99_999_999_999, Some(Code::LooksLikeSeconds)),
        (100_000_000_000, Some(Code::TooEarly)),
        (946_684_799_999, Some(Code::TooEarly)),
        (946_684_800_000, None),
        (now, None),
        (ahead, None),
        (ahead + 1, Some(Code::InTheFuture)),
        (99_999_999_999_999, Some(Code::InTheFuture)),
        (100_000_000_000_000, Some(Code::LooksLikeMicroseconds)),
        (now * 1000, Some(Code::LooksLikeMicroseconds)),
    ];
    for (time, expected) in table {
        assert_eq!(at(time), expected.into_iter().collect::<Vec<_>>(), "{time}");
    }
    let zero = batch().event(ScreenView::new("s").timestamp(DateTime::UNIX_EPOCH)).check();
    assert_eq!(
        zero[0].to_string(),
        "/events/1/data/timestamp_unixtime_ms: a time before the year 2000 (1970-01-01); an empty date, or a date in another \
         form, gives such a time"
    );
    let other_time =
        batch().event(ScreenView::new("s").timestamp(Utc::now()).start_timestamp(DateTime::UNIX_EPOCH)).check();
    assert_eq!(other_time, [], "zeros are common in other times");
    let tomorrow = Utc::now() + TimeDelta::hours(30);
    let found = batch().event(ScreenView::new("s").timestamp(tomorrow)).check();
    assert_eq!(details(&found), [("/events/1/data/timestamp_unixtime_ms", Code::InTheFuture, None, None)]);
}

#[test]
fn warns_about_a_missing_identity() {
    let bare = Batch::new(Environment::Production);
    assert_eq!(details(&bare.check()), [("", Code::NoIdentity, None, None)]);
    assert_eq!(
        bare.check()[0].to_string(),
        "(batch): no identity of a user or a device; the service accepts the batch but cannot use it"
    );
    let unnamed = bare.clone().device_info(DeviceInfo::default().os_version("18"));
    assert_eq!(unnamed.check()[0].code, Code::NoIdentity);
    for named in [
        bare.clone().other_id_10("x"),
        bare.clone().mpid(-1),
        bare.clone().mp_deviceid("d"),
        bare.clone().partner_identity("x"),
        bare.clone().partner_identity_for("P_Id", "x"),
        bare.clone().device_info(DeviceInfo::default().ios_idfv("x")),
    ] {
        assert_eq!(named.check(), []);
    }
}

#[test]
fn warns_about_ignored_historical_batches() {
    let now = Utc::now();
    let aged = |hours| batch_with(now - TimeDelta::hours(hours));
    assert_eq!(aged(72).check_historical(now), []);
    assert_eq!(aged(24 * 40).check_historical(now), []);
    let at = "/events/0/data/timestamp_unixtime_ms";
    let young = batch_with(now - TimeDelta::hours(72) + TimeDelta::milliseconds(1));
    assert_eq!(details(&young.check_historical(now)), [(at, Code::HistoricalTooYoung, None, None)]);
    assert_eq!(details(&batch().check_historical(now)), [(at, Code::HistoricalWithoutTime, None, None)]);
    let empty = Batch::new(Environment::Production).customer_id("1");
    assert_eq!(details(&empty.check_historical(now)), [("/events", Code::HistoricalWithoutEvents, None, None)]);
}

fn batch_with(time: DateTime<Utc>) -> Batch {
    Batch::new(Environment::Production).customer_id("1").event(event("e").timestamp(time))
}

#[test]
fn checks_batches_that_cannot_be_serialized() {
    let batch = batch().user_attribute("nan", f64::NAN).event(event(&"x".repeat(257)));
    assert_eq!(
        details(&batch.check()),
        [("/events/1/data/event_name", Code::EventName, Some("257"), Some("at most 256"))]
    );
}
