//! The output of `just spec-diff` for each kind of change of the document. Its class agrees with the generated code.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

#[allow(dead_code)]
#[path = "../../../build.rs"]
mod build;
mod cases;

use cases::{CASES, Case};
use spec_diff::{Changes, Class, names};

const YAML: &str = include_str!("../../../openapi/events.yaml");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| parse(YAML));

fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).expect("YAML")
}

/// Returns the document after replacing the first occurrence of each text.
fn edit(yaml: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(yaml.to_owned(), |yaml, (from, to)| {
        assert!(yaml.contains(from), "the document does not contain {from:?}");
        yaml.replacen(from, to, 1)
    })
}

/// Returns the generated code without its comments, or `None` if the build refuses the document.
fn code(yaml: &str) -> Option<String> {
    let (code, _) = build::generate("openapi/events.yaml", yaml).ok()?;
    let mut in_comment = false;
    let kept = code.lines().filter(|line| {
        let line = line.trim_start();
        in_comment |= line.starts_with("/**");
        let kept = !in_comment && !line.starts_with("///");
        in_comment &= !line.ends_with("*/");
        kept
    });
    Some(kept.collect::<Vec<_>>().join("\n"))
}

#[test]
fn each_kind_of_change_has_its_text_and_class() {
    for Case { kind, before, edits, lines, class, .. } in CASES {
        let old = edit(YAML, before);
        let changes = Changes::between(&parse(&old), &parse(&edit(&old, edits)));
        let text = changes.to_string();
        let printed: Vec<_> = text.lines().filter(|line| line.starts_with("- ")).collect();
        assert_eq!(printed, *lines, "{kind}");
        assert_eq!(changes.class(), *class, "{kind}");
        let last = text.lines().last().expect("a line");
        let word = format!("Semver class: {class:?}").to_lowercase();
        assert!(last.to_lowercase().starts_with(&word), "{kind}: {last}");
    }
}

/// Returns each `Type::member` that the lines name, except for the raw endpoints.
fn members_in<'a>(lines: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let quoted = lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2));
    let members =
        quoted.filter_map(|quoted| quoted.split(':').next().and_then(|name| Some((name, quoted.split("::").nth(1)?))));
    members
        .map(|(name, member)| (name, member.split(':').next().unwrap_or(member)))
        .filter(|(name, _)| *name != "raw")
        .collect()
}

fn derives_default(code: &str, name: &str) -> bool {
    let (before, _) = code.split_once(&format!("pub struct {name} {{")).expect("the struct");
    let (_, derived) = before.rsplit_once("#[derive(").expect("a derive attribute");
    derived.contains("Default")
}

#[test]
fn breaking_changes_agree_with_the_generated_code() {
    agree_with_the_generated_code(|class| class == Class::Major);
}

#[test]
fn compatible_changes_agree_with_the_generated_code() {
    agree_with_the_generated_code(|class| class < Class::Major);
}

fn agree_with_the_generated_code(of: impl Fn(Class) -> bool) {
    // Some cases are the reverse of others, so each document is generated once.
    let mut codes = BTreeMap::new();
    let mut code = |yaml: String| codes.entry(yaml).or_insert_with_key(|yaml| code(yaml)).clone();
    for Case { kind, before, edits, lines, class, changes_code } in CASES.iter().filter(|case| of(case.class)) {
        let old = edit(YAML, before);
        let is = code(edit(&old, edits));
        let was = code(old).expect("the old document");
        for (name, member) in members_in(lines) {
            let all = [Some(&was), is.as_ref()].into_iter().flatten();
            let declared = |code: &&String| {
                ["struct", "enum"].iter().any(|kind| code.contains(&format!("pub {kind} {name} ")))
                    && code.contains(&format!(" {member}"))
            };
            assert!(all.filter(declared).count() > 0, "{kind}: no {name}::{member} in the code");
        }
        for line in lines.iter().filter(|line| line.contains("`Default`")) {
            let name = line.split('`').nth(1).expect("a name");
            let gains = !line.contains("no longer");
            let has = [Some(&was), is.as_ref()].map(|code| code.map(|code| derives_default(code, name)));
            assert_eq!(has[0], Some(!gains), "{kind}: {line}");
            assert!(has[1].is_none_or(|has| has == gains), "{kind}: {line}");
        }
        assert_eq!(is.as_ref() != Some(&was), *changes_code, "{kind}");
        assert!(is.is_some() || *class == Class::Major, "{kind}: the build refuses the document");
        assert!(!*changes_code || *class >= Class::Minor, "{kind}");
    }
}

#[test]
fn a_document_has_no_change_to_itself() {
    assert_eq!(Changes::between(&DOCUMENT, &DOCUMENT).to_string(), "Semver class: none (no change)\n");
    let commented = parse(&format!("{YAML}# A comment.\n"));
    assert_eq!(Changes::between(&DOCUMENT, &commented).class(), Class::None);
}

const SEVERAL: [(&str, &str); 6] = [
    (
        "        partner_identity:\n",
        "        loyalty_tier: {type: string, description: x}\n        partner_identity:\n",
    ),
    ("enum: [iOS, Android, web,", "enum: [iOS, Android, visionOS, web,"),
    ("maxItems: 100\n", "maxItems: 50\n"),
    ("description: A geographic location.", "description: The place."),
    ("        '401': {$ref: '#/components/responses/Unauthorized'}\n", ""),
    ("summary: Upload one batch", "summary: Send one batch"),
];

const SUM: &str = "\
### Breaking
- Added the field `Batch::loyalty_tier: Option<String>`: a literal of `Batch` has to set it.

### Added
- Value `Platform::VisionOs` (`visionOS`).

### Changed
- `maxItems` of the request body of `bulk_upload_events` (contract, mock and `check`; no type): `50`, was `100`.
- `maxItems` of the request body of `bulk_upload_historical_events` (contract, mock and `check`; no type): `50`, was `100`.
- Documentation (descriptions and examples) of `Location`, `raw::Client::upload_events`.

### Removed
- Status 401 from the responses of `bulk_upload_events`, `bulk_upload_historical_events`, `upload_events`.

Semver class: major (breaking)
";

#[test]
fn several_changes_are_one_deterministic_text() {
    let new = parse(&edit(YAML, &SEVERAL));
    for _ in 0..3 {
        assert_eq!(Changes::between(&DOCUMENT, &new).to_string(), SUM);
    }
    let mut backwards = SEVERAL;
    backwards.reverse();
    let new = parse(&edit(YAML, &backwards));
    assert_eq!(Changes::between(&DOCUMENT, &new).to_string(), SUM);
}

#[test]
fn the_program_prints_the_change_between_two_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("old.yaml"), YAML).expect("a file");
    std::fs::write(path("new.yaml"), edit(YAML, &SEVERAL)).expect("a file");
    let run = |old: &str, new: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spec-diff"));
        let output = command.args([path(old), path(new)]).output().expect("the program");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run("old.yaml", "new.yaml"), (Some(0), SUM.to_owned(), String::new()));

    std::fs::write(path("new.yaml"), "a: b: c").expect("a file");
    for (new, reason) in [("new.yaml", " is not YAML: "), ("absent.yaml", "error: failed to read ")] {
        let (status, printed, error) = run("old.yaml", new);
        assert!(status == Some(1) && printed.is_empty() && error.contains(reason), "{error}");
    }
}

/// Calls `visit` with the document after each edit of one place: an entry or an element removed, or a value changed.
fn edit_each_place(document: &mut Value, visit: &mut dyn FnMut(&Value, &str)) {
    fn places(at: &str, node: &Value, found: &mut Vec<String>) {
        let below: Vec<_> = match node {
            Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (key, value) in below {
            let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            places(&at, value, found);
            found.push(at);
        }
    }
    let mut found = Vec::new();
    places("", document, &mut found);
    for at in found {
        let (parent, key) = at.rsplit_once('/').expect("a pointer");
        let key = key.replace("~1", "/").replace("~0", "~");
        let kept = document.pointer(parent).expect("the parent").clone();
        match document.pointer_mut(parent) {
            Some(Value::Object(object)) => drop(object.remove(&key)),
            Some(Value::Array(items)) => drop(items.remove(key.parse().expect("an index"))),
            _ => unreachable!("a parent is an object or a list"),
        }
        visit(document, &format!("{at} removed"));
        *document.pointer_mut(parent).expect("the parent") = kept;
        let value = document.pointer_mut(&at).expect("the place");
        let changed = match value {
            Value::String(text) => Value::from(format!("{text}x")),
            Value::Bool(value) => Value::from(!*value),
            Value::Number(number) => Value::from(number.as_f64().expect("a number") + 1.0),
            _ => continue,
        };
        let kept = std::mem::replace(value, changed);
        visit(document, &format!("{at} changed"));
        *document.pointer_mut(&at).expect("the place") = kept;
    }
}

/// Returns the document in parts that are compared faster than the whole: each schema alone, and everything else.
fn parts() -> Vec<Value> {
    let schemas = DOCUMENT["components"]["schemas"].as_object().expect("components");
    let alone = |(name, schema): (&String, &Value)| json!({ "components": { "schemas": { name: schema } } });
    let mut rest = DOCUMENT.clone();
    rest["components"]["schemas"] = json!({});
    schemas.iter().map(alone).chain([rest]).collect()
}

#[test]
fn every_edit_is_reported_as_a_change() {
    let (mut classes, mut count) = (BTreeSet::new(), 0);
    for part in parts() {
        edit_each_place(&mut part.clone(), &mut |edited, place| {
            for (old, new) in [(&part, edited), (edited, &part)] {
                let class = Changes::between(old, new).class();
                assert_ne!(class, Class::None, "{place}");
                classes.insert(class);
                count += 1;
            }
        });
    }
    assert!(count > 6_000, "{count} changes");
    assert_eq!(classes, BTreeSet::from([Class::Patch, Class::Minor, Class::Major]));
}

/// Returns the fields of each struct and the values of each enum of the generated code: the name in JSON, the name in Rust, the type.
fn generated_members() -> BTreeMap<String, Vec<(String, String, String)>> {
    let (code, _) = build::generate("openapi/events.yaml", YAML).expect("the document");
    let file = syn::parse_file(&code).expect("Rust");
    let types = file.items.iter().find_map(|item| match item {
        syn::Item::Mod(module) if module.ident == "types" => module.content.as_ref(),
        _ => None,
    });
    let member = |ident: &syn::Ident, attributes: &[syn::Attribute], kind: Option<&syn::Type>| {
        let mut name = ident.to_string();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            // Other keys than `rename` have values to skip.
            let _ = attribute.parse_nested_meta(|meta| {
                let value = meta.value().and_then(syn::parse::ParseBuffer::parse::<syn::LitStr>);
                if let (true, Ok(value)) = (meta.path.is_ident("rename"), value) {
                    name = value.value();
                }
                Ok(())
            });
        }
        (name, ident.to_string(), kind.map(type_text).unwrap_or_default())
    };
    let (_, items) = types.expect("the types");
    let parts = items.iter().filter_map(|item| match item {
        syn::Item::Struct(item) => {
            let fields = item.fields.iter().filter_map(|field| Some((field.ident.as_ref()?, field)));
            let fields = fields.map(|(ident, field)| member(ident, &field.attrs, Some(&field.ty)));
            Some((item.ident.to_string(), fields.collect()))
        }
        syn::Item::Enum(item) => {
            let variants = item.variants.iter().map(|variant| member(&variant.ident, &variant.attrs, None));
            Some((item.ident.to_string(), variants.collect()))
        }
        _ => None,
    });
    parts.collect()
}

/// Returns the text of a type, with only the last segment of each path.
fn type_text(kind: &syn::Type) -> String {
    let syn::Type::Path(path) = kind else { panic!("a path") };
    let last = path.path.segments.last().expect("a name");
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return last.ident.to_string() };
    let arguments = arguments.args.iter().map(|argument| match argument {
        syn::GenericArgument::Type(kind) => type_text(kind),
        _ => panic!("a type"),
    });
    format!("{}<{}>", last.ident, arguments.collect::<Vec<_>>().join(", "))
}

#[test]
fn names_and_types_agree_with_the_generated_code() {
    let generated = generated_members();
    let schemas = &DOCUMENT["components"]["schemas"];
    let (mut fields, mut values) = (0, 0);
    for (component, schema) in schemas.as_object().expect("components") {
        let (code, branches) = (&generated[component], schema["allOf"].as_array());
        let resolved = |branch: &'static Value| names::reference(branch).map_or(branch, |name| &schemas[name]);
        let parts: Vec<_> = branches.map_or(vec![schema], |all| all.iter().map(resolved).collect());
        for part in parts {
            let required: Vec<_> = part["required"].as_array().into_iter().flatten().collect();
            for (name, property) in part["properties"].as_object().into_iter().flatten() {
                let own = format!("{component}{}", names::pascal(name));
                let required = required.iter().any(|required| *required == name);
                let kind = if required {
                    names::rust_type(property, &own)
                } else {
                    names::optional_type(property, &own, schemas)
                };
                let field = (name.clone(), names::snake(name), kind);
                let newtype = code.is_empty(); // a newtype has only the fields of the common data
                assert!(newtype || code.contains(&field), "{component}: {field:?} in {code:?}");
                fields += 1;
            }
        }
        for value in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let variant = (value.to_owned(), names::pascal(value), String::new());
            assert!(code.contains(&variant), "{component}: {variant:?} in {code:?}");
            values += 1;
        }
    }
    assert!(fields > 400 && values > 100, "{fields} fields, {values} values");
}
