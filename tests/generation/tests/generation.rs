//! Tests of the build script: its error for each kind of broken document, and the code that it generates.

use serde_json::Value;

#[allow(dead_code)]
#[path = "../../../build.rs"]
mod build;

const PATH: &str = "openapi/events.yaml";
const YAML: &str = include_str!("../../../openapi/events.yaml");

/// Returns the error of the build after replacing the first occurrence of a text. It is always one line.
fn build_error(from: &str, to: &str) -> String {
    assert!(YAML.contains(from), "the document does not contain {from:?}");
    let error = build::generate(PATH, &YAML.replacen(from, to, 1)).expect_err("the document is invalid");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

fn line_of(text: &str) -> usize {
    YAML.lines().position(|line| line == text).expect("the line") + 1
}

#[test]
fn invalid_yaml_is_reported_with_line_and_column() {
    let line = line_of("      description: A geographic location.");
    let error = build_error("description: A geographic location.", "description: A geographic: location.");
    assert!(error.starts_with(&format!("openapi/events.yaml:{line}:32: ")), "{error}");

    let error = build_error("    Environment:\n", "    Batch:\n");
    let line = line_of("    Environment:");
    assert!(error.starts_with(&format!("openapi/events.yaml:{line}:5: duplicate mapping key: Batch")), "{error}");

    let error = build_error("paths:", "\tpaths:");
    assert!(error.starts_with("openapi/events.yaml:"), "{error}");
}

#[test]
fn an_invalid_component_is_reported_with_its_line() {
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
        let error = build_error(from, to);
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
        let error = build_error(from, to);
        let line = line_of(&format!("    {component}:"));
        assert!(error.starts_with(&format!("openapi/events.yaml:{line}: components.schemas.{component}: ")), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_cycle_of_all_of_is_reported() {
    let cycle = |name: &str, other: &str| {
        format!("    {name}:\n      description: x\n      allOf: [{{$ref: '#/components/schemas/{other}'}}]\n")
    };
    let error =
        build_error("    Environment:\n", &(cycle("Ping", "Pong") + &cycle("Pong", "Ping") + "    Environment:\n"));
    assert!(error.ends_with(": components.schemas.Ping: its `allOf` refers back to itself"), "{error}");
}

#[test]
fn an_invalid_path_is_reported() {
    let table = [
        ("      operationId: uploadEvents\n", "      operation: uploadEvents\n", "/events", "operation ID"),
        ("'#/components/responses/Accepted'", "'#/components/responses/Acepted'", "/bulkevents", "Acepted"),
    ];
    let two = "'200': {description: x, content: {application/json: {schema: {$ref: '#/components/schemas/Context'}}}}";
    let two = format!("{two}\n        '201': {}", two.trim_start_matches("'200': ").replace("Context", "Location"));
    let two = ("'202': {$ref: '#/components/responses/Accepted'}", &*two, "/bulkevents", "bodies of different types");
    for (from, to, path, reason) in table.into_iter().chain([two]) {
        let error = build_error(from, to);
        assert!(error.contains(&format!(": paths.{path}: ")) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_missing_part_of_the_model_is_reported_in_one_line() {
    let table = [
        (
            "required: [event_name, custom_event_type]",
            "required: [event_name, custom_event_type, custom_flags]",
            "CustomEvent.custom_flags: required, but build/model.yaml expects it to be optional",
        ),
        (
            "          required: [label]\n          properties:\n",
            "          required: [label, depth]\n          properties:\n            depth: {type: boolean, description: x}\n",
            "Breadcrumb.depth: required, but no hand-written constructor of `Breadcrumb` takes it: add it to one, and to build/model.yaml",
        ),
        (
            "      description: The data that all events share.\n      type: object\n",
            "      description: The data that all events share.\n      type: object\n      required: [event_num]\n",
            "CommonEventData.event_num: required, but build/model.yaml expects it to be optional",
        ),
        (
            "            label: {type: string",
            "            mark: {type: string",
            "Breadcrumb.label: missing, but build/model.yaml uses it",
        ),
        (
            "required: [label]",
            "minProperties: 0",
            "Breadcrumb.label: optional, but build/model.yaml expects it to be required",
        ),
        ("label: {type: string", "label: {type: boolean", "Breadcrumb.label: `bool` in Rust"),
        (
            "timezone_offset: {type: integer",
            "time_zone: {type: integer",
            "DeviceInfo.timezone_offset: missing, but build/model.yaml uses it",
        ),
        (
            "[view, click]",
            "[view]",
            "PromotionActionType: no value `Click` (its name in Rust), but build/model.yaml uses it",
        ),
        (
            "        - phone_number_3\n",
            "        - phone_number_3\n        - loyalty_id\n",
            "IdentityType: its value `loyalty_id` is not a property of `UserIdentities`",
        ),
        (
            "alias: {type: string",
            "alias: {type: boolean",
            "UserIdentities.alias: `Option<bool>` in Rust, but an identity has to be optional text",
        ),
        ("enum: [uninstall]", "enum: [removal]", "Event: no event type `uninstall` with the payload `Uninstall`"),
        (
            "data: {$ref: '#/components/schemas/Uninstall'}",
            "data: {$ref: '#/components/schemas/Product'}",
            "Product: the payload of the event type `uninstall` does not include `CommonEventData`",
        ),
        (
            "            data: {$ref: '#/components/schemas/Uninstall'}\n",
            "            data: {$ref: '#/components/schemas/Uninstall'}\n            version: {type: string, description: x}\n",
            "Event: the event type `uninstall` has a property `version` besides `event_type` and `data`",
        ),
        (
            "    Uninstall:\n",
            "    Uninstall:\n      description: x\n      allOf: [{$ref: '#/components/schemas/FirstRun'}]\n    Uninstalled:\n",
            "Uninstall: has no property of its own besides those of `FirstRun`",
        ),
        (
            "          required: [screen_name]\n",
            "          required: [screen_name, session_uuid]\n",
            "ScreenView.session_uuid: differs from `CommonEventData`, where it is optional and `Option<String>` in Rust",
        ),
        (
            "enum: [uninstall]",
            "enum: [uninstall, removal]",
            "Event: the event type `uninstall` needs an `event_type` of one value",
        ),
        (
            "data: {$ref: '#/components/schemas/Uninstall'}",
            "data: {type: object, description: x}",
            "Event: the event type `uninstall` needs a `data` that refers to a component",
        ),
    ];
    for (from, to, expected) in table {
        let error = build_error(from, to);
        let (place, reason) = error.split_once(": components.schemas.").expect("a component");
        assert!(reason.starts_with(expected), "{error}");
        let line = place.strip_prefix("openapi/events.yaml:").map(str::parse::<usize>);
        assert!(matches!(line, Some(Ok(1..))), "{error}");
    }
}

/// A response or a property can have the same name as a component. A name can be quoted and have a comment.
#[test]
fn a_name_that_occurs_twice_is_located_in_its_section() {
    let component = |name: &str| format!("    {name}:\n      description: x\n      type: strin\n    Environment:\n");
    for (key, name) in
        [("BadRequest", "BadRequest"), ("environment", "environment"), ("'Quoted'", "Quoted"), ("\"Quoted\"", "Quoted")]
    {
        let error = build_error("    Environment:\n", &component(key));
        let place = format!("openapi/events.yaml:{}: components.schemas.{name}: ", line_of("    Environment:"));
        assert!(error.starts_with(&place), "{error}");
    }
    let error = build_error(
        "[production, development]\n    Context:\n",
        "[production, development]\n    Context: # x\n      minProperties: x\n",
    );
    let place = format!("openapi/events.yaml:{}: components.schemas.Context: ", line_of("    Context:"));
    assert!(error.starts_with(&place), "{error}");
}

/// An identity can have the name of a hand-written method of `Batch`.
#[test]
fn no_setter_is_generated_for_an_identity_named_like_a_method() {
    let mut by_hand = Vec::new();
    let mut next = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src"))];
    while let Some(path) = next.pop() {
        if path.is_dir() {
            next.extend(std::fs::read_dir(path).expect("src").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            by_hand.extend(methods_of_batch(&std::fs::read_to_string(path).expect("a source file")));
        }
    }
    by_hand.push("user_firstname".to_owned()); // a macro writes it
    assert!(by_hand.iter().any(|name| name == "event") && by_hand.iter().any(|name| name == "seal"), "{by_hand:?}");

    let before = methods_of_batch(&build::generate(PATH, YAML).expect("the document").0);
    let added = by_hand
        .iter()
        .chain(&before)
        .filter(|name| !YAML.contains(&format!("        {name}:")))
        .map(|name| format!("        {name}: {{type: string, description: x}}\n"))
        .collect::<Vec<_>>()
        .concat();
    let alias = "        alias: {type: string";
    let (code, _) = build::generate(PATH, &YAML.replacen(alias, &(added.clone() + alias), 1)).expect("a superset");
    assert!(added.contains(" event:") && code.contains("pub event: ::std::option::Option<::std::string::String>"));
    let after = methods_of_batch(&code);
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    assert!(new.is_empty(), "{new:?} is not among the methods of build/model.yaml");
}

/// Returns the methods of the inherent `impl Batch` blocks in a file and its modules.
fn methods_of_batch(code: &str) -> Vec<String> {
    let items = syn::parse_file(code).expect("Rust").items.into_iter().flat_map(|item| match item {
        syn::Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) => items,
        other => vec![other],
    });
    let impls = items.filter_map(|item| match item {
        syn::Item::Impl(item) if item.trait_.is_none() => Some(item),
        _ => None,
    });
    let of_batch = impls.filter(|item| matches!(&*item.self_ty, syn::Type::Path(ty) if ty.path.is_ident("Batch")));
    let functions = of_batch.flat_map(|item| item.items).filter_map(|item| match item {
        syn::ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
        _ => None,
    });
    functions.collect()
}

/// Returns the code that is generated from a document, in one line with single blanks.
fn code_in_one_line(yaml: &str) -> String {
    let (code, _) = build::generate(PATH, yaml).expect("the document");
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The new event types appear in the document only.
#[test]
fn a_new_event_type_has_constructor_setters_and_conversion() {
    let event = "    CommonEventData:\n";
    let branch = |name: &str, payload: &str| {
        format!(
            "        - description: x\n          type: object\n          additionalProperties: false\n          required: \
             [event_type, data]\n          properties:\n            event_type: {{type: string, enum: [{name}], description: \
             x}}\n            data: {{$ref: '#/components/schemas/{payload}'}}\n"
        )
    };
    let level = "    LevelUp:\n      description: x\n      allOf:\n        - $ref: '#/components/schemas/CommonEventData'\n        - \
                 type: object\n          required: [level, game, of]\n          properties:\n            game: {type: string, \
                 description: x}\n            level: {type: integer, format: int32, description: The level reached.}\n            \
                 of: {enum: [null], description: x}\n            place: {$ref: '#/components/schemas/Location'}\n            \
                 rank: {$ref: '#/components/schemas/Environment'}\n";
    let branches = branch("level_up", "LevelUp") + &branch("app_removed", "Uninstall");
    let yaml = YAML.replacen(event, &(branches + event), 1).replacen(event, &(level.to_owned() + event), 1);
    let code = code_in_one_line(&yaml);
    for expected in [
        "pub fn with_required( level: i32, game: impl ::std::convert::Into<::std::string::String>, of:",
        "impl ::std::convert::From<LevelUp> for Event",
        "Self::LevelUp(_) => \"level_up\"",
        "LevelUp(), AppRemoved(.0),",
        // An added event type and an added optional object are boxed without an edit, an enumeration is not.
        "LevelUp(::std::boxed::Box<LevelUp>),",
        "pub place: ::std::option::Option<::std::boxed::Box<Location>>,",
        "pub rank: ::std::option::Option<Environment>,",
        // The generator writes no conversion for a payload that two event types share.
        "impl ::std::convert::From<Uninstall> for Event { fn from(payload: Uninstall) -> Self { Self::Uninstall(payload.into())",
    ] {
        assert!(code.contains(expected), "{expected}");
    }
    assert!(code.contains("impl LevelUp { /// Sets `canonical_name`. The canonical name of the event. #[must_use]"));
}

#[test]
fn frequent_payloads_and_required_objects_are_not_boxed_and_setters_take_plain_values() {
    let code = code_in_one_line(YAML);
    for expected in [
        " CustomEvent(CustomEvent),",
        " ScreenView(ScreenView),",
        " CommerceEvent(::std::boxed::Box<CommerceEvent>),",
        "pub new: UserIdentity,",
        "pub device_info: ::std::option::Option<::std::boxed::Box<DeviceInfo>>,",
        "pub fn device_info(mut self, device_info: DeviceInfo) -> Self { self.device_info = \
         ::std::option::Option::Some( ::std::boxed::Box::new(device_info), );",
    ] {
        assert!(code.contains(expected), "{expected}");
    }
}

#[test]
fn a_payload_that_contains_an_event_is_boxed_once_and_converts() {
    let properties = "required: [severity, message]\n          properties:\n";
    let cause = "            cause: {$ref: '#/components/schemas/Event'}\n";
    let yaml = YAML.replacen(properties, &(properties.to_owned() + cause), 1);
    let code = code_in_one_line(&yaml);
    assert!(code.contains("pub cause: ::std::option::Option<Event>,"));
    assert!(code.contains(" CrashReport(::std::boxed::Box<CrashReport>),"));
    assert!(
        code.contains("impl ::std::convert::From<CrashReport> for Event { fn from(value: CrashReport) -> Self"),
        "no conversion"
    );
    assert!(!code.contains("Box<::std::boxed::Box") && !code.contains("From<::std::boxed::Box"));
}

#[test]
fn an_error_of_the_whole_document_names_no_part() {
    assert!(build_error("openapi: 3.0.3", "openapi: 3.1.0").starts_with("openapi/events.yaml: "));
    for yaml in ["", "[]", "{}", "openapi: 3.0.3"] {
        let error = build::generate(PATH, yaml).expect_err("the YAML is not an OpenAPI document");
        assert!(error.starts_with("openapi/events.yaml"), "{error}");
    }
}

#[test]
fn formatted_text_is_a_string_and_limits_are_not_in_the_code() {
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

/// The raw endpoints return no body for a 2xx, because they would take an empty body for an error.
#[test]
fn the_body_of_a_2xx_is_not_generated() {
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
fn generation_is_deterministic() {
    assert_eq!(build::generate(PATH, YAML).expect("once"), build::generate(PATH, YAML).expect("twice"));
}

#[test]
fn every_enum_is_non_exhaustive() {
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
fn a_custom_document_needs_an_absolute_path() {
    let path_of = |variable: &str| build::document_path(Some(variable.into()));
    assert_eq!(build::document_path(None).as_deref(), Ok(PATH));
    assert_eq!(path_of("").as_deref(), Ok(PATH));
    assert_eq!(path_of("/shop/events.yaml").as_deref(), Ok("/shop/events.yaml"));
    let refused = path_of("openapi/events.yaml").expect_err("a relative path");
    let line = r#"[env] MPARTICLE_OPENAPI = { value = "openapi/events.yaml", relative = true }"#;
    assert!(refused.contains(line) && refused.lines().count() == 1, "{refused}");
}

#[test]
fn an_error_in_a_custom_document_names_its_path() {
    let error = build::generate("/shop/events.yaml", "openapi: 3.0.3").expect_err("not a document");
    assert!(error.starts_with("/shop/events.yaml"), "{error}");
}
