//! Holds `openapi/events.yaml` to its house rules, and to the facts of the service.

use mparticle::Pod;
use mparticle::contract::{self, Component};
use serde_json::{Map, Value};

/// Each event type with its payload and the fields that it requires.
const EVENT_TYPES: [(&str, &str, &[&str]); 17] = [
    ("custom_event", "CustomEvent", &["custom_event_type", "event_name"]),
    ("commerce_event", "CommerceEvent", &[]),
    ("session_start", "SessionStart", &[]),
    ("session_end", "SessionEnd", &["session_duration_ms"]),
    ("screen_view", "ScreenView", &["screen_name"]),
    ("application_state_transition", "AppState", &["application_transition_type"]),
    ("crash_report", "CrashReport", &["message", "severity"]),
    ("breadcrumb", "Breadcrumb", &["label"]),
    ("network_performance", "NetworkPerformance", &["response_code", "url"]),
    ("opt_out", "OptOut", &["is_opted_out"]),
    ("push_registration", "PushRegistration", &["register", "registration_token"]),
    ("push_message", "PushMessage", &["push_message_token", "push_message_type", "push_notification_payload"]),
    ("profile", "Profile", &["current_mpid", "previous_mpid", "profile_event_type"]),
    ("user_attribute_change", "UserAttributeChange", &["user_attribute_name"]),
    ("user_identity_change", "UserIdentityChange", &["new", "old"]),
    ("first_run", "FirstRun", &[]),
    ("uninstall", "Uninstall", &[]),
];

fn document() -> Value {
    serde_json::from_str(contract::DOCUMENT).expect("the document is JSON")
}

fn schemas(document: &Value) -> &Map<String, Value> {
    document["components"]["schemas"].as_object().expect("components")
}

/// What a schema is within: the rules differ.
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
        for (index, branch) in schema[keyword].as_array().into_iter().flatten().enumerate() {
            walk(&format!("{at}/{keyword}/{index}"), branch, role, visit);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{at}/{name}"), property, Role::Property, visit);
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            walk(&format!("{at}/{keyword}"), &schema[keyword], Role::Branch, visit);
        }
    }
}

/// Every schema of the document with what is wrong with it.
fn offences(offence: impl Fn(&str, &Value, Role) -> bool) -> Vec<String> {
    let document = document();
    let mut found = Vec::new();
    for (name, schema) in schemas(&document) {
        walk(name, schema, Role::Component, &mut |at, schema, role| {
            if offence(at, schema, role) {
                found.push(at.to_owned());
            }
        });
    }
    found
}

const NONE: [&str; 0] = [];

#[test]
fn everything_is_described() {
    let undescribed = offences(|at, schema, role| {
        let refers = schema["$ref"].is_string();
        // The variants of `Event` are described, and their payloads are components.
        let payload = at.starts_with("Event/oneOf/") && at.ends_with("/data");
        let exempt = role == Role::AllOfBranch || (refers && (role == Role::Branch || payload));
        !exempt && schema["description"].as_str().is_none_or(|text| text.trim().is_empty())
    });
    assert_eq!(undescribed, NONE);
}

#[test]
fn operations_responses_and_parameters_are_described() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let operation = &item["post"];
        for key in ["operationId", "summary", "description"] {
            assert!(operation[key].is_string(), "{path} {key}");
        }
        assert!(operation["requestBody"]["description"].is_string(), "{path}");
    }
    for part in ["responses", "headers", "securitySchemes"] {
        for (name, value) in document["components"][part].as_object().expect("a part") {
            assert!(value["description"].is_string(), "{part}/{name}");
        }
    }
}

#[test]
fn nothing_is_nullable_or_has_a_default() {
    assert_eq!(offences(|_, schema, _| schema.get("nullable").is_some()), NONE);
    assert_eq!(offences(|_, schema, role| role == Role::Property && schema.get("default").is_some()), NONE);
}

#[test]
fn objects_are_closed_except_where_closing_would_drop_fields() {
    let closed_branches = offences(|_, schema, role| {
        role == Role::AllOfBranch && schema.get("additionalProperties") == Some(&Value::Bool(false))
    });
    assert_eq!(closed_branches, NONE);

    // Answers of the service stay open (it may say more), and what payloads are merged from.
    let open = ["ApiErrorResponse", "ApiError", "CommonEventData"];
    let left_open = offences(|at, schema, role| {
        let merged = role == Role::AllOfBranch || open.contains(&at);
        !merged && schema["type"] == "object" && schema.get("additionalProperties").is_none()
    });
    assert_eq!(left_open, NONE);
}

#[test]
fn limits_lie_only_where_the_generation_view_takes_them_off() {
    let known = ["maxLength", "maxItems", "maxProperties", "pattern", "minimum"];
    let unknown = ["minLength", "minItems", "minProperties", "maximum", "multipleOf", "uniqueItems", "not"];
    assert_eq!(offences(|_, schema, _| unknown.iter().any(|keyword| schema.get(keyword).is_some())), NONE);
    for keyword in known {
        assert_ne!(offences(|_, schema, _| schema.get(keyword).is_some()), NONE, "{keyword} is never used");
    }
}

#[test]
fn every_example_validates() {
    let document = document();
    let mut examples = Vec::new();
    for (name, schema) in schemas(&document) {
        if let Some(example) = schema.get("example") {
            assert_eq!(Component::named(name).expect("a component").check(example), [], "{name}");
            examples.push(name.as_str());
        }
    }
    for (_, payload, _) in EVENT_TYPES {
        assert!(examples.contains(&payload), "{payload} has no example");
    }
    assert!(examples.contains(&"Batch"));
    for (name, response) in document["components"]["responses"].as_object().expect("responses") {
        let content = &response["content"]["application/json"];
        let component = content["schema"]["$ref"].as_str().and_then(|target| target.rsplit('/').next());
        for (example, stated) in content["examples"].as_object().into_iter().flatten() {
            let component = Component::named(component.expect("a component")).expect("a component");
            assert_eq!(component.check(&stated["value"]), [], "{name} {example}");
        }
    }
    assert_eq!(contract::check_batch(&schemas(&document)["Batch"]["example"]), []);
}

#[test]
fn each_operation_has_one_success_and_every_documented_refusal() {
    let document = document();
    let operations = [
        ("/events", "uploadEvents"),
        ("/bulkevents", "bulkUploadEvents"),
        ("/bulkevents/historical", "bulkUploadHistoricalEvents"),
    ];
    assert_eq!(document["paths"].as_object().expect("paths").len(), operations.len());
    for (path, id) in operations {
        let operation = &document["paths"][path]["post"];
        assert_eq!(operation["operationId"], id);
        let statuses: Vec<_> = operation["responses"].as_object().expect("responses").keys().collect();
        assert_eq!(statuses, ["202", "400", "401", "403", "413", "429", "503", "5XX"], "{path}");
    }
    let headers = |response: &str| {
        let headers = document["components"]["responses"][response]["headers"].as_object().expect("headers");
        headers.keys().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(headers("Accepted"), ["X-mp-rate-limit-percentage-used"]);
    assert_eq!(headers("TooManyRequests"), ["Retry-After", "X-mp-rate-limit-exceeded"]);
}

/// Mock servers answer with the first example, and a client must not take it for a refusal.
#[test]
fn the_body_of_a_202_is_optional_and_its_first_example_lists_no_error() {
    let document = document();
    let accepted = &document["components"]["responses"]["Accepted"];
    assert!(accepted["description"].as_str().expect("text").contains("The body is optional"));
    let content = accepted["content"].as_object().expect("content");
    assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json"]);
    let content = &content["application/json"];
    assert_eq!(content["schema"]["$ref"], "#/components/schemas/ApiErrorResponse");
    // `DOCUMENT` has its keys sorted, so the order of the published text is looked for in that text.
    let published = include_str!("../openapi/events.yaml");
    let (_, published) =
        published.split_once("          examples:\n            accepted:\n").expect("the first example");
    assert!(published.contains("\n            accepted_in_part:\n"));
    let examples: Vec<_> = content["examples"].as_object().expect("examples").iter().collect();
    assert_eq!((examples[0].0.as_str(), &examples[0].1["value"]), ("accepted", &serde_json::json!({ "errors": [] })));
    let partial = examples[1].1["value"]["errors"][0]["message"].as_str().expect("text");
    assert!(examples[1].0 == "accepted_in_part" && partial.ends_with("Path '[1].mp_deviceid', line 1, position 153."));
    let component = Component::named("ApiErrorResponse").expect("a component");
    for value in [serde_json::json!({}), serde_json::json!({ "errors": [] })] {
        assert_eq!(component.check(&value), []);
    }
}

#[test]
fn servers_are_the_pods() {
    let document = document();
    let servers: Vec<_> = document["servers"].as_array().expect("servers").iter().map(|s| &s["url"]).collect();
    assert_eq!(servers[0], Pod::default().base_url());
    for pod in [Pod::Us1, Pod::Us2, Pod::Eu1, Pod::Au1] {
        assert!(servers.iter().any(|url| **url == pod.base_url()), "{pod}");
        assert_eq!(pod.to_string().parse::<Pod>().expect("a pod"), pod);
    }
}

#[test]
fn the_seventeen_event_types_require_what_the_service_requires() {
    let document = document();
    let schemas = schemas(&document);
    let branches = schemas["Event"]["oneOf"].as_array().expect("branches");
    assert_eq!(branches.len(), EVENT_TYPES.len());
    for (branch, (event_type, payload, required)) in branches.iter().zip(EVENT_TYPES) {
        assert_eq!(branch["properties"]["event_type"]["enum"], serde_json::json!([event_type]));
        assert_eq!(branch["properties"]["data"]["$ref"], format!("#/components/schemas/{payload}"));
        assert_eq!(schemas[payload]["allOf"][0]["$ref"], "#/components/schemas/CommonEventData");
        let own = &schemas[payload]["allOf"][1];
        let mut stated: Vec<_> = own["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        stated.sort_unstable();
        assert_eq!(stated, required, "{payload}");
        // Custom flags are allowed on three types only.
        let flags = own["properties"].get("custom_flags").is_some();
        assert_eq!(flags, ["CustomEvent", "CommerceEvent", "ScreenView"].contains(&payload), "{payload}");
    }
}

/// Each enumeration with its values, as the service spells them.
const ENUMERATIONS: [(&str, &str); 18] = [
    ("AppTransition", "application_initialized application_exit application_background application_foreground"),
    (
        "ApplicationOs",
        "Unknown IOS Android WindowsPhone MobileWeb UnityIOS UnityAndroid Desktop TVOS Roku OutOfBand Alexa SmartTV \
         FireTV Xbox",
    ),
    ("AttAuthorizationStatus", "authorized denied not_determined restricted"),
    ("BreadcrumbEventType", "breadcrumb"),
    (
        "CommerceEventType",
        "navigation location search transaction user_content user_preference social other media attribution \
         add_to_cart remove_from_cart checkout checkout_option click view_detail purchase refund promotion_view \
         promotion_click add_to_wishlist remove_from_wishlist impression consent_granted consent_denied",
    ),
    (
        "CustomEventType",
        "navigation location search transaction user_content user_preference social other media attribution",
    ),
    ("Environment", "production development"),
    ("LocationSource", "unknown ip_lookup lat_long"),
    ("Orientation", "portrait portrait_upside_down landscape LandscapeLeft LandscapeRight FaceUp FaceDown Square"),
    ("Platform", "iOS Android web tvOS roku out_of_band alexa smart_tv fire_tv xbox desktop"),
    (
        "ProductActionType",
        "add_to_cart remove_from_cart checkout checkout_option click view_detail purchase refund add_to_wishlist \
         remove_from_wish_list",
    ),
    ("ProfileEventType", "signup login logout update delete"),
    ("PromotionActionType", "view click"),
    ("PushApplicationState", "not_running background foreground"),
    ("PushMessageBehavior", "Received DirectOpen Read InfluencedOpen Displayed"),
    ("PushMessageType", "sent received action"),
    ("RateLimit", "org account app feed workspace system acceleration"),
    ("SourceChannel", "native javascript pixel desktop partner server_to_server"),
];

#[test]
fn enumerations_and_identities_are_complete() {
    let document = document();
    let schemas = schemas(&document);
    for (name, values) in ENUMERATIONS {
        let stated: Vec<_> = schemas[name]["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(stated, values.split_whitespace().collect::<Vec<_>>(), "{name}");
    }
    let stated = schemas.values().filter(|schema| schema["enum"].is_array()).count();
    // All but the identities, below, and the one kind of notification.
    assert_eq!(stated, ENUMERATIONS.len() + 2);
    assert_eq!(schemas["IdentityType"]["enum"].as_array().map(Vec::len), Some(22));
    let mut identities: Vec<_> = schemas["IdentityType"]["enum"].as_array().expect("identities").clone();
    identities.sort_by_key(|name| name.as_str().map(str::to_owned));
    let keys: Vec<_> = schemas["UserIdentities"]["properties"].as_object().expect("keys").keys().collect();
    assert_eq!(identities, keys.into_iter().map(String::as_str).collect::<Vec<_>>());
}
