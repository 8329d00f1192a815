//! What the service would do in silence, said aloud: each rule at its limit and one over it.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use mparticle::diagnostics::{Finding, Rule};
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

fn said(findings: &[Finding]) -> Vec<(&str, Rule, Option<usize>, Option<usize>)> {
    findings.iter().map(|f| (f.pointer.as_str(), f.rule, f.actual, f.limit)).collect()
}

/// A batch at a limit, one over it, and what is said of that: the pointer, the rule and its limit.
type Case = (Batch, Batch, String, Rule, usize);

#[test]
fn each_limit_is_named_one_over_it() {
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
            Rule::EventName,
            256,
        ),
        (on(many(100).into()), on(many(101).into()), "/events/1/data/custom_attributes".into(), Rule::Attributes, 100),
        (users(100), users(101), "/user_attributes".into(), Rule::Attributes, 100),
        (
            on(event("e").attribute(text(256), 1).into()),
            on(event("e").attribute(text(257), 1).into()),
            format!("/events/1/data/custom_attributes/{}", text(257)),
            Rule::AttributeName,
            256,
        ),
        (
            batch().user_attribute("a/b~", text(4096)),
            batch().user_attribute("a/b~", text(4097)),
            "/user_attributes/a~1b~0".into(),
            Rule::AttributeValue,
            4096,
        ),
        (
            batch().user_attribute("l", list(1000, 1)),
            batch().user_attribute("l", list(1001, 1)),
            "/user_attributes/l".into(),
            Rule::ListEntries,
            1000,
        ),
        (
            batch().user_attribute("l", list(1, 512)),
            batch().user_attribute("l", list(1, 513)),
            "/user_attributes/l/0".into(),
            Rule::ListEntry,
            512,
        ),
        (
            on(UserAttributeChange::new(text(256)).into()),
            on(UserAttributeChange::new(text(257)).into()),
            "/events/1/data/user_attribute_name".into(),
            Rule::AttributeName,
            256,
        ),
        (
            on(CrashReport::new("s", "m").breadcrumb(Breadcrumb::new("l").attribute("a", text(4096))).into()),
            on(CrashReport::new("s", "m").breadcrumb(Breadcrumb::new("l").attribute("a", text(4097))).into()),
            "/events/1/data/breadcrumbs/0/data/custom_attributes/a".into(),
            Rule::AttributeValue,
            4096,
        ),
        (
            on(push(100).into()),
            on(push(101).into()),
            "/events/1/data/action_identifier".into(),
            Rule::ActionIdentifier,
            100,
        ),
        (batch_of(MAX_BATCH_BYTES), batch_of(MAX_BATCH_BYTES + 1), String::new(), Rule::BatchBytes, MAX_BATCH_BYTES),
    ];
    for (within, over, pointer, rule, limit) in table {
        assert_eq!(within.check(), [], "{rule:?} at its limit");
        assert_eq!(said(&over.check()), [(pointer.as_str(), rule, Some(limit + 1), Some(limit))]);
        assert!(!over.check()[0].to_string().is_empty() && !rule.consequence().is_empty());
    }
}

#[test]
fn times_that_look_like_seconds_are_named_wherever_they_stand() {
    let seconds = DateTime::from_timestamp_millis(1_523_039_002).expect("a time");
    let batch = batch()
        .gdpr_consent("p", Consent::granted(seconds))
        .event(ScreenView::new("s").at(seconds))
        .event(event("e").attribute("timestamp_unixtime_ms", 1_523_039_002));
    let rule = Rule::LooksLikeSeconds;
    assert_eq!(
        said(&batch.check()),
        [
            ("/consent_state/gdpr/p/timestamp_unixtime_ms", rule, None, None),
            ("/events/1/data/timestamp_unixtime_ms", rule, None, None),
        ]
    );
    let right = support::batch().event(FirstRun::new().at(Utc::now()));
    assert_eq!(right.check(), []);
}

#[test]
fn times_that_no_clock_of_today_gives_are_named() {
    let now = DateTime::from_timestamp_millis(1_767_225_600_000).expect("a time");
    let at = |time: i64| {
        let time = DateTime::from_timestamp_millis(time).expect("a time");
        let findings = batch().event(ScreenView::new("s").at(time)).check_historical(now);
        let historical = [Rule::HistoricalTooYoung, Rule::HistoricalWithoutTime];
        findings.iter().map(|finding| finding.rule).filter(|rule| !historical.contains(rule)).collect::<Vec<_>>()
    };
    let day = 24 * 60 * 60 * 1000;
    let (ahead, now) = (now.timestamp_millis() + day, now.timestamp_millis());
    let table = [
        (0, None),
        (99_999_999, None),
        (100_000_000, Some(Rule::LooksLikeSeconds)),
        (99_999_999_999, Some(Rule::LooksLikeSeconds)),
        (100_000_000_000, None),
        (now, None),
        (ahead, None),
        (ahead + 1, Some(Rule::InTheFuture)),
        (99_999_999_999_999, Some(Rule::InTheFuture)),
        (100_000_000_000_000, Some(Rule::LooksLikeMicroseconds)),
        (now * 1000, Some(Rule::LooksLikeMicroseconds)),
    ];
    for (time, expected) in table {
        assert_eq!(at(time), expected.into_iter().collect::<Vec<_>>(), "{time}");
    }
    let tomorrow = Utc::now() + TimeDelta::hours(30);
    let found = batch().event(ScreenView::new("s").at(tomorrow)).check();
    assert_eq!(said(&found), [("/events/1/data/timestamp_unixtime_ms", Rule::InTheFuture, None, None)]);
}

#[test]
fn an_identity_of_a_user_or_a_device_is_needed() {
    let bare = Batch::new(Environment::Production);
    assert_eq!(said(&bare.check()), [("", Rule::NoIdentity, None, None)]);
    assert_eq!(
        bare.check()[0].to_string(),
        "/: no identity of a user or a device; the service accepts it and cannot make use of it"
    );
    let unnamed = bare.clone().device_info(DeviceInfo::default().os_version("18"));
    assert_eq!(unnamed.check()[0].rule, Rule::NoIdentity);
    for named in [
        bare.clone().other_id_10("x"),
        bare.clone().mpid(0),
        bare.clone().mp_deviceid("d"),
        bare.clone().partner_identity("x"),
        bare.clone().partner_identity_at("P_Id", "x"),
        bare.clone().device_info(DeviceInfo::default().ios_idfv("x")),
    ] {
        assert_eq!(named.check(), []);
    }
}

#[test]
fn a_historical_batch_that_would_be_ignored_says_why() {
    let now = Utc::now();
    let aged = |hours| batch_with(now - TimeDelta::hours(hours));
    assert_eq!(aged(72).check_historical(now), []);
    assert_eq!(aged(24 * 40).check_historical(now), []);
    let at = "/events/0/data/timestamp_unixtime_ms";
    let young = batch_with(now - TimeDelta::hours(72) + TimeDelta::milliseconds(1));
    assert_eq!(said(&young.check_historical(now)), [(at, Rule::HistoricalTooYoung, None, None)]);
    assert_eq!(said(&batch().check_historical(now)), [(at, Rule::HistoricalWithoutTime, None, None)]);
    let empty = Batch::new(Environment::Production).customer_id("1");
    assert_eq!(said(&empty.check_historical(now)), [("/events", Rule::HistoricalWithoutEvents, None, None)]);
}

fn batch_with(time: DateTime<Utc>) -> Batch {
    Batch::new(Environment::Production).customer_id("1").event(event("e").at(time))
}

#[test]
fn a_batch_without_a_json_form_is_still_looked_at() {
    let batch = batch().user_attribute("nan", f64::NAN).event(event(&"x".repeat(257)));
    assert_eq!(said(&batch.check()), [("/events/1/data/event_name", Rule::EventName, Some(257), Some(256))]);
}
