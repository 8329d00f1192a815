//! The contract of documents with additional schemas and event types.

use serde_json::{Value, json};

use super::reference::inline;
use super::{CompiledSchema, Contract, payload, strict};
use crate::diagnostics::{Code, Diagnostic, Severity};

/// Returns this crate's document with additional schemas and event types.
fn extend_document(mut schemas: Value, events: &[(&str, Value)]) -> Value {
    let mut document = strict::PUBLISHED.clone();
    let all = document["components"]["schemas"].as_object_mut().expect("schemas");
    all.append(schemas.as_object_mut().expect("schemas"));
    for (event_type, data) in events {
        let branch = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["event_type", "data"],
            "properties": { "event_type": { "type": "string", "enum": [event_type] }, "data": data },
        });
        document["components"]["schemas"]["Event"]["oneOf"].as_array_mut().expect("branches").push(branch);
    }
    document
}

fn reference_to(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn contract_of(document: &Value) -> Contract {
    Contract::new(document, &strict::strict_view(document))
}

/// Returns the errors of an event in a batch.
fn errors(contract: &Contract, event_type: &str, data: &Value) -> Vec<String> {
    let event = json!({ "event_type": event_type, "data": data });
    let batch = json!({ "environment": "development", "mpid": 1, "events": [event] });
    let found = contract.check_one(&batch, None).into_iter();
    found.filter(|found| found.severity == Severity::Error).map(|error| error.to_string()).collect()
}

#[test]
fn checks_a_new_event_type_with_each_form_of_payload() {
    let own = |name: &str, required: bool| {
        let mut own = json!({ "type": "object", "properties": { name: { "type": "string" } } });
        if required {
            own["required"] = json!([name]);
        }
        own
    };
    let common = reference_to("CommonEventData");
    let document = extend_document(
        json!({
            "Own": { "allOf": [common, own("coupon", true)] },
            "Bare": { "allOf": [common] },
            "Many": { "allOf": [reference_to("Own"), own("shop", true), reference_to("Third")] },
            "Third": own("colour", false),
            "Alias": reference_to("Own"),
            "Flat": { "type": "object", "properties": { "coupon": { "type": "string" } }, "required": ["coupon"] },
        }),
        &[
            ("own", reference_to("Own")),
            ("bare", reference_to("Bare")),
            ("many", reference_to("Many")),
            ("alias", reference_to("Alias")),
            ("direct", common.clone()),
            ("inline", json!({ "description": "Inline.", "allOf": [common, own("coupon", true)] })),
            ("through", json!({ "description": "Described.", "allOf": [reference_to("Own")] })),
            ("flat", reference_to("Flat")),
        ],
    );
    let contract = contract_of(&document);
    let none: [&str; 0] = [];
    let table: [(&str, Value, &[&str]); 8] = [
        ("own", json!({ "coupon": "A", "session_id": 1 }), &["coupon"]),
        ("bare", json!({ "session_id": 1 }), &[]),
        ("many", json!({ "coupon": "A", "shop": "B", "colour": "C", "session_id": 1 }), &["coupon", "shop"]),
        ("alias", json!({ "coupon": "A", "session_id": 1 }), &["coupon"]),
        ("direct", json!({ "session_id": 1 }), &[]),
        ("inline", json!({ "coupon": "A", "session_id": 1 }), &["coupon"]),
        ("through", json!({ "coupon": "A", "session_id": 1 }), &["coupon"]),
        ("flat", json!({ "coupon": "A" }), &["coupon"]),
    ];
    for (event_type, right, required) in table {
        assert_eq!(errors(&contract, event_type, &right), none, "{event_type}");
        let mut wrong = right.clone();
        wrong["cuopon"] = json!(1);
        let found = errors(&contract, event_type, &wrong);
        assert!(found.len() == 1 && found[0].starts_with("/events/0/data/cuopon: unknown field"), "{found:?}");
        let missing = errors(&contract, event_type, &json!({}));
        let expected = required
            .iter()
            .map(|name| format!("/events/0/data: \"{name}\" is missing, expected text (event 0, {event_type})"));
        let mut expected: Vec<_> = expected.collect();
        expected.sort();
        let mut sorted = missing;
        sorted.sort();
        assert_eq!(sorted, expected, "{event_type}");
    }
    let unknown = errors(&contract, "owm", &json!({}));
    assert!(unknown[0].contains(r#"did you mean "own"?"#), "{unknown:?}");
    // The original event types are unchanged.
    assert_eq!(errors(&contract, "opt_out", &json!({ "is_opted_out": true })), none);
    assert_eq!(errors(&contract, "opt_out", &json!({ "is_opted_out": true, "x": 1 })).len(), 1);
}

/// A new event type has the rules on read-only fields, times, whole numbers and fields of other types without a line by hand.
#[test]
fn rules_that_need_the_document_apply_to_a_new_event_type() {
    let time = json!({ "type": "integer", "format": "int64", "description": "In milliseconds since the Unix epoch." });
    let own = json!({ "type": "object", "properties": {
        "coupon": { "type": "string" },
        "redeemed_at": time,
        "rank": { "type": "integer", "readOnly": true },
        "shops": { "type": "array", "items": { "type": "object", "properties": { "seen": { "type": "boolean", "readOnly": true } } } },
    } });
    let document = extend_document(
        json!({ "Redeemed": { "allOf": [reference_to("CommonEventData"), own] } }),
        &[("redeemed", reference_to("Redeemed"))],
    );
    let contract = contract_of(&document);
    let found = |event_type: &str, data: Value| {
        let event = json!({ "event_type": event_type, "data": data });
        let batch = json!({ "environment": "development", "mpid": 1, "events": [event] });
        contract.check_one(&batch, None).into_iter().map(|found| (found.pointer, found.code)).collect::<Vec<_>>()
    };
    let at = |field: &str| format!("/events/0/data/{field}");
    assert_eq!(
        found("redeemed", json!({ "rank": 1, "event_id": 1, "shops": [{}, { "seen": true }, { "seen": null }] })),
        [(at("event_id"), Code::ReadOnly), (at("rank"), Code::ReadOnly), (at("shops/1/seen"), Code::ReadOnly),]
    );
    assert_eq!(
        found("redeemed", json!({ "redeemed_at": 1_523_039_002 })),
        [(at("redeemed_at"), Code::LooksLikeSeconds)]
    );
    assert_eq!(found("redeemed", json!({ "redeemed_at": 1_523_039_002_000_i64 })), []);
    assert_eq!(
        found("redeemed", json!({ "redeemed_at": 1_523_039_002_000.0 })),
        [(at("redeemed_at"), Code::WholeNumber)]
    );
    assert_eq!(found("redeemed", json!({ "is_opted_out": true })), [(at("is_opted_out"), Code::OtherEventType)]);
    assert_eq!(
        found("opt_out", json!({ "is_opted_out": true, "redeemed_at": 1 })),
        [(at("redeemed_at"), Code::OtherEventType)]
    );
}

#[test]
fn name_field_is_the_first_required_text_of_the_type_itself() {
    let own = json!({ "type": "object", "required": ["worth", "coupon"], "properties": {
        "amount": { "type": "string" }, "coupon": { "type": "string" }, "worth": { "type": "number" } } });
    let optional =
        json!({ "type": "object", "properties": { "n": { "type": "integer" }, "shop": { "type": "string" } } });
    let document = extend_document(
        json!({
            "Redeemed": { "allOf": [reference_to("CommonEventData"), own] },
            "Visited": { "allOf": [reference_to("CommonEventData"), optional] },
        }),
        &[
            ("redeemed", reference_to("Redeemed")),
            ("visited", reference_to("Visited")),
            ("bare", reference_to("CommonEventData")),
        ],
    );
    let names = payload::name_fields(&strict::strict_view(&document));
    let name = |event_type: &str| names.get(event_type).map(String::as_str);
    assert_eq!([name("redeemed"), name("visited"), name("bare")], [Some("coupon"), Some("shop"), None]);
    assert_eq!([name("custom_event"), name("screen_view")], [Some("event_name"), Some("screen_name")]);
}

#[test]
fn checks_recursive_schemas_at_any_depth() {
    let tree = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "properties": {
            "name": { "type": "string" },
            "children": { "type": "array", "items": reference_to("Tree") },
            "parent": { "allOf": [reference_to("Tree")], "description": "The parent." },
        },
    });
    let document = extend_document(json!({ "Tree": tree }), &[]);
    let schema = inline(&document, &document["components"]["schemas"]["Tree"]);
    let compiled = CompiledSchema::new(super::schemas::for_validator(schema));
    let found = |value: &Value| compiled.check(value).iter().map(Diagnostic::to_string).collect::<Vec<_>>();
    let leaf = json!({ "name": "leaf", "parent": null });
    assert!(found(&json!({ "name": "root", "children": [{ "name": "node", "children": [leaf] }] })).is_empty());
    let wrong = json!({ "name": "root", "children": [{ "name": "node", "children": [{ "nmae": "leaf" }, 7] }] });
    let mut found = found(&wrong);
    found.sort();
    assert_eq!(
        found,
        [
            r#"/children/0/children/0/nmae: unknown field, did you mean "name"?"#,
            r#"/children/0/children/0: "name" is missing, expected text"#,
            "/children/0/children/1: expected an object, found 7",
        ]
    );
}

#[test]
fn tag_selects_the_branch_whose_errors_are_reported() {
    let schema = inline(&strict::STRICT, &strict::STRICT["components"]["schemas"]["Event"]);
    let compiled = CompiledSchema::new(super::schemas::for_validator(schema));
    let found = |value: Value| compiled.check(&value).iter().map(Diagnostic::to_string).collect::<Vec<_>>();
    assert!(found(json!({ "event_type": "opt_out", "data": { "is_opted_out": true } })).is_empty());
    assert_eq!(
        found(json!({ "event_type": "opt_out", "data": { "is_opted_out": "yes" } })),
        [r#"/data/is_opted_out: expected true or false, found "yes""#]
    );
    let unknown = found(json!({ "event_type": "otp_out", "data": {} }));
    assert!(unknown.len() == 1 && unknown[0].starts_with("/event_type: expected \"custom_event\", "), "{unknown:?}");
    assert!(unknown[0].ends_with(r#"found "otp_out", did you mean "opt_out"?"#), "{unknown:?}");
    let missing = found(json!({ "data": {} }));
    assert!(missing.len() == 1 && missing[0].starts_with("(batch): \"event_type\" is missing"), "{missing:?}");
}

#[test]
fn invalid_schema_is_an_error_instead_of_a_panic() {
    let broken = json!({ "type": "object", "properties": { "code": { "type": "string", "pattern": "(" } } });
    let found = CompiledSchema::new(broken).check(&json!({ "code": "x" }));
    assert_eq!(found.len(), 1);
    assert!(found[0].message.starts_with("failed to check the value: the schema in the OpenAPI document is not valid"));
}

#[test]
fn checks_nulls_and_ranges_of_a_document() {
    let own = json!({ "type": "object", "required": ["state", "count"], "properties": {
        "state": { "type": "string", "nullable": true },
        "count": { "type": "integer", "format": "int64", "minimum": 0 } } });
    let document = extend_document(
        json!({ "Counted": { "allOf": [reference_to("CommonEventData"), own] } }),
        &[("counted", reference_to("Counted"))],
    );
    let contract = contract_of(&document);
    let none: [&str; 0] = [];
    assert_eq!(errors(&contract, "counted", &json!({ "state": null, "count": 0 })), none);
    let found = errors(&contract, "counted", &json!({ "state": 1, "count": -1 }));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|error| error.starts_with("/events/0/data/count: expected a whole number from 0")));
}
