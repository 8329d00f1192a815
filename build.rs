//! Generates `events.rs` (types and endpoints) from the OpenAPI document, and copies the document: `events.json` for the mock and
//! the contract, `events.yaml` unchanged.
//!
//! The document is `openapi/events.yaml`, or the one that `MPARTICLE_OPENAPI` names. progenitor generates the code.
//! `tests/generation.rs` includes this file and tests each of its errors.

use std::panic::{self, AssertUnwindSafe};
use std::{env, ffi::OsString, fs, path::Path};

use progenitor::{GenerationSettings, Generator, HooksMode, TypePatch};
use serde_json::Value;
use syn::{File, ImplItem, Item};

#[path = "build/boxes.rs"]
mod boxes;
#[path = "build/events.rs"]
mod events;
#[path = "build/fields.rs"]
mod fields;
#[path = "build/glue.rs"]
mod glue;
#[path = "build/model.rs"]
mod model;
#[path = "build/places.rs"]
mod places;
#[path = "build/types.rs"]
mod types;

use events::Events;
use places::Place;
use types::Types;

/// The document of this crate.
const OWN: &str = "openapi/events.yaml";
/// The variable with the path of a custom document, which is a superset of this crate's.
const VARIABLE: &str = "MPARTICLE_OPENAPI";

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rustc-check-cfg=cfg(mparticle_custom_document)");
    for input in [OWN, "build.rs", "build"] {
        println!("cargo::rerun-if-changed={input}");
    }
    if let Err(error) = run() {
        // This fails the build. With an exit status, cargo would also print the whole output of this program.
        println!("cargo::error={error}");
    }
}

fn run() -> Result<(), String> {
    let path = document_path(env::var_os(VARIABLE))?;
    println!("cargo::rerun-if-changed={path}");
    let yaml = read(&path)?;
    if path != OWN && yaml != read(OWN)? {
        println!("cargo::rustc-cfg=mparticle_custom_document");
    }
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this through cargo")?;
    let (code, json) = generate(&path, &yaml)?;
    for (name, text) in [("events.rs", code), ("events.json", json), ("events.yaml", yaml)] {
        fs::write(Path::new(&out).join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// Returns the path of the document: the value of the variable, if it is set.
///
/// # Errors
/// Returns an error if the path is relative, because it would be relative to the directory into which cargo unpacked this crate.
pub fn document_path(variable: Option<OsString>) -> Result<String, String> {
    let Some(path) = variable.filter(|path| !path.is_empty()) else { return Ok(OWN.to_owned()) };
    let path = path.into_string().map_err(|path| format!("{VARIABLE} is not UTF-8: {}", path.display()))?;
    if Path::new(&path).is_relative() {
        return Err(format!(
            "{VARIABLE} has to be an absolute path; cargo makes a relative path absolute with this line in .cargo/config.toml: \
             [env] {VARIABLE} = {{ value = {path:?}, relative = true }}"
        ));
    }
    Ok(path)
}

/// Generates the Rust code and the document as JSON from the document with this path.
///
/// # Errors
/// Returns one line that names the line of the document and, if the YAML is valid, the component or path.
pub fn generate(path: &str, yaml: &str) -> Result<(String, String), String> {
    let published: Value = serde_saphyr::from_str(yaml).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        format!("{path}{place}: {}", first_line(&error.without_snippet().to_string()))
    })?;
    let mut view = published.clone();
    take_generation_view(&mut view);
    drop_accepted_bodies(&mut view);
    let code = places::check(&published)
        .map_err(|(place, error)| (Some(place), error))
        .and_then(|()| rust(&view).map_err(|error| (places::failing_part(&view, |part| rust(part).is_ok()), error)))
        .and_then(|file| with_glue(file, &view));
    code.map(|code| (code, published.to_string())).map_err(|(place, error)| {
        let place = place.map(|place| place.within(yaml)).unwrap_or_default();
        format!("{path}{place}: {}", first_line(&error))
    })
}

/// Adds the items that the hand-written code builds on, and checks that the document has everything that this code uses.
fn with_glue(mut file: File, view: &Value) -> Result<String, (Option<Place>, String)> {
    let modules = file.items.iter_mut().filter_map(|item| match item {
        Item::Mod(module) if module.ident == "types" => module.content.as_mut(),
        _ => None,
    });
    let (_, items) = modules.last().ok_or((None, "the generator produced no types".to_owned()))?;
    boxes::apply(items);
    let (types, model) = (Types::of(items), model::read().map_err(|error| (None, error))?);
    let events = Events::of(view, &types).map_err(|(place, error)| (Some(place), error))?;
    model::check(view, &model, &types, &events).map_err(|(place, error)| (Some(place), error))?;
    describe_newtypes(items, view);
    items.retain(|item| !glue::replaces(item, &types));
    items.extend(glue::items(view, &types, &events, &model));
    remove_constructors(&mut file);
    Ok(prettyplease::unparse(&file))
}

/// Removes the constructors of the generated client. They take a transport, which only a `Client` of this crate has, and an
/// operation could have the same name.
fn remove_constructors(file: &mut File) {
    for item in &mut file.items {
        if let Item::Impl(item) = item
            && item.trait_.is_none()
            && types::kind(&item.self_ty) == "Client"
        {
            item.items.retain(|item| matches!(item, ImplItem::Fn(function) if function.sig.asyncness.is_some()));
        }
    }
}

/// Documents newtypes with their descriptions. The generator documents them with their name only.
fn describe_newtypes(items: &mut [Item], view: &Value) {
    for item in items {
        if let Item::Struct(newtype) = item
            && newtype.fields.iter().all(|field| field.ident.is_none())
            && let Some(text) = view["components"]["schemas"][newtype.ident.to_string()]["description"].as_str()
        {
            newtype.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
            newtype.attrs.push(syn::parse_quote!(#[doc = #text]));
        }
    }
}

/// Removes what is not generated: responses other than 2xx, so that our own error receives them unchanged, limits, and string
/// formats, so that text is a `String` that is sent unchanged.
fn take_generation_view(node: &mut Value) {
    const LIMITS: [&str; 4] = ["maxLength", "maxItems", "maxProperties", "pattern"];
    match node {
        Value::Object(object) => {
            // The value of a keyword is not an object. A property with the same name has a schema, which is one.
            object.retain(|key, value| value.is_object() || !LIMITS.contains(&key.as_str()));
            if object.get("type").is_some_and(|kind| kind == "string") {
                object.remove("format");
            }
            if object.contains_key("operationId")
                && let Some(Value::Object(responses)) = object.get_mut("responses")
            {
                responses.retain(|status, _| status.starts_with('2'));
            }
            object.values_mut().for_each(take_generation_view);
        }
        Value::Array(items) => items.iter_mut().for_each(take_generation_view),
        _ => {}
    }
}

/// Removes the body of each 202. It is optional, which OpenAPI 3.0 cannot express, and the generated code would fail without one.
fn drop_accepted_bodies(view: &mut Value) {
    let paths = view.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    let accepted = operations.filter_map(|operation| operation.pointer_mut("/responses/202"));
    let mut shared = Vec::new();
    for response in accepted.filter_map(Value::as_object_mut) {
        response.remove("content");
        shared.extend(
            response.get("$ref").and_then(Value::as_str).map(|target| target.trim_start_matches('#').to_owned()),
        );
    }
    for response in shared {
        view.pointer_mut(&response).and_then(Value::as_object_mut).and_then(|response| response.remove("content"));
    }
}

fn rust(view: &Value) -> Result<File, String> {
    let mut settings = GenerationSettings::new();
    settings
        .with_derive("PartialEq")
        .with_map_type("::std::collections::BTreeMap")
        .with_hooks(HooksMode::Expected)
        .with_inner_type("crate::client::HttpTransport".parse().map_err(|_| "the inner type is not a path")?);
    // Enums grow with the service, and a sender rarely matches on them. Structs can be built as literals.
    for (name, schema) in places::schemas(view) {
        if ["enum", "oneOf", "anyOf"].iter().any(|kind| schema.get(kind).is_some()) {
            settings.with_patch(name, TypePatch::default().with_attr("#[non_exhaustive]"));
        }
    }
    catch_panic(|| {
        let spec = serde_json::from_value(view.clone()).map_err(|error| error.to_string())?;
        let tokens = Generator::new(&settings).generate_tokens(&spec).map_err(|error| error.to_string())?;
        syn::parse2(tokens).map_err(|error| error.to_string())
    })
}

/// Turns a panic into an error. The generator panics on parts of a document that it does not support.
fn catch_panic<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(hook);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the generator failed without a message");
        Err(if text.contains("response_types.len() <= 1") {
            "its 2xx responses have bodies of different types, but the generator supports one".to_owned()
        } else {
            text.to_owned()
        })
    })
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given").to_owned()
}
