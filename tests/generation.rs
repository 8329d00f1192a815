//! Breaks the document in each way that `build.rs` names the place of, and looks at what it generates.

use serde_json::Value;

#[allow(dead_code)]
#[path = "../build.rs"]
mod build;

const PATH: &str = "openapi/events.yaml";
const YAML: &str = include_str!("../openapi/events.yaml");

/// The one line that the build would end with, after this edit.
fn broken(from: &str, to: &str) -> String {
    assert!(YAML.contains(from), "the document holds no {from:?}");
    let error = build::generate(PATH, &YAML.replacen(from, to, 1)).expect_err("a broken document");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

fn line_of(text: &str) -> usize {
    YAML.lines().position(|line| line == text).expect("the line") + 1
}

#[test]
fn broken_yaml_is_named_by_line_and_column() {
    let line = line_of("      description: Where something happened.");
    let error = broken("description: Where something happened.", "description: Where: something happened.");
    assert!(error.starts_with(&format!("openapi/events.yaml:{line}:25: ")), "{error}");

    let error = broken("    Environment:\n", "    Batch:\n");
    let line = line_of("    Environment:");
    assert!(error.starts_with(&format!("openapi/events.yaml:{line}:5: duplicate mapping key: Batch")), "{error}");

    let error = broken("paths:", "\tpaths:");
    assert!(error.starts_with("openapi/events.yaml:"), "{error}");
}

#[test]
fn a_broken_component_is_named_with_its_line() {
    for (from, to, place) in [
        (
            "'#/components/schemas/RateLimit'",
            "'#/components/schemas/RateLimits'",
            "components.headers.RateLimitExceeded",
        ),
        ("'#/components/headers/RetryAfter'", "'#/components/headers/Retry'", "components.responses.TooManyRequests"),
        (
            "description: Malformed JSON or a missing field. The body may be empty.",
            "descriptions: x",
            "components.responses.BadRequest",
        ),
        ("'#/components/responses/Forbidden'", "'#/components/responses/Forbiden'", "paths./bulkevents"),
    ] {
        let error = broken(from, to);
        assert!(error.contains(&format!(": {place}: ")), "{error}");
    }
    let table = [
        ("'#/components/schemas/Environment'", "'#/components/schemas/Enviroment'", "Batch", "Enviroment"),
        (
            "id: {type: string, description: 'Your id of the product",
            "id: {type: strin, description: 'x",
            "Product",
            "strin",
        ),
        ("enum: [production, development]", "enum: [production, production]", "Environment", "unique"),
        ("required: [label]", "required: label", "Breadcrumb", "sequence"),
        ("minimum: 0, description: 'The size", "minimum: x, description: 'The size", "CrashReport", "number"),
    ];
    for (from, to, component, reason) in table {
        let error = broken(from, to);
        let line = line_of(&format!("    {component}:"));
        assert!(error.starts_with(&format!("openapi/events.yaml:{line}: components.schemas.{component}: ")), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_broken_path_is_named() {
    let table = [
        ("      operationId: uploadEvents\n", "      operation: uploadEvents\n", "/events", "operation ID"),
        ("'#/components/responses/Accepted'", "'#/components/responses/Acepted'", "/bulkevents", "Acepted"),
    ];
    for (from, to, path, reason) in table {
        let error = broken(from, to);
        assert!(error.contains(&format!(": paths.{path}: ")) && error.contains(reason), "{error}");
    }
}

#[test]
fn what_is_wrong_with_the_whole_is_said_of_the_whole() {
    assert!(broken("openapi: 3.0.3", "openapi: 3.1.0").starts_with("openapi/events.yaml: "));
    for nothing in ["", "[]", "{}", "openapi: 3.0.3"] {
        let error = build::generate(PATH, nothing).expect_err("not a document");
        assert!(error.starts_with("openapi/events.yaml"), "{error}");
    }
}

#[test]
fn text_stays_text_and_limits_stay_in_the_document() {
    let (code, document) = build::generate(PATH, YAML).expect("the document");
    assert!(code.contains("pub session_uuid: ::std::option::Option<::std::string::String>"));
    assert!(code.contains("pub event_name: ::std::string::String"));
    for absent in ["uuid::", "regress", "chrono", "HashMap"] {
        assert!(!code.contains(absent), "{absent}");
    }
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let common = &document["components"]["schemas"]["CommonEventData"]["properties"];
    assert_eq!(common["session_uuid"]["format"], "uuid");
    assert_eq!(
        document["paths"]["/events"]["post"]["responses"]["429"]["$ref"],
        "#/components/responses/TooManyRequests"
    );
}

/// The raw endpoints return no body for a 2xx, wherever the document describes it: an empty one would be an error.
#[test]
fn the_body_of_a_success_is_described_and_not_generated() {
    let (code, document) = build::generate(PATH, YAML).expect("the document");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let accepted = &document["components"]["responses"]["Accepted"];
    assert!(accepted["content"]["application/json"]["examples"].is_object());
    assert_eq!(code.matches("Result<ResponseValue<()>, Error<()>>").count(), 3);

    let inline =
        "'202': {description: Accepted., content: {application/json: {schema: {type: string, description: x}}}}";
    let from = "'202': {$ref: '#/components/responses/Accepted'}";
    assert!(YAML.contains(from));
    let (code, _) = build::generate(PATH, &YAML.replacen(from, inline, 1)).expect("a document");
    assert_eq!(code.matches("Result<ResponseValue<()>, Error<()>>").count(), 3);
}

#[test]
fn the_same_document_gives_the_same_code() {
    assert_eq!(build::generate(PATH, YAML).expect("once"), build::generate(PATH, YAML).expect("twice"));
}

#[test]
fn every_enum_can_grow() {
    let (code, _) = build::generate(PATH, YAML).expect("the document");
    let file = syn::parse_file(&code).expect("Rust");
    let types = file.items.iter().find_map(|item| match item {
        syn::Item::Mod(module) if module.ident == "types" => module.content.as_ref(),
        _ => None,
    });
    let (_, items) = types.expect("the types");
    let mut enums = 0;
    for item in items {
        if let syn::Item::Enum(item) = item {
            enums += 1;
            assert!(item.attrs.iter().any(|attribute| attribute.path().is_ident("non_exhaustive")), "{}", item.ident);
        }
    }
    assert_eq!(enums, 24);
}

#[test]
fn a_document_of_the_user_has_an_absolute_path() {
    let path_of = |variable: &str| build::document_path(Some(variable.into()));
    assert_eq!(build::document_path(None).as_deref(), Ok(PATH));
    assert_eq!(path_of("").as_deref(), Ok(PATH));
    assert_eq!(path_of("/shop/events.yaml").as_deref(), Ok("/shop/events.yaml"));
    let refused = path_of("openapi/events.yaml").expect_err("a relative path");
    let line = r#"[env] MPARTICLE_OPENAPI = { value = "openapi/events.yaml", relative = true }"#;
    assert!(refused.contains(line) && refused.lines().count() == 1, "{refused}");
}

#[test]
fn an_error_in_a_document_of_the_user_names_its_path() {
    let error = build::generate("/shop/events.yaml", "openapi: 3.0.3").expect_err("not a document");
    assert!(error.starts_with("/shop/events.yaml"), "{error}");
}
