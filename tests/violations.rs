//! The diagnostics of each field of each type with each kind of error; `violations.txt` lists the expected pointers and messages.

mod support;

use std::collections::BTreeSet;

use mparticle::contract;
use mparticle::diagnostics::{Diagnostic, Severity};
use serde_json::{Map, Value, json};

fn document() -> Value {
    serde_json::from_str(contract::DOCUMENT).expect("the document is JSON")
}

/// Returns the event types with the names of their payloads.
fn event_types(document: &Value) -> Vec<(String, String)> {
    let branches = document["components"]["schemas"]["Event"]["oneOf"].as_array().expect("branches");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    branches
        .iter()
        .map(|branch| {
            let reference = text(&branch["properties"]["data"]["$ref"]);
            let name = reference.rsplit('/').next().expect("a name").to_owned();
            (text(&branch["properties"]["event_type"]["enum"][0]), name)
        })
        .collect()
}

struct Row {
    section: &'static str,
    change: &'static str,
    message: &'static str,
}

fn rows() -> Vec<Row> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in include_str!("violations.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            continue;
        }
        let (change, message) = line.split_once(" -> ").expect("a change and its diagnostic");
        rows.push(Row { section, change, message });
    }
    rows
}

fn changed(example: &Value, change: &str) -> Value {
    let mut object = example.as_object().expect("an example").clone();
    if let Some(name) = change.strip_prefix("- ") {
        object.remove(name).expect("the field to remove");
    } else {
        let change: Map<String, Value> = serde_json::from_str(change).expect("a JSON object");
        object.extend(change);
    }
    object.into()
}

fn errors_of(body: &Value) -> Vec<String> {
    support::errors(contract::check_batch(body)).iter().map(ToString::to_string).collect()
}

#[test]
fn reports_each_error_with_the_expected_pointer_and_message() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let types = event_types(&document);
    let mut bodies = 0;
    for Row { section, change, message } in rows() {
        if section == "batch" {
            assert_eq!(errors_of(&changed(&schemas["Batch"]["example"], change)), [message], "{change}");
            bodies += 1;
            continue;
        }
        let of_section: Vec<_> = match section {
            "every event type" => types.iter().collect(),
            name => types.iter().filter(|(event_type, _)| event_type == name).collect(),
        };
        assert!(!of_section.is_empty(), "{section}");
        for (event_type, payload) in of_section {
            let data = changed(&schemas[payload]["example"], change);
            let event = json!({ "event_type": event_type, "data": data });
            let body = json!({ "environment": "development", "mpid": 1, "events": [event] });
            assert_eq!(errors_of(&body), [message.replace("{type}", event_type)], "{event_type}: {change}");
            bodies += 1;
        }
    }
    println!("{bodies} wrong bodies");
    assert!(bodies >= 150);
}

/// Fails if the document has a field that the table does not have.
#[test]
fn table_contains_every_field() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let fields = |schema: &Value| -> BTreeSet<String> {
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let covered = |section: &str| -> BTreeSet<String> {
        let rows = rows().into_iter().filter(|row| row.section == section);
        let changes = rows.filter_map(|row| serde_json::from_str::<Map<String, Value>>(row.change).ok());
        changes.flatten().map(|(name, _)| name).collect()
    };
    let mut batch = fields(&schemas["Batch"]);
    batch.remove("events");
    assert!(covered("batch").is_superset(&batch));
    assert!(covered("every event type").is_superset(&fields(&schemas["CommonEventData"])));
    for (event_type, payload) in event_types(&document) {
        let own = fields(&schemas[&payload]["allOf"][1]);
        assert!(covered(&event_type).is_superset(&own), "{event_type}");
    }
}

#[test]
fn reports_values_that_are_not_batches() {
    let with = |events: Value| json!({ "environment": "development", "mpid": 1, "events": events });
    let one = |event: Value| with(json!([event]));
    let types = r#""application_state_transition", "breadcrumb", "commerce_event", "crash_report", "custom_event", "first_run", "network_performance", "opt_out", "profile", "push_message", "push_registration", "screen_view", "session_end", "session_start", "uninstall", "user_attribute_change" or "user_identity_change""#;
    let table = [
        (json!([]), "(batch): expected an object, found a list".to_owned()),
        (json!("batch"), r#"(batch): expected an object, found "batch""#.into()),
        (json!(null), "(batch): null counts as absent, expected an object".into()),
        (with(json!({})), "/events: expected a list, found an object".into()),
        (one(json!(5)), "/events/0: expected an object, found 5 (event 0)".into()),
        (
            one(json!({ "event_type": "first_fun", "data": {} })),
            format!(
                r#"/events/0/event_type: expected {types}, found "first_fun", did you mean "first_run"? (event 0, first_fun)"#
            ),
        ),
        (
            one(json!({ "event_type": 5, "data": {} })),
            format!("/events/0/event_type: expected {types}, found 5 (event 0)"),
        ),
        (one(json!({ "data": {} })), format!(r#"/events/0: "event_type" is missing, expected {types} (event 0)"#)),
        (
            one(json!({ "event_type": "first_run" })),
            r#"/events/0: "data" is missing, expected an object (event 0, first_run)"#.into(),
        ),
        (
            one(json!({ "event_type": "first_run", "data": [] })),
            "/events/0/data: expected an object, found a list (event 0, first_run)".into(),
        ),
        (
            one(json!({ "event_type": "first_run", "data": {}, "timestamp_unixtime_ms": 1 })),
            "/events/0/timestamp_unixtime_ms: belongs to the `data` of an event (event 0, first_run)".into(),
        ),
        (
            one(json!({ "eventtype": "first_run", "event_type": "first_run", "data": {} })),
            r#"/events/0/eventtype: unknown field, did you mean "event_type"? (event 0, first_run)"#.into(),
        ),
    ];
    for (body, message) in table {
        assert_eq!(errors_of(&body), [message], "{body}");
    }
}

#[test]
fn reports_all_errors_of_a_body() {
    let body = json!({
        "environment": "prod",
        "user_identities": { "customerid": "1", "e-mail": "a", "alias": 5 },
        "events": [
            { "event_type": "session_start", "data": { "custom_flags": { "a": 1 }, "timestamp_unixtime": 1 } },
            { "event_type": "screen_view", "data": {} },
            { "event_type": "commerce_event", "data": { "product_action": { "products": [{ "price": "1" }, { "pryce": 1 }] } } },
        ],
    });
    let mut messages = errors_of(&body);
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            r#"/environment: expected "production" or "development", found "prod""#,
            "/events/0/data/custom_flags: is a field of commerce_event, custom_event and screen_view, not of session_start (event 0, session_start)",
            r#"/events/0/data/timestamp_unixtime: unknown field, did you mean "timestamp_unixtime_ms"? (event 0, session_start)"#,
            r#"/events/1/data: "screen_name" is missing, expected text (event 1, screen_view)"#,
            r#"/events/2/data/product_action/products/0/price: expected a number, found "1" (event 2, commerce_event)"#,
            r#"/events/2/data/product_action/products/1/pryce: unknown field, did you mean "price"? (event 2, commerce_event)"#,
            r#"/events/2/data/product_action: "action" is missing, expected "add_to_cart", "remove_from_cart", "checkout", "checkout_option", "click", "view_detail", "purchase", "refund", "add_to_wishlist" or "remove_from_wish_list" (event 2, commerce_event)"#,
            "/user_identities/alias: expected text, found 5",
            r#"/user_identities/customerid: unknown field, did you mean "customer_id"?"#,
            r#"/user_identities/e-mail: unknown field, did you mean "email"?"#,
        ]
    );
}

#[test]
fn null_at_a_declared_property_counts_as_absent() {
    let first = json!({ "identity_type": "email", "identity": "a", "timestamp_unixtime_ms": 1 });
    let right = json!({ "environment": "production", "mpid": null, "device_info": { "is_tablet": null, "platform": null },
        "ip": null, "user_identities": { "email": null, "customer_id": "1" }, "events": [
        { "event_type": "user_attribute_change", "data": { "user_attribute_name": "a", "new": null, "old": null } },
        { "event_type": "user_identity_change", "data": { "new": first, "old": null } },
        { "event_type": "first_run", "data": { "custom_attributes": { "a": null }, "location": null } },
        { "event_type": "commerce_event", "data": {
            "product_action": null, "product_impressions": null, "promotion_action": { "action": "view", "promotions": null } } },
    ] });
    assert_eq!(contract::check_batch(&right), []);
    let without_events = json!({ "environment": "production", "mpid": 1, "events": null });
    assert_eq!(contract::check_batch(&without_events), []);

    let wrong = json!({ "environment": null, "mpid": 1, "customerid": null, "events": [
        { "event_type": "commerce_event", "data": { "product_action": null } },
        { "event_type": "custom_event", "data": { "event_name": "e", "custom_event_type": "other", "custom_attributes": { "a": [null] } } },
    ] });
    assert_eq!(
        errors_of(&wrong),
        [
            r#"/environment: null counts as absent, expected "production" or "development""#,
            "/customerid: unknown field",
            "/events/0/data: expected exactly one of product_action, promotion_action, product_impressions, found none (event 0, commerce_event)",
            "/events/1/data/custom_attributes/a: expected text, a number, true or false or null, found a list (event 1, custom_event)",
        ]
    );
}

/// Only unambiguous errors have a fix; `true` is nobody's identity.
#[test]
fn unambiguous_errors_have_a_fix() {
    let body = json!({
        "environment": "production",
        "customerid": null,
        "user_identities": { "customerid": "1", "emailing": "a", "other": 5, "yahoo": true },
        "device_info": { "ios_idfa": "x" },
        "ip": 7,
        "attribution_info": { "service_provider": null, "publisher": "x", "campaign": 1 },
        "user_attributes": { "a": [1, null, "x", {}], "b": 1, "c": { "d": 1 } },
        "consent_state": { "gdpr": { "p": null } },
        "partner_identities": { "p": null, "q": 1 },
        "events": [
            null,
            { "event_type": "custom_event", "data": { "event_name": false, "custom_event_type": 5,
                "timestamp_unixtime_ms": 1_523_039_002, "EventNum": 1 } },
        ],
    });
    let fixed = |violation: Diagnostic| {
        let fix = violation.fix?;
        Some(format!("{} {fix:?}", violation.pointer))
    };
    let mut messages: Vec<_> = contract::check_batch(&body).into_iter().filter_map(fixed).collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            "/attribution_info/campaign Quote",
            "/consent_state/gdpr/p Remove",
            "/customerid Remove",
            "/events/0 Remove",
            "/events/1/data/EventNum Rename(\"event_num\")",
            "/events/1/data/event_name Quote",
            "/events/1/data/timestamp_unixtime_ms Milliseconds",
            "/partner_identities/p Remove",
            "/partner_identities/q Quote",
            "/user_attributes/a/0 Quote",
            "/user_attributes/a/1 Remove",
            "/user_identities/customerid Rename(\"customer_id\")",
            "/user_identities/other Quote",
        ]
    );
}

#[test]
fn diagnostics_contain_the_parts_of_their_message() {
    let body = json!({
        "environment": "prodution",
        "ip": 7,
        "customerid": 1,
        "user_attributes": { "x".repeat(257): 1 },
        "events": [
            { "event_type": "commerce_event", "data": {} },
            { "event_type": "screen_view", "data": { "screen_name": null } },
            { "event_type": "opt_out", "data": {} },
        ],
    });
    let mut found = contract::check_batch(&body);
    found.extend(contract::check_batches(&json!({})));
    found.sort_by_key(|diagnostic| diagnostic.code.id());
    let parts = |diagnostic: &Diagnostic| {
        let Diagnostic { code, expected, actual, suggestion, .. } = diagnostic;
        format!("{code} {expected:?} {actual:?} {suggestion:?}")
    };
    assert_eq!(
        found.iter().map(parts).collect::<Vec<_>>(),
        [
            r#"attribute-name Some("at most 256") Some("257") None"#,
            r#"commerce-kind Some("exactly one of product_action, promotion_action, product_impressions") Some("none") None"#,
            r#"missing-field Some("text") None None"#,
            r#"missing-field Some("true or false") None None"#,
            "no-identity None None None",
            r#"type Some("an IPv4 address or an IPv6 address") Some("7") None"#,
            r#"type Some("a list of batches") Some("an object") None"#,
            "unknown-field None None None",
            r#"value Some("\"production\" or \"development\"") Some("\"prodution\"") Some("production")"#,
        ]
    );
    for Diagnostic { message, expected, actual, suggestion, .. } in &found {
        let parts = [expected, actual, suggestion];
        assert!(parts.into_iter().flatten().all(|part| message.contains(part.as_str())), "{message}");
    }
}

#[test]
fn silent_effects_are_warnings() {
    let long = "é".repeat(257);
    let body = json!({ "environment": "production", "schema_version": 2, "events": [
        { "event_type": "custom_event", "data": { "event_name": long, "custom_event_type": "other", "timestamp_unixtime_ms": 1_523_039_002 } },
    ] });
    let violations = contract::check_batch(&body);
    assert!(violations.iter().all(|violation| violation.severity == Severity::Warning));
    let messages: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "/schema_version: set by the service in its output, and not part of a batch to send",
            "(batch): no identity of a user or a device; the service accepts the batch but cannot use it",
            "/events/0/data/event_name: 257 characters in the name of an event, at most 256; the service truncates it (event 0, custom_event)",
            "/events/0/data/timestamp_unixtime_ms: looks like seconds instead of milliseconds; the service reads it as milliseconds, a time in the early 1970s (event 0, custom_event)",
        ]
    );
}

#[test]
fn reports_batches_of_a_list_by_index() {
    let good = json!({ "environment": "production", "mpid": 1 });
    let messages = |body: &Value| contract::check_batches(body).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(messages(&json!([])).is_empty());
    assert!(messages(&vec![good.clone(); 100].into()).is_empty());
    assert_eq!(messages(&vec![good.clone(); 101].into()), ["(batch): expected at most 100 batches, found 101"]);
    assert_eq!(messages(&good), ["(batch): expected a list of batches, found an object"]);
    assert_eq!(
        messages(&json!([good, { "environment": "production", "mpid": "1" }, 7])),
        ["/1/mpid: expected a whole number of 64 bits, found \"1\"", "/2: expected an object, found 7"]
    );
}

#[test]
fn warns_about_historical_batches_that_would_be_ignored() {
    let now = "2026-01-10T00:00:00Z".parse().expect("a time");
    let old = 1_767_000_000_000_i64;
    let event = |data: Value| json!({ "event_type": "first_run", "data": data });
    let with = |events: Vec<Value>| json!({ "environment": "production", "mpid": 1, "events": events });
    let body = json!([
        with(vec![event(json!({ "timestamp_unixtime_ms": old }))]),
        with(vec![]),
        with(vec![event(json!({ "timestamp_unixtime_ms": old })), event(json!({}))]),
        with(vec![event(json!({ "timestamp_unixtime_ms": 1_768_000_000_000_i64 }))]),
    ]);
    let messages: Vec<_> = contract::check_historical(&body, now).iter().map(ToString::to_string).collect();
    let silence = "the service accepts the batch and silently does not process it";
    assert_eq!(
        messages,
        [
            format!("/1/events: no events; {silence}"),
            format!("/2/events/1/data/timestamp_unixtime_ms: an event without a time; {silence} (event 1, first_run)"),
            format!(
                "/3/events/0/data/timestamp_unixtime_ms: an event younger than 72 hours; {silence} (event 0, first_run)"
            ),
        ]
    );
    assert!(contract::check_batches(&body).is_empty());
}

#[test]
fn bounds_the_number_of_diagnostics() {
    let body = json!({ "environment": "production", "mpid": 1, "events": vec![1; 100_000] });
    let violations = contract::check_batch(&body);
    assert_eq!(violations.len(), contract::MAX_DIAGNOSTICS + 1);
    assert_eq!(violations[1000].to_string(), "(batch): 99000 more violations are not listed");
}

/// Pointers contain all names above a value, so without a bound a few kilobytes could produce gigabytes of messages.
#[test]
fn does_not_check_batches_whose_diagnostics_would_exhaust_memory() {
    let with = |name: usize, entries: usize| {
        let attributes = json!({ "x".repeat(name): vec![1; entries] });
        json!({ "environment": "production", "mpid": 1, "user_attributes": attributes })
    };
    let messages = |body: &Value| errors_of(body).iter().map(|message| message[..46].to_owned()).collect::<Vec<_>>();
    assert_eq!(messages(&with(60_000, 30_000)), ["(batch): too complex to check: too many values"]);
    assert_eq!(messages(&with(1, 200_000)), ["(batch): too complex to check: too many values"]);
    assert_eq!(errors_of(&with(60_000, 200)).len(), 200);
    assert_eq!(errors_of(&with(5, 50_000)).len(), contract::MAX_DIAGNOSTICS + 1);
    let mixed = contract::check_batches(&json!([with(60_000, 30_000), { "environment": "production" }]));
    assert_eq!(mixed.iter().map(|violation| violation.pointer.as_str()).collect::<Vec<_>>(), ["/0", "/1"]);
}
