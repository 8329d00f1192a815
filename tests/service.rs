//! The facts of today's service in `openapi/events.yaml`: event types, enumerations, operations, statuses, pods.
//!
//! They are stated a second time here, so that no edit changes them unnoticed. Not compiled with a custom document.
#![cfg(not(mparticle_custom_document))]

use mparticle::Pod;
use mparticle::contract::{self, ComponentSchema};
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

#[test]
fn each_operation_has_every_documented_status() {
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

/// Mock servers respond with the first example, which a client must not take for a refusal.
#[test]
fn the_body_of_a_202_is_optional_and_its_first_example_lists_no_error() {
    let document = document();
    let accepted = &document["components"]["responses"]["Accepted"];
    assert!(accepted["description"].as_str().expect("text").contains("The body is optional"));
    let content = accepted["content"].as_object().expect("content");
    assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json"]);
    let content = &content["application/json"];
    assert_eq!(content["schema"]["$ref"], "#/components/schemas/ApiErrorResponse");
    // `DOCUMENT` has sorted keys. The order of the examples is that of the YAML.
    let published = include_str!("../openapi/events.yaml");
    let (_, published) =
        published.split_once("          examples:\n            accepted:\n").expect("the first example");
    assert!(published.contains("\n            accepted_in_part:\n"));
    let examples: Vec<_> = content["examples"].as_object().expect("examples").iter().collect();
    assert_eq!((examples[0].0.as_str(), &examples[0].1["value"]), ("accepted", &serde_json::json!({ "errors": [] })));
    let partial = examples[1].1["value"]["errors"][0]["message"].as_str().expect("text");
    assert!(examples[1].0 == "accepted_in_part" && partial.ends_with("Path '[1].mp_deviceid', line 1, position 153."));
    let component = ComponentSchema::get("ApiErrorResponse").expect("a component");
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
fn each_event_type_requires_the_fields_that_the_service_requires() {
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
    (
        "Orientation",
        "unknown portrait portrait_upside_down landscape LandscapeLeft LandscapeRight FaceUp FaceDown Square",
    ),
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
    // The table does not contain `IdentityType`, which is checked below, nor the type of a notification.
    assert_eq!(stated, ENUMERATIONS.len() + 2);
    assert_eq!(schemas["IdentityType"]["enum"].as_array().map(Vec::len), Some(22));
    let mut identities: Vec<_> = schemas["IdentityType"]["enum"].as_array().expect("identities").clone();
    identities.sort_by_key(|name| name.as_str().map(str::to_owned));
    let keys: Vec<_> = schemas["UserIdentities"]["properties"].as_object().expect("keys").keys().collect();
    assert_eq!(identities, keys.into_iter().map(String::as_str).collect::<Vec<_>>());
}
