//! The house rules of the document, for `openapi/events.yaml` and for a custom document.
//!
//! `tests/service.rs` states the facts of today's service.

use std::collections::BTreeSet;

use mparticle::contract::{self, ComponentSchema};
use serde_json::{Map, Value};

const NONE: [&str; 0] = [];

/// The schema that every payload is merged from.
const COMMON: &str = "#/components/schemas/CommonEventData";

fn document() -> Value {
    serde_json::from_str(contract::DOCUMENT).expect("the document is JSON")
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn schemas(document: &Value) -> &Map<String, Value> {
    document["components"]["schemas"].as_object().expect("components")
}

/// Returns the component that a `$ref` names.
fn component(target: &Value) -> Option<&str> {
    target.as_str()?.strip_prefix("#/components/schemas/")
}

/// Returns every operation with its place, like `POST /events`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item).filter(|(_, operation)| operation.get("responses").is_some()) {
            found.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    assert!(!found.is_empty());
    found
}

/// Returns every response with its place: the shared ones, and those within an operation.
fn responses(document: &Value) -> Vec<(String, &Value)> {
    let mut found: Vec<_> = object(&document["components"]["responses"]).map(|(n, r)| (n.clone(), r)).collect();
    for (place, operation) in operations(document) {
        let inline = object(&operation["responses"]).filter(|(_, response)| response.get("$ref").is_none());
        found.extend(inline.map(|(status, response)| (format!("{place} {status}"), response)));
    }
    found
}

/// The position of a schema, on which the rules depend.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Component,
    Property,
    Branch,
    AllOfBranch,
}

/// Calls `visit` with every schema below this one, its place and its role.
fn walk(at: &str, schema: &Value, role: Role, visit: &mut dyn FnMut(&str, &Value, Role)) {
    visit(at, schema, role);
    for (keyword, role) in [("allOf", Role::AllOfBranch), ("oneOf", Role::Branch), ("anyOf", Role::Branch)] {
        for (index, branch) in array(&schema[keyword]).enumerate() {
            walk(&format!("{at}/{keyword}/{index}"), branch, role, visit);
        }
    }
    for (name, property) in object(&schema["properties"]) {
        walk(&format!("{at}/{name}"), property, Role::Property, visit);
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            walk(&format!("{at}/{keyword}"), &schema[keyword], Role::Branch, visit);
        }
    }
}

/// Calls `visit` with every schema of the document: of components, of request bodies and of responses.
fn walk_document(document: &Value, visit: &mut dyn FnMut(&str, &Value, Role)) {
    for (name, schema) in schemas(document) {
        walk(name, schema, Role::Component, visit);
    }
    for (place, operation) in operations(document) {
        for (_, content) in object(&operation["requestBody"]["content"]) {
            walk(&place, &content["schema"], Role::Branch, visit);
        }
    }
    for (place, response) in responses(document) {
        for (_, content) in object(&response["content"]) {
            walk(&place, &content["schema"], Role::Branch, visit);
        }
    }
}

/// Returns the places of the schemas that break a rule.
fn violations(breaks_rule: impl Fn(&str, &Value, Role) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    walk_document(&document(), &mut |at, schema, role| {
        if breaks_rule(at, schema, role) {
            found.push(at.to_owned());
        }
    });
    found
}

#[test]
fn every_schema_has_a_description() {
    let undescribed = violations(|at, schema, role| {
        let refers = schema["$ref"].is_string();
        // The variants of `Event` are described, and their payloads are components.
        let payload = at.starts_with("Event/oneOf/") && at.ends_with("/data");
        let exempt = role == Role::AllOfBranch || (refers && (role == Role::Branch || payload));
        !exempt && schema["description"].as_str().is_none_or(|text| text.trim().is_empty())
    });
    assert_eq!(undescribed, NONE);
}

#[test]
fn operations_responses_and_parameters_have_descriptions() {
    let document = document();
    for (place, operation) in operations(&document) {
        for key in ["operationId", "summary", "description"] {
            assert!(operation[key].is_string(), "{place} {key}");
        }
        for described in operation.get("requestBody").into_iter().chain(array(&operation["parameters"])) {
            assert!(described["description"].is_string(), "{place} {described}");
        }
    }
    for (place, response) in responses(&document) {
        assert!(response["description"].is_string(), "{place}");
    }
    for part in ["headers", "securitySchemes"] {
        for (name, value) in document["components"][part].as_object().expect("a part") {
            assert!(value["description"].is_string(), "{part}/{name}");
        }
    }
}

#[test]
fn each_operation_has_one_2xx_response() {
    for (place, operation) in operations(&document()) {
        let successes = object(&operation["responses"]).filter(|(status, _)| status.starts_with('2')).count();
        assert_eq!(successes, 1, "{place}");
    }
}

#[test]
fn no_schema_is_nullable_and_no_property_has_a_default() {
    assert_eq!(violations(|_, schema, _| schema.get("nullable").is_some()), NONE);
    assert_eq!(violations(|_, schema, role| role == Role::Property && schema.get("default").is_some()), NONE);
}

#[test]
fn objects_are_closed_except_inside_all_of_and_responses() {
    let closed_branches = violations(|_, schema, role| {
        role == Role::AllOfBranch && schema.get("additionalProperties") == Some(&Value::Bool(false))
    });
    assert_eq!(closed_branches, NONE);

    let open = may_be_open(&document());
    let left_open = violations(|at, schema, role| {
        let exempt = role == Role::AllOfBranch || open.contains(at);
        !exempt && schema["type"] == "object" && schema.get("additionalProperties").is_none()
    });
    assert_eq!(left_open, NONE);
}

/// Returns the schemas that may be open: those of responses, because the service may say more, and those that payloads are merged
/// from.
fn may_be_open(document: &Value) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    let mut next: Vec<&Value> = Vec::new();
    for (place, response) in responses(document) {
        next.extend(object(&response["content"]).map(|(_, content)| &content["schema"]));
        open.insert(place);
    }
    while let Some(schema) = next.pop() {
        walk("", schema, Role::Branch, &mut |_, schema, _| {
            let name = component(&schema["$ref"]).filter(|name| open.insert((*name).to_owned()));
            next.extend(name.and_then(|name| schemas(document).get(name)));
        });
    }
    walk_document(document, &mut |_, schema, _| {
        let branches = schema["allOf"].as_array().filter(|branches| branches.len() > 1);
        let merged = branches.into_iter().flatten().filter_map(|branch| component(&branch["$ref"]));
        open.extend(merged.map(str::to_owned));
    });
    open
}

#[test]
fn only_known_limits_are_used() {
    let known = ["maxLength", "maxItems", "maxProperties", "pattern", "minimum"];
    let unknown = ["minLength", "minItems", "minProperties", "maximum", "multipleOf", "uniqueItems", "not"];
    assert_eq!(violations(|_, schema, _| unknown.iter().any(|keyword| schema.get(keyword).is_some())), NONE);
    for keyword in known {
        assert_ne!(violations(|_, schema, _| schema.get(keyword).is_some()), NONE, "{keyword} is never used");
    }
}

/// Returns the component that is the payload of each event type.
fn payloads(document: &Value) -> Vec<&str> {
    let branches = array(&schemas(document)["Event"]["oneOf"]);
    branches.map(|branch| component(&branch["properties"]["data"]["$ref"]).expect("a component")).collect()
}

#[test]
fn each_event_type_has_one_name_and_a_payload_with_the_common_data() {
    let document = document();
    let mut names = BTreeSet::new();
    for branch in array(&schemas(&document)["Event"]["oneOf"]) {
        assert_eq!(branch["required"], serde_json::json!(["event_type", "data"]));
        let values = branch["properties"]["event_type"]["enum"].as_array().expect("values");
        let [Value::String(name)] = values.as_slice() else { panic!("expected one value: {branch}") };
        assert!(names.insert(name.clone()), "{name} occurs twice");
    }
    assert!(!names.is_empty());
    for payload in payloads(&document) {
        let includes_common = array(&schemas(&document)[payload]["allOf"]).any(|branch| branch["$ref"] == COMMON);
        assert!(includes_common || COMMON.ends_with(&format!("/{payload}")), "{payload}");
    }
}

#[test]
fn every_example_is_valid() {
    let document = document();
    let mut examples = BTreeSet::new();
    for (name, schema) in schemas(&document) {
        if let Some(example) = schema.get("example") {
            assert_eq!(ComponentSchema::get(name).expect("a component").check(example), [], "{name}");
            examples.insert(name.as_str());
        }
    }
    for name in payloads(&document).into_iter().chain(["Batch"]) {
        assert!(examples.contains(name), "{name} has no example");
    }
    assert_eq!(contract::check_batch(&schemas(&document)["Batch"]["example"]), []);

    let mut checked = 0;
    let bodies = operations(&document).into_iter().map(|(place, operation)| (place, &operation["requestBody"]));
    for (place, holder) in bodies.chain(responses(&document)) {
        for (_, content) in object(&holder["content"]) {
            let several = object(&content["examples"]).map(|(_, example)| &example["value"]);
            for example in several.chain(content.get("example")) {
                let name = component(&content["schema"]["$ref"]).expect("an example is of a component");
                assert_eq!(ComponentSchema::get(name).expect("a component").check(example), [], "{place}");
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
}
